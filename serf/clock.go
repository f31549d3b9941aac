package serf

import "github.com/ibuki-dev/ibuki/wire"

// clock is a Lamport clock (P70): its time is above every time that was
// witnessed, so what is stamped with it now is later than all that is known.
// It starts at 1, so that a status time of 0 means "none yet".
type clock struct {
	next wire.LTime
}

// newClock returns a clock that is past restored, the time of a former life.
func newClock(restored wire.LTime) clock {
	c := clock{next: 1}
	if restored > 0 && restored <= maxTime {
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
