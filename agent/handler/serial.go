package handler

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// serialQueue is how many events may wait for the handlers in Serf's form.
	serialQueue = 4096
	// longRun is how long one of them may take until the log names it, and how
	// often it does.
	longRun = time.Minute
	// elsewhere is the cure for what holds that queue up.
	elsewhere = "handlers in Serf's form run one at a time; those under the key 'handlers' have queues and time-outs of their own"
)

// serial runs the handlers in Serf's form as Serf runs them (P154): one at a time over
// all of them, in the order of the events, within one event in the order of the handlers.
type serial struct {
	h     *Set
	queue *jobQueue
	tags  toldTags // guarded by the handlers' mu

	once   sync.Once
	detach chan struct{} // closed when a run is left to itself
	idle   chan struct{} // closed when the worker has ended

	mu       sync.Mutex
	front    string    // the command that runs, or ran last
	since    time.Time // when it began
	dropped  uint64    // of which no line has said anything
	reported time.Time
}

func (s *serial) init(h *Set) {
	s.h, s.queue = h, newJobQueue(serialQueue, dropUsers)
	s.detach, s.idle = make(chan struct{}), make(chan struct{})
}

// start starts the worker if there is a handler for it. The caller holds the handlers' mu.
func (s *serial) start() {
	if slices.ContainsFunc(s.h.specs, func(h Handler) bool { return h.short }) {
		s.once.Do(func() { go s.work() })
	}
}

// stop drops what waits, and waits up to linger for the command that runs; then it is
// left to itself.
func (s *serial) stop(linger time.Duration) {
	s.queue.clear()
	s.once.Do(func() { close(s.idle) }) // it was never started
	if linger > 0 {
		t := time.NewTimer(linger)
		defer t.Stop()
		select {
		case <-s.idle:
			return
		case <-t.C:
		}
	}
	close(s.detach)
	<-s.idle
}

// add queues an event. The caller holds the handlers' mu.
func (s *serial) add(j *Job) {
	j.silent = new(atomic.Int32)
	j.silent.Store(1) // all of them count as one
	j.follow = s.h.Updates(&j.Event)
	lost := s.queue.add(j)
	if lost == nil {
		return
	}
	for i := range s.h.specs {
		if h := &s.h.specs[i]; h.short && h.matches(lost.Event.Type.String(), lost.Event.Name) {
			s.h.runners[h.runsAs()].counts.dropped.Add(1)
		}
	}
	if lost.Event.Type == serf.EventQuery {
		go s.h.saysNothing(lost) // Deliver's caller may be whom that waits for
	}
	s.report(1, "")
}

// waiting is how many events wait that a handler wants.
func (s *serial) waiting(h *Handler) (n int) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for _, j := range s.queue.jobs {
		if h.matches(j.Event.Type.String(), j.Event.Name) {
			n++
		}
	}
	return n
}

// report says at most once a minute what was dropped, behind which handler.
func (s *serial) report(dropped uint64, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += dropped
	now := time.Now()
	if now.Sub(s.reported) < dropPause {
		return
	}
	s.reported = now
	if what == "" {
		what = "the oldest user events and queries are dropped"
	}
	s.h.logger.Warn(fmt.Sprintf("agent: Handlers do not keep up: %s (%d events so far), %d wait behind script '%s', which began %v ago; %s",
		what, s.dropped, s.queue.len(), s.front, now.Sub(s.since).Round(100*time.Millisecond), elsewhere))
	s.dropped = 0
}

func (s *serial) work() {
	defer close(s.idle)
	for {
		j, ok := s.queue.next()
		if !ok {
			return
		}
		j.arrange()
		if s.h.Recorded != nil {
			s.h.Recorded(&j.Event)
		}
		s.handle(j, &j.Event)
		if j.follow {
			update := *j
			update.Event = updateOf(&j.Event)
			update.old = make(map[string][]wire.Tag, len(j.Event.Members))
			for i := range j.Event.Members {
				update.old[j.Event.Members[i].Name] = j.Event.Members[i].Tags
			}
			s.handle(&update, &update.Event)
		}
	}
}

// handle runs what wants an event, of the handlers that are in force at its beginning.
func (s *serial) handle(j *Job, e *serf.Event) {
	typ, answered := e.Type.String(), false
	for _, r := range s.inForce() {
		for _, f := range r.spec.Filters { // each TYPE counts for itself
			if !f.Match(typ, e.Name) || s.left() {
				continue
			}
			if j.over() {
				r.counts.expired.Add(1)
				s.report(1, fmt.Sprintf("the time of query '%s' was over before its turn", e.Name))
				continue
			}
			answered = s.run(r, j) || answered
		}
	}
	if !answered {
		s.h.saysNothing(j)
	}
}

// inForce are the handlers in Serf's form, in their order.
func (s *serial) inForce() (all []*runner) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	for i := range s.h.specs {
		if h := &s.h.specs[i]; h.short && s.h.runners != nil {
			r := s.h.runners[h.runsAs()] // the counts are those of the command
			all = append(all, &runner{h: s.h, spec: *h, counts: r.counts})
		}
	}
	return all
}

// left reports whether nothing more is begun.
func (s *serial) left() bool {
	select {
	case <-s.h.stopping:
		return true
	default:
		return false
	}
}

// run runs one command for one event, and reports whether it gave an answer.
func (s *serial) run(r *runner, j *Job) bool {
	s.mu.Lock()
	s.front, s.since = r.spec.Command, time.Now()
	var long *time.Timer // guarded by mu
	long = time.AfterFunc(longRun, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.h.logger.Warn(fmt.Sprintf("agent: Script '%s' has been running for %v, and %d events wait for it to end; %s",
			r.spec.Command, time.Since(s.since).Round(time.Second), s.queue.len(), elsewhere))
		long.Reset(longRun)
	})
	s.mu.Unlock()
	defer long.Stop()
	out, err := r.invoke(j)
	return !errors.Is(err, errLeft) && r.answer(j, out, err)
}
