package serf

import (
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// native makes the named member known as a native at that incarnation.
func (n *node) native(name string, incarnation uint32) {
	a := wire.Alive{Incarnation: incarnation, Node: name, Addr: peerAddr(name), Versions: swim.DefaultVersions, Native: 1}
	n.packet(a.AppendTo(nil))
}

// ends says that the process of a member that left has ended.
func (n *node) ends(name string) {
	d := wire.Dead{Incarnation: 1, Node: name, From: name, Verdict: wire.VerdictCrashed}
	n.packet(d.AppendTo(nil))
}

// leavingIn is a native with windows, and natives that it has told of.
func leavingIn(t *testing.T, names ...string) *node {
	n := alone(t, func(c *Config) {
		c.CoalescePeriod, c.QuiescentPeriod = 3*time.Second, time.Second
		c.FailureEdge = 100 * time.Millisecond
		c.Swim.Plain = false
		c.Swim.ProbeInterval = time.Hour
		c.ReconnectInterval = 1000 * time.Hour
	})
	n.take()
	n.w.echo = true
	for _, name := range names {
		n.native(name, 1)
	}
	n.wait(time.Second)
	n.take()
	return n
}

// P239: the window of a leave begins at the end of the process.
func TestP239_LeaveWaitsForTheEnd(t *testing.T) {
	n := leavingIn(t, "a", "b")
	n.dead("a", 1, "a")
	n.want("a", StatusLeft, 0) // the list knows at once
	n.wait(1500 * time.Millisecond)
	n.wantEvents()
	n.ends("a")
	n.wait(999 * time.Millisecond)
	n.wantEvents()
	n.wait(time.Millisecond)
	n.wantEvents("member-leave a")

	// Nobody says when it ended: two seconds after the word.
	n.dead("b", 1, "b")
	n.wait(2999 * time.Millisecond)
	n.wantEvents()
	n.wait(time.Millisecond)
	n.wantEvents("member-leave b")
	n.ends("b")
	n.wait(5 * time.Second)
	n.wantEvents()
	n.wantFold()
}

// P239: others keep their windows, leaves of one window are one event, and who comes back,
// under its name or at its address, has ended.
func TestP239_OthersDoNotWait(t *testing.T) {
	n := leavingIn(t, "a", "b", "c", "d")
	n.dead("a", 1, "a")
	n.dead("b", 1, "b")
	n.native("new", 1)
	n.wait(time.Second)
	n.wantEvents("member-join new")
	n.ends("b")
	n.wait(500 * time.Millisecond)
	n.ends("a")
	n.wait(time.Second)
	n.wantEvents("member-leave a b")

	n.dead("c", 1, "c")
	n.native("c", 2)
	n.wait(time.Second)
	n.wantEvents("member-leave c", "member-join c")

	n.dead("d", 1, "d")
	other := wire.Alive{Incarnation: 1, Node: "other", Addr: peerAddr("d"), Versions: swim.DefaultVersions, Native: 1}
	n.packet(other.AppendTo(nil))
	n.dead("other", 1, "x")
	n.wantEvents("member-leave d", "member-join other", "member-failed other")
	n.wantFold()

	// That of a plain one has the window of its word.
	n.alive("plain", 1)
	n.dead("plain", 1, "plain")
	n.wait(time.Second)
	n.wantEvents("member-join plain", "member-leave plain")
	// At this node's own end nothing is lost.
	n.dead("new", 1, "new")
	n.leaves()
	n.wait(20 * time.Second)
	n.wantEvents("member-leave new self")
}

// P171: a member that refutes a force-leave while its process is being ended has left.
func TestP171_ForceLeaveMeetsAFailure(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  string
		is    Status
	}{
		{forcedFor - time.Millisecond, "member-leave b", StatusLeft},
		{forcedFor, "member-failed b", StatusFailed}, // a crash later is one
	} {
		n := leavingIn(t, "b", "c")
		n.forces("b", false)
		n.want("b", StatusLeaving, n.member("b").LTime)
		n.gets(&wire.Join{LTime: n.member("b").LTime + 1, Node: "b"})
		n.want("b", StatusAlive, n.member("b").LTime)
		n.wait(c.after)
		n.dead("b", 1, "c")
		n.wait(time.Second)
		n.wantEvents(c.want)
		n.want("b", c.is, n.member("b").LTime)
		n.dead("c", 1, "x") // which nobody told to leave
		n.wait(time.Second)
		n.wantEvents("member-failed c")
	}
}

func (n *node) member(name string) Member { m, _ := n.Member(name); return m }

// P171: what is remembered is bounded, and one entry a member.
func TestP171_Bounded(t *testing.T) {
	var d departure
	at := time.Now()
	for range 3 {
		d.stays("x", at)
	}
	if len(d.forced) != 1 {
		t.Errorf("%d entries of one", len(d.forced))
	}
	for i := range forcedMost + 10 {
		d.stays(string(rune(i)), at)
	}
	if len(d.forced) != forcedMost {
		t.Errorf("%d entries", len(d.forced))
	}
	d.stays("y", at.Add(forcedFor))
	if len(d.forced) != 1 {
		t.Errorf("%d entries after their time", len(d.forced))
	}
}

// P172: a node that is about to end does not refute a force-leave, and says it to no other.
func TestP172_EndRefutesNothing(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	for _, n := range ns {
		n.take()
	}
	c.End()
	if err := c.Leave(w.now); err == nil {
		t.Error("it leaves")
	}
	was := c.Swim().Local().Incarnation
	c.packet((&wire.Suspect{Incarnation: was, Node: "c", From: "a"}).AppendTo(nil))
	if is := c.Swim().Local().Incarnation; is != was {
		t.Error("it refutes a suspicion")
	}
	a.forces("c", false)
	w.run(3 * time.Second)
	a.wantStatus(c, StatusLeaving)
	b.wantStatus(c, StatusLeaving)
	c.down = true
	w.run(time.Minute)
	for _, n := range ns[:2] {
		n.wantStatus(c, StatusLeft)
		n.wantEvents("member-leave c")
	}
}
