package serf

import (
	"slices"
	"testing"
	"time"
)

// TestRejoinAfterACrash: what a join has skipped stays skipped in the next
// life, what was sent in between is told, and the incarnation goes on.
func TestRejoinAfterACrash(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", nil)
	a.fire("before", "b joined")
	w.run(3 * time.Second)
	b := w.add("b", nil)
	b.join(a, true)
	w.run(time.Second)
	a.fire("one", "")
	w.run(3 * time.Second)
	told := b.take()
	r := b.Restorable()
	b.down = true
	a.fire("two", "") // while b is away
	w.run(20 * time.Second)

	again := w.add("b", func(c *Config) {
		*c = b.cfg
		c.Swim.Incarnation = r.Incarnation
		c.Clock, c.EventClock, c.QueryClock = r.Clock, max(r.EventMin, 2), r.QueryMin // 2: the time of "one"
	})
	again.addr = b.addr
	if got := again.Restorable(); got.Incarnation <= r.Incarnation || got.Clock < r.Clock || got.EventMin < r.EventMin {
		t.Errorf("restored %+v from %+v", got, r)
	}
	if _, err := again.Rejoin(w.now, a.addr, "a"); err != nil {
		t.Fatal(err)
	}
	again.act()
	w.run(time.Minute)
	told = append(told, again.take()...)
	for line, want := range map[string]int{"user before=b joined": 0, "user one=": 1, "user two=": 1} {
		n := 0
		for _, l := range told {
			if l == line {
				n++
			}
		}
		if n != want {
			t.Errorf("%q was told %d times, want %d", line, n, want)
		}
	}
}

func TestRestorableCoversWhatAJoinSkipped(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", nil)
	a.fire("before", "")
	w.run(3 * time.Second)
	b := w.add("b", nil)
	if r := b.Restorable(); r.EventMin != 0 || r.QueryMin != 0 || r.Clock != 0 {
		t.Errorf("a new machine has %+v", r)
	}
	b.join(a, true)
	w.run(time.Second)
	if r := b.Restorable(); r.EventMin != a.Stats().EventTime-1 {
		t.Errorf("after the join EventMin is %d, want %d", r.EventMin, a.Stats().EventTime-1)
	}
}

// TestRejoinOfANewNode: without restored clocks, a Rejoin replays nothing.
func TestRejoinOfANewNode(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", nil)
	a.fire("before", "")
	w.run(3 * time.Second)
	b := w.add("b", nil)
	if _, err := b.Rejoin(w.now, a.addr, ""); err != nil {
		t.Fatal(err)
	}
	b.act()
	w.run(10 * time.Second)
	if got := b.take(); slices.Contains(got, "user before=") {
		t.Errorf("told: %q", got)
	}
}

// TestRejoinAfterALeave: a node that left is alive again to the others.
func TestRejoinAfterALeave(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b := ns[0], ns[1]
	if err := b.Leave(w.now); err != nil {
		t.Fatal(err)
	}
	b.act()
	w.run(10 * time.Second)
	a.wantStatus(b, StatusLeft)
	r := b.Restorable()
	if _, err := b.Rejoin(w.now, a.addr, "a"); err == nil {
		t.Error("a Rejoin after a leave is accepted")
	}
	b.down = true

	again := w.add("b", func(c *Config) {
		*c = b.cfg
		c.Swim.Incarnation, c.Clock = r.Incarnation, r.Clock
	})
	again.addr = b.addr
	if _, err := again.Rejoin(w.now, a.addr, "a"); err != nil {
		t.Fatal(err)
	}
	again.act()
	w.run(5 * time.Second)
	for _, o := range []*node{a, ns[2]} {
		o.wantStatus(again, StatusAlive)
	}
}
