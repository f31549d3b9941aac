package handler

import (
	"log/slog"
	"slices"
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

	merged bool // it took in others, see takes
	follow bool // an update of the same members comes right behind it

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

// Set hands events to handler commands. Those in Serf's form share one queue, see
// serial; each of the others has a queue and workers of its own. Deliver never waits.
type Set struct {
	logger  *slog.Logger
	respond func(id serf.QueryID, payload []byte, o serf.Outcome) error
	// Recorded waits until an event is noted as told; nil: none is.
	Recorded func(*serf.Event)
	Run      RunFunc // runCommand, but in tests
	View     func() *live.View
	// Decline is called when no handler has answered a query, and none will; nil: nobody is.
	Decline func(serf.QueryID)
	// Update: a join, a leave and a failure are each followed by an update of the same
	// members, for handlers that look at updates only.
	Update bool
	// Linger is how long Stop waits for a handler in Serf's form; then it is left to
	// itself, unless the process that is to outlive it has to end first.
	Linger time.Duration

	mu      sync.Mutex
	specs   []Handler
	runners map[string]*runner // by Handler.runsAs
	tags    toldTags
	shared  []shared // oldest first
	stopped bool
	serial  serial

	wg       sync.WaitGroup
	stopping chan struct{} // closed when nothing is tried again
	kill     chan struct{} // closed when what still runs has to end
}

// NewSet returns a set of no handlers. respond gives the answer to a query.
func NewSet(logger *slog.Logger, respond func(serf.QueryID, []byte, serf.Outcome) error) *Set {
	h := &Set{
		logger:   logger,
		respond:  respond,
		Run:      runCommand,
		View:     func() *live.View { return new(live.View) },
		runners:  make(map[string]*runner),
		stopping: make(chan struct{}),
		kill:     make(chan struct{}),
	}
	h.serial.init(h)
	return h
}

// Use replaces the handlers. In Serf's form the one that runs goes on, and what waits
// goes to the new ones. Of the others, those that stay as they are keep their queues;
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
		r.close()
	}
	h.specs = parsed
	h.serial.start()
	return nil
}

// List is what is in force, for `info`.
func (h *Set) List() []Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs
}

// Deliver queues an event for every handler that wants it and is of its audience: those
// in Serf's form are windowed, the others prompt. It reports whether a handler here may
// answer, if it is a query.
func (h *Set) Deliver(e *serf.Event, self func() serf.Member) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	audience := func(to serf.Audience) bool { return e.To == 0 || e.To&to != 0 }
	if h.stopped || len(h.specs) == 0 {
		h.tags.tell(e)
		h.serial.tags.tell(e)
		return false
	}
	answers := false
	if audience(serf.Prompt) {
		answers = h.deliverPrompt(e, h.tags.tell(e), self)
	}
	if audience(serf.Windowed) {
		old := h.serial.tags.tell(e)
		if h.wants(e.Type.String(), e.Name) || h.Updates(e) && h.wants(serf.EventMemberUpdate.String(), "") {
			h.serial.add(&Job{Event: *e, self: self(), old: old})
			answers = true
		}
	}
	return answers
}

// deliverPrompt queues an event for the handlers with queues of their own, and the
// update that is to follow it.
func (h *Set) deliverPrompt(e *serf.Event, old map[string][]wire.Tag, self func() serf.Member) bool {
	typ := e.Type.String()
	var j *Job
	for i := range h.specs {
		s := &h.specs[i]
		if s.short || !s.matches(typ, e.Name) {
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
	}
	if h.Updates(e) {
		update := updateOf(e)
		h.deliverPrompt(&update, h.tags.tell(&update), self)
	}
	return j != nil && j.silent.Add(-1) > 0
}

// Updates reports whether an update of the same members follows an event.
func (h *Set) Updates(e *serf.Event) bool {
	return h.Update && (e.Type == serf.EventMemberJoin || e.Type == serf.EventMemberLeave || e.Type == serf.EventMemberFailed)
}

// updateOf is an event as an update of the same members.
func updateOf(e *serf.Event) serf.Event {
	update := *e
	update.Type = serf.EventMemberUpdate
	return update
}

// wants reports whether a handler in Serf's form wants such an event.
func (h *Set) wants(typ, name string) bool {
	return slices.ContainsFunc(h.specs, func(s Handler) bool { return s.short && s.matches(typ, name) })
}

// saysNothing notes that a handler has had its turn and does not answer.
func (h *Set) saysNothing(j *Job) {
	if j.Event.Type == serf.EventQuery && j.silent.Add(-1) == 0 && h.Decline != nil {
		h.Decline(j.Event.Query)
	}
}

// Stop ends the handlers. One in Serf's form that runs goes on by itself, and what waits
// for its turn is dropped, as in Serf; see Linger. Those that have queues of their own
// get Grace for what they have and what waits, then their process groups are ended.
func (h *Set) Stop() {
	h.mu.Lock()
	if !h.stopped {
		close(h.stopping)
	}
	h.stopped = true
	for _, r := range h.runners { // order-free: each ends by itself
		r.close()
	}
	h.runners = nil
	h.mu.Unlock()
	h.serial.stop(h.Linger)

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
