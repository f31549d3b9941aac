package serf

import (
	"net/netip"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// conflict is the vote on who keeps this node's name: the others are asked
// which address they know by it. At most one runs at a time (P105).
type conflict struct {
	running bool
	votes   int // answers that could be read
	ours    int // of these, those with this node's address
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
	a, err := m.ask(internalPrefix+"conflict", []byte(m.cfg.Swim.Name), QueryParam{})
	if err != nil {
		m.trace(swim.Trace{Kind: TraceConflictFailed, Level: swim.LevelError, Err: err})
		return
	}
	a.conflict = true
	m.conflict = conflict{running: true}
}

// answerConflict tells who is known by the name in the payload (P102). Who
// carries it has an interest and is silent; so is who does not know it.
func (m *Machine) answerConflict(a *answer, payload []byte) {
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

// conflictOver counts the votes (P103). Without any there is no verdict: to
// give way to somebody whom nobody knows would leave the cluster without either.
func (m *Machine) conflictOver() {
	c := m.conflict
	m.conflict = conflict{}
	t := swim.Trace{Node: m.cfg.Swim.Name, N: c.ours, Of: c.votes}
	switch {
	case m.over():
		return
	case c.votes == 0:
		t.Kind, t.Level = TraceConflictNoVotes, swim.LevelWarn
	case c.ours >= c.votes/2+1:
		t.Kind, t.Level = TraceConflictWon, swim.LevelInfo
	default:
		t.Kind, t.Level = TraceConflictLost, swim.LevelWarn
		m.leaving = notLeaving
		m.end(Shutdown)
	}
	m.trace(t)
}

// unmapped is a with an IPv4 address in its short form.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
