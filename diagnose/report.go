package diagnose

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
)

// Report is what is known of a member, and the most likely cause of its last
// incident.
type Report struct {
	Node     string         `json:"node"`
	Status   string         `json:"status"`
	Cause    string         `json:"cause"`    // of the last incident
	Failures int            `json:"failures"` // within -since
	Accusers map[string]int `json:"accusers"` // member → accusations
	Asked    int            `json:"asked"`
	Answered []Answer       `json:"answered"`
	Timeline []Line         `json:"timeline"` // of the last incident
}

// Answer says which member has answered, and how it was itself.
type Answer struct {
	Node    string    `json:"node"`
	Started time.Time `json:"started"`
	Health  int       `json:"health"` // 0 is well
	Cut     bool      `json:"cut"`    // it has older records that it did not tell
}

// Line is a record of the last incident, and what it means.
type Line struct {
	Time     time.Time `json:"time"`
	Observer string    `json:"observer"`
	Text     string    `json:"text"`
	rpc.HistoryRecord
}

// Report says what the case comes to.
func (c *Case) Report() *Report {
	incident := c.incident()
	r := &Report{Node: c.node, Status: c.status, Cause: c.cause(incident), Failures: c.flaps(),
		Accusers: c.accusers(c.entries), Asked: c.asked}
	for _, h := range c.histories {
		r.Answered = append(r.Answered, Answer{h.From, time.Unix(0, h.Started), h.Health, h.Cut})
	}
	for i := range incident {
		e := &incident[i]
		if text := e.text(c.node); text != "" {
			r.Timeline = append(r.Timeline, Line{e.Time(), e.observer, text, e.HistoryRecord})
		}
	}
	return r
}

// text says what an entry means, "" if it adds nothing.
func (e *entry) text(node string) string {
	verdict := ""
	if e.Verdict != "" {
		verdict = " (" + e.Verdict + ")"
	}
	switch e.Kind {
	case "ping-failed":
		return "got no answer to a probe within " + time.Duration(e.Took).Round(time.Millisecond).String()
	case "ping-unsent":
		return "could not send a probe"
	case "stream-ping-failed":
		return "connected over TCP and got no answer"
	case "stream-only":
		return "reached it over TCP only"
	case "indirect-only":
		return "reached it only through other members"
	case "restart-away":
		return "found it absent during its announced restart"
	case "suspect":
		if e.observer == node {
			return "suspected " + e.Node + verdict
		}
		return "suspected it" + verdict
	case "accused":
		return "received the suspicion of " + e.From + verdict
	case "confirmed":
		return "received a second suspicion, of " + e.From + verdict
	case "told-dead":
		return "received from " + e.From + " that it failed" + verdict
	case "cleared":
		return "received its refutation"
	case "refused":
		return "its host refused a connection"
	case "crashed":
		return "concluded: crashed (its host refuses connections)"
	case "failed":
		return "received no refutation in time"
	case "refute-suspect", "refute-dead":
		if e.From == node { // what came in a state names nobody else
			return "refuted the report that it failed"
		}
		return "refuted the report of " + e.From
	case "slept":
		return "was paused itself for " + time.Duration(e.Took).Round(time.Millisecond).String()
	case "deaf":
		return "received nothing itself for " + time.Duration(e.Took).Round(time.Millisecond).String()
	case "member-join":
		return "marked it alive"
	case "member-leave":
		return "marked it left"
	case "member-failed":
		return "marked it failed"
	}
	return ""
}

// times is how often in words.
func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// String is the text format. What others say of themselves is escaped in it.
func (r *Report) String() string {
	var b strings.Builder
	say := func(w io.Writer, format string, args ...any) {
		for i, arg := range args {
			if text, ok := arg.(string); ok {
				args[i] = printable.Line(text)
			}
		}
		fmt.Fprintf(w, format, args...)
	}
	say(&b, "%s is %s; it failed %s in the time asked about.\n", r.Node, cmp.Or(r.Status, "not listed"), times(r.Failures))
	say(&b, "Most likely: %s.\n", r.Cause)
	if len(r.Accusers) > 0 {
		who := slices.SortedFunc(maps.Keys(r.Accusers), func(a, b string) int {
			return cmp.Or(cmp.Compare(r.Accusers[b], r.Accusers[a]), cmp.Compare(a, b))
		})
		var top []string
		for _, name := range who[:min(5, len(who))] {
			top = append(top, fmt.Sprintf("%s (%d)", name, r.Accusers[name]))
		}
		say(&b, "Top accusers: %s.\n", strings.Join(top, ", "))
	}
	say(&b, "%d of %d members answered", len(r.Answered), r.Asked)
	for _, a := range r.Answered {
		if a.Node == r.Node {
			say(&b, ", among them %s itself, which has been running since %s", a.Node, a.Started.Format(time.DateTime))
		}
	}
	b.WriteString(".\n")
	for _, a := range r.Answered {
		if a.Health > 0 {
			say(&b, "%s is overloaded itself (health score %d).\n", a.Node, a.Health)
		}
	}
	if len(r.Timeline) > 0 {
		b.WriteString("\n")
		rows := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, l := range r.Timeline {
			say(rows, "%s\t%s\t%s\n", l.Time.Format("15:04:05.000"), l.Observer, l.Text)
		}
		_ = rows.Flush() // to memory
	}
	return b.String()
}
