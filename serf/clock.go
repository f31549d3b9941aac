package serf

import (
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// LastTime is above every Lamport time that is believed of anybody, so that each fits
// into the signed numbers of those who read them. No clock comes near it: a jump ends
// at farthest or at farthestStart, what this node stamps itself has 2^40 times left
// from there, and the small steps of others are rationed.
const LastTime wire.LTime = 1 << 63

const (
	// nearTime is how far above the clock a time may be to be taken up from any
	// message: years of what a busy cluster sends while a packet is on its way.
	nearTime wire.LTime = 1 << 20
	// nearRation is how far messages may move a clock in each rationPeriod: 2^29
	// days from farthest to the end.
	nearRation   wire.LTime = 1 << 32
	rationPeriod            = 24 * time.Hour
	// farthest is where a jump ends that members show, and farthestStart one at
	// this node's first join: who comes new into a cluster knows no better.
	farthest      wire.LTime = 3 << 61
	farthestStart            = LastTime - 1<<40
)

// clock is a Lamport clock (P70): its time is above every time that was
// witnessed, so what is stamped with it now is later than all that is known.
// It starts at 1, so that a status time of 0 means "none yet".
type clock struct {
	next wire.LTime
	// used is how far the messages of others have moved it since the ration began.
	used  wire.LTime
	since time.Time
}

// newClock returns a clock that is past restored, the time of a former life.
func newClock(restored wire.LTime) clock {
	c := clock{next: 1}
	if restored > 0 && restored < LastTime {
		c.witness(restored)
	}
	return c
}

// time is the clock's present time.
func (c *clock) time() wire.LTime { return c.next }

// tick returns the present time and moves on, so that no two calls return the same.
func (c *clock) tick() wire.LTime {
	t := c.next
	c.next++
	return t
}

// witness moves the clock past t.
func (c *clock) witness(t wire.LTime) {
	if t >= c.next {
		c.next = t + 1
	}
}

// follow witnesses a time that somebody else says, if it is near enough to be
// believed of anybody, and reports whether it was. (P270)
func (c *clock) follow(now time.Time, t wire.LTime) bool {
	if t < c.next {
		return true
	}
	if now.Sub(c.since) >= rationPeriod {
		c.since, c.used = now, 0
	}
	step := t + 1 - c.next
	if t-c.next > nearTime || t >= LastTime || step > nearRation-c.used {
		return false
	}
	c.used += step
	c.next = t + 1
	return true
}
