package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestClockWheels: entries come out by time and then in the order in which they
// were scheduled, whichever wheel they were in, and also if more are scheduled
// meanwhile.
func TestClockWheels(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	spans := []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour}
	for range 50 {
		var k clock
		type entry struct {
			at  time.Duration
			seq uint64
		}
		var want, got []entry
		add := func(n int) {
			for range n {
				at := k.now + time.Duration(rng.Int64N(int64(spans[rng.IntN(len(spans))])))
				e := k.schedule(at, dueCall, nil)
				want = append(want, entry{e.at, e.seq})
			}
		}
		add(50)
		until := time.Duration(0)
		for k.n > 0 {
			e := k.next(until)
			if e == nil {
				k.now = until
				until += time.Duration(rng.Int64N(int64(spans[rng.IntN(len(spans))])))
				continue
			}
			if e.at > until || k.now != e.at {
				t.Fatalf("due at %v: taken at %v, until %v", e.at, k.now, until)
			}
			got = append(got, entry{e.at, e.seq})
			k.release(e)
			if len(want) < 500 {
				add(rng.IntN(3))
			}
		}
		slices.SortFunc(want, func(a, b entry) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return int(a.seq) - int(b.seq)
		})
		if !slices.Equal(got, want) {
			t.Fatalf("%d entries came out in another order than they are due", len(got))
		}
	}
}

// TestAddresses: every node is found by its address, and nobody by another.
func TestAddresses(t *testing.T) {
	c := &Cluster{}
	for i := range 140_000 {
		c.nodes = append(c.nodes, &Node{c: c, index: i, addr: address(i)})
	}
	for _, n := range c.nodes {
		if c.host(n.addr) != n {
			t.Fatalf("node %d is not found at %v", n.index, n.addr)
		}
	}
	if n := c.host(address(140_000)); n != nil {
		t.Errorf("node %d is found at the address of one that is not there", n.index)
	}
}
