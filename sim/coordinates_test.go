package sim

import (
	"fmt"
	"testing"
	"time"
)

// P204: twenty seconds after it has joined, every member has a coordinate at every other,
// where all join at once and where one joins later, also if some packets are lost.
func TestP204_CoordinatesSoon(t *testing.T) {
	for _, n := range []int{30, 300} {
		if n > 30 && raceEnabled {
			continue // one goroutine: there is nothing to race with
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			opts := Options{Seed: uint64(n), Unchecked: true, Link: Link{Delay: 250 * time.Microsecond, Jitter: 250 * time.Microsecond, Loss: 0.01}}
			opts.Serf.EventBuffer, opts.Serf.QueryBuffer = 16, 16
			c, err := New(opts)
			if err != nil {
				t.Fatal(err)
			}
			c.Add(n)
			for i, x := range c.nodes[1:] {
				c.After(time.Duration(i)*time.Millisecond, func() { x.Join(c.nodes[0], false) })
			}
			c.Advance(20*time.Second + time.Duration(n)*time.Millisecond)
			if known, of := coordinatesKnown(c); known < of {
				t.Errorf("all joined: %d of %d are known", known, of)
			}
			c.Add(1)
			c.nodes[n].Join(c.nodes[0], false)
			c.Advance(20 * time.Second)
			if known, of := coordinatesKnown(c); known < of {
				t.Errorf("one joined: %d of %d are known", known, of)
			}
		})
	}
}

// coordinatesKnown is how many pairs of a node and a member there are whose coordinate it has.
func coordinatesKnown(c *Cluster) (known, of int) {
	for _, x := range c.nodes {
		for _, y := range c.nodes {
			if _, ok := x.machine.Coordinate(y.name); ok {
				known++
			}
			of++
		}
	}
	return known, of
}
