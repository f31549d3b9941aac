package swim

import (
	"time"
)

// timerKind says what a timer is for. Among timers due at the same moment the
// smaller kind fires first: what ends comes before what begins, so that a probe
// which fills its whole interval is over when the next one wants to start.
type timerKind uint8

const (
	timerProbeTimeout timerKind = iota // the direct ping was not answered in time
	timerProbeEnd                      // the probe has had its whole interval
	timerSuspicion                     // a suspect did not refute in time
	timerWatch                         // a member that is watched (see watch.go)
	timerLink                          // a link is to be opened
	timerRelay                         // the oldest indirect ping that we relay
	timerProbe                         // probe the next member
	timerGossip                        // send a round of gossip
	timerPushPull                      // exchange states with somebody
	timerTakeover                      // ping the old address of our name again, or take the name
	timerRing                          // see whom to watch
	timerSpread                        // pass on what is fresh
	timerSlot                          // a ping that was to come is missed
	timerLingerers                     // those who left are taken to have ended
	timerIntroduce                     // ping somebody who joined
	timerFarewell                      // ask again who has not said that it knows of the leave
)

// timer is one pending moment. It is embedded in what it belongs to, so that
// arming costs no allocation. A stopped timer has pos 0.
type timer struct {
	at   time.Duration // on the machine's awake clock
	seq  uint64        // order of arming, the last tie-breaker
	kind timerKind
	pos  int     // 1 + index in the heap, 0: not armed
	who  *member // timerSuspicion, timerWatch, timerLink: whose
}

// timers is a binary heap of the armed timers.
//
// Rule: next is the earliest moment at which anything is to be done; a timer
// fires once per arming. Invariant: heap[i].pos == i+1, and no timer is less
// than its parent; equal moments are ordered by kind, then by arming, so that
// the order of firing never depends on the heap's shape.
type timers struct {
	heap []*timer
	seq  uint64
}

func (a *timer) less(b *timer) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return a.seq < b.seq
}

// arm sets t to fire at the given moment, whether or not it was armed.
func (ts *timers) arm(t *timer, at time.Duration) {
	ts.stop(t)
	ts.seq++
	t.at, t.seq = at, ts.seq
	ts.heap = append(ts.heap, t)
	t.pos = len(ts.heap)
	ts.up(t.pos - 1)
}

// stop makes t not fire. Stopping a stopped timer does nothing.
func (ts *timers) stop(t *timer) {
	if t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(ts.heap)-1
	ts.swap(i, last)
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.pos = 0
	if i < last {
		ts.down(i)
		ts.up(i)
	}
}

// next is the moment of the earliest timer.
func (ts *timers) next() (at time.Duration, ok bool) {
	if len(ts.heap) == 0 {
		return 0, false
	}
	return ts.heap[0].at, true
}

// due stops and returns the earliest timer if its moment has come, else nil.
func (ts *timers) due(now time.Duration) *timer {
	if len(ts.heap) == 0 || ts.heap[0].at > now {
		return nil
	}
	t := ts.heap[0]
	ts.stop(t)
	return t
}

func (ts *timers) swap(i, j int) {
	h := ts.heap
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (ts *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !ts.heap[i].less(ts.heap[parent]) {
			return
		}
		ts.swap(i, parent)
		i = parent
	}
}

func (ts *timers) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(ts.heap); c++ {
			if ts.heap[c].less(ts.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		ts.swap(i, least)
		i = least
	}
}

// clock turns the driver's instants into two durations since the start.
//
// Rule: real is how long ago the machine was made; it never falls, even if now
// does. awake is real less the time in which the process evidently was not
// running (stopped, swapped out, suspended): a deadline that was missed by more
// than the tolerance proves it. Timers run on awake, because a process that
// slept did not wait for anybody's answer: its verdicts keep the time they had
// left, and none is passed merely because an hour went by.
type clock struct {
	start  time.Time
	real   time.Duration
	asleep time.Duration
}

// advance moves the clock to now. next is the earliest deadline; if it was
// missed by more than tolerance the excess counts as sleep and is returned.
func (c *clock) advance(now time.Time, next time.Duration, armed bool, tolerance time.Duration) (slept time.Duration) {
	c.real = max(c.real, now.Sub(c.start))
	if !armed {
		return 0
	}
	if late := c.awake() - next; late > tolerance {
		c.asleep += late
		return late
	}
	return 0
}

func (c *clock) awake() time.Duration { return c.real - c.asleep }

// instant is the time at which awake will read d.
func (c *clock) instant(d time.Duration) time.Time { return c.start.Add(c.asleep + d) }
