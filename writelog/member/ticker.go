package member

import "time"

// ticker says when the machine's ticks are due: several at a time while nothing waits for them, so that a
// gateway at rest is seldom woken.
type ticker struct {
	every time.Duration
	timer *time.Timer
	due   time.Time
	ticks int  // that are due then
	over  bool // that has passed
}

func newTicker(every time.Duration) *ticker {
	return &ticker{every: every, timer: time.NewTimer(every), due: time.Now().Add(every), ticks: 1}
}

// fired returns how many ticks have passed when the timer has run out. In a process that stood still it is one, so that
// it does not take the others for dead before it has read what they sent meanwhile.
func (t *ticker) fired(now time.Time) int {
	t.over = true
	if now.Sub(t.due) > t.every {
		t.due = now
		return 1
	}
	return t.ticks
}

// next sets the timer, if it has run out or is to run out sooner: rest is how many ticks may pass as one.
func (t *ticker) next(now time.Time, rest int) {
	switch {
	case t.over:
		t.due = t.due.Add(time.Duration(rest) * t.every)
	case rest < t.ticks:
		t.due = now.Add(time.Duration(rest) * t.every)
	default:
		return
	}
	t.over, t.ticks = false, rest
	t.timer.Reset(t.due.Sub(now))
}
