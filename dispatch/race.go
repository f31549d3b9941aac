package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/groonga"
)

// race is one read of one part: attempts at one replica after the other, or at
// several at once if one is late. The first answer wins.
type race struct {
	d        *Dispatcher
	command  *groonga.Command
	volumes  []*volume // the replicas to choose from
	deadline time.Time

	mu      sync.Mutex
	tried   []*volume
	running []*attempt
	over    bool // somebody won, or the one who asked has given up
	won     bool
	answer  groonga.Answer
	fault   error         // the last failure
	changed chan struct{} // made by the one who waits; closed when an attempt ends
}

// roundPause is how long the one who asks waits when all replicas have failed,
// before they are tried again; it doubles up to roundLimit, and ends with roundEnd.
const (
	roundPause = 10 * time.Millisecond
	roundLimit = 100 * time.Millisecond
	roundEnd   = 2 * time.Second
)

// ask reads from one of the volumes: the first attempt in the caller's own goroutine.
func (d *Dispatcher) ask(ctx context.Context, volumes []*volume, c *groonga.Command) (groonga.Answer, error) {
	r := &race{d: d, command: c, volumes: volumes}
	start := time.Now()
	r.deadline = start.Add(d.cfg.ReadTimeout)
	if t, ok := ctx.Deadline(); ok && t.Before(r.deadline) {
		r.deadline = t
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, r.giveUp)()
	}
	pause := roundPause
	for {
		if d.ctx.Err() != nil {
			r.giveUp()
			return groonga.Answer{}, ErrStopped
		}
		if v := r.next(); v != nil {
			r.attempt(v)
		} else if !r.wait() {
			if time.Since(start) > roundEnd || !r.again(ctx, pause) {
				return groonga.Answer{}, r.lost(ctx)
			}
			pause = min(2*pause, roundLimit)
		}
		if answer, err, done := r.result(ctx); done {
			return answer, err
		}
	}
}

// next chooses the best of the volumes that were not tried yet; nil if there is none.
func (r *race) next() *volume {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	n := len(r.volumes)
	first := int(r.d.turn.Add(1) % uint64(n))
	var best *volume
	bestRank, least := noRank, int32(0)
	for i := range n {
		v := r.volumes[(first+i)%n]
		rk, out := v.rank(), v.outstanding.Load()
		if rk > bestRank || rk == bestRank && best != nil && out >= least {
			continue
		}
		if rk == noRank || out >= int32(r.d.cfg.MaxConns) || slices.Contains(r.tried, v) {
			continue
		}
		best, bestRank, least = v, rk, out
	}
	if best != nil {
		r.tried = append(r.tried, best)
	}
	return best
}

// attempt asks one volume.
func (r *race) attempt(v *volume) {
	a := &attempt{volume: v, race: r, start: time.Now()}
	if !r.enter(a) {
		return
	}
	v.begin(a)
	r.d.watch.begun()
	answer, reused, err := a.run(r.command, false)
	if err != nil && reused && !a.interrupted() {
		// An idle connection that the server closed: it says nothing of the server.
		answer, _, err = a.run(r.command, true)
	}
	v.end(a)
	switch {
	case err == nil:
		r.d.answered(v, time.Since(a.start))
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		err = fmt.Errorf("%w: more than %d bytes", ErrAnswerTooLong, r.d.cfg.MaxAnswer)
	case !a.interrupted():
		r.d.failed(v, err)
	}
	r.leave(a, answer, err)
}

// enter notes an attempt; false if the race is over.
func (r *race) enter(a *attempt) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.running = append(r.running, a)
	return true
}

// leave takes the result of an attempt. The first answer ends the others.
func (r *race) leave(a *attempt, answer groonga.Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.running, a); i >= 0 {
		r.running = slices.Delete(r.running, i, i+1)
	}
	switch {
	case r.over:
	case err == nil:
		r.over, r.won, r.answer = true, true, answer
		r.stopLocked()
	case errors.Is(err, ErrAnswerTooLong):
		r.over, r.fault = true, err
		r.stopLocked()
	case !errors.Is(err, errInterrupted) || r.fault == nil:
		r.fault = fmt.Errorf("%s: %w", a.volume.addr, err)
	}
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *race) stopLocked() {
	for _, a := range r.running {
		a.interrupt()
	}
}

// giveUp ends the race without an answer.
func (r *race) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.stopLocked()
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// result tells whether the race is over, and how.
func (r *race) result(ctx context.Context) (groonga.Answer, error, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.won:
		return r.answer, nil, true
	case r.over && ctx.Err() != nil:
		return groonga.Answer{}, ctx.Err(), true
	case r.over:
		return groonga.Answer{}, r.fault, true
	}
	return groonga.Answer{}, nil, false
}

// wait waits until another attempt of the race has ended; false if there is none.
func (r *race) wait() bool {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return true
	}
	if len(r.running) == 0 {
		r.mu.Unlock()
		return false
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	changed := r.changed
	r.mu.Unlock()
	<-changed
	return true
}

// again lets all volumes be tried once more, after a pause.
func (r *race) again(ctx context.Context, pause time.Duration) bool {
	if time.Until(r.deadline) < pause {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-r.d.ctx.Done():
		return false
	case <-time.After(pause):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = r.tried[:0]
	return true
}

// lost is the error of a race that nobody won.
func (r *race) lost(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.fault != nil {
		return fmt.Errorf("%w; last: %v", ErrNoReplica, r.fault)
	}
	full := false
	for _, v := range r.volumes {
		full = full || v.rank() != noRank && v.outstanding.Load() >= int32(r.d.cfg.MaxConns)
	}
	if full {
		return ErrOverload
	}
	return ErrNoReplica
}
