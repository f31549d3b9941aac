package swim

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is what the machine does for the probe and relay state objects: it
// sends what they decide and feeds them what comes back.

// probeTick begins the probe of the next member, or lets the running one end first.
func (m *Machine) probeTick() {
	m.arm(&m.probeTimer, m.clock.awake()+m.cfg.ProbeInterval)
	if m.probe.running() {
		m.probe.overrun = true // P18
		return
	}
	m.probeNext()
}

// nativeProbes is how much rarer the turn is in which natives are probed.
const nativeProbes = 4

func (m *Machine) probeNext() {
	e := m.members.probeNext(m.local, m.rng, m.forget)
	if e == nil {
		return
	}
	p := &m.probe
	p.begin(m.nextSeq(), e, m.clock.real, m.clock.asleep)
	span := m.awareness.scale(m.cfg.ProbeInterval)
	if m.awareness.score > 0 {
		m.counts.Degraded++
	}
	now := m.clock.awake()
	m.arm(&p.end, now+span)
	m.arm(&p.timeout, now+min(span, m.cfg.ProbeTimeout))
	if !m.cfg.Plain && e.native > 0 { // P193: those who watch it see to it
		m.arm(&m.probeTimer, now+nativeProbes*m.cfg.ProbeInterval)
	}

	m.scratch = m.ping(p.seq, p.node).AppendTo(m.scratch[:0])
	if e.state == wire.StateAlive {
		m.send(e.at(), e.name, m.scratch)
		return
	}
	// P12: the suspect hears of it at once and can refute.
	n := len(m.scratch)
	m.msg.suspect = wire.Suspect{Incarnation: e.incarnation, Node: e.name, From: m.local.name}
	m.scratch = m.msg.suspect.AppendTo(m.scratch)
	m.parts = append(m.parts[:0], m.scratch[:n], m.scratch[n:])
	m.sendParts(e.at(), e.name, e.versions.PMax >= 5)
}

// spareBroadcasts is how many broadcasts may be queued beyond two for each member.
const spareBroadcasts = 1024

// forgetGone drops the dead and left that nobody needs to hear of any more
// (P69). Broadcasts about them go when there is somebody to send them to; if
// there never is, they must not pile up.
func (m *Machine) forgetGone() {
	before := m.members.len()
	m.members.forget(m.local, m.clock.real, m.cfg.GossipToTheDead)
	if n := before - m.members.len(); n > 0 {
		m.trace(Trace{Kind: TraceForgotten, Level: LevelDebug, N: n})
	}
	m.queue.Prune(2*m.members.len() + spareBroadcasts)
}

func (m *Machine) nextSeq() uint32 {
	m.seq++
	return m.seq
}

// ping makes a ping of ours in scratch memory. (P4)
func (m *Machine) ping(seq uint32, node string) *wire.Ping {
	m.msg.ping = wire.Ping{Seq: seq, Node: node, Source: m.local.at(), SourceNode: m.local.name, Native: m.cfg.native()}
	return &m.msg.ping
}

// pingTimeout: the direct ping was not answered in time.
func (m *Machine) pingTimeout() {
	p := &m.probe
	if p.phase != probeDirect {
		return
	}
	m.trace(Trace{Kind: TracePingFailed, Level: LevelDebug, Node: p.node, Addr: p.addr, Dur: m.cfg.ProbeTimeout})
	m.askOthers()
}

// HandleSendFailed: a packet to this address could not be sent. It is a hint
// that hastens a running probe, never a verdict. (P10)
func (m *Machine) HandleSendFailed(now time.Time, to netip.AddrPort) {
	m.begin(now)
	m.hint(unmap(to))
	p := &m.probe
	if p.phase != probeDirect || p.addr != unmap(to) {
		return
	}
	level := LevelError
	if !m.cfg.Plain { // it may have been sent and refused: an inquiry says more
		level = LevelDebug
	}
	m.trace(Trace{Kind: TracePingUnsent, Level: level, Node: p.node, Addr: p.addr})
	m.askOthers()
}

// askOthers asks some members to ping in our place (P8), and pings over a stream (P13).
func (m *Machine) askOthers() {
	p := &m.probe
	p.phase = probeIndirect
	m.timers.stop(&p.timeout)
	others := m.members.pick(m.cfg.IndirectChecks, m.rng, func(e *member) bool {
		return e != m.local && e.name != p.node && e.state == wire.StateAlive
	})
	for _, e := range others {
		nacks := e.versions.PMax >= 4 // P11
		p.relayed(nacks)
		m.msg.indirect = wire.IndirectPing{Seq: p.seq, Target: p.addr, Node: p.node, Nack: nacks,
			Source: m.local.at(), SourceNode: m.local.name}
		m.scratch = m.msg.indirect.AppendTo(m.scratch[:0])
		m.send(e.at(), e.name, m.scratch)
	}
	m.hark(m.members.get(p.node))
	left := p.end.at - m.clock.awake()
	if !m.cfg.NoStreamPing && p.versions >= 3 && left > 0 {
		data := m.ping(p.seq, p.node).AppendTo(nil)
		p.dial, _ = m.dial(dialPing, p.addr, p.node, data, left)
	}
}

// probeEnd passes the verdict on a member that no ack came from.
func (m *Machine) probeEnd() {
	p := &m.probe
	if !p.running() {
		return
	}
	failed, health := p.finish()
	m.probeEnded()
	m.timers.stop(&p.timeout)
	m.awareness.apply(health)
	switch {
	case !failed:
		m.trace(Trace{Kind: TraceStreamOnly, Level: LevelWarn, Node: p.node, Addr: p.addr})
	case p.void || m.deaf(m.clock.awake()-m.cfg.ProbeInterval+m.cfg.ProbeTimeout): // P201
	default:
		m.trace(Trace{Kind: TraceSuspect, Level: LevelInfo, Node: p.node, Addr: p.addr, Incarnation: p.claims})
		m.suspect(wire.Suspect{Node: p.node, Incarnation: p.claims, From: m.local.name})
	}
	m.probeOver()
}

// probeOver begins the next probe at once if its tick has passed already.
func (m *Machine) probeOver() {
	if m.probe.overrun {
		m.probe.overrun = false
		m.probeNext()
	}
}

// handlePing answers a ping to us. (P5, P6)
func (m *Machine) handlePing(body []byte) {
	p := &m.msg.ping
	if err := p.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	if p.Node != "" && p.Node != m.local.name {
		m.unexpectedPing(p)
		return
	}
	m.heardNative(p.SourceNode, p.Native)
	if m.ownPing(p) {
		m.takeName()
		return
	}
	to := source(p.Source, m.from)
	m.msg.ack = wire.Ack{Seq: p.Seq, Native: m.cfg.native()}
	if watch := p.Native > 0 && p.SourceNode == ""; !watch || m.cfg.Plain {
		m.payload = m.layer.AppendAckPayload(m.payload[:0])
		m.msg.ack.Payload = m.payload
	} else {
		m.msg.ack.Wait = m.slots.next(m.clock.awake(), m.timing.every, m.from, m.watches.pingTimes())
		m.awaitPings()
	}
	m.scratch = m.msg.ack.AppendTo(m.scratch[:0])
	m.send(to, p.SourceNode, m.scratch)
}

func (m *Machine) unexpectedPing(p *wire.Ping) {
	n, report := m.drops.add(DropUnexpectedPing, m.clock.real)
	if report {
		m.trace(Trace{Kind: TraceUnexpectedPing, Level: LevelWarn, Node: p.Node, From: p.SourceNode, Addr: m.from, N: n})
	}
}

// source is where an answer goes.
func source(named, from netip.AddrPort) netip.AddrPort {
	if named.Addr().IsValid() && named.Port() != 0 {
		return unmap(named)
	}
	return from
}

// unmap makes equal addresses equal: IPv4 written as IPv6 becomes IPv4.
func unmap(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}

// handleIndirectPing pings in somebody's place. (P9)
func (m *Machine) handleIndirectPing(body []byte) {
	x := &m.msg.indirect
	if err := x.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	if x.Seq == 0 && !m.cfg.Plain { // P234
		m.askedToLook(x.Node)
		return
	}
	target := m.mask(x.Target)
	if !target.Addr().IsValid() {
		m.drop(DropAddr, m.from, nil)
		return
	}
	if m.relays.full() {
		m.drop(DropRelays, m.from, nil)
		return
	}
	seq := m.nextSeq()
	m.relays.add(relay{ends: m.clock.awake() + m.cfg.ProbeTimeout, seq: seq, asked: x.Seq,
		to: source(x.Source, m.from), name: x.SourceNode, nack: x.Nack})
	m.armRelays()
	m.scratch = m.ping(seq, x.Node).AppendTo(m.scratch[:0])
	m.send(target, x.Node, m.scratch)
}

// armRelays sets the timer for the relay that ends first.
func (m *Machine) armRelays() {
	m.relays.trim()
	first := m.relays.first()
	switch {
	case first == nil:
		m.timers.stop(&m.relays.timer)
	case m.relays.timer.pos == 0 || m.relays.timer.at != first.ends:
		m.arm(&m.relays.timer, first.ends)
	}
}

// relayTimeout sends the nacks that are due. (P11)
func (m *Machine) relayTimeout() {
	now := m.clock.awake()
	for r := m.relays.first(); r != nil && r.ends <= now; r = m.relays.first() {
		if r.nack {
			m.msg.nack = wire.Nack{Seq: r.asked}
			m.scratch = m.msg.nack.AppendTo(m.scratch[:0])
			m.send(r.to, r.name, m.scratch)
		}
		r.closed = true
		m.relays.trim()
	}
	m.armRelays()
}

// handleAck ends the probe or the relay that waits for it. (P7)
func (m *Machine) handleAck(body []byte) {
	a := &m.msg.ack
	if err := a.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	if m.probe.awaits(a.Seq) {
		m.probeAcked(a)
		return
	}
	if m.takeover.awaits(a.Seq) {
		m.takeoverAnswered()
		return
	}
	if m.watchAck(a) || m.departure.acked(a.Seq) {
		return
	}
	if name, rtt, ok := m.introductions.answered(a.Seq, &m.clock); name != "" {
		m.heardNative(name, a.Native)
		if ok {
			m.layer.PingDone(m.now, name, rtt, a.Payload)
		}
		return
	}
	if m.roll.awaits(a.Seq) {
		if m.roll.answer(m.from, m.clock.awake()) {
			m.respanOwn()
		}
		return
	}
	r := m.relays.ack(a.Seq)
	if r == nil {
		m.drops.counts[DropStrayAck]++
		return
	}
	m.msg.ack = wire.Ack{Seq: r.asked}
	m.scratch = m.msg.ack.AppendTo(m.scratch[:0])
	m.send(r.to, r.name, m.scratch)
	m.armRelays()
}

func (m *Machine) probeAcked(a *wire.Ack) {
	p := &m.probe
	m.timers.stop(&p.timeout)
	m.timers.stop(&p.end)
	m.awareness.apply(-1)
	m.probeEnded()
	if m.from == p.addr { // a relay passes it on without the key
		m.heardNative(p.node, a.Native)
	}
	if rtt, timely := p.ack(m.clock.real, m.clock.asleep, m.cfg.ProbeTimeout); timely {
		m.introductions.done(p.node)
		m.layer.PingDone(m.now, p.node, rtt, a.Payload)
	}
	m.probeOver()
}

func (m *Machine) handleNack(body []byte) {
	n := &m.msg.nack
	if err := n.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	if !m.probe.awaits(n.Seq) {
		m.drops.counts[DropStrayAck]++
		return
	}
	m.probe.nack()
}
