package swim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

func TestClusterJoinsFailsLeaves(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster(5)
	dead := ns[4]
	dead.down = true
	w.run(30 * time.Second)
	for _, n := range ns[:4] {
		if s := n.state(dead); s != wire.StateDead {
			t.Errorf("%s: state %d", n.Local().Name, s)
		}
		if !slices.Equal(n.layer.log, []string{"dead node5"}) {
			t.Errorf("%s: %q", n.Local().Name, n.layer.log)
		}
	}
	ns[3].Leave(w.now)
	w.run(5 * time.Second)
	if !ns[3].LeaveSent() {
		t.Error("leave not sent")
	}
	for _, n := range ns[:3] {
		if s := n.state(ns[3]); s != wire.StateLeft {
			t.Errorf("%s: state %d", n.Local().Name, s)
		}
	}
}

// A node that was stopped comes back and is believed; it does not hold the
// others dead, although none of them answered while it slept.
func TestFrozenNodeAccusesNobody(t *testing.T) {
	for _, pause := range []time.Duration{700 * time.Millisecond, 3 * time.Second, 20 * time.Second, 40 * time.Second} {
		w := newWorld(t)
		ns := w.cluster(8)
		ns[4].frozen = true
		w.run(pause)
		ns[4].frozen = false
		w.run(20 * time.Second)
		if len(ns[4].layer.log) > 0 {
			t.Errorf("after %v it tells %q", pause, ns[4].layer.log)
		}
		for _, n := range ns {
			if n.NumAlive() != 8 {
				t.Errorf("after %v %s knows %d", pause, n.Local().Name, n.NumAlive())
			}
			for _, l := range n.layer.log {
				if l != "dead node5" && l != "joined node5" {
					t.Errorf("after %v %s was told %q", pause, n.Local().Name, l)
				}
			}
			if n != ns[4] && n.count(TraceSlept) > 0 {
				t.Errorf("%s believes to have slept", n.Local().Name)
			}
		}
		if ns[4].count(TraceSlept) != 1 {
			t.Errorf("after %v: %d sleeps reported", pause, ns[4].count(TraceSlept))
		}
	}
}

func TestLossyNetworkKillsNobody(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(t)
		ns := w.cluster(12)
		rng := rand.New(rand.NewPCG(seed, 3))
		w.drop = func(from, to *node, _ []byte) bool { return rng.IntN(100) < 25 }
		w.run(3 * time.Minute)
		for _, n := range ns {
			if len(n.layer.log) > 0 {
				t.Errorf("seed %d: %s was told %q", seed, n.Local().Name, n.layer.log)
			}
		}
	}
}

// Two that cannot reach each other, but everybody else can.
func TestBrokenPathIsBridged(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster(6)
	a, b := ns[1], ns[4]
	broken := func(x, y *node) bool { return x == a && y == b || x == b && y == a }
	w.drop = func(from, to *node, _ []byte) bool { return broken(from, to) }
	w.noDial = broken
	w.run(2 * time.Minute)
	for _, n := range ns {
		if len(n.layer.log) > 0 || n.count(TraceSuspect) > 0 {
			t.Errorf("%s was told %q", n.Local().Name, n.layer.log)
		}
	}
	if a.count(TracePingFailed) == 0 {
		t.Error("the path was not broken")
	}
}

// A firewall that lets streams through, but no packets.
func TestStreamsAloneKeepAlive(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster(4)
	lost := ns[3]
	w.drop = func(from, to *node, _ []byte) bool { return from == lost || to == lost }
	w.run(2 * time.Minute)
	for _, n := range ns {
		if len(n.layer.log) > 0 {
			t.Errorf("%s was told %q", n.Local().Name, n.layer.log)
		}
	}
	if ns[0].count(TraceStreamOnly) == 0 {
		t.Error("nobody noticed")
	}
}

// How long a crash goes unnoticed: no more than a pass of probes and a
// suspicion, and mostly far less, since all probe.
func TestTimeToDetect(t *testing.T) {
	for _, n := range []int{3, 8, 32} {
		w := newWorld(t)
		ns := w.cluster(n)
		ns[n-1].down = true
		from := w.now
		for ns[0].state(ns[n-1]) != wire.StateDead {
			w.run(100 * time.Millisecond)
			if w.now.Sub(from) > 40*time.Second {
				t.Fatalf("%d members: not seen", n)
			}
		}
		t.Logf("%d members: dead after %v", n, w.now.Sub(from))
	}
}

func TestEachCanStop(t *testing.T) {
	r := newRig(t)
	r.peers(5)
	var names []string
	r.Each(func(m *Member) bool {
		names = append(names, m.Name)
		return len(names) < 3
	})
	if !slices.Equal(names, []string{"self", "node1", "node2"}) {
		t.Errorf("%q", names)
	}
	if m := r.Member("nobody"); m != nil {
		t.Errorf("%+v", m)
	}
	if r.Intern([]byte("node3")) != "node3" || r.Intern([]byte("new")) != "new" {
		t.Error("interned wrongly")
	}
}
