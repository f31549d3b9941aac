package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// TestCheckersSee: each checker finds what it is there for. The cluster is well;
// what a checker remembers of it is falsified, or it is told what never was.
func TestCheckersSee(t *testing.T) {
	ev := &serf.Event{Type: serf.EventUser, To: serf.Windowed, LTime: 7, Name: "ev", Payload: []byte("x")}
	query := &serf.Event{Type: serf.EventQuery, Query: serf.QueryID{LTime: 3, ID: 9}}
	id := serf.QueryID{LTime: 5, ID: 1}
	tests := []struct {
		rule string
		do   func(k *checkers, a *Node, l *lifeCheck)
	}{
		{"I1", func(k *checkers, a *Node, l *lifeCheck) {
			s := l.swim["b"]
			s.incarnation += 5
			l.swim["b"] = s
			k.step(a)
		}},
		{"I2", func(k *checkers, a *Node, l *lifeCheck) { k.lamp["b"] = 0; k.step(a) }},
		{"L1", func(k *checkers, a *Node, l *lifeCheck) {
			s := l.swim["b"]
			s.state = wire.StateLeft
			l.swim["b"] = s
			k.step(a)
		}},
		{"S1", func(k *checkers, a *Node, l *lifeCheck) { l.changes--; l.status["c"] = serf.StatusLeaving; k.step(a) }},
		{"S2", func(k *checkers, a *Node, l *lifeCheck) { l.changes--; a.name = "c"; k.statuses(a, l) }},
		{"C1", func(k *checkers, a *Node, l *lifeCheck) { l.members[1].Status = serf.StatusLeft; k.step(a) }},
		{"V1", func(k *checkers, a *Node, l *lifeCheck) {
			l.changes--
			l.list.Apply(k.c.Now(), live.Change{Kind: live.Fail, Entries: []live.Entry{{Name: "b"}}})
			k.step(a)
		}},
		{"V1", func(k *checkers, a *Node, l *lifeCheck) {
			l.changes--
			l.list.Apply(k.c.Now(), live.Change{Kind: live.Join, Entries: []live.Entry{{Name: "ghost"}}})
			k.step(a)
		}},
		{"V1", func(k *checkers, a *Node, l *lifeCheck) {
			b, _ := a.machine.Member("b")
			k.event(a, &serf.Event{Type: serf.EventMemberJoin, Members: []serf.Member{b}})
		}},
		{"E1", func(k *checkers, a *Node, l *lifeCheck) { k.event(a, ev) }},
		{"E1", func(k *checkers, a *Node, l *lifeCheck) { k.sent["ev x"] = true; k.event(a, ev); k.event(a, ev) }},
		{"E2", func(k *checkers, a *Node, l *lifeCheck) {
			k.sent["ev x"] = true
			k.event(a, ev)
			a.Restart(true)
			k.event(a, ev)
		}},
		{"Q1", func(k *checkers, a *Node, l *lifeCheck) { k.event(a, query); k.event(a, query) }},
		{"Q2", func(k *checkers, a *Node, l *lifeCheck) {
			k.asked(a, id, serf.QueryParam{Timeout: time.Second})
			k.c.Advance(5 * time.Second)
		}},
		{"Q2", func(k *checkers, a *Node, l *lifeCheck) { k.news(a, &serf.QueryUpdate{ID: id}) }},
		{"Q3", func(k *checkers, a *Node, l *lifeCheck) {
			k.asked(a, id, serf.QueryParam{Timeout: time.Second})
			k.news(a, &serf.QueryUpdate{ID: id, Kind: serf.QueryDone})
			k.news(a, &serf.QueryUpdate{ID: id, Kind: serf.QueryDone})
		}},
		{"Q3", func(k *checkers, a *Node, l *lifeCheck) {
			k.asked(a, id, serf.QueryParam{Timeout: time.Second})
			k.news(a, &serf.QueryUpdate{ID: id, Kind: serf.QueryAck, From: "b"})
			k.news(a, &serf.QueryUpdate{ID: id, Kind: serf.QueryAck, From: "b"})
		}},
		{"T1", func(k *checkers, a *Node, l *lifeCheck) {
			for range 10000 {
				k.timeout(a)
			}
		}},
		{"H1", func(k *checkers, a *Node, l *lifeCheck) { k.maxHealth = 0; k.step(a) }},
	}
	for _, test := range tests {
		c := quietCluster(t, 3)
		c.Node("c").Crash(true)
		c.Advance(20 * time.Second)
		if c.Err() != nil {
			t.Fatalf("the cluster is not well: %v", c.Err())
		}
		a := c.Node("a")
		test.do(c.check, a, c.check.by[a.index])
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), test.rule+": ") {
			t.Errorf("%s is not seen: %v", test.rule, err)
		}
	}
}

// quietCluster has n nodes that all know each other.
func quietCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	c, err := New(Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.Add(n)
	for _, x := range c.nodes[1:] {
		x.Join(c.nodes[0], false)
	}
	c.Advance(10 * time.Second)
	if why := c.Disagreement(); why != "" || c.Err() != nil {
		t.Fatalf("the cluster does not come about: %s %v", why, c.Err())
	}
	return c
}

// TestDisagreementSees: the truth is told from what is not true.
func TestDisagreementSees(t *testing.T) {
	for _, test := range []struct {
		want string
		do   func(c *Cluster)
	}{
		{"lists c as alive, it does not run", func(c *Cluster) { c.Node("c").Crash(false) }},
		{"lists c as alive, it does not run", func(c *Cluster) { c.Node("c").Pause() }},
		{"does not know", func(c *Cluster) { c.Add(1) }},
		{"lists b with [], it has [x=1]", func(c *Cluster) { c.Node("b").SetTags([]wire.Tag{{Key: "x", Value: "1"}}) }},
		{"as failed", func(c *Cluster) {
			c.Partition(c.nodes[:1], c.nodes[1:])
			c.Advance(30 * time.Second)
		}},
		{"lists c as left, nobody wanted that", func(c *Cluster) {
			c.Node("c").Leave()
			c.Advance(10 * time.Second)
			c.Node("c").leftAt = 0
		}},
		{"c is left at a and failed at b", func(c *Cluster) {
			c.Node("c").Crash(true)
			c.Advance(20 * time.Second)
			c.Node("a").ForceLeave("c", false)
		}},
	} {
		c := quietCluster(t, 3)
		test.do(c)
		if why := c.Disagreement(); !strings.Contains(why, test.want) {
			t.Errorf("want %q, got %q", test.want, why)
		}
	}
}
