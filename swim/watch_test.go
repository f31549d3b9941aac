package swim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// natives makes members 1 to n known as natives, and lets self look around.
func (r *rig) natives(n int) {
	for i := 1; i <= n; i++ {
		r.in(nativeAlive(nameOf(i), i, 1, 1))
	}
	r.drain()
	r.run(2 * ringSoon)
	r.forgetSent()
}

// pingsTo are the pings sent to member i.
func (r *rig) pingsTo(i int) (pings []sent) {
	for _, s := range r.of(wire.TypePing) {
		if s.to == addrOf(i) {
			pings = append(pings, s)
		}
	}
	return pings
}

// P193: who is watched is pinged evenly and briefly, and the answer is as brief.
func TestP193_WatchPings(t *testing.T) {
	r := newNativeRig(t, quiet, func(c *Config) { c.ProbeInterval = 1000 * time.Hour })
	r.acks = func(netip.AddrPort) bool { return true }
	r.natives(2)
	r.run(30 * time.Second)
	for i := 1; i <= 2; i++ {
		pings := r.pingsTo(i)
		// Two natives watch each of three: a ping each 1.2 s.
		if n := len(pings); n < 24 || n > 26 {
			t.Errorf("%d pings in 30 s to member %d", n, i)
		}
		if p := decodePing(t, pings[0].msg); p.SourceNode != "" || p.Source.IsValid() || p.Native == 0 || p.Node != nameOf(i) {
			t.Errorf("a watch's ping is %+v", p)
		}
		if w := r.watches.of(r.members.get(nameOf(i))); w.rtt == 0 || w.patience(&r.timing, r.cfg.ProbeTimeout) != r.timing.answer {
			t.Errorf("the round trip is %v, the time-out %v", w.rtt, w.patience(&r.timing, r.cfg.ProbeTimeout))
		}
	}
	r.layer.ack = []byte("payload")
	for _, c := range []struct {
		ping wire.Ping
		want string
	}{
		{wire.Ping{Seq: 1, Node: "self", Native: 1}, ""},
		{wire.Ping{Seq: 2, Node: "self", Native: 1, SourceNode: nameOf(1), Source: addrOf(1)}, "payload"},
		{wire.Ping{Seq: 3, Node: "self"}, "payload"},
	} {
		r.forgetSent()
		r.in(c.ping.AppendTo(nil))
		var a wire.Ack
		if err := a.Decode(r.of(wire.TypeAck)[0].msg[1:], nil); err != nil || string(a.Payload) != c.want || a.Seq != c.ping.Seq {
			t.Errorf("%+v is answered by %+v, %v", c.ping, a, err)
		}
	}
}

// P193: the time-out follows the round trips.
func TestP193_TimeoutFollows(t *testing.T) {
	r := newNativeRig(t, quiet)
	w := &watch{}
	if d := w.patience(&r.timing, r.cfg.ProbeTimeout); d != r.cfg.ProbeTimeout {
		t.Errorf("before any answer: %v", d)
	}
	for range 50 {
		w.measured(200 * time.Microsecond)
	}
	if d := w.patience(&r.timing, r.cfg.ProbeTimeout); d != r.timing.answer {
		t.Errorf("near: %v", d)
	}
	for range 50 {
		w.measured(120 * time.Millisecond)
	}
	if d := w.patience(&r.timing, r.cfg.ProbeTimeout); d < 120*time.Millisecond || d > 200*time.Millisecond {
		t.Errorf("far: %v", d)
	}
	w.measured(time.Minute)
	if d := w.patience(&r.timing, r.cfg.ProbeTimeout); d != r.cfg.ProbeTimeout {
		t.Errorf("very far: %v", d)
	}
}

// P193: an answer that comes when others have been asked counts for the time-out too, if it
// is the member's own.
func TestP193_LateAnswersCount(t *testing.T) {
	for _, own := range []bool{true, false} {
		r := watched(t, 3)
		w := r.watches.of(r.members.get(nameOf(1)))
		before := w.rtt
		r.acks = func(to netip.AddrPort) bool { return to != addrOf(1) }
		for !w.inquiry.asked {
			r.run(time.Millisecond)
		}
		r.run(50 * time.Millisecond)
		from := other
		if own {
			from = addrOf(1)
		}
		r.HandlePacket(r.now, from, (&wire.Ack{Seq: w.seq, Native: 1}).AppendTo(nil))
		r.take()
		if w.phase != watchIdle || (w.rtt > before+10*time.Millisecond) != own {
			t.Errorf("own %v: phase %d, round trip %v, before %v", own, w.phase, w.rtt, before)
		}
	}
	// One that was stopped for a while does not make the time-out as long.
	r := watched(t, 3)
	w := r.watches.of(r.members.get(nameOf(1)))
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(1) }
	for !w.inquiry.asked {
		r.run(time.Millisecond)
	}
	r.run(300 * time.Millisecond)
	r.HandlePacket(r.now, addrOf(1), (&wire.Ack{Seq: w.seq, Native: 1}).AppendTo(nil))
	r.take()
	if d := w.patience(&r.timing, r.cfg.ProbeTimeout); d > 2*lateMost*r.timing.answer {
		t.Errorf("the time-out is %v after a pause of 300 ms", d)
	}
}

// P197: the parts add up to the bound.
func TestP197_TimesAddUp(t *testing.T) {
	for _, c := range []struct {
		cfg          Config
		silent, hung time.Duration
	}{
		{LAN(), silentWithin, hungWithin},
		{Local(), silentWithin, hungWithin},
		{WAN(), 6 * silentWithin, 6 * hungWithin},
		{Config{DetectWithin: MinDetectWithin}, MinDetectWithin, MinDetectWithin},
		{Config{DetectWithin: time.Second}, time.Second, time.Second},
		{Config{DetectWithin: time.Minute}, time.Minute, time.Minute},
	} {
		cfg := c.cfg.withDefaults()
		tm := newTiming(&cfg)
		seen := tm.every + tm.answer + tm.burst
		if seen+tm.silent.most != c.silent || tm.every+tm.answer+tm.hang+tm.hung.most != c.hung {
			t.Errorf("%v: %+v", c.cfg.DetectWithin, tm)
		}
		for _, d := range []time.Duration{tm.every, tm.answer, tm.burst, tm.again, tm.hang, tm.late, tm.silent.least, tm.hung.least, tm.crashed.least} {
			if d <= 0 {
				t.Errorf("%v: %+v", c.cfg.DetectWithin, tm)
			}
		}
		if p := cfg.Patience(); p >= c.hung || p < c.hung/5 {
			t.Errorf("%v: a pause of %v is allowed", c.cfg.DetectWithin, p)
		}
	}
	bad := Config{Name: "x", Addr: addrOf(1), DetectWithin: time.Millisecond}
	if err := bad.Validate(); err == nil {
		t.Error("a millisecond is taken")
	}
}

// Who gets no answer from a native that answers others says so, now and then, and accuses
// nobody.
func TestOnlyAround(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		w.add(func(c *Config) { c.Plain = false })
	}
	for _, x := range w.nodes[1:] {
		x.Join(w.now, w.nodes[0].addr, "")
		w.settle(x)
		w.run(50 * hop)
	}
	w.run(10 * time.Second)
	a, b := w.nodes[0], w.nodes[1]
	if n := a.count(TraceIndirectOnly); n > 0 {
		t.Errorf("noted %d times while all ways were good", n)
	}
	w.drop = func(from, to *node, _ []byte) bool { return from == b && to == a }
	w.noDial = func(from, to *node) bool { return from == a && to == b || from == b && to == a }
	w.run(35 * time.Second)
	if n := a.count(TraceIndirectOnly) + b.count(TraceIndirectOnly); n < 2 || n > 8 {
		t.Errorf("noted %d times in 35 s", n)
	}
	for _, x := range w.nodes {
		if x != a && x != b && x.count(TraceIndirectOnly) > 0 {
			t.Errorf("%s noted it too", x.Local().Name)
		}
		if x.count(TraceSuspect) > 0 {
			t.Errorf("%s accused somebody", x.Local().Name)
		}
	}
}
