package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// storm has n-1 nodes join the first within width, and returns how long it takes from the
// first join until everybody lists everybody, at most limit.
func storm(tb testing.TB, n int, width, limit time.Duration, opts Options) time.Duration {
	tb.Helper()
	opts.Unchecked = true
	c, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	c.Add(n)
	c.Advance(time.Second)
	start := c.clock.now
	for _, x := range c.nodes[1:] {
		c.After(time.Duration(c.rng.Int64N(int64(width))), func() { x.Join(c.nodes[0], false) })
	}
	c.Advance(width)
	for c.clock.now-start < limit && c.Disagreement() != "" {
		c.Advance(time.Millisecond)
	}
	return c.clock.now - start
}

// BenchmarkJoinStorm measures how long it takes until all see all.
func BenchmarkJoinStorm(b *testing.B) {
	for _, mode := range []string{"plain", "native", "mixed"} {
		for _, n := range []int{3, 32, 64} {
			b.Run(fmt.Sprintf("%s/%d", mode, n), func(b *testing.B) {
				var all []time.Duration
				for seed := uint64(1); b.Loop(); seed++ {
					opts := Options{Seed: seed, Mixed: mode == "mixed"}
					opts.Serf.Swim.Plain = mode == "plain"
					opts.Link = Link{Delay: 250 * time.Microsecond, Jitter: 250 * time.Microsecond}
					all = append(all, storm(b, n, 20*time.Millisecond, time.Minute, opts))
				}
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Milliseconds()), "p50-ms")
				b.ReportMetric(float64(all[len(all)-1].Milliseconds()), "max-ms")
			})
		}
	}
}
