package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// spreading measures one user event in a quiet cluster: when each node but the
// first was told of it, and how often a node got it on average.
func spreading(tb testing.TB, n int, opts Options) (times []time.Duration, copies float64) {
	tb.Helper()
	opts.Unchecked = true
	c, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	c.Add(n)
	for i, x := range c.nodes[1:] {
		c.After(time.Duration(i)*5*time.Millisecond, func() { x.Join(c.nodes[0], false) })
	}
	c.Advance(20*time.Second + time.Duration(n)*5*time.Millisecond)
	received := func() (sum uint64) {
		for _, x := range c.nodes {
			sum += x.machine.Counts().Received
		}
		return sum
	}
	before, start := received(), c.clock.now
	c.onEvent = func(x *Node, ev *serf.Event) {
		if ev.Type == serf.EventUser && x != c.nodes[0] {
			times = append(times, c.clock.now-start)
		}
	}
	if err := c.nodes[0].machine.UserEvent(c.Now(), "measured", nil, false); err != nil {
		tb.Fatal(err)
	}
	c.nodes[0].act()
	c.Advance(5 * time.Second)
	slices.Sort(times)
	return times, float64(received()-before) / float64(n)
}

// BenchmarkSpread measures how fast one user event reaches everybody and how
// many copies of it a node gets.
func BenchmarkSpread(b *testing.B) {
	for _, mode := range []string{"plain", "native", "mixed"} {
		for _, n := range []int{3, 64, 256, 1000} {
			for _, loss := range []float64{0, 0.1} {
				b.Run(fmt.Sprintf("%s/%d/loss=%v", mode, n, loss), func(b *testing.B) {
					var all []time.Duration
					var copies float64
					missing, runs := 0, 0
					for seed := uint64(1); b.Loop(); seed++ {
						opts := Options{Seed: seed, Mixed: mode == "mixed"}
						opts.Serf.Swim.Plain = mode == "plain"
						opts.Link = Link{Delay: 250 * time.Microsecond, Jitter: 250 * time.Microsecond, Loss: loss}
						times, k := spreading(b, n, opts)
						all = append(all, times...)
						copies += k
						missing += n - 1 - len(times)
						runs++
					}
					slices.Sort(all)
					b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(all[len(all)*999/1000].Microseconds())/1000, "p999-ms")
					b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "max-ms")
					b.ReportMetric(copies/float64(runs), "copies/node")
					b.ReportMetric(float64(missing)/float64(runs), "missing")
				})
			}
		}
	}
}
