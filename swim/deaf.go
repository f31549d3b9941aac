package swim

import (
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is how a native knows that it may be the one that is cut off: who
// hears nobody at all has no reason to accuse one. (P201)

// deafMost is how long a node that hears nobody accuses nobody, in probe intervals
// for each member: then all others may really be gone, which is the less likely the
// more there are.
const deafMost = 5

// heard notes that somebody was heard. If nobody was for long, what was begun before
// that is void, as after a sleep: its answers may be among what did not arrive.
func (m *Machine) heard() {
	now := m.clock.awake()
	long := m.cutOff()
	if long && now-m.heardAt > 2*m.timing.every {
		m.trace(Trace{Kind: TraceDeaf, Level: LevelWarn, Dur: now - m.heardAt})
	}
	m.heardAt = now
	if long {
		m.askAnew()
	}
}

// cutOff reports whether nobody was heard for so long that this node must have missed
// something: each of those that it watches and that watch it was to be heard twice, or
// was to answer what it asks while it inquires about anybody.
func (m *Machine) cutOff() bool {
	now, long := m.clock.awake(), 2*m.timing.every
	asking := min(long, max(deafLong, m.cfg.ProbeTimeout/2))
	return m.deaf(now-long) || m.deaf(now-asking) && slices.ContainsFunc(m.watches.list, (*watch).asks)
}

// asks reports whether w's member is being asked on all ways.
func (w *watch) asks() bool { return w.phase >= watchInquiry }

// askAnew begins again whatever nobody answered.
func (m *Machine) askAnew() {
	m.doubtAnew()
	m.probe.void = true
	for _, w := range m.watches.list {
		if w.asks() {
			m.inquireOn(w)
		}
	}
}

// hark pings two others than e if nobody was heard since it could have done so last: who
// is not cut off hears one. If most of those whom self watches are silent, it pings some more,
// to find out whom it hears. (P296)
func (m *Machine) hark(e *member) {
	now, many := m.clock.awake(), harkFew
	if m.watches.isolated() && !m.roll.company(now) {
		many = rollSize
	}
	if now < m.roll.next || many == harkFew && !m.deaf(now-harkEvery) {
		return
	}
	others := m.members.pick(many, m.rng, func(o *member) bool {
		return o != m.local && o != e && o.state == wire.StateAlive
	})
	m.roll.call(now, m.nextSeq(), len(others))
	for _, other := range others {
		m.scratch = m.ping(m.roll.seq, other.name).AppendTo(m.scratch[:0])
		m.send(other.at(), other.name, m.scratch)
	}
}

// deafFewest is how many members there must be: fewer are heard too seldom for a
// short silence of all of them to mean anything.
const deafFewest = 6

// deaf reports whether nobody at all was heard after that moment.
func (m *Machine) deaf(since time.Duration) bool {
	n := m.members.numPresent()
	return !m.cfg.Plain && m.heardAt <= since && n >= deafFewest &&
		m.clock.awake()-m.heardAt < time.Duration(deafMost*n)*m.cfg.ProbeInterval
}

const (
	// deafAgain is how soon a node that hears nobody looks again whether it does.
	deafAgain = 20 * time.Millisecond
	// harkEvery is how often it asks somebody, to find out, and harkFew how many.
	harkEvery = 100 * time.Millisecond
	harkFew   = 2
	// deafLong is the longest time for which a node that asks others hears nobody,
	// unless it is cut off. Where time-outs are long it may be longer.
	deafLong = 250 * time.Millisecond
)

// mayJudge reports whether an inquiry to which nobody answered says something about
// the member. While this node hears nobody it does not.
func (m *Machine) mayJudge(w *watch) bool {
	if !m.deaf(w.inquiry.began) {
		return true
	}
	m.hark(w.e)
	m.arm(&w.timer, m.clock.awake()+deafAgain)
	return false
}
