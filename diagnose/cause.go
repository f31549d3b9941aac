package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// entry is a record and who has it.
type entry struct {
	rpc.HistoryRecord
	observer string
}

// Case is what all members together say of one member.
type Case struct {
	node      string
	status    string // as the asked agent lists it
	histories []rpc.History
	asked     int
	entries   []entry // by time
}

// slack is how far apart records of one incident may lie, by clocks that differ.
const slack = 10 * time.Second

// apart is how far apart two accusations are at least that belong to two incidents,
// if the member was listed as alive again between them.
const apart = time.Second

// NewCase takes what the asked members know of one since a time; status is as the
// asked agent lists it.
func NewCase(node, status string, histories []rpc.History, asked int, since time.Time) *Case {
	c := &Case{node: node, status: status, histories: histories, asked: asked}
	for _, h := range histories {
		for _, r := range h.Records {
			if r.Time().After(since) {
				c.entries = append(c.entries, entry{r, h.From})
			}
		}
	}
	slices.SortStableFunc(c.entries, func(a, b entry) int { return a.Time().Compare(b.Time()) })
	return c
}

// accusation reports whether the record is one against the member by an observer
// itself: what only repeats another's word is none.
func (e *entry) accusation(node string) bool {
	switch e.Kind {
	case "suspect", "refused", "crashed", "failed", "stream-only", "indirect-only":
		return e.Node == node && e.observer != node
	}
	return false
}

// accuser is who an entry says accused the member; "": it is no accusation.
func (e *entry) accuser(node string) string {
	switch {
	case e.accusation(node):
		return e.observer
	case (e.Kind == "accused" || e.Kind == "confirmed" || e.Kind == "told-dead") && e.Node == node,
		e.Kind == "refute-suspect" || e.Kind == "refute-dead":
		return e.From
	}
	return ""
}

// incident is the last time that the member was accused, as a part of the entries:
// from its first accusation on, with what lies around it. Who was back in between has had
// two incidents.
func (c *Case) incident() []entry {
	last := -1
	for i := range c.entries {
		if c.entries[i].accuser(c.node) != "" {
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	first, back := last, time.Time{}
	for i := last; i >= 0; i-- {
		e := &c.entries[i]
		if e.Kind == "member-join" && e.Node == c.node && e.observer != c.node && back.IsZero() {
			back = e.Time()
		}
		if e.accuser(c.node) == "" {
			continue
		}
		pause := c.entries[first].Time().Sub(e.Time())
		if pause > slack || !back.IsZero() && pause > apart {
			break
		}
		first, back = i, time.Time{}
	}
	from, to := c.entries[first].Time().Add(-slack), c.entries[last].Time().Add(6*slack)
	if back.After(from) { // what was before that is another story
		from = back
	}
	return slices.DeleteFunc(slices.Clone(c.entries), func(e entry) bool {
		return e.Time().Before(from) || e.Time().After(to)
	})
}

// accusers counts the accusations of each member against c's.
func (c *Case) accusers(entries []entry) map[string]int {
	count := make(map[string]int)
	for i := range entries {
		e := &entries[i]
		if e.Kind == "suspect" && e.accusation(c.node) {
			count[e.observer]++
		}
	}
	// Members that did not record it themselves: plain ones, or gone. A native that only
	// heard another's suspicion pings the suspected member with it in its own name: that is
	// no accusation of its own.
	heard := make(map[string]bool)
	for i := range entries {
		if e := &entries[i]; e.observer != c.node && e.accuser(c.node) != "" && e.accuser(c.node) != e.observer {
			heard[e.observer] = true
		}
	}
	for i := range entries {
		by := entries[i].accuser(c.node)
		if by == "" || by == c.node || count[by] > 0 || heard[by] && entries[i].observer != by {
			continue
		}
		count[by] = 1
	}
	return count
}

// facts are what an incident comes to.
type facts struct {
	accusers           []string
	verdicts           map[string]bool
	slept, deaf        time.Duration // the member itself, at most
	refuted, back      bool
	rejoined           time.Duration            // after its failure; 0: it did not
	sleepers           map[string]time.Duration // accusers that were asleep themselves
	streamOnly         []string                 // who reached it by TCP only
	aroundOnly         map[string]bool          // who reached it through others only
	announced          bool                     // it had said that it restarts
	itself             int                      // how many others the member suspected
	away               time.Duration            // from the first accusation until the last word that it is alive
	started            time.Time                // the member's agent
	firstSeen, endSeen time.Time
}

func (c *Case) facts(incident []entry) facts {
	f := facts{verdicts: map[string]bool{}, sleepers: map[string]time.Duration{}, aroundOnly: map[string]bool{}}
	f.accusers = slices.Sorted(maps.Keys(c.accusers(incident)))
	var failed time.Time
	suspected := make(map[string]bool)
	for i := range incident {
		e := &incident[i]
		if by := e.accuser(c.node); by != "" && f.firstSeen.IsZero() {
			f.firstSeen = e.Time()
		}
		f.endSeen = e.Time()
		took := time.Duration(e.Took)
		switch e.Kind {
		case "slept":
			if e.observer == c.node {
				f.slept = max(f.slept, took)
			} else if slices.Contains(f.accusers, e.observer) {
				f.sleepers[e.observer] = max(f.sleepers[e.observer], took)
			}
		case "deaf":
			if e.observer == c.node {
				f.deaf = max(f.deaf, took)
			}
		case "refused", "crashed":
			f.verdicts["crashed"] = true
		case "refute-suspect", "refute-dead", "cleared":
			f.refuted = true
		case "stream-only":
			f.streamOnly = append(f.streamOnly, e.observer)
		case "indirect-only":
			f.aroundOnly[e.observer] = true
		case "restart-away":
			f.announced = true
		case "member-failed":
			failed = e.Time()
		case "member-join":
			f.back = true
			if !failed.IsZero() && f.rejoined == 0 {
				f.rejoined = e.Time().Sub(failed)
			}
		case "suspect":
			if e.observer == c.node {
				suspected[e.Node] = true
			}
		}
		if e.Verdict != "" && e.Node == c.node {
			f.verdicts[e.Verdict] = true
		}
		if e.alive(c.node) && !f.firstSeen.IsZero() {
			f.away = e.Time().Sub(f.firstSeen)
		}
	}
	maps.DeleteFunc(f.sleepers, func(_ string, took time.Duration) bool { return !f.explained(took) })
	f.itself = len(suspected)
	for _, h := range c.histories {
		if h.From == c.node {
			f.started = time.Unix(0, h.Started)
		}
	}
	return f
}

// asleep is from which length on a sleep explains an accusation.
const asleep = 300 * time.Millisecond

// explained reports whether a sleep is long enough for what happened: one that is much
// shorter than the time that the member was away is what any busy machine has.
func (f *facts) explained(slept time.Duration) bool {
	return slept >= asleep && 3*slept >= f.away
}

// alive reports whether the record says that the member is there.
func (e *entry) alive(node string) bool {
	switch e.Kind {
	case "refute-suspect", "refute-dead":
		return e.observer == node
	case "cleared", "member-join":
		return e.Node == node && e.observer != node
	}
	return false
}

// cause says in a sentence what an incident most likely was. The order matters: what
// a node says of itself counts before what others could see of it.
func (c *Case) cause(incident []entry) string {
	if len(incident) == 0 {
		return "nobody has accused it"
	}
	f := c.facts(incident)
	others := strings.Join(f.accusers, ", ")
	switch {
	case f.announced:
		return "a restart that it had announced"
	case f.verdicts["crashed"] && !f.started.IsZero() && f.started.After(f.firstSeen.Add(-slack)):
		return fmt.Sprintf("restarted: its process ended, and was there again %s later (its agent began at %s); "+
			"connections were refused meanwhile", f.rejoined.Round(time.Millisecond), f.started.Format(time.TimeOnly))
	case f.explained(f.slept):
		return fmt.Sprintf("frozen: its process did not run for %s, as it says itself (stopped, starved, or its machine paused)",
			f.slept.Round(time.Millisecond))
	case f.verdicts["crashed"]:
		return "crashed: its process ended; its host refuses connections"
	case f.refuted && len(f.sleepers) > 0 && len(f.sleepers) == len(f.accusers):
		who := slices.Sorted(maps.Keys(f.sleepers))[0]
		return fmt.Sprintf("a starved accuser: %s did not run itself for %s; nobody else accused it",
			who, f.sleepers[who].Round(time.Millisecond))
	case f.verdicts["hung"]:
		return "frozen or hung: its host answers, its process does not"
	case len(f.streamOnly) > 0:
		return fmt.Sprintf("lost packets: it answers over TCP, and UDP gets lost between it and %s", strings.Join(f.streamOnly, ", "))
	case len(f.aroundOnly) > 0 && !f.back:
		return fmt.Sprintf("lost packets on some ways: %s reached it through others only", strings.Join(slices.Sorted(maps.Keys(f.aroundOnly)), ", "))
	case f.refuted && !f.back && c.reached(f.accusers):
		return fmt.Sprintf("lost packets on some ways: %s got no answer, others did, and it refuted", others)
	case f.verdicts["silent"] || len(f.accusers) > 0:
		text := fmt.Sprintf("cut off, or its host is down: neither it nor its host answered %s", others)
		switch {
		case f.deaf > 0:
			text += fmt.Sprintf("; it heard nobody itself for %s, so the link is to blame", f.deaf.Round(time.Millisecond))
		case f.itself > 0:
			text += fmt.Sprintf("; it got no answer from %s itself, so the link is to blame", members(f.itself))
		}
		return text
	}
	return "not known: those who accused it cannot be asked any more"
}

// members is a number of members in words.
func members(n int) string {
	if n == 1 {
		return "1 member"
	}
	return fmt.Sprintf("%d members", n)
}

// reached reports whether there are members that can tell and did not accuse.
func (c *Case) reached(accusers []string) bool {
	for _, h := range c.histories {
		if h.From != c.node && !slices.Contains(accusers, h.From) {
			return true
		}
	}
	return false
}

// flaps is how often it failed and came back, by the observer that saw most.
func (c *Case) flaps() int {
	most := 0
	for _, h := range c.histories {
		n := 0
		for i := range c.entries {
			if e := &c.entries[i]; e.observer == h.From && e.Kind == "member-failed" && e.Node == c.node {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
