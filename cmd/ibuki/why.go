package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

var whyCommand = &command{
	name:     "why",
	synopsis: "Explains why a member failed or was suspected",
	hidden:   true,
	argNodes: true,
	help: `
Usage: {prog} why [options] node

  Asks all members that can tell what they have seen of one: who accused it, by
  which way it was tried, who agreed, whether it refuted, and what it says of that
  time itself. Says what most likely was the cause of the last incident.

  Agents of Serf are not asked; what they said counts as others have heard it.
  Members forget: an agent keeps some thousand records.

Options:

  -since=1h                 How far back.
  -format=text              Form of the output: 'text' or 'json'.
` + rpcHelp,
	run: runWhy,
}

func runWhy(e *env, args []string) int {
	fs := e.flags()
	since := fs.Duration("since", time.Hour, "")
	format := fs.String("format", "text", "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("Name one node.")
	}
	if *since <= 0 {
		return e.fail("-since has to be more than 0.")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	node := fs.Arg(0)
	histories, asked, err := c.History(ctx, node)
	if err != nil {
		return e.fail("Error asking about %s: %s", node, err)
	}
	members, err := c.Members(ctx)
	if err != nil {
		return e.fail("Error retrieving members: %s", err)
	}
	status := ""
	if i := slices.IndexFunc(members, func(m rpc.Member) bool { return m.Name == node }); i >= 0 {
		status = members[i].Status
	}
	out, err := formatOutput(newWhyCase(node, status, histories, asked, time.Now().Add(-*since)).report(), *format)
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", out)
	return 0
}

// whyReport is what why prints.
type whyReport struct {
	Node     string         `json:"node"`
	Status   string         `json:"status"`
	Cause    string         `json:"cause"`    // of the last incident
	Failures int            `json:"failures"` // within -since
	Accusers map[string]int `json:"accusers"` // member → accusations
	Asked    int            `json:"asked"`
	Answered []whyAnswered  `json:"answered"`
	Timeline []whyLine      `json:"timeline"` // of the last incident
}

type whyAnswered struct {
	Node    string    `json:"node"`
	Started time.Time `json:"started"`
	Health  int       `json:"health"` // 0 is well
	Cut     bool      `json:"cut"`    // it has older records that it did not tell
}

type whyLine struct {
	Time     time.Time `json:"time"`
	Observer string    `json:"observer"`
	Text     string    `json:"text"`
	rpc.HistoryRecord
}

func (c *whyCase) report() *whyReport {
	incident := c.incident()
	r := &whyReport{Node: c.node, Status: c.status, Cause: c.cause(incident), Failures: c.flaps(),
		Accusers: c.accusers(c.entries), Asked: c.asked}
	for _, h := range c.histories {
		r.Answered = append(r.Answered, whyAnswered{h.From, time.Unix(0, h.Started), h.Health, h.Cut})
	}
	for i := range incident {
		e := &incident[i]
		if text := e.text(c.node); text != "" {
			r.Timeline = append(r.Timeline, whyLine{e.Time(), e.observer, text, e.HistoryRecord})
		}
	}
	return r
}

// text says what an entry means, "" if it adds nothing.
func (e *whyEntry) text(node string) string {
	verdict := ""
	if e.Verdict != "" {
		verdict = " (" + e.Verdict + ")"
	}
	switch e.Kind {
	case "ping-failed":
		return "got no answer to a packet in " + time.Duration(e.Took).Round(time.Millisecond).String()
	case "ping-unsent":
		return "could not send a packet"
	case "stream-ping-failed":
		return "connected over TCP, and got no answer"
	case "stream-only":
		return "reached it over TCP only"
	case "indirect-only":
		return "reached it through others only"
	case "restart-away":
		return "missed it, and knew that it restarts"
	case "suspect":
		if e.observer == node {
			return "itself got no answer from " + e.Node + verdict
		}
		return "suspects it" + verdict
	case "accused":
		return "heard from " + e.From + " that it is suspect" + verdict
	case "confirmed":
		return "heard that " + e.From + " suspects it too" + verdict
	case "told-dead":
		return "heard from " + e.From + " that it is dead" + verdict
	case "cleared":
		return "heard it refute"
	case "refused":
		return "its host refused a connect"
	case "crashed":
		return "holds it for crashed"
	case "failed":
		return "waited in vain for it to refute"
	case "refute-suspect", "refute-dead":
		if e.From == node { // what came in a state names nobody else
			return "refuted that it is gone"
		}
		return "refuted what " + e.From + " said"
	case "slept":
		return "did not run itself for " + time.Duration(e.Took).Round(time.Millisecond).String()
	case "deaf":
		return "heard nobody itself for " + time.Duration(e.Took).Round(time.Millisecond).String()
	case "member-join", "member-leave", "member-failed":
		return "lists it: " + e.Kind
	}
	return ""
}

// String is the text format.
func (r *whyReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s; it failed %d times in that time.\n", r.Node, cmp.Or(r.Status, "not listed"), r.Failures)
	fmt.Fprintf(&b, "Most likely: %s.\n", r.Cause)
	if len(r.Accusers) > 0 {
		who := slices.SortedFunc(maps.Keys(r.Accusers), func(a, b string) int {
			return cmp.Or(cmp.Compare(r.Accusers[b], r.Accusers[a]), cmp.Compare(a, b))
		})
		var top []string
		for _, name := range who[:min(5, len(who))] {
			top = append(top, fmt.Sprintf("%s (%d)", name, r.Accusers[name]))
		}
		fmt.Fprintf(&b, "Top accusers: %s.\n", strings.Join(top, ", "))
	}
	fmt.Fprintf(&b, "%d of %d members have answered", len(r.Answered), r.Asked)
	for _, a := range r.Answered {
		if a.Node == r.Node {
			fmt.Fprintf(&b, ", %s itself too: it runs since %s", a.Node, a.Started.Format(time.DateTime))
		}
	}
	b.WriteString(".\n")
	for _, a := range r.Answered {
		if a.Health > 0 {
			fmt.Fprintf(&b, "%s is unwell itself (health score %d).\n", a.Node, a.Health)
		}
	}
	if len(r.Timeline) > 0 {
		b.WriteString("\n")
		var rows [][]string
		for _, l := range r.Timeline {
			rows = append(rows, []string{l.Time.Format("15:04:05.000"), l.Observer, l.Text})
		}
		b.WriteString(alignColumns(rows))
	}
	return b.String()
}
