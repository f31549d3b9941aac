package serf

import (
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// tryFirst is how soon after its failure a member is tried, tryEvery how often
	// one is that crashed: its host refuses at once, so that it costs next to nothing.
	tryFirst = 250 * time.Millisecond
	tryEvery = time.Second
	// tryMost is the longest pause between tries of one that just does not answer.
	tryMost = 30 * time.Second
	// triesAtOnce bounds how many are tried in one turn.
	triesAtOnce = 8
)

// try is a failed member that this node looks after.
type try struct {
	name  string
	due   time.Time
	pause time.Duration // until the try after that
}

// tries are the attempts to find failed members again (P200).
//
// Rule: of the natives in a cluster one looks after each failed member, as the ring
// says; a crashed one is tried about once a second, another at doubling pauses.
// Invariant: list is sorted by name, and has those that were failed and this node's when
// it was last brought up to date.
type tries struct {
	list []try
}

// wantTries makes sure that tries are looked after once somebody has failed.
func (m *Machine) wantTries() {
	if !m.cfg.Swim.Plain && m.timers[timerTries].IsZero() {
		m.timers.set(timerTries, m.now.Add(tryFirst))
	}
}

// triesDue tries whoever is due.
func (m *Machine) triesDue() {
	if !m.timers.due(timerTries, m.now) {
		return
	}
	m.updateTries()
	if m.members.failed == 0 || m.state != Alive {
		return
	}
	next := m.now.Add(tryEvery) // the ring may make others this node's
	for n := 0; n < triesAtOnce; n++ {
		t := m.tries.first()
		if t == nil {
			break
		}
		if t.due.After(m.now) {
			next = earlier(next, t.due)
			break
		}
		m.tryNow(t)
	}
	m.timers.set(timerTries, next)
}

// updateTries brings the list up to date with the failed members.
func (m *Machine) updateTries() {
	old := m.tries.list
	m.tries.list = nil
	if m.members.failed == 0 {
		return
	}
	for _, mem := range m.members.changed() {
		if mem.status != StatusFailed || !m.swim.Owns(mem.Name()) {
			continue
		}
		t := try{name: mem.Name(), due: m.now, pause: tryEvery}
		if i, ok := slices.BinarySearchFunc(old, mem.Name(), byTryName); ok {
			t = old[i]
		}
		i, _ := slices.BinarySearchFunc(m.tries.list, mem.Name(), byTryName)
		m.tries.list = slices.Insert(m.tries.list, i, t)
	}
}

func byTryName(t try, name string) int {
	switch {
	case t.name < name:
		return -1
	case t.name > name:
		return 1
	}
	return 0
}

// first is the one that is due first, nil if there is none.
func (ts *tries) first() *try {
	var first *try
	for i := range ts.list {
		if t := &ts.list[i]; first == nil || t.due.Before(first.due) {
			first = t
		}
	}
	return first
}

func (m *Machine) tryNow(t *try) {
	i, _ := m.members.find(t.name)
	mem := m.members.at(i)
	if mem.verdict == wire.VerdictCrashed {
		t.pause = tryEvery
	}
	t.due = m.now.Add(t.pause)
	t.pause = min(2*t.pause, tryMost)
	m.trace(swim.Trace{Kind: TraceReconnect, Level: swim.LevelDebug, Node: mem.Name(), Addr: mem.Addr()})
	m.joins[m.swim.Join(m.now, mem.Addr(), mem.Name())] = reconnected
}
