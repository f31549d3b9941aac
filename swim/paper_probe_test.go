package swim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// One test per statement of docs/protocol.md that is about this package; here: probing.

func everybody(netip.AddrPort) bool { return true }

func TestP1_OneProbePerInterval(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(10)
	r.acks = everybody
	r.until(wire.TypePing)
	r.run(29*time.Second + 500*time.Millisecond)
	pings := r.of(wire.TypePing)
	if len(pings) != 30 {
		t.Fatalf("%d pings in 30 intervals", len(pings))
	}
	for i := 1; i < len(pings); i++ {
		if d := pings[i].at - pings[i-1].at; d != time.Second {
			t.Errorf("ping %d came %v after the one before", i, d)
		}
	}
	var passes []string
	for first := range 10 { // where the first whole pass begins is up to chance
		passes = nil
		for i := first; i+10 <= len(pings); i += 10 {
			seen := map[string]bool{}
			order := ""
			for _, p := range pings[i : i+10] {
				seen[p.node] = true
				order += p.node + " "
			}
			if len(seen) == 10 {
				passes = append(passes, order)
			}
		}
		if len(passes) >= 2 {
			break
		}
	}
	if len(passes) < 2 || passes[0] == passes[1] {
		t.Errorf("passes %q: want whole ones, in different orders", passes)
	}
}

func TestP2_NewMembersEnterAtRandomPlaces(t *testing.T) {
	tenths := [10]int{}
	for seed := range uint64(1000) {
		tab, _ := table(99)
		e := tab.add(&Face{name: "new"}, rand.New(rand.NewPCG(seed, 1)))
		tenths[slices.Index(tab.ring, e)/10]++
	}
	for i, n := range tenths {
		if n < 50 || n > 200 {
			t.Errorf("tenth %d got %d of 1000", i, n)
		}
	}
}

func TestP3_WhoIsNotProbed(t *testing.T) {
	r := newRig(t, quiet)
	r.run(10 * time.Second)
	if len(r.sent) != 0 {
		t.Errorf("alone, but sent %d messages", len(r.sent))
	}
	r.peers(2)
	r.dead(1, 1, "x")
	r.dead(2, 1, nameOf(2))
	r.forgetSent()
	r.run(10 * time.Second)
	if p := r.of(wire.TypePing); len(p) != 0 {
		t.Errorf("pinged the gone: %+v", p)
	}
}

func TestP4_WhatAPingCarries(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(3)
	r.acks = everybody
	r.run(20 * time.Second)
	seqs := map[uint32]bool{}
	for _, s := range r.of(wire.TypePing) {
		p := decodePing(t, s.msg)
		if p.Node != s.node || p.Source != r.Local().Addr || p.SourceNode != "self" {
			t.Errorf("ping to %s: %+v", s.node, p)
		}
		if seqs[p.Seq] {
			t.Errorf("number %d is used twice", p.Seq)
		}
		seqs[p.Seq] = true
	}
}

func TestP5_PingIsAnsweredToItsSource(t *testing.T) {
	r := newRig(t, quiet)
	r.layer.ack = []byte("coordinate")
	src := netip.MustParseAddrPort("10.1.2.3:99")
	for _, c := range []struct {
		source, to netip.AddrPort
	}{
		{src, src},
		{netip.AddrPort{}, other},
		{netip.AddrPortFrom(src.Addr(), 0), other},
	} {
		r.forgetSent()
		r.in((&wire.Ping{Seq: 77, Node: "self", Source: c.source, SourceNode: "x"}).AppendTo(nil))
		acks := r.of(wire.TypeAck)
		if len(acks) != 1 || acks[0].to != c.to {
			t.Fatalf("source %v: answers %+v", c.source, acks)
		}
		var a wire.Ack
		if err := a.Decode(acks[0].msg[1:], nil); err != nil || a.Seq != 77 || string(a.Payload) != "coordinate" {
			t.Errorf("ack %+v %v", a, err)
		}
	}
}

func TestP6_PingForAnotherNode(t *testing.T) {
	r := newRig(t, quiet)
	r.in((&wire.Ping{Seq: 1, Node: "other"}).AppendTo(nil))
	if len(r.of(wire.TypeAck)) != 0 {
		t.Error("answered a ping for another node")
	}
	if tr := r.traced(TraceUnexpectedPing); len(tr) != 1 || tr[0].Node != "other" || r.Drops()[DropUnexpectedPing] != 1 {
		t.Errorf("traces %+v", tr)
	}
	r.in((&wire.Ping{Seq: 2}).AppendTo(nil))
	if len(r.of(wire.TypeAck)) != 1 {
		t.Error("did not answer a ping without a name")
	}
	// The same over a stream.
	if reply := r.HandleStream(r.now, other, (&wire.Ping{Seq: 3, Node: "other"}).AppendTo(nil)); reply != nil {
		t.Errorf("answered %x over a stream", reply)
	}
	if reply := r.HandleStream(r.now, other, (&wire.Ping{Seq: 4, Node: "self"}).AppendTo(nil)); len(reply) == 0 {
		t.Error("no answer over a stream")
	}
}

func TestP7_OnlyTheRightAckCounts(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(1)
	p := decodePing(t, r.until(wire.TypePing).msg)
	ack := func(seq uint32) { r.in((&wire.Ack{Seq: seq}).AppendTo(nil)) }
	ack(p.Seq + 1)
	ack(p.Seq - 1)
	if !r.probe.running() {
		t.Fatal("an unknown ack ended the probe")
	}
	ack(p.Seq)
	if r.probe.running() {
		t.Fatal("the ack did not end the probe")
	}
	ack(p.Seq)
	if n := r.Drops()[DropStrayAck]; n != 3 {
		t.Errorf("%d stray acks, want 3", n)
	}
	// A late one: the verdict stands.
	p = decodePing(t, r.until(wire.TypePing).msg)
	r.run(time.Second)
	r.wantState(1, wire.StateSuspect)
	ack(p.Seq)
	r.wantState(1, wire.StateSuspect)
}

func TestP8_IndirectChecks(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(8)
	r.suspect(7, 1, "x")
	r.dead(8, 1, "x")
	r.drain()
	r.forgetSent()
	ping := r.until(wire.TypePing)
	r.run(499 * time.Millisecond)
	if n := len(r.of(wire.TypeIndirectPing)); n != 0 {
		t.Fatalf("%d indirect pings before the time-out", n)
	}
	r.run(time.Millisecond)
	asked := map[string]bool{}
	for _, s := range r.of(wire.TypeIndirectPing) {
		var x wire.IndirectPing
		if err := x.Decode(s.msg[1:], nil); err != nil {
			t.Fatal(err)
		}
		if x.Target != ping.to || x.Node != ping.node || x.Seq != decodePing(t, ping.msg).Seq ||
			x.Source != r.Local().Addr || x.SourceNode != "self" || !x.Nack {
			t.Errorf("indirect ping %+v", x)
		}
		if s.node == ping.node || s.node == "self" || s.node == nameOf(7) || s.node == nameOf(8) {
			t.Errorf("asked %s about %s", s.node, ping.node)
		}
		asked[s.node] = true
	}
	if len(asked) != 3 {
		t.Errorf("asked %d, want 3", len(asked))
	}
	// An ack by way of one of them saves the target, and is no round trip.
	r.in((&wire.Ack{Seq: decodePing(t, ping.msg).Seq}).AppendTo(nil))
	r.run(time.Second)
	if n := len(r.traced(TraceSuspect)); n != 0 || len(r.layer.pings) != 0 {
		t.Errorf("%d suspicions, round trips %q", n, r.layer.pings)
	}
}

// relayRig has a machine relay one ping and returns the number of its own ping.

func relayRig(t *testing.T, nack bool) (*rig, uint32) {
	r := newRig(t, quiet)
	r.peers(1)
	r.in((&wire.IndirectPing{Seq: 500, Target: netip.MustParseAddrPort("10.5.5.5:55"), Node: "target", Nack: nack,
		Source: netip.MustParseAddrPort("10.6.6.6:66"), SourceNode: "asker"}).AppendTo(nil))
	pings := r.of(wire.TypePing)
	if len(pings) != 1 {
		t.Fatalf("%d pings", len(pings))
	}
	return r, decodePing(t, pings[0].msg).Seq
}

func TestP9_Relay(t *testing.T) {
	r, seq := relayRig(t, true)
	s := r.of(wire.TypePing)[0]
	if p := decodePing(t, s.msg); s.to != netip.MustParseAddrPort("10.5.5.5:55") || p.Node != "target" || p.Source != r.Local().Addr || p.SourceNode != "self" {
		t.Errorf("ping %+v to %v", p, s.to)
	}
	r.run(400 * time.Millisecond)
	r.in((&wire.Ack{Seq: seq, Payload: []byte("private")}).AppendTo(nil))
	r.in((&wire.Ack{Seq: seq}).AppendTo(nil))
	acks := r.of(wire.TypeAck)
	if len(acks) != 1 || acks[0].to != netip.MustParseAddrPort("10.6.6.6:66") || acks[0].node != "asker" {
		t.Fatalf("acks %+v", acks)
	}
	var a wire.Ack
	if err := a.Decode(acks[0].msg[1:], nil); err != nil || a.Seq != 500 || len(a.Payload) != 0 {
		t.Errorf("ack %+v %v", a, err)
	}
}

func TestP10_UnsentPingHastens(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(5)
	ping := r.until(wire.TypePing)
	r.HandleSendFailed(r.now, addrOf(200))
	r.take()
	if n := len(r.of(wire.TypeIndirectPing)); n != 0 {
		t.Fatal("another address hastened the probe")
	}
	r.HandleSendFailed(r.now, ping.to)
	r.HandleSendFailed(r.now, ping.to)
	r.take()
	if n := len(r.of(wire.TypeIndirectPing)); n != 3 || len(r.traced(TracePingUnsent)) != 1 {
		t.Errorf("%d indirect pings, want 3; traces %+v", n, r.traces)
	}
	r.Each(func(m *Member) bool {
		if m.State != wire.StateAlive {
			t.Errorf("%s is %d by a hint alone", m.Name, m.State)
		}
		return true
	})
}

func TestP11_Nacks(t *testing.T) {
	r, _ := relayRig(t, true)
	r.run(499 * time.Millisecond)
	if n := len(r.of(wire.TypeNack)); n != 0 {
		t.Fatal("nack before the time-out")
	}
	r.run(5 * time.Second)
	nacks := r.of(wire.TypeNack)
	if len(nacks) != 1 || nacks[0].to != netip.MustParseAddrPort("10.6.6.6:66") {
		t.Fatalf("nacks %+v", nacks)
	}
	var n wire.Nack
	if err := n.Decode(nacks[0].msg[1:], nil); err != nil || n.Seq != 500 {
		t.Errorf("nack %+v %v", n, err)
	}

	r, seq := relayRig(t, true)
	r.in((&wire.Ack{Seq: seq}).AppendTo(nil))
	r.run(5 * time.Second)
	if n := len(r.of(wire.TypeNack)); n != 0 {
		t.Error("nack after an ack")
	}

	r, seq = relayRig(t, false)
	r.run(5 * time.Second)
	r.in((&wire.Ack{Seq: seq}).AppendTo(nil))
	if n := len(r.of(wire.TypeNack)) + len(r.of(wire.TypeAck)); n != 0 {
		t.Error("an answer that was not wanted, or too late")
	}

	// Nacks are wanted from version 4 on.
	r = newRig(t, quiet)
	for i := 1; i <= 4; i++ {
		a := aliveOf(i, 1)
		a.Versions.PMax = uint8(2 + i) // 3 to 6
		r.in(a.AppendTo(nil))
	}
	r.until(wire.TypeIndirectPing)
	for _, s := range r.of(wire.TypeIndirectPing) {
		var x wire.IndirectPing
		if err := x.Decode(s.msg[1:], nil); err != nil || x.Nack != (s.node != nameOf(1)) {
			t.Errorf("to %s: %+v %v", s.node, x, err)
		}
	}
}

func TestP12_SuspectLearnsWithTheNextPing(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(1)
	r.suspect(1, 1, "x")
	r.drain()
	r.forgetSent()
	ping := r.until(wire.TypePing)
	suspects := r.of(wire.TypeSuspect)
	if len(suspects) != 1 || suspects[0].pkt != ping.pkt || suspects[0].to != addrOf(1) {
		t.Fatalf("ping in packet %d, suspicions %+v", ping.pkt, suspects)
	}
	var s wire.Suspect
	if err := s.Decode(suspects[0].msg[1:], nil); err != nil || s != (wire.Suspect{Incarnation: 1, Node: nameOf(1), From: "self"}) {
		t.Errorf("suspicion %+v %v", s, err)
	}
}

func TestP13_PingOverAStream(t *testing.T) {
	for _, c := range []struct {
		pmax  uint8
		off   bool
		dials int
	}{{5, false, 1}, {3, false, 1}, {2, false, 0}, {5, true, 0}} {
		r := newRig(t, quiet, func(cfg *Config) { cfg.NoStreamPing = c.off })
		a := aliveOf(1, 1)
		a.Versions.PMax = c.pmax
		r.in(a.AppendTo(nil))
		ping := r.until(wire.TypePing)
		r.run(600 * time.Millisecond)
		if len(r.dials) != c.dials {
			t.Errorf("%+v: %d dials", c, len(r.dials))
		}
		for _, d := range r.dials {
			p := decodePing(t, d.Data)
			if d.To != addrOf(1) || d.NoReply || d.Timeout != 500*time.Millisecond || p.Seq != decodePing(t, ping.msg).Seq || p.Node != nameOf(1) {
				t.Errorf("dial %+v with %+v", d, p)
			}
		}
	}
}

func TestP14_AckOverAStream(t *testing.T) {
	ack := func(add uint32) func(seq uint32) ([]byte, error) {
		return func(seq uint32) ([]byte, error) { return (&wire.Ack{Seq: seq + add}).AppendTo(nil), nil }
	}
	for name, c := range map[string]struct {
		reply  func(seq uint32) ([]byte, error)
		saved  bool
		errors int
	}{
		"right":         {ack(0), true, 0},
		"wrong number":  {ack(1), false, 1},
		"no reply":      {func(uint32) ([]byte, error) { return nil, nil }, false, 1},
		"garbage":       {func(uint32) ([]byte, error) { return []byte{byte(wire.TypeAck), 0xc1}, nil }, false, 1},
		"another type":  {func(uint32) ([]byte, error) { return []byte{byte(wire.TypeNack)}, nil }, false, 1},
		"time-out":      {func(uint32) ([]byte, error) { return nil, errors.New("time-out") }, false, 1},
		"not connected": {func(uint32) ([]byte, error) { return nil, fmt.Errorf("%w: refused", ErrConnect) }, false, 0},
	} {
		r := newRig(t, quiet)
		r.peers(1)
		ping := r.until(wire.TypePing)
		r.run(500 * time.Millisecond)
		if len(r.dials) != 1 {
			t.Fatalf("%s: %d dials", name, len(r.dials))
		}
		r.run(100 * time.Millisecond)
		reply, err := c.reply(decodePing(t, ping.msg).Seq)
		r.HandleDialed(r.now, r.dials[0].ID, reply, err)
		r.take()
		if !r.probe.running() {
			t.Errorf("%s: the probe does not wait for packets any more", name)
		}
		r.run(400 * time.Millisecond)
		if saved := r.state(1) == wire.StateAlive; saved != c.saved || saved != (len(r.traced(TraceStreamOnly)) == 1) {
			t.Errorf("%s: state %d", name, r.state(1))
		}
		if n := len(r.traced(TraceStreamPingFailed)); n != c.errors {
			t.Errorf("%s: %d errors reported, want %d", name, n, c.errors)
		}
	}
}

func TestP15_UnansweredProbeMakesSuspect(t *testing.T) {
	for health := range 8 {
		r := newRig(t, quiet)
		r.in(aliveOf(1, 41).AppendTo(nil))
		r.drain()
		r.awareness.score = health
		r.forgetSent()
		r.until(wire.TypePing)
		span := time.Duration(health+1) * time.Second
		r.run(span - 1)
		r.wantState(1, wire.StateAlive)
		r.run(1)
		r.wantState(1, wire.StateSuspect)
		var s wire.Suspect
		for _, b := range r.drain() {
			if err := s.Decode(b[1:], nil); err != nil {
				t.Fatal(err)
			}
		}
		if s != (wire.Suspect{Incarnation: 41, Node: nameOf(1), From: "self"}) {
			t.Errorf("health %d: passed on %+v", health, s)
		}
	}
}

func TestP16_HealthFollowsProbes(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(5)
	r.until(wire.TypeIndirectPing)
	seq := r.probe.seq
	for range 2 {
		r.in((&wire.Nack{Seq: seq}).AppendTo(nil))
	}
	r.in((&wire.Nack{Seq: seq + 1}).AppendTo(nil))
	r.run(500 * time.Millisecond)
	if r.Health() != 1 {
		t.Errorf("one of three nacks is missing: health %d, want 1", r.Health())
	}
	r.acks = everybody
	r.run(10 * time.Second)
	if r.Health() != 0 {
		t.Errorf("all probes answered: health %d", r.Health())
	}
	r.acks = nil
	r.run(10 * time.Minute)
	if r.Health() != 7 {
		t.Errorf("no probe answered for long: health %d, want 7", r.Health())
	}
}

func TestP17_RefutingCostsHealth(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(1)
	for want := 1; want <= 3; want++ {
		r.in((&wire.Suspect{Incarnation: r.Local().Incarnation, Node: "self", From: "x"}).AppendTo(nil))
		if r.Health() != want {
			t.Errorf("health %d, want %d", r.Health(), want)
		}
	}
}

func TestP18_OneProbeAtATime(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(5)
	r.awareness.score = 3
	r.forgetSent()
	first := r.until(wire.TypePing)
	r.run(500 * time.Millisecond) // not scaled
	if len(r.of(wire.TypeIndirectPing)) != 3 {
		t.Error("the ping's own time-out was scaled")
	}
	r.run(3499 * time.Millisecond)
	if n := len(r.of(wire.TypePing)); n != 1 {
		t.Errorf("%d pings while one probe runs", n)
	}
	r.run(time.Millisecond) // it ends, and the tick that had to wait follows
	pings := r.of(wire.TypePing)
	if len(pings) != 2 || pings[1].at-first.at != 4*time.Second {
		t.Errorf("pings %+v", pings)
	}
}

func TestP19_OnlyDirectAcksGiveRoundTrips(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(4)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{30 * time.Millisecond, true}, {499 * time.Millisecond, true}, {600 * time.Millisecond, false}} {
		r.layer.pings = nil
		ping := r.until(wire.TypePing)
		r.run(c.after)
		r.in((&wire.Ack{Seq: decodePing(t, ping.msg).Seq, Payload: []byte("pay")}).AppendTo(nil))
		want := []string{fmt.Sprintf("%s %v pay", ping.node, c.after)}
		if !c.want {
			want = nil
		}
		if !slices.Equal(r.layer.pings, want) {
			t.Errorf("after %v: %q, want %q", c.after, r.layer.pings, want)
		}
	}
}
