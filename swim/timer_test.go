package swim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimersFireInOrder(t *testing.T) {
	var ts timers
	a := &timer{kind: timerGossip}
	b := &timer{kind: timerProbeEnd}
	c := &timer{kind: timerProbe}
	d := &timer{kind: timerSuspicion}
	e := &timer{kind: timerSuspicion}
	ts.arm(c, 10)
	ts.arm(a, 5)
	ts.arm(e, 10)
	ts.arm(b, 10)
	ts.arm(d, 10)
	if x := ts.due(4); x != nil {
		t.Fatalf("fired %v before its time", x)
	}
	// By time, then what ends before what begins, then by arming.
	for i, want := range []*timer{a, b, e, d, c, nil} {
		if got := ts.due(10); got != want {
			t.Errorf("timer %d: %v, want %v", i, got, want)
		}
	}
}

func TestTimersAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ts timers
		pool := make([]timer, 12)
		armed := map[*timer]bool{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			x := &pool[rapid.IntRange(0, len(pool)-1).Draw(t, "timer")]
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				ts.arm(x, time.Duration(rapid.IntRange(0, 9).Draw(t, "at")))
				armed[x] = true
			case 2:
				ts.stop(x)
				delete(armed, x)
			case 3:
				var want *timer
				for i := range pool {
					if armed[&pool[i]] && (want == nil || pool[i].less(want)) {
						want = &pool[i]
					}
				}
				if got := ts.due(100); got != want {
					t.Fatalf("due %p, want %p", got, want)
				}
				delete(armed, want)
			}
			for i, h := range ts.heap {
				if h.pos != i+1 || i > 0 && h.less(ts.heap[(i-1)/2]) {
					t.Fatalf("heap broken at %d", i)
				}
			}
			if len(ts.heap) != len(armed) {
				t.Fatalf("%d armed, want %d", len(ts.heap), len(armed))
			}
		}
	})
}

func TestClock(t *testing.T) {
	c := clock{start: epoch}
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	steps := []struct {
		now, next           int // seconds; next on the awake clock
		slept, real, asleep int
	}{
		{now: 3, next: 5, real: 3},
		{now: 6, next: 5, real: 6},                              // late, but within tolerance
		{now: 2, next: 7, real: 6},                              // the driver's clock went back
		{now: 107, next: 7, slept: 100, real: 107, asleep: 100}, // asleep
		{now: 108, next: 7, real: 108, asleep: 100},
		{now: 113, next: 8, slept: 5, real: 113, asleep: 105},
	}
	for i, s := range steps {
		slept := c.advance(at(s.now), time.Duration(s.next)*time.Second, true, 2*time.Second)
		got := []time.Duration{slept, c.real, c.asleep}
		want := []time.Duration{time.Duration(s.slept) * time.Second, time.Duration(s.real) * time.Second, time.Duration(s.asleep) * time.Second}
		if !slices.Equal(got, want) {
			t.Errorf("step %d: %v, want %v", i, got, want)
		}
	}
	if got := c.instant(9 * time.Second); !got.Equal(at(114)) {
		t.Errorf("instant %v", got)
	}
	if s := c.advance(at(999), 0, false, 0); s != 0 {
		t.Errorf("slept %v with no timer armed", s)
	}
}
