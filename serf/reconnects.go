package serf

import (
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// reconnectFirst is how soon after its failure a member is tried, reconnectEvery how often
	// one is that crashed: its host refuses at once, so that it costs next to nothing.
	reconnectFirst = 250 * time.Millisecond
	reconnectEvery = time.Second
	// reconnectMost is the longest pause between tries of one that just does not answer.
	reconnectMost = 30 * time.Second
	// reconnectsAtOnce bounds how many are tried in one turn.
	reconnectsAtOnce = 8
)

// reconnect is a failed member that this node looks after.
type reconnect struct {
	name  string
	due   time.Time
	pause time.Duration // until the try after that
}

// reconnects are the attempts to find failed members again (P200).
//
// Rule: of the natives in a cluster one looks after each failed member, as the ring
// says; a crashed one is tried about once a second, another at doubling pauses.
// Invariant: list is sorted by name, and has those that were failed and this node's when
// it was last brought up to date.
type reconnects struct {
	list []reconnect
}

// wantReconnects makes sure that tries are looked after once somebody has failed.
func (m *Machine) wantReconnects() {
	if !m.cfg.Swim.Plain && m.timers[timerReconnects].IsZero() {
		m.timers.set(timerReconnects, m.now.Add(reconnectFirst))
	}
}

// reconnectsDue tries whoever is due.
func (m *Machine) reconnectsDue() {
	if !m.timers.due(timerReconnects, m.now) {
		return
	}
	m.updateReconnects()
	if m.members.failed == 0 || m.state != Alive {
		return
	}
	next := m.now.Add(reconnectEvery) // the ring may make others this node's
	for n := 0; n < reconnectsAtOnce; n++ {
		t := m.reconnects.first()
		if t == nil {
			break
		}
		if t.due.After(m.now) {
			next = earlier(next, t.due)
			break
		}
		m.reconnectNow(t)
	}
	m.timers.set(timerReconnects, next)
}

// updateReconnects brings the list up to date with the failed members.
func (m *Machine) updateReconnects() {
	old := m.reconnects.list
	m.reconnects.list = nil
	if m.members.failed == 0 {
		return
	}
	for _, mem := range m.members.changed() {
		if mem.status != StatusFailed || !m.swim.Owns(mem.Name()) {
			continue
		}
		t := reconnect{name: mem.Name(), due: m.now, pause: reconnectEvery}
		if i, ok := slices.BinarySearchFunc(old, mem.Name(), byReconnectName); ok {
			t = old[i]
		}
		i, _ := slices.BinarySearchFunc(m.reconnects.list, mem.Name(), byReconnectName)
		m.reconnects.list = slices.Insert(m.reconnects.list, i, t)
	}
}

func byReconnectName(t reconnect, name string) int {
	switch {
	case t.name < name:
		return -1
	case t.name > name:
		return 1
	}
	return 0
}

// first is the one that is due first, nil if there is none.
func (rs *reconnects) first() *reconnect {
	var first *reconnect
	for i := range rs.list {
		if t := &rs.list[i]; first == nil || t.due.Before(first.due) {
			first = t
		}
	}
	return first
}

func (m *Machine) reconnectNow(t *reconnect) {
	i, _ := m.members.find(t.name)
	mem := m.members.at(i)
	if mem.verdict == wire.VerdictCrashed {
		t.pause = reconnectEvery
	}
	t.due = m.now.Add(t.pause)
	t.pause = min(2*t.pause, reconnectMost)
	m.trace(swim.Trace{Kind: TraceReconnect, Level: swim.LevelDebug, Node: mem.Name(), Addr: mem.Addr()})
	m.joins[m.swim.Join(m.now, mem.Addr(), mem.Name())] = reconnected
}
