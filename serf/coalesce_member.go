package serf

import (
	"slices"
	"strings"
	"time"
)

// heldMembers are the member events of one window (P110), which starts with its
// first event and ends after CoalescePeriod, or earlier when QuiescentPeriod
// passed without an event.
//
// Rule: of each member the chain of what happened is kept as short as possible
// without telling anything untrue: who applies the events of a flush one after
// the other to the list it had has the list as it is, and no member that went
// down and came back looks as if nothing had been. So a chain is never just its
// last event: a join that was followed by an update is still a join, with the
// new tags; a failure that was followed by a join is both.
//
// Nothing outlives a flush: no event is sent twice, no name is remembered.
type heldMembers struct {
	byName map[string]*chain
	until  time.Time // the end of the window at the latest
	edge   edge
}

// chain is what happened to one member in the window.
type chain struct {
	before member // as it was before the first update, if steps begins with one
	gone   bool   // it was down before the window, and steps begins with a leave by force
	steps  []step
}

// step is one event: the member as it was right after it.
type step struct {
	typ EventType
	rec member
}

// down reports whether the event takes a member out of the live ones.
func (t EventType) down() bool { return t == EventMemberLeave || t == EventMemberFailed }

// up reports whether after the event a member is alive.
func (t EventType) up() bool { return t == EventMemberJoin || t == EventMemberUpdate }

// add appends an event, then shortens the chain.
func (c *chain) add(s step, before *member) {
	n := len(c.steps)
	if n == 0 {
		if s.typ == EventMemberUpdate {
			c.before = *before
		}
		c.gone = s.typ.down() && before != nil
		c.steps = append(c.steps, s)
		return
	}
	last := &c.steps[n-1]
	switch {
	case s.typ == EventMemberUpdate && last.typ.up():
		last.rec = s.rec // a join stays a join, an update an update
	case s.typ.down() && last.typ.down():
		*last = s // failed, then force-left
	case s.typ.down() && last.typ == EventMemberUpdate:
		*last = s
	case s.typ.down() && n == 2 && c.gone && last.typ.up():
		c.steps = []step{*last, s} // (down,) left, up, down: that it was up is all that is news
	case s.typ.down() && n >= 2 && c.steps[n-2].typ.down():
		c.steps = append(c.steps[:n-2], s) // down, up, down
	case s.typ == EventMemberJoin && n >= 2 && last.typ.down() && c.steps[n-2].typ == EventMemberJoin:
		c.steps = append(c.steps[:n-2], s) // up, down, up
	case s.typ == EventMemberReap:
		if i := slices.IndexFunc(c.steps, func(x step) bool { return x.typ == EventMemberReap }); i >= 0 {
			c.steps = c.steps[:i] // reaped, came and went, reaped
		}
		c.steps = append(c.steps, s)
	default:
		c.steps = append(c.steps, s)
	}
}

// final is the chain without an update that came to nothing: the tags are what they were.
func (m *Machine) final(c *chain) []step {
	if c.steps[0].typ == EventMemberUpdate && m.sameFace(&c.before, &c.steps[0].rec) {
		return c.steps[1:]
	}
	return c.steps
}

// memberEvent tells a member event, now or at the end of the window. before is
// the member before an update, or before a leave if it was down already.
func (m *Machine) memberEvent(t EventType, r, before *member) {
	windows := m.cfg.CoalescePeriod > 0 && m.cfg.QuiescentPeriod > 0
	if !windows && m.cfg.LeadingEdge <= 0 || m.over() {
		m.tell(Event{Type: t, Members: []Member{m.public(r)}})
		return
	}
	h := &m.held
	if len(h.byName) == 0 {
		h.until = m.now.Add(m.cfg.CoalescePeriod)
	}
	if h.byName == nil {
		h.byName = make(map[string]*chain)
	}
	c := h.byName[r.Name()]
	if c == nil {
		c = new(chain)
		h.byName[r.Name()] = c
	}
	c.add(step{t, *r}, before)
	if windows {
		m.timers.set(timerMembers, earlier(h.until, m.now.Add(m.cfg.QuiescentPeriod)))
	} else if at := h.edge.admit(m.now); !at.IsZero() {
		m.timers.set(timerMembers, at)
	}
}

// flushOrder is the order of the types within one round.
var flushOrder = [...]EventType{
	EventMemberFailed, EventMemberLeave, EventMemberJoin, EventMemberUpdate, EventMemberReap,
}

// flushMembers tells what is held back: first every member's first event, then
// the second ones, and so on, so that each member's keep their order (P114);
// within a round members with the same type share one event.
func (m *Machine) flushMembers() {
	m.timers.stop(timerMembers)
	if len(m.held.byName) == 0 {
		return
	}
	chains := make([][]step, 0, len(m.held.byName))
	// order-free: sorted by name below.
	for _, c := range m.held.byName {
		if steps := m.final(c); len(steps) > 0 {
			chains = append(chains, steps)
		}
	}
	m.held.byName = nil
	m.held.edge.told(m.now, m.cfg.LeadingEdge)
	slices.SortFunc(chains, func(a, b []step) int { return strings.Compare(a[0].rec.Name(), b[0].rec.Name()) })
	for len(chains) > 0 {
		for _, t := range flushOrder {
			m.tellRound(t, chains)
		}
		rest := chains[:0]
		for _, steps := range chains {
			if len(steps) > 1 {
				rest = append(rest, steps[1:])
			}
		}
		chains = rest
	}
}

// tellRound tells the first steps of type t as one event.
func (m *Machine) tellRound(t EventType, chains [][]step) {
	var members []Member
	for _, steps := range chains {
		if steps[0].typ == t {
			members = append(members, m.public(&steps[0].rec))
		}
	}
	if len(members) > 0 {
		m.tell(Event{Type: t, Members: members})
	}
}
