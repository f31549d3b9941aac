package serf

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// conflict is the vote on who keeps this node's name: the others are asked
// which address they know by it. At most one runs at a time (P105).
//
// Rule: only members decide, one voice each: who was listed for voterTime before the
// conflict began, and whose answer comes from a host where such a member is. Anybody else
// can join under as many names as it likes. (P103)
type conflict struct {
	running bool
	began   time.Duration  // from Machine.epoch on
	other   netip.AddrPort // who claims the name
	votes   int            // answers that count
	ours    int            // of these, those with this node's address
	told    time.Duration  // when a loser was told last
}

// voterTime is how long a member has to have been listed to have a voice, and after how
// long a node is not new any more. While this node is new, all whom it lists have one.
const voterTime = 30 * time.Second

// counts reports whether an answer in the name of a member, from that address, is a voice.
func (c *conflict) counts(m *Machine, name string, from netip.AddrPort) bool {
	mem := m.members.get(name)
	if mem == nil || !c.hasVoice(mem) || mem.Name() == m.cfg.Swim.Name {
		return false
	}
	if mem.Addr().Addr() == from.Addr() {
		return true
	}
	for i := range m.members.len() { // it may have come through another one
		if relay := m.members.at(i); relay.Addr().Addr() == from.Addr() && c.hasVoice(relay) {
			return true
		}
	}
	return false
}

func (c *conflict) hasVoice(mem *member) bool {
	if mem.status != StatusAlive && mem.status != StatusLeaving {
		return false
	}
	return c.began < voterTime || time.Duration(mem.listed)*time.Second <= c.began-voterTime
}

// lost reports whether this node gives way. Half of the voices each, which end both nodes of the
// real Serf, leave the name to the lower address. Without any, who came to the other
// gives way: the older holder has not joined anybody just now.
func (c *conflict) lost(m *Machine) bool {
	own := m.swim.Local().Addr
	switch {
	case c.votes == 0:
		return m.ahead.joined && c.began-m.ahead.joinedAt.Sub(m.epoch) < voterTime
	case 2*c.ours == c.votes:
		return unmapped(c.other).Compare(unmapped(own)) < 0
	}
	return 2*c.ours < c.votes
}

// nameConflict: someone at other claims the name of a member.
func (m *Machine) nameConflict(existing *swim.Member, other netip.AddrPort) {
	if existing.Name != m.cfg.Swim.Name { // P100
		m.trace(swim.Trace{Kind: TraceConflict, Level: swim.LevelWarn,
			Node: existing.Name, Addr: other, Old: existing.Addr})
		return
	}
	t := swim.Trace{Kind: TraceConflictOwn, Level: swim.LevelError, Node: existing.Name, Addr: other}
	if !m.cfg.NoConflictResolution {
		t.N = 1
	}
	m.trace(t)
	if m.cfg.NoConflictResolution || m.conflict.running || m.state != Alive {
		return
	}
	// P101
	a, err := m.startQuery(internalPrefix+"conflict", []byte(m.cfg.Swim.Name), QueryParam{})
	if err != nil {
		m.trace(swim.Trace{Kind: TraceConflictFailed, Level: swim.LevelError, Err: err})
		return
	}
	a.conflict = true
	m.conflict = conflict{running: true, began: m.now.Sub(m.epoch), other: other, told: m.conflict.told}
}

// answerConflict tells who is known by the name in the payload (P102). Who
// carries it has an interest and is silent; so is who does not know it.
func (m *Machine) answerConflict(a *incomingQuery, payload []byte) {
	name := string(payload)
	if name == m.cfg.Swim.Name {
		return
	}
	m.trace(swim.Trace{Kind: TraceConflictAsked, Level: swim.LevelDebug, Node: name, From: a.node})
	mem := m.members.get(name)
	if mem == nil {
		return
	}
	addr := mem.Addr()
	v := mem.Versions()
	resp := wire.ConflictResponse{
		Name: mem.Name(), Addr: addr.Addr(), Port: addr.Port(),
		Tags: m.decodeTags(mem.Meta()), Status: int(mem.status),
		ProtocolMin: v.PMin, ProtocolMax: v.PMax, ProtocolCur: v.PCur,
		DelegateMin: v.DMin, DelegateMax: v.DMax, DelegateCur: v.DCur,
	}
	m.internalAnswer(a, resp.AppendTo(nil))
}

// vote counts an answer (P104).
func (m *Machine) vote(r *wire.QueryResponse) {
	var resp wire.ConflictResponse
	err := error(wire.ErrType)
	if len(r.Payload) > 0 && wire.SerfType(r.Payload[0]) == wire.SerfConflictResponse {
		err = resp.Decode(r.Payload[1:], &m.names)
	}
	if err != nil {
		m.trace(swim.Trace{Kind: TraceConflictBad, Level: swim.LevelError, From: r.From, Err: err})
		return
	}
	m.conflict.votes++
	if netip.AddrPortFrom(resp.Addr.Unmap(), resp.Port) == unmapped(m.swim.Local().Addr) {
		m.conflict.ours++
	}
}

// tellLoser exchanges states with the other node of this name, which may not have
// noticed yet that there are two and hold a vote of its own then. From time to time
// only: that node may have reasons to stay.
func (c *conflict) tellLoser(m *Machine, other netip.AddrPort) {
	if now := m.now.Sub(m.epoch); c.told == 0 || now-c.told >= voterTime {
		c.told = now
		m.joins[m.swim.Join(m.now, other, m.cfg.Swim.Name)] = reconnected
	}
}

// conflictOver counts the votes (P103). Without any, who has been here for longer stays: to
// give way to somebody whom nobody knows would leave the cluster without either.
func (m *Machine) conflictOver() {
	c := m.conflict
	m.conflict = conflict{told: c.told}
	t := swim.Trace{Node: m.cfg.Swim.Name, N: c.ours, Of: c.votes}
	switch {
	case m.over():
		return
	case c.lost(m):
		t.Kind, t.Level = TraceConflictLost, swim.LevelWarn
		m.leave.step = notLeaving
		m.end(Shutdown)
	case c.votes == 0:
		t.Kind, t.Level = TraceConflictNoVotes, swim.LevelWarn
	default:
		t.Kind, t.Level = TraceConflictWon, swim.LevelInfo
		m.conflict.tellLoser(m, c.other)
	}
	m.trace(t)
}

// unmapped is a with an IPv4 address in its short form.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
