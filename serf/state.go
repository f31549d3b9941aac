package serf

import (
	"net/netip"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// appendState appends this node's part of a push/pull (P76), names in order.
func (m *Machine) appendState(dst []byte) []byte {
	s := wire.SerfState{
		LTime:      m.clock.time(),
		Status:     make([]wire.StatusLTime, m.members.len()),
		Left:       make([]string, 0, m.members.left),
		EventLTime: m.eventClock.time(),
		QueryLTime: m.queryClock.time(),
	}
	for i := range m.members.len() {
		mem := m.members.at(i)
		s.Status[i] = wire.StatusLTime{Node: mem.Name(), LTime: mem.ltime}
		if mem.status == StatusLeft {
			s.Left = append(s.Left, mem.Name())
		}
	}
	for i := range m.events.slots {
		if len(m.events.slots[i].Events) > 0 {
			s.Events = append(s.Events, m.events.slots[i])
		}
	}
	return s.AppendTo(dst)
}

// appendPart appends the part of the state that belongs to some members: their
// status times, all those that left, and the events if they are wanted. (P231)
func (m *Machine) appendPart(dst []byte, in func(string) bool, events bool) []byte {
	s := wire.SerfState{LTime: m.clock.time(), EventLTime: m.eventClock.time(), QueryLTime: m.queryClock.time()}
	for i := range m.members.len() {
		mem := m.members.at(i)
		left := mem.status == StatusLeft
		if left {
			s.Left = append(s.Left, mem.Name())
		}
		if left || in(mem.Name()) {
			s.Status = append(s.Status, wire.StatusLTime{Node: mem.Name(), LTime: mem.ltime})
		}
	}
	for i := range m.events.slots {
		if events && len(m.events.slots[i].Events) > 0 {
			s.Events = append(s.Events, m.events.slots[i])
		}
	}
	return s.AppendTo(dst)
}

// stamp is the status time of a member that is alive. That of one that is
// leaving is not the same for all who know as much.
func (m *Machine) stamp(name string) uint64 {
	if mem := m.members.get(name); mem != nil && mem.status == StatusAlive {
		return uint64(mem.ltime)
	}
	return 0
}

// mergeState takes another node's part of a push/pull (P77). asked: this node
// opened the exchange with from, so that it is no stranger who says this. (P272)
func (m *Machine) mergeState(from netip.AddrPort, state []byte, asked bool) {
	var s wire.SerfState
	err := m.readState(&s, state)
	if err != nil {
		m.trace(swim.Trace{Kind: TraceStateBad, Level: swim.LevelError, Err: err})
		return
	}
	m.merged = true
	if asked {
		m.ahead.show(from, &s, !m.ahead.joined && m.merging != notJoining && m.merging != reconnected)
		if !m.ahead.joined && m.merging != notJoining {
			m.ahead.joined, m.ahead.joinedAt = true, m.now
		}
	}
	near := true
	// Nothing has been sent yet with the times that the clocks show.
	for i, t := range [...]wire.LTime{s.LTime, s.EventLTime, s.QueryLTime} {
		c := m.ahead.clocks()[i]
		before := c.next
		near = c.follow(m.now, max(t, 1)-1) && near
		m.ahead.leapt(c.next-before, from)
	}
	m.mergeIntents(&s)
	if s.EventLTime <= m.eventClock.time() { // otherwise they come when that is believed
		m.skipOldEvents(s.EventLTime)
		m.mergeEvents(s.Events)
	}
	if !near && !asked {
		m.ahead.check(from, true)
	}
	m.ahead.releaseHeld()
}

// readState decodes and checks a state.
func (m *Machine) readState(s *wire.SerfState, state []byte) error {
	if len(state) == 0 {
		return wire.ErrTruncated
	}
	if wire.SerfType(state[0]) != wire.SerfPushPull {
		return wire.ErrType
	}
	if err := s.Decode(state[1:], &m.names); err != nil {
		return err
	}
	if max(s.LTime, s.EventLTime, s.QueryLTime) >= LastTime {
		return errTime
	}
	return nil
}

// mergeIntents takes status times as intents. Those that left come first, at
// one past their status time: the leave itself must have been later than the
// join whose time that is. A status time that is too far ahead, of the clock that
// came with it too, is passed over: it costs nobody but that member.
func (m *Machine) mergeIntents(s *wire.SerfState) {
	var left map[string]wire.LTime
	if len(s.Left) > 0 {
		left = make(map[string]wire.LTime, len(s.Left))
		for _, name := range s.Left {
			left[name] = 0
		}
		for i := range s.Status {
			if _, ok := left[s.Status[i].Node]; ok {
				left[s.Status[i].Node] = s.Status[i].LTime
			}
		}
	}
	for _, name := range s.Left {
		if t := left[name]; t < LastTime && m.clock.follow(m.now, t+1) {
			m.mergeLeft(&wire.Leave{LTime: t + 1, Node: name})
		}
	}
	for i := range s.Status {
		st := &s.Status[i]
		if _, gone := left[st.Node]; !gone && m.clock.follow(m.now, st.LTime) {
			m.statusTime(st)
		}
	}
}

// mergeLeft takes that somebody left. A native that held it for failed until then passes
// that on: natives seldom exchange whole states, and would differ for long over who
// left while they were apart. (P202)
func (m *Machine) mergeLeft(l *wire.Leave) {
	mem := m.members.get(l.Node)
	status := StatusNone
	if mem != nil {
		status = mem.status
	}
	if !m.leaveIntent(l) {
		return
	}
	switch {
	case status == StatusAlive:
		m.askWhetherLeaving(m.members.get(l.Node)) // at once: nobody else has heard of this
	case status == StatusFailed && !m.cfg.Swim.Plain:
		m.passOn(&m.queues.intent, l.Node, l.AppendTo(nil))
	}
}

// statusTime takes one status time as a join intent. One about this node that is
// newer than its own was never said by it: somebody holds a leave that
// never came here (its force-leave was lost on the way), and would list this
// node as leaving for ever. A newer join puts that right.
func (m *Machine) statusTime(st *wire.StatusLTime) {
	if st.Node == m.cfg.Swim.Name && m.state == Alive {
		if mem := m.members.get(st.Node); mem != nil && st.LTime > mem.ltime {
			m.sendJoinIntent()
			return
		}
	}
	m.joinIntent(&wire.Join{LTime: st.LTime, Node: st.Node}, false)
}

// skipOldEvents decides whether the other's old user events are wanted (P87).
// They are not if the join said so. They are not either when this is the first
// that this node, newly started, hears of the cluster, unless it asked for
// them: a node that crashed and is found again by the others has not asked,
// and has had those events in its former life.
func (m *Machine) skipOldEvents(t wire.LTime) {
	first := !m.synced
	m.synced = true
	if m.merging == joinIgnore || first && m.merging != joinReplay {
		m.events.raiseMin(t)
	}
}
