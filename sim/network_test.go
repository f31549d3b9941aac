package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestLinkFaults: each fault happens about as often as it is asked for, and
// alone.
func TestLinkFaults(t *testing.T) {
	const sends = 2000
	for _, test := range []struct {
		name                       string
		link                       Link
		arrive, late, short, twice float64 // shares of what was sent
	}{
		{"perfect", Link{Delay: time.Millisecond}, 1, 0, 0, 0},
		{"cut", Link{Cut: true}, 0, 0, 0, 0},
		{"streams only", Link{StreamOnly: true}, 0, 0, 0, 0},
		{"loss", Link{Loss: 0.25}, 0.75, 0, 0, 0},
		{"duplicate", Link{Duplicate: 0.25}, 1.25, 0, 0, 0.25},
		{"reorder", Link{Reorder: 0.25, ReorderBy: time.Second}, 1, 0.25, 0, 0},
		{"truncate", Link{Truncate: 0.25}, 1, 0, 0.25, 0},
		{"jitter", Link{Jitter: time.Second}, 1, 1, 0, 0},
	} {
		c, err := New(Options{Seed: 1, Unchecked: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Add(2)
		a, b := c.nodes[0], c.nodes[1]
		c.SetLink(a, b, test.link)
		c.clock = clock{} // without the nodes' timers
		for i := range sends {
			c.send(a, b.addr, append(make([]byte, 50), byte(i), byte(i>>8)), nil)
		}
		var arrived, late, short float64
		seen := make(map[string]int)
		c.clock.each(func(e *event) {
			arrived++
			if e.at > 50*time.Millisecond {
				late++
			}
			if len(e.data) < 52 {
				short++
			} else {
				seen[string(e.data)]++
			}
		})
		twice := 0.0
		for _, n := range seen { // order-free: counts
			twice += float64(n - 1)
		}
		for _, x := range []struct {
			what      string
			got, want float64
		}{{"arrived", arrived, test.arrive}, {"late", late, test.late}, {"short", short, test.short}, {"twice", twice, test.twice}} {
			if share := x.got / sends; share < x.want*0.85-0.001 || share > x.want*1.15+0.001 {
				t.Errorf("%s: %.3f of the datagrams %s, want %.3f", test.name, share, x.what, x.want)
			}
		}
	}
}

// TestClockOrder: what is due earlier comes earlier, and of what is due at the
// same time what was scheduled first.
func TestClockOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var k clock
	type key struct {
		at  time.Duration
		seq uint64
	}
	var want, got []key
	take := func(until time.Duration) {
		for e := k.next(until); e != nil; e = k.next(until) {
			got = append(got, key{e.at, e.seq})
			if k.now != e.at {
				t.Fatalf("it is %v when %v is due", k.now, e.at)
			}
			k.release(e)
		}
	}
	for i := range 2000 {
		e := k.schedule(time.Duration(rng.IntN(5000)), dueCall, nil)
		want = append(want, key{e.at, e.seq})
		if i == 1000 {
			take(100) // what comes after is not before 100
		}
	}
	take(time.Hour)
	if len(got) != len(want) {
		t.Fatalf("%d entries came back of %d", len(got), len(want))
	}
	if !slices.IsSortedFunc(got, func(a, b key) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.seq) - int(b.seq)
	}) {
		t.Error("the entries come out of order")
	}
}

// TestPausedInbox: what arrives while a process is stopped is read when it goes
// on, in the order in which it came, before any timer; and a socket holds only
// so much.
func TestPausedInbox(t *testing.T) {
	c := quietCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Pause()
	for range inboxLimit + 100 {
		c.send(a, b.addr, append(c.net.buffer(), 0xff), nil)
	}
	c.Advance(10 * time.Millisecond)
	if b.datagram != inboxLimit {
		t.Errorf("%d datagrams wait, want %d", b.datagram, inboxLimit)
	}
	b.Crash(false)
	if len(b.inbox) != 0 {
		t.Error("a crashed process has an inbox")
	}
}
