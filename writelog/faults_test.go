package writelog

import (
	"fmt"
	"testing"
	"time"
)

// calm lets time pass without faults, so that there is a leader and everybody has a lease.
func (w *world) calm(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.mend(1, true)
		w.step()
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.step()
	}
}

// leading is the node that leads.
func (w *world) leading() *node {
	for _, n := range w.nodes {
		if n.m != nil && n.m.Leads() {
			return n
		}
	}
	return nil
}

// The leader stops, and a member that holds its lease is cut off with its server. Those who are
// left elect a leader long before that lease has run out: it must not acknowledge what the
// member's server lacks before then.
func TestANewLeaderWaitsForTheLeasesOfTheOldOne(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, 5, 1)
			for range 2 {
				w.calm(time.Second)
				old := w.leading()
				if old == nil {
					continue
				}
				other := w.nodes[(int(old.id)+w.rng.IntN(4))%5]
				w.leaderGone(other, time.Second)
				w.pass(300 * time.Millisecond)
			}
			if w.reads == 0 || w.acks == 0 {
				t.Errorf("%d reads, %d acknowledged writes", w.reads, w.acks)
			}
		})
	}
}
