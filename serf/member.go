package serf

import (
	"bytes"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// member is what is known of one beyond its face, kept small: there may be ten thousand
// of them. Tags are looked at far less often than members exist, so that they stay
// encoded until somebody asks.
//
// Invariant: status is Alive or Leaving if and only if swim holds the member
// for alive or suspect.
type member struct {
	*swim.Face               // what it showed when swim last told of it
	ltime      wire.LTime    // of the last intent
	since      time.Duration // when it got its status, from Machine.epoch on
	status     Status
	shared     bool // in a Base: own says what to change in its place
	verdict    wire.Verdict
	degraded   bool
	listed     uint32 // when it was listed first, in seconds from Machine.epoch on
}

// public is the member as users see it; everything in it is new.
func (m *Machine) public(r *member) Member {
	return Member{
		Name:     r.Name(),
		Addr:     r.Addr(),
		Tags:     m.decodeTags(r.Meta()),
		Status:   r.status,
		Versions: r.Versions(),
		LTime:    r.ltime,
		Since:    m.epoch.Add(r.since),
		Verdict:  r.verdict,
		Degraded: r.degraded,

		Restarting: r.status == StatusFailed && m.restarts.holds(r.Name()),
	}
}

// decodeTags returns what can be read of metadata: a peer that sends garbage
// has the tags up to there, as with Serf.
func (m *Machine) decodeTags(meta []byte) []wire.Tag {
	tags, _ := wire.DecodeTags(meta, &m.names)
	return tags
}

// sameTags reports whether metadata mean the same tags. Serf writes them in the
// order of a Go map, so that they may differ from one time to the next.
func (m *Machine) sameTags(a, b []byte) bool {
	return bytes.Equal(a, b) || slices.Equal(m.decodeTags(a), m.decodeTags(b))
}

// sameFace reports whether two records of a member look the same from outside (P117).
func (m *Machine) sameFace(a, b *member) bool {
	return a.Face == b.Face || a.Addr() == b.Addr() && a.Versions() == b.Versions() && m.sameTags(a.Meta(), b.Meta())
}

// doubt takes over what swim thinks of a member that may not be well.
func (r *member) doubt(sm *swim.Member) { r.verdict, r.degraded = sm.Verdict, sm.Degraded }

// memberDoubted: swim suspects a member, or not any more. No event tells of it,
// only the list.
func (m *Machine) memberDoubted(sm *swim.Member) {
	if i, known := m.members.find(sm.Name); known {
		m.members.own(m.members.at(i)).doubt(sm)
		m.changes++
	}
}

// setStatus changes a member's status and what is counted by it.
func (m *Machine) setStatus(r *member, s Status) {
	if r.shared {
		panic("serf: a shared entry is to be changed: " + r.Name())
	}
	m.members.count(r.status, -1)
	m.members.count(s, +1)
	r.status = s
	r.since = m.now.Sub(m.epoch)
	m.changes++
}

// memberJoined: swim holds a member for alive that it did not know, or knew
// as dead or left (P30, P62).
func (m *Machine) memberJoined(sm *swim.Member) {
	i, known := m.members.find(sm.Name)
	if !known {
		m.addMember(i, sm)
		return
	}
	mem := m.members.own(m.members.at(i))
	if mem.status == StatusAlive || mem.status == StatusLeaving {
		m.memberUpdated(sm)
		return
	}
	if mem.status == StatusFailed && m.sinceStatus(mem) < m.cfg.FlapTimeout {
		m.trace(swim.Trace{Kind: TraceMemberFlap, Level: swim.LevelDebug, Node: mem.Name()})
	}
	m.setStatus(mem, StatusAlive)
	mem.Face = sm.Face
	mem.doubt(sm)
	m.unprune(mem.Name())
	if m.backInTime(mem) {
		return
	}
	m.noteRestart(mem, nil)
	m.tellMember(EventMemberJoin, TraceMemberJoin, mem)
}

// addMember puts a new member at place i of the list. An intent that came
// before it takes effect now (P72).
func (m *Machine) addMember(i int, sm *swim.Member) {
	mem := &member{Face: sm.Face, listed: uint32(m.now.Sub(m.epoch) / time.Second)}
	m.members.insert(i, mem)
	mem.Face = sm.Face
	status := StatusAlive
	if in, ok := m.intents[sm.Name]; ok {
		mem.ltime = in.ltime
		if in.leave {
			status = StatusLeaving
		}
	}
	m.setStatus(mem, status)
	m.noteRestart(mem, nil)
	m.tellMember(EventMemberJoin, TraceMemberJoin, mem)
}

// memberGone: swim holds a member for dead or left (P61). Which of the two is
// for the intents to say, unless the node itself said it: its leave intent may
// have been lost or overtaken, and it has not failed for that.
func (m *Machine) memberGone(sm *swim.Member) {
	m.outgoing.gone(sm.Name)
	i, known := m.members.find(sm.Name)
	if !known {
		return
	}
	r := m.members.own(m.members.at(i))
	before := *r
	r.doubt(sm)
	status := r.status
	if status == StatusAlive && (sm.State == wire.StateLeft || m.leave.wasForced(r.Name(), m.now)) {
		status = StatusLeaving
	}
	switch status {
	case StatusLeaving:
		m.setStatus(r, StatusLeft)
		m.restarts.end(r.Name())
		m.trace(swim.Trace{Kind: TraceMemberLeave, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr()})
		m.coalescer.left(m.now, r, sm.State == wire.StateLeft && sm.Native > 0)
	case StatusAlive:
		m.setStatus(r, StatusFailed)
		m.wantReconnects()
		if !m.restarts.hold(m.now, r, &before) { // P241
			m.tellMember(EventMemberFailed, TraceMemberFailed, r)
		}
	default:
		m.trace(swim.Trace{Kind: TraceGoneBad, Level: swim.LevelWarn, Node: r.Name(), N: int(r.status)})
	}
}

// memberUpdated: swim says that a member's metadata changed. It is told only
// if that means something (P117).
func (m *Machine) memberUpdated(sm *swim.Member) {
	i, known := m.members.find(sm.Name)
	if !known {
		return
	}
	r := m.members.own(m.members.at(i))
	before := *r
	r.Face = sm.Face
	if m.sameFace(&before, r) {
		return
	}
	m.changes++
	m.noteRestart(r, before.Meta())
	m.trace(swim.Trace{Kind: TraceMemberUpdate, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr()})
	m.coalescer.member(m.now, EventMemberUpdate, r, &before)
}

// tellMember traces and emits a member event.
func (m *Machine) tellMember(t EventType, k swim.TraceKind, r *member) {
	m.trace(swim.Trace{Kind: k, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr()})
	m.coalescer.member(m.now, t, r, nil)
}

// eraseMember removes the member at place i for good.
func (m *Machine) eraseMember(i int) {
	mem := m.members.at(i)
	m.members.count(mem.status, -1)
	m.members.remove(i)
	m.changes++
	m.restarts.end(mem.Name())
	m.coords.forget(mem.Name())
	m.coalescer.member(m.now, EventMemberReap, mem, nil)
}

// sinceStatus is how long a member has had its status.
func (m *Machine) sinceStatus(r *member) time.Duration {
	return m.now.Sub(m.epoch) - r.since
}

// Members are all known members, failed and left ones too, sorted by name. The slice is the caller's.
func (m *Machine) Members() []Member {
	out := make([]Member, m.members.len())
	for i := range out {
		out[i] = m.public(m.members.at(i))
	}
	return out
}

// Member returns one member.
func (m *Machine) Member(name string) (Member, bool) {
	i, ok := m.members.find(name)
	if !ok {
		return Member{}, false
	}
	return m.public(m.members.at(i)), true
}

// Local is this node's own member.
func (m *Machine) Local() Member {
	mem, _ := m.Member(m.cfg.Swim.Name)
	return mem
}

// othersAlive reports whether a member other than this node is alive.
func (m *Machine) othersAlive() bool { return m.others(StatusAlive, StatusAlive) }

// others reports whether a member other than this node has one of two statuses.
func (m *Machine) others(a, b Status) bool {
	for i := range m.members.len() {
		mem := m.members.at(i)
		if (mem.status == a || mem.status == b) && mem.Name() != m.cfg.Swim.Name {
			return true
		}
	}
	return false
}
