package handler

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// Grace is how long handlers may go on when the agent ends.
	Grace = time.Second
	// dropPause is how often dropped events are reported for one command.
	dropPause = time.Minute
)

// Job is one event for one handler.
type Job struct {
	Event serf.Event
	self  serf.Member
	old   map[string][]wire.Tag // member-update: the tags that were told before

	// silent counts the handlers that may still answer a query; nil for other events.
	silent *atomic.Int32
	queued time.Time // when it began to wait
}

// same reports whether two jobs are about the same kind of event.
func (j *Job) same(b *Job) bool {
	return j.Event.Type == b.Event.Type && j.Event.Name == b.Event.Name
}

// RunFunc runs a handler's command for one event, until kill is closed.
type RunFunc = func(h *Handler, j *Job, kill <-chan struct{}) (Output, error)

// Set hands events to handler commands. Each has a queue and workers of its
// own; Deliver never waits.
type Set struct {
	logger  *slog.Logger
	respond func(id serf.QueryID, payload []byte, o serf.Outcome) error
	// Recorded waits until an event is noted as told; nil: none is.
	Recorded func(*serf.Event)
	Run      RunFunc // runCommand, but in tests
	View     func() *live.View
	// Decline is called when no handler has answered a query, and none will; nil: nobody is.
	Decline func(serf.QueryID)

	mu      sync.Mutex
	specs   []Handler
	runners map[string]*runner // by Handler.runsAs
	tags    toldTags
	shared  []shared // oldest first
	stopped bool

	wg       sync.WaitGroup
	stopping chan struct{} // closed when nothing is tried again
	kill     chan struct{} // closed when what still runs has to end
}

// NewSet returns a set of no handlers. respond gives the answer to a query.
func NewSet(logger *slog.Logger, respond func(serf.QueryID, []byte, serf.Outcome) error) *Set {
	return &Set{
		logger:   logger,
		respond:  respond,
		Run:      runCommand,
		View:     func() *live.View { return new(live.View) },
		runners:  make(map[string]*runner),
		stopping: make(chan struct{}),
		kill:     make(chan struct{}),
	}
}

// Use replaces the handlers. Those that stay as they are keep their queues;
// those that go still get what waits for them.
func (h *Set) Use(specs []string, more ...Handler) error {
	parsed, err := parseAll(specs, more)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil
	}
	old := h.runners
	h.runners = make(map[string]*runner)
	for _, p := range parsed {
		key := p.runsAs()
		if h.runners[key] != nil {
			continue
		}
		r := old[key]
		if r == nil {
			r = newRunner(h, p)
		}
		h.runners[key] = r
		delete(old, key)
	}
	for _, r := range old { // order-free: each ends by itself
		r.queue.close()
	}
	h.specs = parsed
	return nil
}

// List is what is in force, for `info`.
func (h *Set) List() []Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs
}

// Deliver queues an event for every handler that wants it. It reports whether a
// handler here may answer, if it is a query.
func (h *Set) Deliver(e *serf.Event, self func() serf.Member) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.tags.tell(e)
	if h.stopped || len(h.specs) == 0 {
		return false
	}
	typ := e.Type.String()
	var j *Job
	for i := range h.specs {
		s := &h.specs[i]
		for _, f := range s.Filters {
			if !f.Match(typ, e.Name) {
				continue
			}
			if j == nil {
				j = &Job{Event: *e, self: self(), old: old, silent: new(atomic.Int32)}
				j.silent.Store(1) // as long as this goes on
			}
			if r := h.runners[s.runsAs()]; s.OneOf != nil {
				h.share(r, j)
			} else {
				r.add(j)
			}
			if !s.short {
				break // in Serf's form each TYPE counts for itself
			}
		}
	}
	return j != nil && j.silent.Add(-1) > 0
}

// saysNothing notes that a handler has had its turn and does not answer.
func (h *Set) saysNothing(j *Job) {
	if j.Event.Type == serf.EventQuery && j.silent.Add(-1) == 0 && h.Decline != nil {
		h.Decline(j.Event.Query)
	}
}

// Stop ends all handlers: those that run get handlerGrace for what they have
// and what waits, then their process groups are ended.
func (h *Set) Stop() {
	h.mu.Lock()
	if !h.stopped {
		close(h.stopping)
	}
	h.stopped = true
	for _, r := range h.runners { // order-free: each ends by itself
		r.queue.close()
	}
	h.runners = nil
	h.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(ended)
	}()
	t := time.NewTimer(Grace)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		close(h.kill)
		<-ended
	}
}

// toldTags are the tags of each member as handlers were told last, so that an
// update can say what they were. It belongs to the handlers' lock.
type toldTags map[string][]wire.Tag

// tell notes what an event says. Of an update it returns the tags before.
func (t *toldTags) tell(e *serf.Event) (old map[string][]wire.Tag) {
	if len(e.Members) == 0 {
		return nil
	}
	if *t == nil {
		*t = make(toldTags)
	}
	if e.Type == serf.EventMemberUpdate {
		old = make(map[string][]wire.Tag, len(e.Members))
	}
	for i := range e.Members {
		m := &e.Members[i]
		if old != nil {
			old[m.Name] = (*t)[m.Name]
		}
		if e.Type == serf.EventMemberReap {
			delete(*t, m.Name)
		} else {
			(*t)[m.Name] = m.Tags
		}
	}
	return old
}
