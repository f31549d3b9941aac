package serf

import (
	"cmp"
	"slices"
	"time"
)

// maxHeldUsers bounds the user events of one window; beyond it, it ends.
const maxHeldUsers = 4096

// heldUsers are the coalescable user events of one window (P113): of each name
// those with the newest Lamport time, in the order they came in.
type heldUsers struct {
	byName map[string]*heldUser
	n      int
	until  time.Time // the end of the window at the latest
	edge   edge
}

type heldUser struct {
	events []Event // all of one Lamport time
	seq    int     // of the first, in the window
}

// userEvent tells a user event, now or at the end of the window.
func (m *Machine) userEvent(e Event) {
	windows := m.cfg.UserCoalescePeriod > 0 && m.cfg.UserQuiescentPeriod > 0
	if !e.Coalesce || !windows && m.cfg.LeadingEdge <= 0 || m.over() {
		m.tell(e)
		return
	}
	h := &m.heldUsers
	if len(h.byName) == 0 {
		h.until = m.now.Add(m.cfg.UserCoalescePeriod)
		h.byName = make(map[string]*heldUser)
		h.n = 0
	}
	u := h.byName[e.Name]
	switch {
	case u == nil || u.events[0].LTime < e.LTime:
		h.byName[e.Name] = &heldUser{events: []Event{e}, seq: h.n}
	case u.events[0].LTime == e.LTime:
		u.events = append(u.events, e)
	}
	if windows {
		m.timers.set(timerUsers, earlier(h.until, m.now.Add(m.cfg.UserQuiescentPeriod)))
	} else if at := h.edge.admit(m.now); !at.IsZero() {
		m.timers.set(timerUsers, at)
	}
	if h.n++; h.n >= maxHeldUsers {
		m.flushUsers()
	}
}

// flushUsers tells what is held back, in the order of the Lamport times.
func (m *Machine) flushUsers() {
	m.timers.stop(timerUsers)
	held := make([]*heldUser, 0, len(m.heldUsers.byName))
	// order-free: sorted below.
	for _, u := range m.heldUsers.byName {
		held = append(held, u)
	}
	m.heldUsers.byName = nil
	m.heldUsers.edge.told(m.now, m.cfg.LeadingEdge)
	slices.SortFunc(held, func(a, b *heldUser) int {
		return cmp.Or(cmp.Compare(a.events[0].LTime, b.events[0].LTime), cmp.Compare(a.seq, b.seq))
	})
	for _, u := range held {
		for _, e := range u.events {
			m.tell(e)
		}
	}
}
