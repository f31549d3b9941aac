package sim

import (
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// mass plays a case with some seeds, and says how long the slowest took.
func mass(t *testing.T, a Mass, seeds int) (worst time.Duration) {
	t.Helper()
	a.Limit = 2 * time.Minute
	for range seeds {
		a.Seed++
		r, err := a.Run()
		if err != nil {
			t.Fatal(err)
		}
		if r.Missing > 0 || r.False > 0 {
			t.Errorf("%+v: %d reports are missing, %d are false", a, r.Missing, r.False)
		}
		worst = max(worst, r.Last)
	}
	return worst
}

// However many of a cluster's processes end at one moment, or in waves, all that are
// left report all of them, and nobody else. (P192, P290–P295)
func TestManyCrashes(t *testing.T) {
	const n = 10
	for k := 1; k < n; k++ {
		bound := 200 * time.Millisecond
		if k == n-1 { // nobody could agree
			bound = 450 * time.Millisecond
		}
		for _, waves := range []int{1, 3} {
			if worst := mass(t, Mass{Nodes: n, Killed: k, Waves: waves, Seed: uint64(100 * k)}, 2); worst > bound {
				t.Errorf("%d of %d in %d waves took %v", k, n, waves, worst)
			}
		}
	}
}

// The same in larger ones.
func TestManyCrashesOfMany(t *testing.T) {
	for _, c := range []struct {
		nodes, killed int
		bound         time.Duration
	}{
		{16, 14, 200 * time.Millisecond}, {32, 16, 200 * time.Millisecond}, {32, 24, 200 * time.Millisecond},
		{64, 32, 200 * time.Millisecond}, {32, 31, 600 * time.Millisecond},
	} {
		if worst := mass(t, Mass{Nodes: c.nodes, Killed: c.killed}, 2); worst > c.bound {
			t.Errorf("%d of %d took %v", c.killed, c.nodes, worst)
		}
	}
}

// Racks that lose their power, with hosts that refuse among them or not: the others hear
// each other, so that it is no fault of theirs. (P296–P298)
func TestManySilent(t *testing.T) {
	for _, c := range []struct {
		nodes, killed, silent int
		bound                 time.Duration
	}{
		{64, 16, 16, 1300 * time.Millisecond}, {64, 16, 8, 1300 * time.Millisecond},
		{16, 8, 8, 1500 * time.Millisecond}, {32, 16, 16, 1500 * time.Millisecond}, {32, 24, 12, 2500 * time.Millisecond},
	} {
		if worst := mass(t, Mass{Nodes: c.nodes, Killed: c.killed, Silent: c.silent}, 2); worst > c.bound {
			t.Errorf("%d of %d, %d of them silent, took %v", c.killed, c.nodes, c.silent, worst)
		}
	}
	// Of any number, while two are left that hear each other.
	for k := 1; k < 9; k++ {
		if worst := mass(t, Mass{Nodes: 10, Killed: k, Silent: (k + 1) / 2, Seed: uint64(k)}, 1); worst > 6*time.Second {
			t.Errorf("%d of 10, half of them silent, took %v", k, worst)
		}
	}
}

// Two halves that are cut from each other: each reports all of the other, and nobody else,
// and after the healing all are alive everywhere.
func TestTwoHalves(t *testing.T) {
	for i, cut := range []time.Duration{1500 * time.Millisecond, 2500 * time.Millisecond, 6 * time.Second, 1500 * time.Millisecond} {
		n := 16 << (i % 2)
		s, err := NewScale(ScaleOptions{Nodes: n, Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Advance(settledAfter); err != nil {
			t.Fatal(err)
		}
		half := func(x *Node) bool { return x.index%2 == 0 }
		reports := 0
		s.c.onEvent = func(o *Node, ev *serf.Event) {
			if ev.Type != serf.EventMemberFailed {
				return
			}
			for _, m := range ev.Members {
				if reports++; half(s.c.Node(m.Name)) == half(o) {
					t.Errorf("%v %s reports %s of its own half (%v)", s.c.clock.now, o.name, m.Name, m.Verdict)
				}
			}
		}
		var sides [2][]*Node
		for _, x := range s.c.nodes {
			sides[x.index%2] = append(sides[x.index%2], x)
		}
		s.c.Partition(sides[0], sides[1])
		if err := s.Advance(cut); err != nil {
			t.Fatal(err)
		}
		if want := n * n / 2; reports != want {
			t.Errorf("of %d: %d reports in %v, want %d", n, reports, cut, want)
		}
		s.c.Heal(250 * time.Microsecond)
		if err := s.Advance(3 * time.Second); err != nil {
			t.Fatal(err)
		}
		if why := s.c.Disagreement(); why != "" {
			t.Errorf("of %d, 3 s after the healing: %s", n, why)
		}
	}
}
