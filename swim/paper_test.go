package swim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// One test per statement of docs/protocol.md that is about this package; here: the rest: leaving, restarting, framing, the machine itself.

func dump(n *node) string {
	var b strings.Builder
	n.Each(func(m *Member) bool {
		fmt.Fprintf(&b, "%s %v %d %d %s\n", m.Name, m.Addr, m.State, m.Incarnation, m.Changed.Sub(epoch))
		return true
	})
	return b.String()
}

func TestP60_LeaveIsADeadByItself(t *testing.T) {
	r := newRig(t, func(c *Config) { c.PushPullInterval = 1000 * time.Hour })
	r.peers(3)
	r.acks = everybody
	if r.LeaveSent() {
		t.Error("sent before it began")
	}
	r.Leave(r.now)
	if r.LeaveSent() {
		t.Error("sent at once")
	}
	r.wantLog("left self")
	r.Leave(r.now)
	r.wantLog()
	for i := 0; !r.LeaveSent(); i++ {
		if i > 50 {
			t.Fatal("never sent")
		}
		r.run(100 * time.Millisecond)
	}
	deads := r.of(wire.TypeDead)
	if len(deads) != 4 {
		t.Errorf("sent %d times, want 4", len(deads))
	}
	var d wire.Dead
	if err := d.Decode(deads[0].msg[1:], nil); err != nil || d != (wire.Dead{Incarnation: 1, Node: "self", From: "self"}) {
		t.Errorf("%+v %v", d, err)
	}
	// It goes on answering.
	r.forgetSent()
	r.in((&wire.Ping{Seq: 1, Node: "self"}).AppendTo(nil))
	if len(r.of(wire.TypeAck)) != 1 {
		t.Error("no answer after leaving")
	}
	alone := newRig(t)
	alone.Leave(alone.now)
	if !alone.LeaveSent() {
		t.Error("nobody to tell, but not sent")
	}
}

func TestP68_RestartedNodeIsSeenAgain(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster(4)
	ns[3].down = true
	w.run(25 * time.Second)
	for _, n := range ns[:3] {
		if n.state(ns[3]) != wire.StateDead {
			t.Fatalf("%s: state %d", n.Local().Name, n.state(ns[3]))
		}
	}
	// Its name and address again, and incarnation 1, as if it had never been.
	again := w.add(func(c *Config) { c.Name, c.Addr = nameOf(4), addrOf(4) })
	again.Join(w.now, ns[0].addr, "")
	w.run(2 * time.Second)
	for _, n := range ns[:3] {
		if n.state(again) != wire.StateAlive {
			t.Errorf("%s: state %d", n.Local().Name, n.state(again))
		}
		if last := n.layer.log[len(n.layer.log)-1]; last != "joined node4" {
			t.Errorf("%s: %q", n.Local().Name, n.layer.log)
		}
	}
	if again.NumAlive() != 4 {
		t.Errorf("it knows %d", again.NumAlive())
	}
}

func TestP69_TheGoneAreForgotten(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(4)
	r.acks = everybody
	r.dead(1, 1, "x")
	r.dead(2, 1, nameOf(2))
	r.run(30 * time.Second)
	if r.NumMembers() != 5 {
		t.Errorf("%d members after 30 s, want 5", r.NumMembers())
	}
	r.run(10 * time.Second)
	if r.NumMembers() != 3 || r.Member(nameOf(1)) != nil || r.Member(nameOf(2)) != nil {
		t.Errorf("%d members after 40 s, want 3", r.NumMembers())
	}
	if err := r.members.check(); err != nil {
		t.Error(err)
	}
	// Self stays, even when it left.
	r.Leave(r.now)
	r.run(time.Minute)
	if m := r.Member("self"); m == nil || m.State != wire.StateLeft {
		t.Errorf("self is %+v", m)
	}
}

func TestP115_MetadataTravelsWithTheMember(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster(3)
	if err := ns[0].SetMeta(w.now, bytes.Repeat([]byte("x"), wire.MetaMax+1)); !errors.Is(err, ErrMetaTooLong) {
		t.Errorf("error %v", err)
	}
	meta := bytes.Repeat([]byte("y"), wire.MetaMax)
	before := ns[0].Local().Incarnation
	if err := ns[0].SetMeta(w.now, meta); err != nil {
		t.Fatal(err)
	}
	if ns[0].Local().Incarnation <= before {
		t.Error("incarnation did not rise")
	}
	w.run(2 * time.Second)
	for _, n := range ns {
		if m := n.Member(nameOf(1)); !bytes.Equal(m.Meta, meta) || !slices.Equal(n.layer.log, []string{"updated node1"}) {
			t.Errorf("%s: %d bytes, %q", n.Local().Name, len(m.Meta), n.layer.log)
		}
	}
}

func TestP136_ChecksumWhereUnderstood(t *testing.T) {
	r := newRig(t, quiet)
	for i, pmax := range []uint8{4, 5} {
		a := aliveOf(i+1, 1)
		a.Versions.PMax = pmax
		r.in(a.AppendTo(nil))
	}
	r.acks = everybody
	for range 6 {
		r.until(wire.TypePing)
	}
	for i := 1; i <= 3; i++ {
		r.SendUser(addrOf(i), nameOf(i), []byte("hello"))
	}
	r.take()
	for _, s := range r.sent {
		if s.crc != (s.node == nameOf(2)) {
			t.Errorf("packet to %s: checksum %v", s.node, s.crc)
		}
	}
	bad := wire.AppendCRC(nil, aliveOf(3, 1).AppendTo(nil))
	bad[len(bad)-1]++
	r.in(bad)
	r.wantState(3, wire.NodeStateUnknown)
	if r.Drops()[DropCRC] != 1 {
		t.Error("not counted")
	}
	r.in(wire.AppendCRC(nil, aliveOf(3, 1).AppendTo(nil)))
	r.wantState(3, wire.StateAlive)
}

func TestP140_TooMuchMetadata(t *testing.T) {
	r := newRig(t, quiet)
	a := aliveOf(1, 1)
	a.Meta = make([]byte, wire.MetaMax+1)
	r.in(a.AppendTo(nil))
	r.wantState(1, wire.NodeStateUnknown)
	if d := r.Drops(); d[DropMeta]+d[DropLimit] != 1 {
		t.Errorf("drops %v", d)
	}
}

func TestP141_AddressesThatAreNone(t *testing.T) {
	r := newRig(t, quiet)
	a := aliveOf(1, 1)
	a.Addr = netip.AddrPortFrom(netip.Addr{}, 7946)
	r.in(a.AppendTo(nil))
	r.wantState(1, wire.NodeStateUnknown)
	if d := r.Drops(); d[DropAddr]+d[DropMalformed] != 1 {
		t.Errorf("drops %v", d)
	}
	// IPv4 in IPv6 is the same address.
	r.in(aliveOf(2, 1).AppendTo(nil))
	b := aliveOf(2, 2)
	b.Addr = netip.AddrPortFrom(netip.AddrFrom16(b.Addr.Addr().As16()), b.Addr.Port())
	r.in(b.AppendTo(nil))
	if m := r.Member(nameOf(2)); m.Incarnation != 2 || m.Addr != addrOf(2) {
		t.Errorf("%+v", m)
	}
}

func TestP142_PortZeroIsOurs(t *testing.T) {
	r := newRig(t, quiet, func(c *Config) { c.Addr = netip.AddrPortFrom(addrOf(0).Addr(), 4321) })
	a := aliveOf(1, 1)
	a.Addr = netip.AddrPortFrom(a.Addr.Addr(), 0)
	r.in(a.AppendTo(nil))
	n := stateOf(2, 1, wire.StateAlive)
	n.Addr = netip.AddrPortFrom(n.Addr.Addr(), 0)
	r.HandleStream(r.now, other, pushPullOf(false, nil, n))
	r.take()
	for _, i := range []int{1, 2} {
		if m := r.Member(nameOf(i)); m == nil || m.Addr.Port() != 4321 {
			t.Errorf("member %d: %+v", i, m)
		}
	}
	r.forgetSent()
	r.in((&wire.IndirectPing{Seq: 1, Target: netip.AddrPortFrom(addrOf(3).Addr(), 0), Node: "x"}).AppendTo(nil))
	if p := r.of(wire.TypePing); len(p) != 1 || p[0].to.Port() != 4321 {
		t.Errorf("pings %+v", p)
	}
}

func TestP145_UnknownTypesAreDroppedAlone(t *testing.T) {
	r := newRig(t, quiet)
	r.in(aliveOf(1, 1).AppendTo(nil), []byte{77, 1, 2}, aliveOf(2, 1).AppendTo(nil))
	r.wantState(1, wire.StateAlive)
	r.wantState(2, wire.StateAlive)
	if r.Drops()[DropType] != 1 {
		t.Errorf("drops %v", r.Drops())
	}
	if reply := r.HandleStream(r.now, other, []byte{77}); reply != nil || r.Drops()[DropType] != 2 {
		t.Errorf("stream: %x, drops %v", reply, r.Drops())
	}
}

func TestP146_BadInputIsCounted(t *testing.T) {
	r := newRig(t, quiet)
	good := aliveOf(1, 1).AppendTo(nil)
	long := aliveOf(1, 1)
	long.Node = strings.Repeat("x", MaxName+1)
	zero := aliveOf(1, 0)
	for _, c := range []struct {
		msg []byte
		why Drop
	}{
		{nil, DropTruncated},
		{good[:10], DropTruncated},
		{append([]byte{good[0]}, 0xc1), DropMalformed},
		{long.AppendTo(nil), DropName},
		{zero.AppendTo(nil), DropIncarnation},
	} {
		before := r.Drops()
		r.HandlePacket(r.now, other, c.msg)
		after := r.Drops()
		for d := range after {
			if want := before[d] + b2u(Drop(d) == c.why); after[d] != want {
				t.Errorf("%x: %v counted %d, want %d", c.msg, Drop(d), after[d], want)
			}
		}
	}
	r.take()
	if r.NumMembers() != 1 {
		t.Errorf("%d members", r.NumMembers())
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func TestP150_SameInputsSameOutputs(t *testing.T) {
	run := func() string {
		var b strings.Builder
		w := newWorld(t)
		w.seen = func(from, to *node, data []byte) {
			fmt.Fprintf(&b, "%v %s %x\n", w.now.Sub(epoch), from.Local().Name, data)
		}
		ns := w.cluster(7)
		ns[3].down = true
		w.run(20 * time.Second)
		ns[5].Leave(w.now)
		w.run(30 * time.Second)
		for _, n := range ns {
			fmt.Fprintln(&b, n.traces, n.layer.log, n.layer.pings)
		}
		return b.String()
	}
	if a, b := run(), run(); a != b {
		t.Error("two runs differ")
	}
}

func TestP151_LateEarlyRepeatedTimeouts(t *testing.T) {
	r := newRig(t)
	r.peers(20)
	for i := 1; i <= 10; i++ {
		r.suspect(i, 1, "x")
	}
	r.run(500 * time.Millisecond)
	// Early and repeated: nothing happens.
	r.take()
	sent := len(r.sent)
	for range 10 {
		r.HandleTimeout(r.now)
		r.take()
		if !r.Deadline().After(r.now) {
			t.Fatalf("deadline %v is not after %v", r.Deadline(), r.now)
		}
	}
	if len(r.sent) != sent {
		t.Error("repeated calls sent something")
	}
	// An hour late: nobody is dead for that, and everything goes on.
	r.now = r.now.Add(time.Hour)
	r.HandleTimeout(r.now)
	r.take()
	if n := r.members.count[wire.StateDead]; n != 0 {
		t.Errorf("%d dead after a sleep", n)
	}
	if n := len(r.traced(TraceSlept)); n != 1 {
		t.Errorf("%d sleeps reported", n)
	}
	if d := r.Deadline(); !d.After(r.now) || d.After(r.now.Add(time.Second)) {
		t.Errorf("deadline is %v later", d.Sub(r.now))
	}
	r.acks = everybody
	r.run(3 * time.Minute)
	if n := r.members.count[wire.StateDead]; n > 10 {
		t.Errorf("%d dead, want at most those that were suspect", n)
	}
	// Packets before the timeout, as a driver that wakes up reads them.
	r.now = r.now.Add(time.Hour)
	r.in((&wire.Ping{Seq: 9, Node: "self"}).AppendTo(nil))
	if d := r.Deadline(); d.After(r.now) {
		t.Errorf("what was due before the sleep is not due after it: in %v", d.Sub(r.now))
	}
	// Clocks that go back.
	r.HandleTimeout(r.now.Add(-time.Hour))
	r.HandleTimeout(r.now)
	if !r.Deadline().After(r.now) {
		t.Error("deadline is not in the future")
	}
}

func TestP152_PeriodicWorkBeginsAtRandom(t *testing.T) {
	tenths := [10]int{}
	for seed := range uint64(300) {
		cfg := LAN()
		cfg.Plain = true
		cfg.Name, cfg.Addr = "self", addrOf(0)
		m, err := New(cfg, &recorder{}, rand.New(rand.NewPCG(seed, 1)), epoch)
		if err != nil {
			t.Fatal(err)
		}
		at := m.probeTimer.at
		if at <= 0 || at > time.Second || m.gossipTimer.at > 200*time.Millisecond || m.pushPullTimer.at > 30*time.Second {
			t.Fatalf("first at %v %v %v", at, m.gossipTimer.at, m.pushPullTimer.at)
		}
		tenths[(at-1)*10/time.Second]++
	}
	for i, n := range tenths {
		if n < 10 || n > 60 {
			t.Errorf("tenth %d: %d of 300", i, n)
		}
	}
}
