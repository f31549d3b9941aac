package member

import (
	"testing"
	"testing/synctest"
	"time"
)

// Ticks come together while nothing waits for them, and singly as soon as something does.
func TestTicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 10 * time.Millisecond
		begun := time.Now()
		tick := newTicker(every)
		defer tick.timer.Stop()
		ticks := 0
		wait := func(rest int) time.Duration {
			<-tick.timer.C
			ticks += tick.fired(time.Now())
			tick.next(time.Now(), rest)
			return time.Since(begun)
		}
		if at := wait(4); at != every || ticks != 1 {
			t.Errorf("%d ticks after %v", ticks, at)
		}
		if at := wait(4); at != 5*every || ticks != 5 {
			t.Errorf("at rest: %d ticks after %v", ticks, at)
		}
		time.Sleep(every / 2)
		tick.next(time.Now(), 4) // a turn in between changes nothing
		time.Sleep(every / 2)
		tick.next(time.Now(), 1) // and here a write has come
		tick.next(time.Now(), 1)
		if at := wait(1); at != 7*every || ticks != 6 {
			t.Errorf("after a write: %d ticks after %v", ticks, at)
		}
		time.Sleep(time.Second) // the process was stopped
		if at := wait(4); at != 7*every+time.Second || ticks != 7 {
			t.Errorf("after a stop: %d ticks after %v", ticks, at)
		}
		if at := wait(4); at != 11*every+time.Second || ticks != 11 {
			t.Errorf("at rest again: %d ticks after %v", ticks, at)
		}
	})
}
