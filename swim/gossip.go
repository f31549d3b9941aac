package swim

import (
	"net/netip"

	"github.com/ibuki-dev/ibuki/wire"
)

// piggyback appends what is to be passed on and fits into room: the
// membership's broadcasts, then the layer's. (P44)
func (m *Machine) piggyback(dst [][]byte, room int) [][]byte {
	n := len(dst)
	limit := room
	if m.cfg.eager() { // P222
		_, layers := m.layer.Waiting(wire.CompoundPartOverhead)
		limit = max(room/2, room-layers)
	}
	dst = m.queue.Take(dst, wire.CompoundPartOverhead, limit, m.Transmits(m.members.len()))
	for _, b := range dst[n:] {
		room -= wire.CompoundPartOverhead + len(b)
	}
	if room > wire.CompoundPartOverhead {
		dst = m.layer.Broadcasts(dst, wire.CompoundPartOverhead, room)
	}
	return dst
}

// send sends msg in a packet, and broadcasts with it as far as there is room. A
// native gets none: it was told at once, and the repair is for random members,
// not for those that happen to be pinged often. (P224)
func (m *Machine) send(to netip.AddrPort, node string, msg []byte) {
	e := m.members.get(node)
	crc := e != nil && e.versions.PMax >= 5
	room := m.cfg.room(crc) - wire.CompoundPartOverhead - len(msg)
	m.parts = append(m.parts[:0], msg)
	if !m.cfg.eager() || e == nil || e.native == 0 {
		m.parts = m.piggyback(m.parts, room)
	}
	m.sendParts(to, node, crc)
}

// sendParts sends m.parts in as few packets as possible: one, unless they are very many. (P49)
func (m *Machine) sendParts(to netip.AddrPort, node string, crc bool) {
	for parts := m.parts; len(parts) > 0; {
		n := min(len(parts), wire.MaxCompoundParts)
		start := len(m.out.buf)
		if n == 1 {
			m.out.buf = append(m.out.buf, parts[0]...)
		} else {
			m.out.buf = wire.AppendCompound(m.out.buf, parts[:n]...)
		}
		m.out.packet(to, node, crc, start)
		parts = parts[n:]
	}
	clear(m.parts)
}

// room is how many bytes the parts of a compound may cost together.
func (c *Config) room(crc bool) int {
	room := c.PacketSize - wire.CompoundHeaderOverhead
	if crc {
		room -= wire.CRCOverhead
	}
	return room
}

// wantsCRC reports whether the node understands a checksum before a packet. (P136)
func (t *members) wantsCRC(node string) bool {
	e := t.get(node)
	return e != nil && e.versions.PMax >= 5
}

// broadcast queues what is in m.scratch to be passed on about a member; an
// older broadcast about it is replaced. (P41)
func (m *Machine) broadcast(name string, done func()) {
	if !m.cfg.eager() {
		m.queue.Push(name, m.scratch, done)
		return
	}
	t := wire.Type(m.scratch[0])
	m.queue.PushFresh(name, m.scratch, t == wire.TypeDead || t == wire.TypeSuspect, done)
	if most := 2*m.members.len() + spareBroadcasts; m.queue.Len() > most {
		m.queue.Prune(most)
	}
	var from netip.AddrPort
	if m.hearing && name != m.local.name {
		from = m.from
	}
	m.noteNews(from)
}

// gossip sends what is queued to a few random members. (P45) While nothing is, a
// native has no rounds (P233): most of an idle node's life would be made of them.
func (m *Machine) gossip() {
	if m.cfg.eager() && !m.waiting() {
		return
	}
	m.nextGossip()
	m.counts.Gossips++
	targets := m.members.pick(m.cfg.GossipNodes, m.rng, m.gossipsTo)
	for _, e := range targets {
		crc := e.versions.PMax >= 5
		m.parts = m.piggyback(m.parts[:0], m.cfg.room(crc))
		if len(m.parts) == 0 {
			return
		}
		m.sendParts(e.at(), e.name, crc)
	}
}

func (m *Machine) nextGossip() {
	m.arm(&m.gossipTimer, m.clock.awake()+m.cfg.GossipInterval)
}

// waiting reports whether there is anything to pass on.
func (m *Machine) waiting() bool {
	if m.members.len() <= 1 { // nor is there anybody to pass it on to
		return false
	}
	_, all := m.layer.Waiting(0)
	return m.queue.Len() > 0 || all > 0
}

// canGossipTo: the recently dead are told too, so that one who is not dead can refute.
func (m *Machine) canGossipTo(e *member) bool {
	switch {
	case e == m.local:
		return false
	case e.state == wire.StateDead:
		return m.clock.real-e.changed <= m.cfg.GossipToTheDead
	}
	return e.state != wire.StateLeft
}

// SendUserStream sends a user message over a stream, for what is too long for a
// packet or must not be lost. ErrTooManyDials or nil.
func (m *Machine) SendUserStream(to netip.AddrPort, name string, msg []byte) error {
	m.out.begin()
	id, err := m.dials.add(openDial{kind: dialUser, to: unmap(to), node: name})
	if err == nil {
		m.out.Dials = append(m.out.Dials, Dial{ID: id, To: to, Node: name, NoReply: true,
			Data: wire.AppendUserStream(nil, msg), Timeout: m.cfg.StreamTimeout})
	}
	return err
}

// SendUser sends a user message (a Serf message, its type byte first) in one packet.
func (m *Machine) SendUser(to netip.AddrPort, name string, msg []byte) {
	m.out.begin()
	start := len(m.out.buf)
	m.out.buf = append(m.out.buf, byte(wire.TypeUser))
	m.out.buf = append(m.out.buf, msg...)
	m.out.packet(to, name, m.members.wantsCRC(name), start)
}
