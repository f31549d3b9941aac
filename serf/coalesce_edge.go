package serf

import "time"

// edge decides what is delivered at once and what is held back, where the first of a
// burst is wanted at once and the rest of it together (P226).
//
// Rule: what comes while no window is open is delivered at the end of the input that
// brought it, so that members who arrive in one push/pull are one event, and opens
// a window; what comes while one is open is delivered at its end, which opens the
// next. Invariant: due is set only within an input.
type edge struct {
	closes time.Time // when the present window is over; zero: there was none
	due    bool      // to be delivered at the end of this input
}

// admit takes an event at now. It returns when it is to be delivered, or the zero
// time if that is the end of this input.
func (e *edge) admit(now time.Time) time.Time {
	if now.Before(e.closes) {
		return e.closes
	}
	e.due = true
	return time.Time{}
}

// opened begins the window that follows a delivery.
func (e *edge) opened(now time.Time, width time.Duration) {
	e.due = false
	if width > 0 {
		e.closes = now.Add(width)
	}
}
