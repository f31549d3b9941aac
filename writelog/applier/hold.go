package applier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// ErrHeld says why a server cannot be held now.
var ErrHeld = errors.New("the server cannot be copied now")

// Hold is a time in which nothing is applied to a server that may not be done twice: a copy of its
// data that is taken meanwhile, record after record, becomes right when the log is applied to it from
// Position on. What may be done twice goes on.
type Hold struct {
	// Position is what was applied when the hold began.
	Position Position

	more    chan<- struct{}
	granted chan error
	given   bool // owned by the session
	all     bool // nothing at all is applied meanwhile
	over    chan struct{}
	release func()
	lost    chan struct{}
	waits   atomic.Int64 // since when an entry waits for its end, in nanoseconds of the wall clock; 0: none does
}

// Hold begins one as soon as what runs has ended that may not be done twice. There is one at a time. It
// ends with Release, or when the applier begins anew.
func (a *Applier) Hold(ctx context.Context) (*Hold, error) {
	h := a.newHold()
	select {
	case a.holds <- h:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: nothing is applied to it", ErrHeld)
	}
	select {
	case err := <-h.granted:
		if err != nil {
			return nil, err
		}
		return h, nil
	case <-ctx.Done():
		h.Release()
		return nil, fmt.Errorf("%w: %w", ErrHeld, ctx.Err())
	}
}

func (a *Applier) newHold() *Hold {
	h := &Hold{more: a.more, granted: make(chan error, 1), over: make(chan struct{}), lost: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.over) })
	return h
}

// Release ends the hold. It may be called again.
func (h *Hold) Release() {
	h.release()
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// Lost is closed if the applier has begun anew: what was copied is worth nothing.
func (h *Hold) Lost() <-chan struct{} { return h.lost }

// Waiting is for how long an entry has waited for the end of the hold.
func (h *Hold) Waiting(now time.Time) time.Duration {
	if since := h.waits.Load(); since != 0 {
		return max(0, now.Sub(time.Unix(0, since)))
	}
	return 0
}

// hold takes up a request for one.
func (s *session) hold(h *Hold) {
	switch {
	case s.held != nil:
		h.granted <- fmt.Errorf("%w: another one is being filled from it", ErrHeld)
	case s.doubt > s.queue.prefix:
		h.granted <- fmt.Errorf("%w: its host was booted, and it has not caught up", ErrHeld)
	default:
		s.held = h
		s.queue.held = true
	}
}

// holding grants a hold when it is time, and ends one that was released.
func (s *session) holding() {
	h := s.held
	if h == nil {
		return
	}
	select {
	case <-h.over:
		s.held, s.queue.held, s.queue.paused = nil, false, false
		return
	default:
	}
	if h.given || s.unrepeatable > 0 {
		return
	}
	if at := s.current(s.queue.position()); len(at.Missing.text()) <= maxMissing { // else it claims less than was done
		h.Position, h.given = at, true
		h.granted <- nil
	}
}

// heldUp notes since when entries wait for the end of the hold.
func (s *session) heldUp(now time.Time) {
	switch h := s.held; {
	case h == nil:
	case !s.queue.heldUp:
		h.waits.Store(0)
	case h.waits.Load() == 0:
		h.waits.Store(now.UnixNano())
	}
}

// endHold ends a hold with the session.
func (s *session) endHold() {
	if h := s.held; h != nil && h.given {
		close(h.lost)
	} else if h != nil {
		h.granted <- fmt.Errorf("%w: its applier begins anew", ErrHeld)
	}
}

// repeatable reports whether a command may be done over a state that has it already, if all that came after
// it is done again as well.
func (ts tables) repeatable(c *groonga.Command) bool {
	if t := ts[c.Get("table")]; c.Name == "load" && t != nil && t.keyless {
		return false
	}
	return ts.class(c) == blind
}
