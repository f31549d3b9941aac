package swim

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// spreadRig is a native rig that knows natives b, c, … and has told all of it.
func spreadRig(t *testing.T, others int) *rig {
	r := newNativeRig(t, quiet)
	for i := range others {
		r.in(nativeAlive(string(rune('b'+i)), i+1, 1, wire.NativeVersion))
	}
	r.run(10 * time.Millisecond)
	r.sent = nil
	return r
}

// to counts the packets with a message of that type that went to each address.
func (r *rig) to(typ wire.Type) map[string]int {
	out := map[string]int{}
	for _, s := range r.sent {
		if s.typ() == typ {
			out[s.to.String()]++
		}
	}
	return out
}

// P220: news leaves with the output of the input that brought it, but not to
// whoever told it.
func TestP220_SpreadAtOnce(t *testing.T) {
	r := spreadRig(t, 2)
	suspect := wire.Suspect{Incarnation: 1, Node: "b", From: "c"}
	r.HandlePacket(r.now, addrOf(2), suspect.AppendTo(nil))
	r.take()
	got := r.to(wire.TypeSuspect)
	if len(got) != 1 || got[addrOf(1).String()] != 1 {
		t.Fatalf("the suspicion that c told went to %v, want to b once", got)
	}
	// Again it is no news.
	r.HandlePacket(r.now, addrOf(2), suspect.AppendTo(nil))
	if r.take(); len(r.to(wire.TypeSuspect)) != 1 || len(r.sent) != 1 {
		t.Errorf("told again, it sent %v", r.sent)
	}
}

// P220: what comes within a millisecond of a sending goes together after it.
func TestP220_SpreadInBatches(t *testing.T) {
	r := spreadRig(t, 3)
	r.pkts = 0
	for i := range 20 {
		r.now = r.now.Add(50 * time.Microsecond)
		r.in(nativeAlive("x"+string(rune('a'+i)), 10+i, 1, 0))
	}
	r.run(2 * time.Millisecond)
	if got := len(r.sent); got < 20 {
		t.Fatalf("sent %d messages", got)
	}
	if most := 3 * (ringCount + maxPlainTargets); r.pkts > most {
		t.Errorf("20 news in a millisecond made %d packets, want at most %d", r.pkts, most)
	}
}

// P221: deaths go before what came earlier, and so does what was said lately of others (P294).
func TestP221_DeathsFirst(t *testing.T) {
	r := spreadRig(t, 3)
	// A packet's worth of joins, and more, waits for the gap to pass.
	r.in((&wire.Suspect{Incarnation: 1, Node: "b", From: "z"}).AppendTo(nil))
	r.sent = nil
	for i := range 12 {
		a := nativeAlive("x"+string(rune('a'+i)), 10+i, 1, 1)
		r.HandlePacket(r.now, other, a)
	}
	r.in((&wire.Dead{Incarnation: 1, Node: "c", From: "z"}).AppendTo(nil))
	r.run(2 * time.Millisecond)
	seen := map[string]bool{}
	for _, s := range r.sent {
		if key := s.to.String(); !seen[key] {
			seen[key] = true
			if s.typ() != wire.TypeDead && s.typ() != wire.TypeSuspect {
				t.Errorf("to %s a message of type %d went first", key, s.typ())
			}
		}
	}
	if len(seen) == 0 {
		t.Error("nothing was sent")
	}
}

// P222: when there is more than fits, the membership and the layer have half of
// a packet each.
func TestP222_FairShare(t *testing.T) {
	r := spreadRig(t, 1)
	r.in((&wire.Suspect{Incarnation: 1, Node: "b", From: "z"}).AppendTo(nil)) // begins the gap
	r.sent, r.pkts = nil, 0
	for i := range 60 {
		r.layer.casts.PushFresh("", append([]byte{byte(wire.TypeUser)}, bytes.Repeat([]byte{byte(i)}, 99)...), false, nil)
	}
	for i := range 60 {
		r.HandlePacket(r.now, other, nativeAlive("x"+string(rune('a'+i)), 10+i, 1, 0))
	}
	r.News(r.now, other)
	r.take()
	r.run(2 * time.Millisecond)
	first := map[bool]int{}
	for _, s := range r.sent {
		if s.pkt == r.sent[0].pkt {
			first[s.typ() == wire.TypeUser] += len(s.msg)
		}
	}
	if first[true] < 400 || first[false] < 400 {
		t.Errorf("the first packet had %d bytes of the layer's and %d of the membership's", first[true], first[false])
	}
}

// P223: after the eager sending, rounds of gossip send a few copies and no more.
func TestP223_Repairs(t *testing.T) {
	r := newNativeRig(t, func(c *Config) { c.PushPullInterval = 1000 * time.Hour })
	r.acks = func(netip.AddrPort) bool { return true }
	for i := range 9 {
		r.in(nativeAlive(string(rune('b'+i)), i+1, 1, wire.NativeVersion))
	}
	r.run(5 * time.Second)
	r.sent = nil
	count := func() (n int) {
		for _, k := range r.to(wire.TypeAlive) {
			n += k
		}
		return n
	}
	r.in(nativeAlive("x", 20, 1, 0))
	eager := count()
	r.run(time.Second)
	if total := count(); eager == 0 || total != eager+r.cfg.repairs() {
		t.Errorf("%d copies were sent, want %d at once and %d as repair", total, eager, r.cfg.repairs())
	}
}

// P224: a ping to a native carries no broadcasts, one to a plain member does.
func TestP224_NothingRidesToNatives(t *testing.T) {
	for _, native := range []uint8{0, wire.NativeVersion} {
		r := newNativeRig(t, quiet)
		r.in(nativeAlive("b", 1, 1, native))
		r.run(50 * time.Millisecond)
		r.sent = nil
		for i := range 4 {
			r.in(nativeAlive("x"+string(rune('a'+i)), 10+i, 1, 1))
		}
		r.run(5 * time.Millisecond)
		r.sent = nil
		p := wire.Ping{Seq: 7, Node: "self", Source: addrOf(1), SourceNode: "b", Native: native}
		r.in(p.AppendTo(nil))
		alive := r.to(wire.TypeAlive)[addrOf(1).String()]
		if (alive > 0) != (native == 0) {
			t.Errorf("native version %d: the ack carried %d broadcasts", native, alive)
		}
	}
}

// P225: among natives a leave is told with the next output.
func TestP225_LeaveAtOnce(t *testing.T) {
	r := spreadRig(t, 3)
	r.Leave(r.now)
	r.take()
	if got := r.to(wire.TypeDead); len(got) == 0 || !r.LeaveSent() {
		t.Errorf("the leave went to %v; told: %v", got, r.LeaveSent())
	}
	r = spreadRig(t, 2)
	r.in(nativeAlive("p", 7, 1, 0))
	r.Leave(r.now)
	if r.take(); r.LeaveSent() {
		t.Error("with a plain member the rounds of gossip are waited for")
	}
}

// P233: a native at rest has no rounds of gossip; news begins them, and they end
// when all of it was sent often enough.
func TestP233_NoRoundsAtRest(t *testing.T) {
	r := newNativeRig(t, quiet, func(c *Config) { c.GossipInterval = LAN().GossipInterval })
	r.acks = func(netip.AddrPort) bool { return true }
	r.natives(3)
	r.run(10 * time.Second)
	rest := r.Counts().Gossips
	r.run(time.Minute)
	if n := r.Counts().Gossips; n != rest {
		t.Errorf("%d rounds in a minute of rest", n-rest)
	}
	if err := r.SetMeta(r.now, []byte("new")); err != nil {
		t.Fatal(err)
	}
	r.take()
	r.run(10 * time.Second)
	if n := r.Counts().Gossips - rest; n < 1 || n > 20 {
		t.Errorf("%d rounds for one piece of news", n)
	}
}
