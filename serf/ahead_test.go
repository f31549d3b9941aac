package serf

import (
	"fmt"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

func native(c *Config) { c.Swim.Plain = false }

// group starts nodes that have joined the first; plain says which of them are.
func (w *world) group(plain func(i int) bool, names ...string) []*node {
	w.t.Helper()
	var ns []*node
	for i, name := range names {
		ns = append(ns, w.add(name, func(c *Config) { c.Swim.Plain = plain(i) }))
	}
	w.joinAll(ns)
	return ns
}

func (n *node) setClocks(t wire.LTime) { n.clock.next, n.eventClock.next, n.queryClock.next = t, t, t }

// wantAllHeard: an event and a query of each reach all within two seconds.
func wantAllHeard(w *world, ns []*node) {
	w.t.Helper()
	for _, from := range ns {
		for _, n := range ns {
			n.take()
			n.updates = nil
		}
		from.fire("honest", from.name())
		if _, err := from.Query(w.now, "question", nil, QueryParam{Ack: true, Timeout: 2 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		from.act()
		w.run(2 * time.Second)
		for _, n := range ns {
			events, queries := 0, 0
			for _, e := range n.events {
				switch {
				case e.Type == EventUser && e.Name == "honest" && string(e.Payload) == from.name():
					events++
				case e.Type == EventQuery && e.Name == "question":
					queries++
				}
			}
			if events != 1 || queries != 1 {
				w.t.Errorf("%s heard the event of %s %d times and its query %d times (clocks %d and %d, %d and %d)", n.name(), from.name(),
					events, queries, n.eventClock.next, n.queryClock.next, from.eventClock.next, from.queryClock.next)
			}
		}
		acks := 0
		for _, u := range from.updates {
			if u.Kind == QueryAck {
				acks++
			}
		}
		if acks != len(ns) {
			w.t.Errorf("%d acks for %s", acks, from.name())
		}
	}
}

// wantALeaveAndACrash: one leaves and one crashes, and all the others say just that.
func wantALeaveAndACrash(w *world, ns []*node) {
	w.t.Helper()
	n := len(ns)
	left, crashed := ns[n-1], ns[n-2]
	if err := left.Leave(w.now); err != nil {
		w.t.Fatal(err)
	}
	left.act()
	w.run(8 * time.Second)
	left.down = true
	crashed.down = true
	w.run(30 * time.Second)
	for _, o := range ns[:n-2] {
		o.wantStatus(left, StatusLeft)
		o.wantStatus(crashed, StatusFailed)
	}
}

// edges are the times at which a check could be wrong.
func edges(now wire.LTime) []wire.LTime {
	return []wire.LTime{0, 1, now - 1, now, now + 1, now + 513,
		now + nearTime - 1, now + nearTime, now + nearTime + 1, 1 << 53, 1<<62 - 1, 1 << 62, 1<<62 + 1,
		farthest - 1, farthest, farthest + 1, farthestStart, LastTime - 1, LastTime, LastTime + 1, 1<<64 - 2, 1<<64 - 1}
}

// badTime is one kind of message that has a time in it.
var badTimes = map[string]func(n *node, t wire.LTime){
	"event": func(n *node, t wire.LTime) { n.gets(&wire.UserEvent{LTime: t, Name: "bad"}) },
	"query": func(n *node, t wire.LTime) {
		n.gets(&wire.Query{LTime: t, ID: 7, Name: "bad", Source: strangers, SourceNode: "x", Timeout: time.Second})
	},
	"query to one": func(n *node, t wire.LTime) {
		n.gets(&wire.Query{LTime: t, ID: 7, Name: "bad", Flags: wire.QueryFlagNoBroadcast, Source: strangers, SourceNode: "x", Timeout: time.Second})
	},
	"join intent":   func(n *node, t wire.LTime) { n.gets(&wire.Join{LTime: t, Node: "n1"}) },
	"leave intent":  func(n *node, t wire.LTime) { n.gets(&wire.Leave{LTime: t, Node: "n1"}) },
	"leave of self": func(n *node, t wire.LTime) { n.gets(&wire.Leave{LTime: t, Node: n.name()}) },
	"leave of nobody": func(n *node, t wire.LTime) {
		n.gets(&wire.Leave{LTime: t, Node: "nobody"})
	},
	"state": func(n *node, t wire.LTime) { n.hears(wire.SerfState{LTime: t, EventLTime: t, QueryLTime: t}) },
	"status times": func(n *node, t wire.LTime) {
		n.hears(wire.SerfState{LTime: 1, Left: []string{"n2"},
			Status: []wire.StatusLTime{{Node: "n0", LTime: t}, {Node: "n1", LTime: t}, {Node: "n2", LTime: t}}})
	},
	"events of a state": func(n *node, t wire.LTime) {
		n.hears(wire.SerfState{Events: []wire.EventsAt{{LTime: t, Events: []wire.StateEvent{{Name: "bad"}}}}})
	},
	"state of a join": func(n *node, t wire.LTime) { n.hearsJoin(wire.SerfState{LTime: t, EventLTime: t, QueryLTime: t}, true) },
}

// TestP270_EdgesOfTimes: after a message with any time, of any kind, the cluster works.
func TestP270_EdgesOfTimes(t *testing.T) {
	for kind, send := range badTimes {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s plain=%v", kind, plain), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				ns := w.group(func(int) bool { return plain }, "n0", "n1", "n2", "n3", "n4")
				for _, at := range edges(ns[0].eventClock.next) {
					send(ns[0], at)
					w.run(10 * time.Millisecond)
				}
				w.run(time.Second)
				if plain { // as with Serf: who missed a message hears of its time with the next exchange
					w.run(time.Minute)
				}
				for _, n := range ns {
					if top := max(n.clock.next, n.eventClock.next, n.queryClock.next); top > 22*nearTime {
						t.Errorf("%s has a clock at %d", n.name(), top)
					}
					for _, o := range ns {
						n.wantStatus(o, StatusAlive)
					}
				}
				wantAllHeard(w, ns)
				wantALeaveAndACrash(w, ns)
			})
		}
	}
}

// A clock follows near times only, and all messages together by no more than the ration.
func TestP270_NearTimes(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := newClock(99)
	for _, x := range []struct {
		t    wire.LTime
		ok   bool
		next wire.LTime
	}{
		{0, true, 100}, {99, true, 100}, {100, true, 101}, {101 + nearTime + 1, false, 101},
		{101 + nearTime, true, 102 + nearTime}, {1<<64 - 1, false, 102 + nearTime}, {1 << 62, false, 102 + nearTime},
	} {
		if ok := c.follow(now, x.t); ok != x.ok || c.next != x.next {
			t.Errorf("%d: %v, %d; want %v, %d", x.t, ok, c.next, x.ok, x.next)
		}
	}
	steps := 0
	for c.follow(now, c.next+nearTime-1) {
		steps++
	}
	if c.used > nearRation || c.used < nearRation-nearTime {
		t.Errorf("%d steps, %d used", steps, c.used)
	}
	if !c.follow(now, c.next) && c.used+1 <= nearRation {
		t.Error("what is left of the ration cannot be used")
	}
	if !c.follow(now.Add(24*time.Hour), c.next+nearTime) {
		t.Error("there is no new ration after a day")
	}
	c.next = LastTime - 1
	if !c.follow(now.Add(48*time.Hour), LastTime-1) || c.follow(now.Add(48*time.Hour), LastTime) {
		t.Error("the last time is not the last")
	}
}

// TestP271_FarMessageWaits: it is taken once, when it is known to be honest.
func TestP271_FarMessageWaits(t *testing.T) {
	w := newWorld(t)
	ns := w.group(func(int) bool { return false }, "n0", "n1", "n2", "n3")
	w.run(startTime)
	for _, n := range ns[2:] {
		n.setClocks(1 << 41)
	}
	ns[3].take()
	for _, n := range ns {
		n.take()
	}
	ns[2].fire("far", "x")
	w.run(2 * time.Second)
	for _, n := range ns {
		n.wantEvents("user far=x")
	}
	if !ns[0].logged("is far ahead") && !ns[1].logged("is far ahead") {
		t.Error("no word in the log")
	}
	// What nobody confirms is forgotten, and there is a bound on what waits.
	for i := range 3 * maxHeld {
		ns[0].gets(&wire.UserEvent{LTime: 1 << 60, Name: fmt.Sprint(i)})
	}
	ns[0].gets(&wire.UserEvent{LTime: 1 << 60, Name: "long", Payload: make([]byte, 9000)})
	if n := len(ns[0].ahead.held); n != maxHeld {
		t.Errorf("%d wait", n)
	}
	w.run(2 * time.Minute)
	if n := len(ns[0].ahead.held); n != 0 || ns[0].eventClock.next >= 1<<60 {
		t.Errorf("%d wait, clock %d", n, ns[0].eventClock.next)
	}
}

// TestP272_TwoMembersShowIt: two are believed, one is after half a minute, and no
// stranger ever.
func TestP272_TwoMembersShowIt(t *testing.T) {
	for _, c := range []struct {
		liars int
		wait  time.Duration
		moved bool
	}{{0, time.Minute, false}, {1, 20 * time.Second, false}, {1, 2 * time.Minute, true}, {2, 5 * time.Second, true}} {
		w := newWorld(t)
		ns := w.group(func(int) bool { return false }, "n0", "n1", "n2", "n3", "n4", "n5")
		w.run(startTime + time.Second)
		for _, n := range ns[6-c.liars:] {
			n.setClocks(1 << 50)
		}
		ns[0].gets(&wire.UserEvent{LTime: 1 << 50, Name: "e"})
		for range int(c.wait / (5 * time.Second)) {
			for _, n := range ns[6-c.liars:] {
				n.setClocks(1 << 50) // liars: nothing that they hear brings them down
			}
			w.run(5 * time.Second)
		}
		if moved := ns[0].eventClock.next >= 1<<50; moved != c.moved {
			t.Errorf("%d members, %v: moved %v", c.liars, c.wait, moved)
		}
	}
}

// Where a jump ends: the end of the numbers is out of reach.
func TestP273_JumpsEnd(t *testing.T) {
	for _, at := range []wire.LTime{farthest - 1, farthest, farthest + 1, farthestStart, LastTime - 10} {
		w := newWorld(t)
		ns := w.group(func(int) bool { return false }, "n0", "n1", "n2", "n3", "n4")
		w.run(startTime + time.Second)
		for _, n := range ns[2:] {
			n.setClocks(at)
		}
		ns[2].fire("far", "x")
		w.run(5 * time.Second)
		for _, n := range ns[:2] {
			if n.eventClock.next < min(at, farthest) || n.eventClock.next > min(at, farthest)+nearTime {
				t.Errorf("%d: %d", at, n.eventClock.next)
			}
		}
	}
	// A node that joins anew believes whom it joined, and can speak for long.
	w := newWorld(t)
	ns := w.group(func(int) bool { return false }, "n0", "n1", "n2")
	for _, n := range ns {
		n.setClocks(LastTime - 1)
	}
	late := w.add("late", native)
	late.join(ns[0], true)
	w.run(2 * time.Second)
	if c := late.eventClock.next; c < farthestStart || c > farthestStart+nearTime {
		t.Errorf("%d", c)
	}
}

// TestP274_WhoIsBehindIsTold: a member whose messages are too old learns the clock.
func TestP274_WhoIsBehindIsTold(t *testing.T) {
	w := newWorld(t)
	ns := w.group(func(int) bool { return false }, "n0", "n1", "n2")
	w.run(startTime)
	// For one node alone: it does not pass this on.
	ns[2].gets(&wire.Query{LTime: 5000, ID: 1, Name: "q", Flags: wire.QueryFlagNoBroadcast, Timeout: time.Second})
	ns[0].Query(w.now, "lost", nil, QueryParam{})
	ns[0].act()
	w.run(time.Second)
	wantAllHeard(w, ns)
}

// The cases in which times are honestly far ahead.
func TestFarAheadHonestly(t *testing.T) {
	const far = 1 << 40
	natives := func(int) bool { return false }
	t.Run("two clusters merge", func(t *testing.T) {
		for _, join := range []int{0, 2} {
			w := newWorld(t)
			a := w.group(natives, "a0", "a1", "a2", "a3", "a4")
			b := w.group(natives, "b0", "b1", "b2", "b3", "b4")
			w.run(startTime)
			for _, n := range b {
				n.setClocks(far)
			}
			if join == 0 {
				a[2].join(b[1], true)
			} else {
				b[2].join(a[1], true)
			}
			w.run(5 * time.Second)
			wantAllHeard(w, append(a, b...))
		}
	})
	t.Run("plain ones are far ahead", func(t *testing.T) {
		for _, join := range []int{0, 2} {
			w := newWorld(t)
			a := w.group(natives, "a0", "a1", "a2")
			b := w.group(func(int) bool { return true }, "b0", "b1", "b2")
			w.run(startTime)
			for _, n := range b {
				n.setClocks(far)
			}
			if join == 0 {
				a[2].join(b[1], true)
			} else {
				b[2].join(a[1], true)
			}
			w.run(5 * time.Second)
			wantAllHeard(w, append(a, b...))
		}
	})
	t.Run("back after 10^10 events", func(t *testing.T) {
		for _, snapshot := range []bool{false, true} {
			w := newWorld(t)
			ns := w.group(natives, "n0", "n1", "n2", "n3")
			ns[3].down = true
			w.run(time.Minute)
			for _, n := range ns[:3] {
				n.setClocks(1e10)
			}
			back := w.add("n4", func(c *Config) {
				native(c)
				if snapshot {
					c.Clock, c.EventClock, c.QueryClock = 10, 11, 12
				}
			})
			if _, err := back.Rejoin(w.now, ns[1].addr, "n1"); err != nil {
				t.Fatal(err)
			}
			back.act()
			w.run(3 * time.Second)
			wantAllHeard(w, append(ns[:3:3], back))
		}
	})
	t.Run("all lost their snapshots but one", func(t *testing.T) {
		w := newWorld(t)
		ns := w.group(natives, "n0", "n1", "n2", "n3")
		old := w.add("old", func(c *Config) {
			native(c)
			c.Clock, c.EventClock, c.QueryClock = far, far, far
		})
		if _, err := old.Rejoin(w.now, ns[1].addr, "n1"); err != nil {
			t.Fatal(err)
		}
		old.act()
		w.run(5 * time.Second)
		wantAllHeard(w, append(ns, old))
	})
	t.Run("one old node comes to a cluster that runs", func(t *testing.T) {
		w := newWorld(t)
		ns := w.group(natives, "n0", "n1", "n2", "n3")
		w.run(2 * startTime)
		old := w.add("old", func(c *Config) {
			native(c)
			c.Clock, c.EventClock, c.QueryClock = far, far, far
		})
		old.join(ns[1], true)
		w.run(loneTime + 15*time.Second)
		wantAllHeard(w, append(ns, old))
	})
}
