package sim

import (
	"testing"
	"time"
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
