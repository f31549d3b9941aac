package swim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// looks are who was asked to look at member i.
func (r *rig) looks(i int) (to []netip.AddrPort) {
	r.t.Helper()
	for _, s := range r.of(wire.TypeIndirectPing) {
		var p wire.IndirectPing
		if err := p.Decode(s.msg[1:], nil); err != nil {
			r.t.Fatal(err)
		}
		if p.Seq == 0 && p.Node == nameOf(i) {
			to = append(to, s.to)
		}
	}
	return to
}

// watchPingFrom is a watch's ping of member i.
func (r *rig) watchPingFrom(i int) {
	r.HandlePacket(r.now, addrOf(i), (&wire.Ping{Seq: 1, Node: "self", Native: 1}).AppendTo(nil))
	r.take()
}

// watchersOf are the numbers of those who watch a member.
func (r *rig) watchersOf(name string) (all []int) {
	r.members.watchersOf(r.members.get(name), r.local, func(w *member) {
		for i := 1; i < r.members.len(); i++ {
			if nameOf(i) == w.name {
				all = append(all, i)
			}
		}
	})
	return all
}

// P234: a watcher that does not ping when it was to is looked at by those who watch it, and
// by self if it is one of them.
func TestP234_WatchersAreMissed(t *testing.T) {
	for _, n := range []int{2, 9} {
		r := watched(t, n)
		x := r.watchersOf("self")[0]
		r.acks = func(to netip.AddrPort) bool { return true }
		r.watchPingFrom(x)
		r.forgetSent()
		r.run(r.slots.by[0].at - r.clock.awake() + r.timing.late - 1)
		if n := r.Counts().MissedSlots; n != 0 {
			t.Errorf("%d are missed too soon", n)
		}
		before := len(r.pingsTo(x))
		r.run(1)
		if n := r.Counts().MissedSlots; n != 1 {
			t.Errorf("%d are missed", n)
		}
		asked, mine := r.looks(x), r.watches.of(r.members.get(nameOf(x))) != nil
		if want := len(r.watchersOf(nameOf(x))); mine && (len(asked) != 0 || len(r.pingsTo(x)) == before) || !mine && len(asked) != want {
			t.Errorf("%d natives: %d asked of %d, watched by self: %v", n, len(asked), want, mine)
		}
		r.watchPingFrom(x)
		r.in((&wire.Dead{Incarnation: 1, Node: nameOf(x), From: nameOf(x)}).AppendTo(nil))
		r.run(time.Minute)
		if n := r.Counts().MissedSlots; n != 1 {
			t.Error("one that left is missed")
		}
	}
}

// P234: who is asked to look pings at once, says nothing to who asked, and is not made
// to ping more often than that.
func TestP234_LooksWhenAsked(t *testing.T) {
	r := watched(t, 2)
	ask := (&wire.IndirectPing{Target: addrOf(1), Node: nameOf(1), Source: addrOf(2), SourceNode: nameOf(2)}).AppendTo(nil)
	r.run(r.watches.of(r.members.get(nameOf(1))).due - r.clock.awake() - r.timing.every/2)
	r.forgetSent()
	for range 100 {
		r.in(ask)
	}
	if n := len(r.pingsTo(1)); n != 1 || len(r.sent) != 1 {
		t.Errorf("%d pings, %d messages", n, len(r.sent))
	}
	r.in((&wire.IndirectPing{Target: addrOf(7), Node: "unknown"}).AppendTo(nil))
	if len(r.sent) != 1 {
		t.Error("a stranger is pinged")
	}
	plain := newRig(t, quiet)
	plain.peers(1)
	plain.in(ask)
	if len(plain.pingsTo(1)) != 1 {
		t.Error("a plain one does not relay it")
	}
}

// P194: a connected stream without an answer is enough, but not to who is late itself.
func TestP194_HangIsSeenSoon(t *testing.T) {
	for _, late := range []time.Duration{0, 2 * ownLate} {
		r := watched(t, 3)
		r.acks = func(to netip.AddrPort) bool { return to != addrOf(1) }
		r.look(r.watches.of(r.members.get(nameOf(1))))
		r.take()
		began := r.now
		for r.phaseOf(1) != watchInquiry {
			r.now = r.Deadline()
			r.HandleTimeout(r.now)
			r.take()
		}
		d := r.dialTo(1)
		if d.Timeout != r.timing.hang {
			t.Errorf("the stream has %v", d.Timeout)
		}
		r.now = r.Deadline().Add(late)
		r.HandleDialed(r.now, d.ID, nil, ErrUnanswered)
		r.take()
		if degraded := r.Member(nameOf(1)).Degraded; degraded != (late == 0) {
			t.Errorf("late by %v: degraded %v after %v", late, degraded, r.now.Sub(began))
		}
		r.run(r.timing.burst + streamGrace)
		if m := r.Member(nameOf(1)); !m.Degraded || m.Verdict != wire.VerdictHung {
			t.Errorf("late by %v: %+v in the end", late, m)
		}
	}
}
