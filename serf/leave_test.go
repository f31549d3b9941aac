package serf

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

func (n *node) leaves() {
	n.w.t.Helper()
	if err := n.Leave(n.w.now); err != nil {
		n.w.t.Fatal(err)
	}
	n.act()
}

func (n *node) forces(name string, prune bool) {
	n.w.t.Helper()
	if err := n.ForceLeave(n.w.now, name, prune); err != nil {
		n.w.t.Fatal(err)
	}
	n.act()
}

func TestP60_Leave(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	for _, n := range ns {
		n.take()
	}
	start := w.now
	c.leaves()
	if c.State() != Leaving {
		t.Errorf("state %v", c.State())
	}
	if err := c.Leave(w.now); err == nil || err.Error() != "Leave already in progress" || !errors.Is(err, ErrNotAlive) {
		t.Error(err)
	}
	if _, err := c.Join(w.now, a.addr, "", true); err == nil || err.Error() != "Serf can't Join after Leave or Shutdown" {
		t.Error(err)
	}
	for c.State() != Left && w.now.Sub(start) < time.Minute {
		w.run(10 * time.Millisecond)
	}
	if took := w.now.Sub(start); took < c.cfg.LeavePropagateDelay || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, n := range []*node{a, b, c} {
		n.wantStatus(c, StatusLeft)
		n.wantEvents("member-leave c")
	}
	if err := c.Leave(w.now); err != nil {
		t.Error(err)
	}
	c.down = true
	w.run(2 * time.Minute)
	a.wantStatus(c, StatusLeft)
	a.wantEvents()
	if err := c.UserEvent(w.now, "e", nil, false); err != ErrNotAlive {
		t.Error(err)
	}
}

func TestP60_LeaveAlone(t *testing.T) {
	n := alone(t, nil)
	n.leaves()
	n.wait(n.cfg.LeavePropagateDelay)
	if n.State() != Left {
		t.Error("nobody was to be told, and it is not over")
	}
}

func TestP60_LeaveUnheard(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.w.drop = func(_, _ *node, _ []byte) bool { return true }
	n.queues.intent.Push("x", make([]byte, 10), nil)
	n.timers.stop(timerReconnect)
	n.leaves()
	n.wait(2*n.cfg.BroadcastTimeout + n.cfg.LeavePropagateDelay)
	if n.State() != Left {
		t.Errorf("state %v", n.State())
	}
}

func TestP61_GoneByStatus(t *testing.T) {
	n := alone(t, nil)
	for _, name := range []string{"f", "l", "forced"} {
		n.alive(name, 1)
	}
	n.gets(&wire.Leave{LTime: 3, Node: "l"})
	n.take()
	n.dead("f", 1, "x")
	n.dead("l", 1, "l")
	n.dead("unknown", 1, "x")
	n.wantEvents("member-failed f", "member-leave l")
	n.want("f", StatusFailed, 0)
	n.want("l", StatusLeft, 3)
	if s := n.Stats(); s.Failed != 1 || s.Left != 1 || s.Members != 4 {
		t.Errorf("%+v", s)
	}
	// One whose leave intent was lost, or is overtaken, said itself that it left.
	n.alive("o", 1)
	n.dead("o", 1, "o")
	n.wantEvents("member-join o", "member-leave o")
	n.want("o", StatusLeft, 0)
	n.gets(&wire.Leave{LTime: 9, Node: "o"})
	n.wantEvents()
	n.want("o", StatusLeft, 9)
	// swim forgets it and is told again: nothing happens twice.
	n.memberGone(&swim.Member{Name: "f"})
	n.act()
	n.wantEvents()
	if !n.logged("Bad state when leave: 4") {
		t.Error(n.log)
	}
}

func TestP62_BackFromFailedAndLeft(t *testing.T) {
	n := alone(t, nil)
	for _, name := range []string{"f", "l"} {
		n.alive(name, 1)
	}
	n.gets(&wire.Leave{LTime: 3, Node: "l"})
	n.dead("f", 1, "x")
	n.dead("l", 1, "l")
	n.take()
	n.alive("f", 2)
	n.alive("l", 2)
	n.wantEvents("member-join f", "member-join l")
	if s := n.Stats(); s.Failed != 0 || s.Left != 0 {
		t.Errorf("%+v", s)
	}
	n.now = n.w.now.Add(n.cfg.ReconnectTimeout + time.Hour)
	n.timers.set(timerReap, n.now)
	n.reapDue()
	if _, ok := n.Member("f"); !ok {
		t.Error("reaped")
	}
	if !n.logged("f failed and rejoined within the flap timeout") {
		t.Error("not seen as a flap")
	}
}

func TestP63_Reconnect(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	ns[2].down = true
	w.run(20 * time.Second)
	ns[0].wantStatus(ns[2], StatusFailed)
	tries := 0
	for i := range 2000 {
		n := ns[i%2]
		if i%2 == 0 {
			w.now = w.now.Add(30 * time.Second)
		}
		n.timers.set(timerReconnect, w.now)
		log := len(n.log)
		n.HandleTimeout(w.now)
		n.act()
		for _, l := range n.log[log:] {
			if l == "serf: attempting reconnect to c "+ns[2].addr.String() {
				tries++
			}
		}
		for id := range n.Machine.joins { // at most one
			n.HandleDialed(w.now, id, nil, errRefused)
		}
		n.act()
	}
	// One failed of two alive: each tries half the time.
	if tries < 900 || tries > 1100 {
		t.Errorf("%d tries of 2000", tries)
	}
	if len(ns[0].joins) != 0 {
		t.Error("the attempts show as joins")
	}
	if len(ns[0].Machine.joins) > 1 {
		t.Errorf("%d attempts are remembered", len(ns[0].Machine.joins))
	}
}

// TestP64: the names of the droonga-engine.
func TestP64_PartitionHealsWithAnyName(t *testing.T) {
	for _, names := range [][2]string{
		{"192.168.100.50:10031/droonga", "192.168.100.51:10031/droonga"},
		{"a/b/c", "d:e"},
	} {
		w := newWorld(t)
		ns := w.cluster(names[0], names[1])
		a, b := ns[0], ns[1]
		w.drop = func(_, _ *node, _ []byte) bool { return true }
		w.run(3 * time.Minute) // swim has forgotten the other
		a.wantStatus(b, StatusFailed)
		b.wantStatus(a, StatusFailed)
		w.drop = nil
		w.run(2 * time.Minute)
		a.wantStatus(b, StatusAlive)
		b.wantStatus(a, StatusAlive)
		a.wantFold()
		b.wantFold()
	}
}

func TestP65_Reap(t *testing.T) {
	n := alone(t, func(c *Config) {
		c.ReconnectTimeout, c.TombstoneTimeout, c.ReconnectInterval = time.Hour, 2*time.Hour, 1000*time.Hour
	})
	for _, name := range []string{"f", "l", "s"} {
		n.alive(name, 1)
	}
	n.gets(&wire.Leave{LTime: 3, Node: "l"})
	n.dead("f", 1, "x")
	n.dead("l", 1, "l")
	n.take()
	n.w.drop = nil
	stay := n.w.add("s", nil)
	stay.addr = peerAddr("s")
	stay.down = true
	n.wait(time.Hour - time.Minute)
	if _, ok := n.Member("f"); !ok {
		t.Fatal("reaped too early")
	}
	n.take()
	n.wait(time.Minute + 2*n.cfg.ReapInterval)
	if _, ok := n.Member("f"); ok {
		t.Error("f is not reaped")
	}
	if _, ok := n.Member("l"); !ok {
		t.Error("l is reaped too early")
	}
	n.wait(time.Hour)
	if got := n.take(); !slices.Equal(got[:1], []string{"member-reap f"}) || !slices.Contains(got, "member-reap l") {
		t.Errorf("%q", got)
	}
	if s := n.Stats(); s.Left != 0 || s.Members != 1 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	if !n.logged("serf: EventMemberReap: f") {
		t.Error("not traced")
	}
}

func TestP66_ForceLeave(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c", "d")
	a, b, c, d := ns[0], ns[1], ns[2], ns[3]
	c.down, d.down = true, true
	w.run(time.Minute)
	for _, n := range ns[:2] {
		n.wantStatus(c, StatusFailed)
		n.take()
	}
	a.forces("c", false)
	a.forces("d", true)
	w.run(5 * time.Second)
	for _, n := range ns[:2] {
		n.wantStatus(c, StatusLeft)
		n.wantStatus(d, StatusNone)
		got := n.take()
		slices.Sort(got)
		if !slices.Equal(got, []string{"member-leave c", "member-leave d", "member-reap d"}) {
			t.Errorf("%s: %q", n.name(), got)
		}
		n.wantFold()
	}
	// A left member is pruned as well, and stays away.
	a.forces("c", true)
	w.run(3 * time.Minute)
	a.wantStatus(c, StatusNone)
	b.wantStatus(c, StatusNone)
	a.wantFold()
	b.wantFold()
}

func TestP66_PruneOfOneThatIsLeaving(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.take()
	n.gets(&wire.Leave{LTime: 5, Node: "b", Prune: true})
	n.dead("b", 1, "b")
	n.wantEvents("member-leave b")
	n.wait(n.cfg.BroadcastTimeout + n.cfg.LeavePropagateDelay)
	n.wantEvents("member-reap b")
	if !n.logged("EventMemberReap (forced): b") {
		t.Error("not traced")
	}
	if len(n.prunes) != 0 {
		t.Error("it is to be pruned again")
	}
}

// TestBugC: pruning a live node must not make it disappear while swim holds it
// for alive.
func TestBugC_PruneOfALiveNode(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	for _, n := range ns {
		n.take()
	}
	a.forces("c", true)
	a.wantStatus(c, StatusLeaving)
	w.run(time.Minute)
	for _, n := range ns {
		n.wantStatus(c, StatusAlive)
		n.wantEvents()
		if len(n.prunes) != 0 {
			t.Errorf("%s still wants to prune", n.name())
		}
	}
	_ = b
	// Nor does it wait: other things go on meanwhile.
	a.forces("c", true)
	a.fire("now", "")
	w.run(time.Second)
	b.wantEvents("user now=")
}

// A node that cannot say that it stays, because nobody hears it, is pruned when it is dead.
func TestPruneOfASilentNode(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	a.take()
	c.down = true
	a.forces("c", true)
	a.wantStatus(c, StatusLeaving)
	w.run(time.Minute)
	a.wantStatus(c, StatusNone)
	b.wantStatus(c, StatusNone)
	a.wantEvents("member-leave c", "member-reap c")
}

func TestP67_ForceLeaveOfALiveNode(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	for _, n := range ns {
		n.take()
	}
	ns[0].forces("c", false)
	ns[0].wantStatus(ns[2], StatusLeaving)
	w.run(5 * time.Second)
	for _, n := range ns {
		n.wantStatus(ns[2], StatusAlive)
		n.wantEvents()
	}
	// Nor if it is the only other one.
	w2 := newWorld(t)
	two := w2.cluster("a", "b")
	two[0].forces("b", false)
	w2.run(5 * time.Second)
	two[0].wantStatus(two[1], StatusAlive)
	// Of this node itself it does nothing.
	ns[0].forces("a", false)
	ns[0].forces("a", true)
	w.run(5 * time.Second)
	for _, n := range ns {
		n.wantStatus(ns[0], StatusAlive)
	}
}

// A name that this node does not know is no fault, as with Serf: another may know it, as
// one that has not reaped it yet.
func TestP66_ForceLeaveOfAnUnknownName(t *testing.T) {
	n := alone(t, nil)
	n.forces("nosuchnode", false)
	if n.queues.intent.Len() != 0 {
		t.Error("it is told to nobody")
	}
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	c.down = true
	w.run(time.Minute)
	i, _ := a.members.find("c")
	a.eraseMember(i)
	a.forces("c", false)
	w.run(3 * time.Second)
	b.wantStatus(c, StatusLeft)
	a.wantStatus(c, StatusNone)
}

func TestP68_RestartedNodeIsSeenAgain(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	c := ns[2]
	c.down = true
	w.run(30 * time.Second)
	ns[0].wantStatus(c, StatusFailed)
	ns[0].take()
	again := w.add("c", nil)
	again.addr = c.addr
	again.Machine, _ = New(c.cfg, again.rng, w.now)
	again.events = nil
	again.live = map[string]bool{}
	again.act()
	w.run(2 * time.Minute)
	ns[0].wantEvents("member-join c")
	ns[1].wantStatus(c, StatusAlive)
	for _, n := range []*node{ns[0], ns[1], again} {
		n.wantFold()
	}
}

func TestP69_LeftNodeStaysLeftUntilItJoins(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, c := ns[0], ns[2]
	c.leaves()
	w.run(8 * time.Second)
	c.down = true
	a.wantStatus(c, StatusLeft)
	again := w.add("c", nil)
	again.addr = c.addr
	again.Machine, _ = New(c.cfg, again.rng, w.now)
	again.act()
	w.run(3 * time.Minute)
	a.wantStatus(c, StatusLeft)
	if got := len(again.Members()); got != 1 {
		t.Errorf("it lists %d members", got)
	}
	again.join(a, true)
	w.run(5 * time.Second)
	for _, n := range ns[:2] {
		n.wantStatus(c, StatusAlive)
		n.wantFold()
	}
	w.run(2 * time.Minute)
	a.wantStatus(c, StatusAlive)
	again.wantStatus(a, StatusAlive)
}

// A force-leave that reached some, but not the node that it is about: its next
// exchange with one of them puts it right.
func TestLostForceLeaveIsAnswered(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	before := n.Machine.clock.time()
	n.hears(wire.SerfState{LTime: 20, Status: []wire.StatusLTime{{Node: "self", LTime: 15}, {Node: "b", LTime: 3}}})
	if m := n.Local(); m.LTime <= 15 || m.LTime <= before || m.Status != StatusAlive {
		t.Errorf("%v at %d", m.Status, m.LTime)
	}
	if n.queues.intent.Len() != 1 {
		t.Error("it is not told")
	}
	n.hears(wire.SerfState{LTime: 20, Status: []wire.StatusLTime{{Node: "self", LTime: 15}}})
	if n.queues.intent.Len() != 1 {
		t.Error("an older time is answered too")
	}
}

func TestChangesCountsWhatMembersShow(t *testing.T) {
	n := alone(t, nil)
	for _, step := range []struct {
		do      func()
		changes bool
	}{
		{func() { n.alive("b", 1) }, true},
		{func() { n.alive("b", 1) }, false},
		{func() { n.alive("b", 2, "k", "v") }, true},
		{func() { n.fire("e", "") }, false},
		{func() { n.gets(&wire.Leave{LTime: 5, Node: "b"}) }, true},
		{func() { n.dead("b", 2, "b") }, true},
		{func() { n.forces("b", true) }, true},
	} {
		before := n.Changes()
		step.do()
		if got := n.Changes() != before; got != step.changes {
			t.Errorf("changed: %v, want %v", got, step.changes)
		}
	}
}

// The same with equal times: the member said that it joins while another said
// that it leaves, and neither heard the other.
func TestP67_LeaveAndJoinOfOneTime(t *testing.T) {
	// The owner hears the leave.
	n := alone(t, nil)
	n.hears(wire.SerfState{LTime: 9})
	n.sendJoinIntent() // at 9
	n.want("self", StatusAlive, 9)
	n.gets(&wire.Leave{LTime: 9, Node: "self"})
	n.want("self", StatusAlive, 10)
	n.gets(&wire.Leave{LTime: 9, Node: "self"})
	n.want("self", StatusAlive, 10)

	// Another hears the join, after the leave or before it; a status time in a
	// push/pull may be that of either.
	for _, joinFirst := range []bool{false, true} {
		n = alone(t, nil)
		n.alive("b", 1)
		if joinFirst {
			n.gets(&wire.Join{LTime: 9, Node: "b"})
		}
		n.gets(&wire.Leave{LTime: 9, Node: "b"})
		n.hears(wire.SerfState{LTime: 10, Status: []wire.StatusLTime{{Node: "b", LTime: 9}}})
		want := StatusLeaving
		if joinFirst {
			want = StatusAlive
		}
		n.want("b", want, 9)
		n.gets(&wire.Join{LTime: 9, Node: "b"})
		n.want("b", StatusAlive, 9)
	}

	// Nobody hears anything: who lists it as leaving asks it.
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b := ns[0], ns[1]
	at := max(a.Machine.clock.time(), b.Machine.clock.time())
	a.leaveIntent(&wire.Leave{LTime: at, Node: "b"})
	for _, n := range ns[1:] {
		n.joinIntent(&wire.Join{LTime: at, Node: "b"}, false)
	}
	a.wantStatus(b, StatusLeaving)
	w.run(time.Minute)
	for _, n := range ns {
		n.wantStatus(b, StatusAlive)
		n.wantFold()
	}
}

// TestPruneIsNotOvertaken: the echo of the leave by force that came before the
// prune is no news, and does not take the prune's place in the queue.
func TestPruneIsNotOvertaken(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.dead("b", 1, "x")
	n.take()
	n.forces("b", false)
	first, _ := n.Member("b")
	n.forces("b", true)
	n.wantEvents("member-leave b", "member-reap b")
	var prune wire.Leave
	n.push(&n.queues.intent, "b", (&wire.Leave{LTime: first.LTime + 1, Node: "b", Prune: true}).AppendTo([]byte{byte(wire.TypeUser)}), nil)
	n.gets(&wire.Leave{LTime: first.LTime, Node: "b"})
	out := n.queued(&n.queues.intent)
	if len(out) != 1 {
		t.Fatalf("%d broadcasts", len(out))
	}
	if err := prune.Decode(out[0][2:], nil); err != nil || !prune.Prune {
		t.Errorf("queued is %+v (%v), want the prune", prune, err)
	}
	// One that comes back is a member like any other.
	n.alive("b", 2)
	n.wantEvents("member-join b")
	if m, _ := n.Member("b"); m.Status != StatusAlive {
		t.Errorf("it is %v", m.Status)
	}
}

// TestPruneAfterLeftByPushPull: who learned by a push/pull that a member left has
// it at one past its time, which is the very time of the prune that followed.
func TestPruneAfterLeftByPushPull(t *testing.T) {
	n := alone(t, nil)
	n.alive("r", 1)
	n.dead("r", 1, "b")
	n.hears(wire.SerfState{LTime: 11, Status: []wire.StatusLTime{{Node: "r", LTime: 10}}, Left: []string{"r"}})
	n.want("r", StatusLeft, 11)
	n.gets(&wire.Leave{LTime: 11, Node: "r", Prune: true})
	n.want("r", StatusNone, 0)
}
