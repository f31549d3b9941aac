package handler

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// runner runs one handler for the events in its queue, as many at once as it may.
type runner struct {
	h      *Set
	spec   Handler
	queue  *jobQueue
	counts *handlerCounts

	// Guarded by the handlers' mu.
	reported time.Time
	told     uint64 // of those that were lost
}

// handlerCounts are what a handler saw since it was set.
type handlerCounts struct {
	runs, failed, timedOut, retried, dropped, expired atomic.Uint64
	running                                           atomic.Int64
	lasted                                            atomic.Int64 // ns, all runs together
}

// Stats are the figures of one handler.
type Stats struct {
	Command  string
	Runs     uint64        // that have ended, retries included
	Failed   uint64        // of these: exit code, time-out, could not be started
	TimedOut uint64        // of these: ended for their time-out
	Retried  uint64        // runs that were a further try
	Dropped  uint64        // events that were lost for want of room
	Expired  uint64        // queries whose time was over before their turn
	Running  int           // now
	Waiting  int           // now
	Lasted   time.Duration // all runs together
}

// Stats returns the figures of the handlers in force, in the order of the
// configuration; handlers that share a queue come once.
func (h *Set) Stats() []Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Stats
	seen := make(map[*runner]bool)
	for i := range h.specs {
		r := h.runners[h.specs[i].runsAs()]
		if r == nil || seen[r] {
			continue
		}
		seen[r] = true
		c := r.counts
		waiting := 0
		if r.queue != nil {
			waiting = r.queue.len()
		} else {
			waiting = h.serial.waiting(&r.spec)
		}
		all = append(all, Stats{Command: r.spec.Command, Runs: c.runs.Load(), Failed: c.failed.Load(),
			TimedOut: c.timedOut.Load(), Retried: c.retried.Load(), Dropped: c.dropped.Load(), Expired: c.expired.Load(),
			Running: int(c.running.Load()), Waiting: waiting, Lasted: time.Duration(c.lasted.Load())})
	}
	return all
}

func newRunner(h *Set, spec Handler) *runner {
	r := &runner{h: h, spec: spec, counts: new(handlerCounts)}
	if spec.short { // the serial queue has its events
		return r
	}
	r.queue = newJobQueue(spec.Queue, spec.Drop)
	for range spec.Parallel {
		h.wg.Go(r.work)
	}
	return r
}

// close lets the runner end when it has done what waits.
func (r *runner) close() {
	if r.queue != nil {
		r.queue.close()
	}
}

// add queues a job; what is lost is counted. The caller holds the handlers' mu.
func (r *runner) add(j *Job) {
	j.silent.Add(1)
	if lost := r.queue.add(j); lost != nil {
		lost.silent.Add(-1)
		r.counts.dropped.Add(1)
		r.report()
	}
}

// report says at most once a minute what the handler has lost. The caller holds
// the handlers' mu.
func (r *runner) report() {
	now := time.Now()
	if now.Sub(r.reported) < dropPause {
		return
	}
	lost := r.counts.dropped.Load() + r.counts.expired.Load()
	r.h.logger.Warn(fmt.Sprintf("agent: Script '%s' does not keep up: %d events are dropped for it, %d wait",
		r.spec.Command, lost-r.told, r.queue.len()))
	r.reported, r.told = now, lost
}

func (r *runner) work() {
	for {
		j, ok := r.queue.next()
		if !ok {
			return
		}
		select {
		case <-r.h.kill:
			continue // what waits is not begun any more
		default:
		}
		if r.h.Recorded != nil {
			r.h.Recorded(&j.Event)
		}
		r.handle(j)
	}
}

// over reports whether the event is a query whose time is over: nobody waits for
// what the handler would answer.
func (j *Job) over() bool {
	return j.Event.Type == serf.EventQuery && !j.Event.Deadline.IsZero() && time.Now().After(j.Event.Deadline)
}

// handle runs the command for one event, again if it fails and may be.
func (r *runner) handle(j *Job) {
	pause := r.spec.RetryPause
	for try := 0; ; try++ {
		if j.over() {
			r.counts.expired.Add(1)
			r.h.mu.Lock()
			r.report()
			r.h.mu.Unlock()
			r.h.saysNothing(j)
			return
		}
		if try > 0 {
			r.counts.retried.Add(1)
		}
		out, err := r.invoke(j)
		if err == nil || try >= r.spec.Retries || !r.pause(pause) {
			if !r.answer(j, out, err) {
				r.h.saysNothing(j)
			}
			return
		}
		pause = min(2*pause, maxRetryPause)
	}
}

// pause waits before a further try; there is none when the agent ends.
func (r *runner) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.h.stopping:
		return false
	}
}

// invoke runs the command once and reports how it went.
func (r *runner) invoke(j *Job) (Output, error) {
	command := r.spec.Command
	slow := time.AfterFunc(time.Second, func() {
		r.h.logger.Warn(fmt.Sprintf("agent: Script '%s' slow, execution exceeding 1s", command))
	})
	begun := time.Now()
	r.counts.running.Add(1)
	out, err := r.h.Run(&r.spec, j, r.ends())
	r.counts.running.Add(-1)
	r.counts.runs.Add(1)
	r.counts.lasted.Add(int64(time.Since(begun)))
	slow.Stop()
	if out.cut() {
		r.h.logger.Warn(fmt.Sprintf("agent: Script '%s' generated %d bytes of output, truncated to %d",
			command, out.total, len(out.Text)))
	}
	r.h.logger.Debug(fmt.Sprintf("agent: Event '%s' script output: %s", j.Event.Type, out.Text))
	switch {
	case errors.Is(err, errLeft):
		r.h.logger.Info(fmt.Sprintf("agent: Script '%s' continues without the agent", command))
	case err != nil:
		r.counts.failed.Add(1)
		if errors.Is(err, errHandlerTimeout) {
			r.counts.timedOut.Add(1)
		}
		r.h.logger.Error(fmt.Sprintf("agent: Error invoking script '%s': %s", command, err))
	}
	return out, err
}

// ends is closed when a run has to end: in Serf's form it is left to itself then.
func (r *runner) ends() <-chan struct{} {
	if r.spec.short {
		return r.h.serial.detach
	}
	return r.h.kill
}

// answer gives the output as the answer to a query, and reports whether it did. One
// that failed has an answer only if the asker wants to know how it went.
func (r *runner) answer(j *Job, out Output, err error) bool {
	e := &j.Event
	if e.Type != serf.EventQuery || !e.WantsOutcome && (err != nil || len(out.Text) == 0) {
		return false
	}
	o := serf.Outcome{Known: true, Exit: exitCode(err), Truncated: out.cut()}
	if err := r.h.respond(e.Query, out.Text, o); err != nil {
		r.h.logger.Warn(fmt.Sprintf("agent: Failed to respond to query 'query: %s': %s", e.Name, err))
	}
	return true
}

// Oldest is how long the event has waited that waits longest for a handler.
func (h *Set) Oldest(now time.Time) (age time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	age = h.serial.queue.oldest(now)
	for _, r := range h.runners { // order-free: the greatest
		if r.queue == nil {
			continue
		}
		age = max(age, r.queue.oldest(now))
	}
	return age
}
