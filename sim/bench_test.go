package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// benchCluster is a cluster of n in which all know each other, without checkers.
func benchCluster(b *testing.B, n int, seed uint64) *Cluster {
	b.Helper()
	c, err := New(Options{Seed: seed, Unchecked: true})
	if err != nil {
		b.Fatal(err)
	}
	c.Add(n)
	for i, x := range c.nodes[1:] {
		c.After(time.Duration(i)*10*time.Millisecond, func() { x.Join(c.nodes[0], false) })
	}
	c.Advance(30*time.Second + time.Duration(n)*10*time.Millisecond)
	if why := c.Disagreement(); why != "" {
		b.Fatal(why)
	}
	return c
}

// BenchmarkVirtualSecond is one second of a quiet cluster.
func BenchmarkVirtualSecond(b *testing.B) {
	for _, n := range []int{12, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := benchCluster(b, n, 1)
			b.ReportAllocs()
			steps := c.steps
			for b.Loop() {
				c.Advance(time.Second)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "virtual-s/s")
			b.ReportMetric(float64(c.steps-steps)/float64(b.N), "steps/op")
		})
	}
}

// BenchmarkSeed is a whole seeded run with its checkers.
func BenchmarkSeed(b *testing.B) {
	seed := uint64(0)
	for b.Loop() {
		seed++
		if r := Run(seed, nil); r.Err != nil {
			b.Fatalf("seed %d: %v", seed, r.Err)
		}
	}
}

// BenchmarkDetection measures when a crashed member is called failed: by the
// first that notices, and by the last. One operation is one crash.
func BenchmarkDetection(b *testing.B) {
	for _, n := range []int{3, 8, 32, 128} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var first, last []time.Duration
			for seed := uint64(1); b.Loop(); seed++ {
				f, l := detect(b, n, seed)
				first, last = append(first, f), append(last, l)
			}
			for _, x := range []struct {
				name string
				d    []time.Duration
			}{{"first", first}, {"last", last}} {
				slices.Sort(x.d)
				b.ReportMetric(x.d[len(x.d)/2].Seconds(), x.name+"-p50-s")
				b.ReportMetric(x.d[len(x.d)-1].Seconds(), x.name+"-max-s")
			}
		})
	}
}

// detect crashes one node of a quiet cluster.
func detect(b *testing.B, n int, seed uint64) (first, last time.Duration) {
	c := benchCluster(b, n, seed)
	c.Advance(time.Duration(seed*137%1000) * time.Millisecond)
	victim := c.nodes[int(seed)%n]
	victim.Crash(true)
	at, told := c.clock.now, 0
	c.onEvent = func(_ *Node, ev *serf.Event) {
		if ev.Type == serf.EventMemberFailed && ev.Members[0].Name == victim.name {
			if told == 0 {
				first = c.clock.now - at
			}
			last = c.clock.now - at
			told++
		}
	}
	for told < n-1 && c.clock.now < at+5*time.Minute {
		c.Advance(time.Second)
	}
	if told != n-1 {
		b.Fatalf("only %d of %d noticed", told, n-1)
	}
	return first, last
}

// BenchmarkFalsePositives is the "threshold" experiment of the Lifeguard paper:
// of 128 members some are stopped at the same time for a while. A healthy one
// that is called failed is a false positive; fp counts them anywhere, fp-healthy
// those at members that were healthy themselves.
func BenchmarkFalsePositives(b *testing.B) {
	const n = 128
	for _, stopped := range []int{4, 16, 32} {
		for _, d := range []time.Duration{2 * time.Second, 16 * time.Second, 32 * time.Second} {
			b.Run(fmt.Sprintf("stopped=%d/for=%v", stopped, d), func(b *testing.B) {
				fp, healthy := 0, 0
				for seed := uint64(1); b.Loop(); seed++ {
					x, y := threshold(b, n, stopped, d, seed)
					fp, healthy = fp+x, healthy+y
				}
				b.ReportMetric(float64(fp)/float64(b.N), "fp")
				b.ReportMetric(float64(healthy)/float64(b.N), "fp-healthy")
			})
		}
	}
}

func threshold(b *testing.B, n, stopped int, d time.Duration, seed uint64) (fp, healthy int) {
	c := benchCluster(b, n, seed)
	sick := make(map[string]bool)
	for _, i := range c.rng.Perm(n)[:stopped] {
		x := c.nodes[i]
		sick[x.name] = true
		x.Pause()
		c.After(d, x.Resume)
	}
	c.onEvent = func(o *Node, ev *serf.Event) {
		if ev.Type != serf.EventMemberFailed {
			return
		}
		for _, m := range ev.Members {
			if !sick[m.Name] {
				fp++
				if !sick[o.name] {
					healthy++
				}
			}
		}
	}
	c.Advance(d + 60*time.Second)
	return fp, healthy
}
