package serf

import (
	"slices"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// reconnectDue tries to reach a failed member from time to time (P63): with
// the probability that makes the whole cluster try each of them about once per
// interval.
func (m *Machine) reconnectDue() {
	if !m.timers.due(timerReconnect, m.now) {
		return
	}
	m.timers.set(timerReconnect, m.now.Add(m.cfg.ReconnectInterval))
	failed := m.members.failed
	if failed == 0 || m.state != Alive {
		return
	}
	alive := max(m.members.len()-failed-m.members.left, 1)
	if m.rng.Float32() > float32(failed)/float32(alive) {
		m.trace(swim.Trace{Kind: TraceReconnectForgone, Level: swim.LevelDebug})
		return
	}
	pick := m.rng.IntN(failed)
	for _, mem := range m.members.changed() {
		if mem.status != StatusFailed {
			continue
		}
		if pick > 0 {
			pick--
			continue
		}
		m.trace(swim.Trace{Kind: TraceReconnect, Level: swim.LevelInfo, Node: mem.Name(), Addr: mem.Addr()})
		// Name and address stay apart: a name may hold anything (P64).
		m.joins[m.swim.Join(m.now, mem.Addr(), mem.Name())] = reconnected
		return
	}
}

// reapDue removes the members that have been gone for too long, and old
// intents, from time to time (P65).
func (m *Machine) reapDue() {
	if !m.timers.due(timerReap, m.now) {
		return
	}
	m.timers.set(timerReap, m.now.Add(m.cfg.ReapInterval))
	m.askLeaving()
	if slices.ContainsFunc(m.members.changed(), m.goneTooLong) {
		for i := 0; i < m.members.len(); {
			mem := m.members.at(i)
			if !m.goneTooLong(mem) {
				i++
				continue
			}
			m.trace(swim.Trace{Kind: TraceMemberReap, Level: swim.LevelInfo, Node: mem.Name(), Addr: mem.Addr()})
			m.eraseMember(i)
		}
	}
	m.reapIntents()
}

// goneTooLong reports whether a member is to be removed.
func (m *Machine) goneTooLong(mem *member) bool {
	timeout := m.cfg.ReconnectTimeout
	if mem.status == StatusLeft {
		timeout = m.cfg.TombstoneTimeout
	}
	gone := mem.status == StatusFailed || mem.status == StatusLeft
	return gone && mem.Name() != m.cfg.Swim.Name && m.sinceStatus(mem) > timeout
}

// askLeaving asks members that have been leaving for longer than a leave takes
// whether they are (P170): it sends them, alone, a newer leave intent, which one
// that stays refutes (P73). Without that, a member stays leaving for ever in the
// lists of those who heard a force-leave that it did not hear itself, if its own
// join intent happened to have the same time.
func (m *Machine) askLeaving() {
	longest := 2 * (m.cfg.BroadcastTimeout + m.cfg.LeavePropagateDelay)
	for _, mem := range m.members.changed() {
		if mem.status != StatusLeaving || mem.Name() == m.cfg.Swim.Name || m.sinceStatus(mem) <= longest {
			continue
		}
		m.askWhetherLeaving(mem)
	}
}

// askWhetherLeaving sends a member the newer leave intent.
func (m *Machine) askWhetherLeaving(mem *member) {
	l := wire.Leave{LTime: mem.ltime + 1, Node: mem.Name()}
	m.buf = l.AppendTo(m.buf[:0])
	m.swim.SendUser(mem.Addr(), mem.Name(), m.buf)
}
