package swim

import (
	"math/rand/v2"
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
	r.members.watchersOf(r.members.get(name), r.local, r.passedBy, func(w *member) {
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

// The native paths of a quiet cluster allocate nothing: a ping of a watch and its answer, a
// tick of a watch, and news passed on.
func TestNativePathsDoNotAllocate(t *testing.T) {
	m, pings := quietNative(t)
	now := epoch
	ping := (&wire.Ping{Seq: 9, Node: "self", Native: 1}).AppendTo(nil)
	ack := wire.Ack{Native: 1, Wait: 60}
	var msg []byte
	// pass lets time pass; all that self pings answer.
	pass := func(d time.Duration) (answers int) {
		for until := now.Add(d); now.Before(until); {
			if now = until; m.Deadline().Before(until) {
				now = m.Deadline()
			}
			m.HandleTimeout(now)
			for _, seq := range pings() {
				ack.Seq = seq
				msg = ack.AppendTo(msg[:0])
				m.HandlePacket(now, addrOf(1), msg)
				m.Output()
				answers++
			}
		}
		return answers
	}
	for _, c := range []struct {
		what string
		f    func()
	}{
		{"a ping of a watcher is answered", func() {
			m.HandlePacket(now, addrOf(1), ping)
			if len(m.Output().Packets) != 1 {
				t.Error("it was not")
			}
		}},
		{"watched members are pinged and answer", func() {
			if pass(2*time.Second) < watchersEach {
				t.Error("they were not")
			}
		}},
		{"news is passed on", func() {
			pass(2 * spreadGap)
			m.begin(now)
			m.announce()
			if n := len(m.Output().Packets); n < ringCount || m.queue.Fresh() != 0 {
				t.Errorf("in %d packets", n)
			}
		}},
	} {
		for range 100 {
			c.f()
		}
		if n := testing.AllocsPerRun(200, c.f); n != 0 {
			t.Errorf("%s: %v allocations", c.what, n)
		}
	}
}

// quietNative is a native among nine others, and what gives the numbers of the pings in
// its output.
func quietNative(t *testing.T) (m *Machine, pings func() []uint32) {
	cfg := LAN()
	quiet(&cfg)
	cfg.Name, cfg.Addr, cfg.ProbeInterval = "self", addrOf(0), 1000*time.Hour
	m, err := New(cfg, silent{}, rand.New(rand.NewPCG(1, 2)), epoch)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 9; i++ {
		m.HandlePacket(epoch, other, nativeAlive(nameOf(i), i, 1, 1))
		m.Output()
	}
	var p wire.Ping
	var seqs []uint32
	return m, func() []uint32 {
		seqs = seqs[:0]
		for _, x := range m.Output().Packets {
			if wire.Type(x.Data[0]) == wire.TypePing && p.Decode(x.Data[1:], m) == nil {
				seqs = append(seqs, p.Seq)
			}
		}
		return seqs
	}
}
