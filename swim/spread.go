package swim

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// spreadGap is the least time between two eager sendings: what comes within it
	// goes together. It bounds what a flood of news costs.
	spreadGap = time.Millisecond
	// spreadPackets bounds how many packets each target gets at a time.
	spreadPackets = 8
)

// spreader passes on at once what is new (P220), instead of waiting for the next round of
// gossip, which remains as the repair.
//
// Rule: what an input made new is sent with that input's output, to the targets that
// rings say; but no sooner than spreadGap after the sending before. Invariant: if
// anything is fresh, here or in the layer, and there are targets, then news is set.
type spreader struct {
	timer timer
	news  bool           // something may be fresh
	heard bool           // all of it was told by from, who need not hear it
	from  netip.AddrPort // who told it
	last  time.Duration  // of the last sending, on the awake clock
	ran   bool           // there was one
}

// eager reports whether this node passes on at once.
func (c *Config) eager() bool { return !c.Plain }

// News says that the layer queued something that was not sent yet. from is who
// told it; not valid if it is this node's own. It is an input, but one
// that a Layer may call while it is called: it changes no member and sends nothing.
func (m *Machine) News(now time.Time, from netip.AddrPort) {
	if m.cfg.eager() {
		hearing := m.hearing
		m.begin(now)
		m.hearing = hearing && from.IsValid() // the packet that told it has more
		m.noteNews(unmap(from))
	}
}

func (m *Machine) noteNews(from netip.AddrPort) {
	s := &m.spreader
	switch {
	case !s.news:
		s.from, s.heard = from, from.IsValid()
	case s.from != from:
		s.heard = false
	}
	s.news = true
	if m.gossipTimer.pos == 0 {
		m.nextGossip()
	}
}

// spreadDue sends what is fresh, or sees to it that it will be sent.
func (m *Machine) spreadDue() {
	s := &m.spreader
	if !s.news {
		return
	}
	if at := s.last + spreadGap; s.ran && m.clock.awake() < at {
		if s.timer.pos == 0 {
			m.arm(&s.timer, at)
		}
		return
	}
	m.spread()
}

// spread sends everything that is fresh. What is too much for one time goes
// after the gap.
func (m *Machine) spread() {
	s := &m.spreader
	s.news = false
	targets := m.members.targets(m.rng)
	m.catchUp()
	limit := spreadPackets
	if len(targets) == 0 {
		limit = MaxPacketSize // to nobody: only to make ordinary broadcasts of them
	}
	for range limit {
		parts := m.freshParts()
		if len(parts) == 0 {
			break
		}
		for _, e := range targets {
			if !s.heard || e.at() != s.from {
				m.copyParts(e, parts)
			}
		}
		clear(parts)
	}
	s.last, s.ran = m.clock.awake(), true
	if fresh, _ := m.layer.Waiting(0); m.queue.Fresh() > 0 || fresh > 0 {
		s.news, s.heard = true, false
		m.arm(&s.timer, s.last+spreadGap)
	}
}

// freshParts fills one packet: the membership's news, deaths and leaves first,
// then the layer's. If there is more than fits, each gets a share. (P222)
func (m *Machine) freshParts() [][]byte {
	const overhead = wire.CompoundPartOverhead
	room := m.cfg.room(true)
	layers, _ := m.layer.Waiting(overhead)
	m.parts = m.queue.TakeFresh(m.parts[:0], overhead, max(room/2, room-layers), m.cfg.repairs())
	for _, b := range m.parts {
		room -= overhead + len(b)
	}
	if layers > 0 {
		m.parts = m.layer.Fresh(m.parts, overhead, room)
	}
	return m.parts
}

// copyParts sends one member parts, which are kept.
func (m *Machine) copyParts(e *member, parts [][]byte) {
	for len(parts) > 0 {
		n := min(len(parts), wire.MaxCompoundParts)
		start := len(m.out.buf)
		if n == 1 {
			m.out.buf = append(m.out.buf, parts[0]...)
		} else {
			m.out.buf = wire.AppendCompound(m.out.buf, parts[:n]...)
		}
		m.out.packet(e.at(), e.name, e.versions.PMax >= 5, start)
		m.counts.Eager++
		parts = parts[n:]
	}
}

// SpreadLong passes on a user message that is too long for a packet: to natives
// over streams. Plain members would keep it queued for ever; with those states are
// exchanged, of which it is a part. (P232)
func (m *Machine) SpreadLong(msg []byte) {
	m.out.begin()
	for _, e := range m.members.targets(m.rng) {
		if e.native == 0 {
			m.pushPullWith(e)
		} else if err := m.SendUserStream(e.at(), e.name, msg); err != nil {
			m.trace(Trace{Kind: TraceUserStreamFailed, Level: LevelDebug, Node: e.name, Addr: e.at(), Err: err})
		}
	}
}

// repairs is how many copies of a broadcast the rounds of gossip send after the eager ones. (P223)
func (c *Config) repairs() int { return max(1, c.RetransmitMult/2) }

// Transmits is how often a broadcast is given to a round of gossip in a cluster of n.
func (m *Machine) Transmits(n int) int {
	if m.cfg.eager() {
		return m.cfg.repairs()
	}
	return broadcast.TransmitLimit(m.cfg.RetransmitMult, n)
}

// AllNative reports whether every member that is present is known to be native.
func (m *Machine) AllNative() bool {
	if m.cfg.Plain {
		return false
	}
	for i := range m.members.len() {
		if e := m.members.at(i); e.present() && e.native == 0 && e != m.local {
			return false
		}
	}
	return true
}
