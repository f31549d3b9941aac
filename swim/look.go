package swim

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is how a native is watched by those whom it watches itself: it pings them at
// times that they have said, and one whose ping does not come may be unable to
// send any. So each ping says two things, and half as many are needed. (P234)

// awaitPings sets the timer for the first ping that would be missed.
func (m *Machine) awaitPings() {
	at, any := m.slots.missed(m.clock.awake(), m.timing.late, m.missedPing)
	if any {
		m.arm(&m.slotTimer, at)
	} else {
		m.timers.stop(&m.slotTimer)
	}
}

// missedPing: the watcher at this address did not ping when it was to.
func (m *Machine) missedPing(from netip.AddrPort) {
	if m.late > ownLate { // so may be what reads our socket
		return
	}
	at := pack(from)
	m.members.watchersOf(m.local, m.local, m.passedBy, func(e *member) {
		if e.addr == at {
			m.counts.MissedSlots++
			m.askToLook(e)
		}
	})
}

// askToLook has those who watch e ping it now: they know how long its answers take.
func (m *Machine) askToLook(e *member) {
	if w := m.watches.of(e); w != nil {
		m.look(w)
		return
	}
	m.askWatchers(e)
}

// askWatchers asks the others who watch e. An indirect ping of number 0 wants no answer:
// nobody's number is 0.
func (m *Machine) askWatchers(e *member) {
	m.msg.indirect = wire.IndirectPing{Target: e.at(), Node: e.name, Source: m.local.at(), SourceNode: m.local.name}
	m.scratch = m.msg.indirect.AppendTo(m.scratch[:0])
	m.members.watchersOf(e, m.local, m.passedBy, func(w *member) {
		if w != e {
			m.send(w.at(), w.name, m.scratch)
		}
	})
}

// askedToLook: somebody missed a ping of that member.
func (m *Machine) askedToLook(name string) {
	if e := m.members.get(name); e != nil {
		if w := m.watches.of(e); w != nil {
			m.look(w)
		}
	}
}

// look pings a watched member before its time, unless that was done just now.
func (m *Machine) look(w *watch) {
	if w.phase == watchIdle && w.e.present() && m.clock.real-w.sent >= m.timing.again {
		m.watchPing(w)
	}
}

// pingTimes is when this node is to ping natives.
func (ws *watches) pingTimes() []time.Duration {
	ws.times = ws.times[:0]
	for _, w := range ws.list {
		if w.e.native > 0 && w.phase == watchIdle {
			ws.times = append(ws.times, w.due)
		}
	}
	return ws.times
}

// What follows is how a native looks itself at a member that it does not watch: what
// another one says of a crash is no proof by itself, and proof together with this
// node's own refusal. (P292)

// looksMost is how many members that a node does not watch it looks at together.
const looksMost = 64

// lookInto begins an inquiry about a present member that others hold dead at that
// incarnation, and why. It reports whether one runs now.
func (m *Machine) lookInto(e *member, incarnation uint32, why wire.Verdict) bool {
	if m.cfg.Plain || e == nil || e == m.local || !e.present() || incarnation < e.incarnation {
		return false
	}
	w := m.watches.of(e)
	if w == nil {
		if m.watches.looks() >= looksMost {
			return false
		}
		w = newWatch(m.members.own(e))
		w.look = true
		m.watches.list = append(m.watches.list, w)
	}
	w.claimed = max(w.claimed, incarnation)
	if why == wire.VerdictCrashed {
		w.told = max(1, m.clock.awake())
		if m.proven(w) {
			return true
		}
	}
	m.hinted(w)
	return w.asks()
}

// looks is how many of the watches are looks only.
func (ws *watches) looks() (n int) {
	for _, w := range ws.list {
		if w.look {
			n++
		}
	}
	return n
}

// watchOn makes the next ordinary ping due after d. A look is over: it is removed with the
// next change of the ring, for the list may be walked now.
func (m *Machine) watchOn(w *watch, d time.Duration) {
	if !w.look {
		m.nextPing(w, d)
		return
	}
	w.phase, w.claimed = watchIdle, 0
	m.timers.stop(&w.timer)
	if m.watches.look.pos == 0 {
		m.arm(&m.watches.look, m.clock.awake()+ringSoon)
	}
}

// hears notes that a packet came from a member that is being asked.
func (ws *watches) hears(from endpoint, now time.Duration) {
	for _, w := range ws.list {
		if w.asks() && w.e.addr == from {
			w.heard = max(1, now)
		}
	}
}

// passedBy reports whether watching goes past e, as if it were gone already: it is
// suspect, or its host refuses. (P192)
func (m *Machine) passedBy(e *member) bool {
	if e.state == wire.StateSuspect {
		return true
	}
	w := m.watches.of(e)
	return w != nil && w.asks() && w.hasRefusal(m.clock.awake())
}
