package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/terminal"
)

// The journal is what the screen shows of what happened: one line for one thing,
// however many nodes saw it.
type journal struct{ entries []*entry }

const (
	keepEntries = 500
	sameWithin  = 30 * time.Second // an event that is reported this late is another one
	burst       = time.Second      // members of one kind of event within it share a line
)

// entry is one line of the journal.
type entry struct {
	at    time.Duration // since the cluster's start, when the first saw it
	node  string        // who said it; of an event see by
	text  string        // the line, if it is no event
	kind  string        // the event's type; "": it is no event
	clock uint64        // of a user event or query, so that each is itself
	names []string      // the members that it is about, or the event's name and payload
	by    []map[string]bool
}

// add takes in a notice.
func (j *journal) add(n notice) {
	switch {
	case n.view: // the table shows it
	case n.kind == "":
		for _, line := range strings.Split(n.text, "\n") {
			j.append(&entry{at: n.at, node: n.node, text: line})
		}
	default:
		for _, name := range n.names {
			j.seen(n, name)
		}
	}
}

func (j *journal) append(e *entry) {
	j.entries = append(j.entries, e)
	if len(j.entries) > 2*keepEntries {
		j.entries = append([]*entry(nil), j.entries[keepEntries:]...)
	}
}

// seen notes that a node saw an event of a member: in the line that there is of it,
// in the line of its burst, or in a new one.
func (j *journal) seen(n notice, name string) {
	member := strings.HasPrefix(n.kind, "member-")
	for i := len(j.entries) - 1; i >= 0; i-- {
		e := j.entries[i]
		at := e.index(name)
		if at < 0 {
			continue
		}
		if e.kind == n.kind && e.clock == n.clock && !(member && (e.by[at][n.node] || n.at-e.at > sameWithin)) {
			e.by[at][n.node] = true
			return
		}
		if member && strings.HasPrefix(e.kind, "member-") && e.by[at][n.node] {
			break // this node has seen something else of it since then
		}
	}
	by := map[string]bool{n.node: true}
	if last := len(j.entries) - 1; member && last >= 0 && j.entries[last].kind == n.kind && n.at-j.entries[last].at < burst {
		e := j.entries[last]
		e.names, e.by = append(e.names, name), append(e.by, by)
		return
	}
	j.append(&entry{at: n.at, kind: n.kind, clock: n.clock, names: []string{name}, by: []map[string]bool{by}})
}

// index is where a name is in an event's line, -1 if it is not.
func (e *entry) index(name string) int {
	for i, n := range e.names {
		if n == name {
			return i
		}
	}
	return -1
}

// line is the entry as it is shown, at most width columns.
func (e *entry) line(width int) string {
	if e.kind == "" && e.node == "" {
		return terminal.Fit(fmt.Sprintf("%8.3fs  %s", e.at.Seconds(), e.text), width)
	}
	if e.kind == "" {
		return terminal.Fit(notice{at: e.at, node: e.node, text: e.text}.String(), width)
	}
	before := fmt.Sprintf("%8.3fs  %s ", e.at.Seconds(), e.kind)
	after := "  seen by " + e.observers()
	names := e.names
	if len(names) > 1 { // without the addresses
		names = make([]string, len(e.names))
		for i, name := range e.names {
			names[i], _, _ = strings.Cut(name, " (")
		}
		slices.SortFunc(names, terminal.Natural)
	}
	room := width - len(before) - len(after)
	return terminal.Fit(before+terminal.Fit(terminal.Names(names, room), max(1, room))+after, width)
}

// observers says how many saw it, or who, if that was one.
func (e *entry) observers() string {
	least, most := len(e.by[0]), len(e.by[0])
	for _, by := range e.by {
		least, most = min(least, len(by)), max(most, len(by))
	}
	if least < most {
		return fmt.Sprintf("%d to %d", least, most)
	}
	if most == 1 {
		for node := range e.by[0] { // order-free: there is one
			return node
		}
	}
	return fmt.Sprint(most)
}
