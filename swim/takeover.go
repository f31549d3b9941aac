package swim

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// takeover is the check of a name that the others hold for a member at another
// address: is that a former life of this node, or somebody who is alive?
//
// Rule: the old address is pinged by name, directly and over a stream, then
// through others too. An answer means two live nodes of one name: the layer is
// told, and settles it. Silence for a whole probe interval means that the name
// is free, and it is taken (P108, P109). Only what a push/pull lists starts a
// check: gossip that somebody claims our name does not say that others believe
// it. Invariant: at most one runs; at is valid if and only if it does.
type takeover struct {
	timer  timer
	at     netip.AddrPort // where the others hold the name
	claims uint32         // the highest incarnation of it that they hold there
	seq    uint32         // of all pings of this check
	rounds int            // that have begun
	again  bool           // the name was taken, and the others are to be told once more
}

const (
	// takeoverRounds is how often the old address is pinged.
	takeoverRounds = 3
	// takeoverTells bounds how many members are told at once; the others hear of
	// it by gossip.
	takeoverTells = 1024
)

func (t *takeover) running() bool { return t.at.IsValid() }

// awaits reports whether an ack with this number answers a ping of the check.
func (t *takeover) awaits(seq uint32) bool { return t.running() && t.seq == seq }

// listedElsewhere reports whether an entry of a push/pull is our name at another
// address; if so it is dealt with here. A plain node leaves it to the vote.
func (m *Machine) listedElsewhere(n *wire.PushNodeState) bool {
	if n.Name != m.local.name || m.departure.leaving || m.cfg.Plain || n.State == wire.StateLeft {
		return false
	}
	at := m.mask(n.Addr)
	if !at.Addr().IsValid() || m.local.addr == pack(at) {
		return false
	}
	t := &m.takeover
	switch {
	case !t.running():
		*t = takeover{timer: t.timer, at: at, claims: n.Incarnation, seq: m.nextSeq()}
		m.trace(Trace{Kind: TraceNameElsewhere, Level: LevelWarn, Node: n.Name, Addr: m.local.at(), Old: at})
		m.arm(&t.timer, 0) // once the whole push/pull is read
	case t.at == at:
		t.claims = max(t.claims, n.Incarnation)
	}
	return true
}

// takeoverTick begins the next round, or ends the check: nobody answered.
func (m *Machine) takeoverTick() {
	t := &m.takeover
	if t.again {
		t.again = false
		m.tellMoved()
	}
	if !t.running() {
		return
	}
	if t.rounds == takeoverRounds || m.departure.leaving {
		m.takeName()
		return
	}
	t.rounds++
	pause := m.cfg.ProbeInterval / takeoverRounds
	m.arm(&t.timer, m.clock.awake()+pause)
	m.scratch = m.ping(t.seq, m.local.name).AppendTo(m.scratch[:0])
	m.send(t.at, m.local.name, m.scratch)
	if t.rounds == 1 {
		m.takeoverDial(takeoverRounds * pause)
		return
	}
	others := m.members.pick(m.cfg.IndirectChecks, m.rng, func(e *member) bool {
		return e != m.local && e.state == wire.StateAlive
	})
	for _, e := range others {
		m.msg.indirect = wire.IndirectPing{Seq: t.seq, Target: t.at, Node: m.local.name,
			Source: m.local.at(), SourceNode: m.local.name}
		m.scratch = m.msg.indirect.AppendTo(m.scratch[:0])
		m.send(e.at(), e.name, m.scratch)
	}
}

// takeoverDial pings the old address over a stream.
func (m *Machine) takeoverDial(timeout time.Duration) {
	if m.cfg.NoStreamPing {
		return
	}
	t := &m.takeover
	id, err := m.dials.add(openDial{kind: dialTakeover, seq: t.seq, to: t.at, node: m.local.name})
	if err == nil {
		m.out.Dials = append(m.out.Dials, Dial{ID: id, To: t.at, Node: m.local.name,
			Data: m.ping(t.seq, m.local.name).AppendTo(nil), Timeout: timeout})
	}
}

// takeoverDialEnd: the stream ended. Only an answer counts: whatever else
// happened to it, the pings in packets may still be answered.
func (m *Machine) takeoverDialEnd(d *openDial, reply []byte, err error) {
	if err == nil && m.takeover.awaits(d.seq) && m.readStreamAck(reply, d.seq) == nil {
		m.takeoverAnswered()
	}
}

// takeoverAnswered: there are two of us.
func (m *Machine) takeoverAnswered() {
	at := m.endTakeover()
	m.layer.Conflict(m.now, m.view(&m.told, m.local), at)
}

// ownPing reports whether a ping is one of the check's that came back to
// us: both addresses are ours, so that nobody else has the name.
func (m *Machine) ownPing(p *wire.Ping) bool {
	return m.takeover.awaits(p.Seq) && p.SourceNode == m.local.name && unmap(p.Source) == m.local.at()
}

func (m *Machine) endTakeover() (at netip.AddrPort) {
	t := &m.takeover
	at = t.at
	t.at = netip.AddrPort{}
	m.timers.stop(&t.timer)
	return at
}

// takeName tells everybody that the name left its old address and is alive at
// ours. Who holds the new address already is not touched by it: the end that is
// told is older than that. The move is told twice, because memberlist takes the
// alive messages of a packet before the dead ones.
func (m *Machine) takeName() {
	t := &m.takeover
	old := m.endTakeover()
	if m.departure.leaving {
		return
	}
	e := m.local
	if t.claims >= e.incarnation {
		m.members.touch()
		e.incarnation = above(t.claims, 0)
	}
	m.trace(Trace{Kind: TraceNameTaken, Level: LevelInfo, Node: e.name, Addr: e.at(), Old: old, Incarnation: e.incarnation})
	m.tellMoved()
	t.again = true
	m.arm(&t.timer, m.clock.awake()+m.cfg.GossipInterval)
}

// tellMoved queues the move and tells those who are known to be there at once.
func (m *Machine) tellMoved() {
	e := m.local
	if m.departure.leaving {
		return
	}
	m.msg.alive = wire.Alive{Incarnation: e.incarnation, Node: e.name, Addr: e.at(), Meta: e.meta, Versions: e.versions, Native: m.cfg.native()}
	move := m.moved(nil, m.takeover.claims, &m.msg.alive)
	m.scratch = append(m.scratch[:0], move...)
	m.broadcast(e.name, nil)
	for _, to := range m.members.pick(takeoverTells, m.rng, func(o *member) bool { return o != e && !o.gone() }) {
		m.parts = append(m.parts[:0], move)
		m.sendParts(to.at(), to.name, m.members.wantsCRC(to.name))
	}
}

// moved appends the two messages that move a name, as one, because they count
// in this order only: its end at an incarnation, as its own word, and the alive
// message from the new address. (P109)
func (m *Machine) moved(dst []byte, ended uint32, a *wire.Alive) []byte {
	m.msg.dead = wire.Dead{Incarnation: ended, Node: a.Node, From: a.Node}
	return wire.AppendCompound(dst, m.msg.dead.AppendTo(nil), a.AppendTo(nil))
}
