package swim

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// farewells are the pings that came in one packet with this node's leave, by addressee.
func (r *rig) farewells() map[netip.AddrPort]uint32 {
	leaves := make(map[int]bool)
	for _, s := range r.of(wire.TypeDead) {
		var d wire.Dead
		if err := d.Decode(s.msg[1:], nil); err != nil || d.Node != "self" || d.From != "self" {
			r.t.Errorf("%+v %v", d, err)
		}
		leaves[s.pkt] = true
	}
	got := make(map[netip.AddrPort]uint32)
	for _, s := range r.of(wire.TypePing) {
		if leaves[s.pkt] {
			got[s.to] = decodePing(r.t, s.msg).Seq
		}
	}
	return got
}

// P238: a leave is known when all who are there have answered the ping that came with it;
// who does not answer is asked again, who goes meanwhile is not waited for.
func TestP238_LeaveIsAnswered(t *testing.T) {
	r := watched(t, 5)
	r.acks = nil
	r.Leave(r.now)
	r.take()
	asked := r.farewells()
	if len(asked) != 5 || r.LeaveKnown() {
		t.Fatalf("asked are %v, known: %v", asked, r.LeaveKnown())
	}
	for i := 1; i <= 3; i++ {
		for range 2 { // a second answer is none
			r.in((&wire.Ack{Seq: asked[addrOf(i)], Native: 1}).AppendTo(nil))
		}
		if r.LeaveKnown() {
			t.Errorf("known after %d answers", i)
		}
	}
	r.forgetSent()
	r.run(farewellAgain - time.Millisecond)
	if n := len(r.farewells()); n != 0 {
		t.Errorf("%d are asked again too early", n)
	}
	r.run(time.Millisecond)
	if again := r.farewells(); len(again) != 2 || again[addrOf(4)] != asked[addrOf(4)] || again[addrOf(5)] != asked[addrOf(5)] {
		t.Errorf("asked again are %v", again)
	}
	r.in((&wire.Ack{Seq: asked[addrOf(4)], Native: 1}).AppendTo(nil))
	r.forgetSent()
	r.run(2*farewellAgain + farewellSlow)
	if again := r.farewells(); len(again) != 1 || again[addrOf(5)] == 0 {
		t.Errorf("asked again are %v", again)
	}
	r.in((&wire.Dead{Incarnation: 1, Node: nameOf(5), From: nameOf(1)}).AppendTo(nil))
	r.run(farewellSlow)
	if !r.LeaveKnown() {
		t.Error("it waits for one that is dead")
	}
}

// A plain member knows no such answer, and does not give it for what Serf has queued.
func TestP238_NotWithPlainMembers(t *testing.T) {
	r := watched(t, 3)
	r.in(nativeAlive("p", 9, 1, 0))
	r.forgetSent()
	r.Leave(r.now)
	r.take()
	if got := r.farewells(); len(got) != 0 || r.LeaveKnown() {
		t.Errorf("asked are %v", got)
	}
	for _, plain := range []bool{false, true} { // alone
		r := newRig(t, func(c *Config) { c.Plain = plain })
		r.Leave(r.now)
		if r.LeaveKnown() == plain {
			t.Errorf("plain %v: known %v", plain, !plain)
		}
	}
}

// P238: many are asked in turns, and too many not at all.
func TestP238_ManyAreAskedInTurns(t *testing.T) {
	for _, n := range []int{farewellBatch + 1, farewellMost + 1} {
		r := newNativeRig(t, quiet)
		r.natives(n)
		r.forgetSent()
		r.Leave(r.now)
		r.take()
		want := farewellBatch
		if n > farewellMost {
			want = 0
		}
		if got := len(r.farewells()); got != want {
			t.Errorf("of %d %d are asked at once", n, got)
		}
		r.run(spreadGap)
		if got := len(r.farewells()); want > 0 && got != n {
			t.Errorf("of %d %d are asked after a gap", n, got)
		}
	}
}

// leaver is a rig with a native that it watches and that has left, and its link.
func leaver(t *testing.T) (r *rig, name string, link LinkID) {
	r = watched(t, 5)
	w := r.watches.list[0]
	name, link = w.e.name, w.link.id
	if !w.link.up {
		t.Fatal("no link")
	}
	r.layer.log = nil
	r.in((&wire.Dead{Incarnation: 1, Node: name, From: name}).AppendTo(nil))
	r.wantLog("left " + name)
	r.forgetSent()
	return r, name, link
}

// endTold is how often it was told that the process of a member that left has ended.
func (r *rig) endTold(name string) (n int) {
	for _, s := range r.of(wire.TypeDead) {
		var d wire.Dead
		if err := d.Decode(s.msg[1:], nil); err == nil && d.Node == name && d.From == name && d.Verdict == wire.VerdictCrashed {
			n++
		}
	}
	return n
}

// P239: the link to a native that left is kept, and its end is told.
func TestP239_EndOfALink(t *testing.T) {
	refused := errors.Join(ErrConnect, ErrRefused)
	for _, c := range []struct {
		after time.Duration // the leave
		event LinkEvent
		err   error
		ends  bool
	}{
		{0, LinkBroken, nil, true},
		{ringSoon / 2, LinkBroken, nil, true},
		{5 * ringSoon, LinkBroken, nil, true},
		{5 * ringSoon, LinkFailed, refused, true},
		{5 * ringSoon, LinkFailed, ErrConnect, false},
		{lingersFor - time.Millisecond, LinkBroken, nil, true},
		{lingersFor + ringSoon, LinkBroken, nil, false},
	} {
		r, name, link := leaver(t)
		r.run(c.after)
		closed := slices.ContainsFunc(r.links, func(o LinkOrder) bool { return o.Close && o.ID == link })
		if closed != (c.after > lingersFor) {
			t.Errorf("%v after the leave: closed %v", c.after, closed)
		}
		r.HandleLink(r.now, link, c.event, nil, c.err)
		r.take()
		r.run(2 * spreadGap)
		if got := slices.Contains(r.layer.log, "ended "+name); got != c.ends || r.endTold(name) > 0 != c.ends {
			t.Errorf("%+v: ended %v, told %d times", c, got, r.endTold(name))
		}
		if v := r.Member(name); v.State != wire.StateLeft || v.Verdict != wire.VerdictNone {
			t.Errorf("it is listed as %v, %v", v.State, v.Verdict)
		}
	}
}

// P239: one hears of it from others once, with the leave or after it, and passes it on.
func TestP239_EndIsPassedOn(t *testing.T) {
	r := watched(t, 5)
	r.layer.log = nil
	name := nameOf(2)
	ended := &wire.Dead{Incarnation: 1, Node: name, From: name, Verdict: wire.VerdictCrashed}
	r.in(ended.AppendTo(nil))
	r.in(ended.AppendTo(nil))
	r.wantLog("left "+name, "ended "+name)
	r.run(2 * spreadGap)
	if r.endTold(name) == 0 {
		t.Error("it is not passed on")
	}
	r.layer.log = nil
	r.in((&wire.Dead{Incarnation: 0, Node: nameOf(3), From: nameOf(3), Verdict: wire.VerdictCrashed}).AppendTo(nil))
	r.wantLog()
	// In a new life it is a member as before.
	r.in(nativeAlive(name, 2, 2, 1))
	r.in((&wire.Dead{Incarnation: 2, Node: name, From: name}).AppendTo(nil))
	r.wantLog("joined "+name, "left "+name)
	// A plain node passes over it.
	plain := newRig(t, quiet)
	plain.peers(2)
	plain.layer.log = nil
	plain.in((&wire.Dead{Incarnation: 1, Node: nameOf(1), From: nameOf(1), Verdict: wire.VerdictCrashed}).AppendTo(nil))
	plain.wantLog("left " + nameOf(1))
}

// P172: a node that is about to end contradicts nothing.
func TestP172_RefutesNothing(t *testing.T) {
	for _, plain := range []bool{false, true} {
		r := newRig(t, quiet, func(c *Config) { c.Plain = plain })
		r.in(nativeAlive(nameOf(1), 1, 1, 0))
		r.run(time.Second)
		r.forgetSent()
		r.End()
		before := r.Local().Incarnation
		r.in((&wire.Suspect{Incarnation: 9, Node: "self", From: nameOf(1)}).AppendTo(nil))
		r.in((&wire.Dead{Incarnation: 9, Node: "self", From: nameOf(1)}).AppendTo(nil))
		r.in(nativeAlive("self", 0, 9, 0))
		r.run(time.Second)
		if n := len(r.of(wire.TypeAlive)); n != 0 || r.Local().Incarnation != before || r.Local().State != wire.StateAlive {
			t.Errorf("plain %v: %d refutations, it is %+v", plain, n, r.Local())
		}
	}
}
