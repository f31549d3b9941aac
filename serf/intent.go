package serf

import (
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// intent is the newest join or leave intent about a name that is not a member
// yet (P72): gossip does not keep the order of things.
type intent struct {
	ltime wire.LTime
	at    time.Duration // when it came, from Machine.epoch on
	leave bool
}

// maxIntents bounds the remembered intents beyond a few per member. Only a
// flood reaches it; what is refused then is what nobody knows.
const maxIntents = 4096

// rememberIntent keeps an intent about an unknown name, and reports whether it
// was newer than what was kept.
func (m *Machine) rememberIntent(node string, t wire.LTime, leave bool) bool {
	old, known := m.intents[node]
	if known && t <= old.ltime {
		return false
	}
	if !known && len(m.intents) >= maxIntents+4*m.members.len() {
		return false
	}
	m.intents[node] = intent{ltime: t, at: m.now.Sub(m.epoch), leave: leave}
	return true
}

// reapIntents forgets those that are older than RecentIntentTimeout.
func (m *Machine) reapIntents() {
	now := m.now.Sub(m.epoch)
	// order-free: each entry is kept or deleted by its own age alone.
	for node, in := range m.intents {
		if now-in.at > m.cfg.RecentIntentTimeout {
			delete(m.intents, node)
		}
	}
}

// joinIntent takes a join intent; it reports whether it was news, to be passed
// on (P71, P75). said is false for a status time in a push/pull, which only looks
// like a join intent: it may as well be the time of a leave.
func (m *Machine) joinIntent(j *wire.Join, said bool) bool {
	m.clock.witness(j.LTime)
	mem := m.members.get(j.Node)
	if mem == nil {
		return m.rememberIntent(j.Node, j.LTime, false)
	}
	// A node's own leave is later than its last join. So if it said at this very
	// time that it joins, the leave of the same time is a force-leave that it had
	// not heard of, and it stays.
	wins := said && j.LTime == mem.ltime && mem.status == StatusLeaving
	if j.LTime <= mem.ltime && !wins {
		return false
	}
	mem = m.members.own(mem)
	mem.ltime = j.LTime
	if mem.status == StatusLeaving {
		// The leave was for an older life, or it is refuted (P67).
		m.setStatus(mem, StatusAlive)
		m.unprune(mem.Name())
		m.leave.stays(mem.Name(), m.now)
	}
	return true
}

// leaveIntent takes a leave intent; it reports whether it was news, to be
// passed on (P71, P74).
func (m *Machine) leaveIntent(l *wire.Leave) bool {
	m.clock.witness(l.LTime)
	mem := m.members.get(l.Node)
	if mem == nil {
		return m.rememberIntent(l.Node, l.LTime, true)
	}
	if l.Node == m.cfg.Swim.Name && m.state == Alive && l.LTime >= mem.ltime {
		// P73. At the very time of this node's own last join, too: who heard
		// the leave first holds it for the newer of the two, and nothing in a
		// push/pull would ever tell.
		m.trace(swim.Trace{Kind: TraceRefuteLeave, Level: swim.LevelDebug, Node: l.Node, LTime: l.LTime})
		m.sendJoinIntent()
		return false
	}
	// Who learned by a push/pull that a member left has that at one past its time,
	// which may be the very time of a prune.
	pruned := l.Prune && l.LTime == mem.ltime && mem.status == StatusLeft
	if l.LTime <= mem.ltime && !pruned {
		return false
	}
	// Even where the status stays, the time moves: otherwise two nodes that
	// know the member as gone would pass the same intent to and fro for ever.
	mem = m.members.own(mem)
	mem.ltime = l.LTime
	switch mem.status {
	case StatusAlive:
		m.setStatus(mem, StatusLeaving)
	case StatusFailed:
		was := *mem
		before := &was
		if m.restarts.holds(mem.Name()) {
			before = nil // as far as was told, it was alive
		}
		m.restarts.end(mem.Name())
		m.setStatus(mem, StatusLeft)
		m.trace(swim.Trace{Kind: TraceMemberLeaveForced, Level: swim.LevelInfo, Node: mem.Name(), Addr: mem.Addr()})
		m.coalescer.member(m.now, EventMemberLeave, mem, before)
	}
	if l.Prune {
		m.prune(mem)
	}
	return true
}

// sendJoinIntent says that this node is in the cluster, at a time later than
// everything it has heard.
func (m *Machine) sendJoinIntent() {
	j := wire.Join{LTime: m.clock.time(), Node: m.cfg.Swim.Name}
	m.joinIntent(&j, true)
	m.buf = append(m.buf[:0], byte(wire.TypeUser))
	m.buf = j.AppendTo(m.buf)
	m.push(&m.queues.intent, j.Node, m.buf, nil)
}
