package swim

import (
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is how a native looks itself at a member that it does not watch: what
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
