package swim

import "time"

// This file is how a native knows that it may be the one that is cut off: who
// hears nobody at all has no reason to accuse one. (P201)

// deafMost is how long a node that hears nobody accuses nobody, in probe intervals
// for each member: then all others may really be gone, which is the less likely the
// more there are.
const deafMost = 5

// heard notes that somebody was heard.
func (m *Machine) heard() { m.heardAt = m.clock.awake() }

// deafFewest is how many members there must be: fewer are heard too seldom for a
// short silence of all of them to mean anything.
const deafFewest = 6

// deaf reports whether nobody at all was heard since then.
func (m *Machine) deaf(since time.Duration) bool {
	n := m.members.numPresent()
	return !m.cfg.Plain && m.heardAt < since && n >= deafFewest &&
		m.clock.awake()-m.heardAt < time.Duration(deafMost*n)*m.cfg.ProbeInterval
}

const (
	// deafAgain is how soon a node that hears nobody looks again whether it does.
	deafAgain = 20 * time.Millisecond
	// deafLong is how long it may have heard nobody for what it asked before to count.
	deafLong = 250 * time.Millisecond
)

// mayJudge reports whether an inquiry to which nobody answered says something about
// the member. While this node hears nobody it does not; and if that was so for
// long, all is asked again.
func (m *Machine) mayJudge(w *watch) bool {
	now := m.clock.awake()
	q := &w.inquiry
	switch {
	case m.deaf(q.began):
		if q.deaf == 0 {
			q.deaf = now
		}
		m.arm(&w.timer, now+deafAgain)
		return false
	case q.deaf != 0 && now-q.deaf > deafLong:
		m.inquiryOver(w)
		m.inquire(w)
		return false
	}
	return true
}
