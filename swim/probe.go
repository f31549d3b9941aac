package swim

import (
	"net/netip"
	"time"
)

// probe is the check of one member, from the ping to the verdict.
//
// Rule: direct ping; without an answer in time indirect pings through others
// and a ping over a stream; without an answer by the end of the interval,
// stretched by the local health, the member is suspect. At most one probe runs
// (P18). Invariant: 0 <= nacks <= expected; once done, nothing but begin changes it.
type probe struct {
	timeout timer // of the direct ping
	end     timer // of all

	phase    probePhase
	overrun  bool // a tick came while it ran: the next one starts at its end
	seq      uint32
	node     string
	addr     netip.AddrPort
	claims   uint32        // the incarnation to accuse
	versions uint8         // the highest that the member understands
	sent     time.Duration // on the real clock
	asleep   time.Duration // the clock's at that time: if it grew, sent means nothing
	expected int           // how many nacks will come if the relays and we are well
	nacks    int
	dial     DialID // the ping over a stream, 0: none
	contact  bool   // it was answered
	void     bool   // self was cut off meanwhile: it says nothing against the member
}

type probePhase uint8

const (
	probeIdle     probePhase = iota
	probeDirect              // the direct ping may still be answered in time
	probeIndirect            // others are asked
)

// begin starts a probe.
func (p *probe) begin(seq uint32, e *member, sent, asleep time.Duration) {
	*p = probe{timeout: p.timeout, end: p.end, phase: probeDirect,
		seq: seq, node: e.name, addr: e.at(), claims: e.incarnation, versions: e.versions.PMax,
		sent: sent, asleep: asleep}
}

func (p *probe) running() bool { return p.phase != probeIdle }

// awaits reports whether an ack or nack with this number belongs to the probe.
func (p *probe) awaits(seq uint32) bool { return p.running() && p.seq == seq }

// ack ends the probe well. timely reports whether the ack can only be the
// direct ping's, within limit, so that rtt is a round trip. (P19)
func (p *probe) ack(now, asleep, limit time.Duration) (rtt time.Duration, timely bool) {
	rtt = now - p.sent
	timely = p.phase == probeDirect && asleep == p.asleep && rtt <= limit
	p.phase = probeIdle
	return rtt, timely
}

// relayed notes that one more member was asked to ping; nacks says whether it
// will send a nack.
func (p *probe) relayed(nacks bool) {
	if nacks {
		p.expected++
	}
}

// nack notes that a relay is well but got no answer either.
func (p *probe) nack() {
	p.nacks = min(p.nacks+1, p.expected)
}

// finish ends the probe at its time and says what it comes to: whether the
// member is to be suspected, and how the local health changes. (P15, P16)
func (p *probe) finish() (failed bool, health int) {
	p.phase = probeIdle
	switch {
	case p.contact:
		return false, -1
	case p.expected > 0:
		return true, p.expected - p.nacks
	}
	return true, 1
}
