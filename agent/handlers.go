package agent

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
)

const (
	// handlerQueue is how many events may wait for one handler command.
	handlerQueue = 512
	// handlerGrace is how long handlers may go on when the agent ends.
	handlerGrace = time.Second
	// dropPause is how often dropped events are reported for one command.
	dropPause = time.Minute
)

// Handler is one event handler: which events it wants and what is run.
type Handler struct {
	Filters []rpc.EventFilter
	Command string
}

// ParseHandler reads COMMAND, TYPE=COMMAND or TYPE,TYPE=COMMAND, where a TYPE may
// also be user:NAME, query:NAME or *. What is before the first = is taken for a
// part of the command if it cannot be meant as a filter: if there is a space
// or a slash in it, as in "handle --list=/run/list".
func ParseHandler(spec string) (Handler, error) {
	head, command, ok := strings.Cut(spec, "=")
	if !ok {
		head, command = "*", spec
	}
	filters, err := rpc.ParseEventFilter(head)
	if err != nil {
		if !strings.ContainsAny(head, " \t\n/") {
			return Handler{}, fmt.Errorf("Invalid event script: Event '%s' invoking '%s'", head, command)
		}
		filters, command = []rpc.EventFilter{{Type: "*"}}, spec
	}
	if strings.TrimSpace(command) == "" {
		return Handler{}, fmt.Errorf("Invalid event script: no command in '%s'", spec)
	}
	return Handler{Filters: filters, Command: command}, nil
}

// job is one invocation of a handler.
type job struct {
	event serf.Event
	self  serf.Member
}

// handlers hands events to handler commands. Each command has a queue of its own
// and is run for one event at a time; deliver never waits.
type handlers struct {
	logger  *slog.Logger
	respond func(id serf.QueryID, payload []byte) error
	// recorded waits until an event is noted as told; nil: none is.
	recorded func(*serf.Event)
	run      func(command string, j *job, kill <-chan struct{}) (output, error) // runHandler, but in tests

	mu      sync.Mutex
	specs   []Handler
	runners map[string]*runner // by command
	stopped bool

	wg   sync.WaitGroup
	kill chan struct{} // closed when what still runs has to end
}

func newHandlers(logger *slog.Logger, respond func(serf.QueryID, []byte) error) *handlers {
	return &handlers{
		logger:  logger,
		respond: respond,
		run:     runHandler,
		runners: make(map[string]*runner),
		kill:    make(chan struct{}),
	}
}

// set replaces the handlers. Commands that stay keep their queues; those that
// go still get what waits for them.
func (h *handlers) set(specs []string) error {
	var parsed []Handler
	for _, s := range specs {
		p, err := ParseHandler(s)
		if err != nil {
			return err
		}
		parsed = append(parsed, p)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil
	}
	old := h.runners
	h.runners = make(map[string]*runner)
	for _, p := range parsed {
		if h.runners[p.Command] != nil {
			continue
		}
		r := old[p.Command]
		if r == nil {
			r = &runner{h: h, command: p.Command, jobs: make(chan job, handlerQueue)}
			h.wg.Go(r.run)
		}
		h.runners[p.Command] = r
		delete(old, p.Command)
	}
	for _, r := range old { // order-free: each ends by itself
		close(r.jobs)
	}
	h.specs = parsed
	return nil
}

// list is what is in force, for `info`.
func (h *handlers) list() []Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs
}

// deliver queues an event for every handler that wants it.
func (h *handlers) deliver(e *serf.Event, self func() serf.Member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || len(h.specs) == 0 {
		return
	}
	typ := e.Type.String()
	j := job{event: *e}
	for _, s := range h.specs {
		for _, f := range s.Filters {
			if !f.Match(typ, e.Name) {
				continue
			}
			if j.self.Name == "" {
				j.self = self()
			}
			h.runners[s.Command].add(j)
		}
	}
}

// stop ends all handlers: those that run get handlerGrace for what they have
// and what waits, then their process groups are ended.
func (h *handlers) stop() {
	h.mu.Lock()
	h.stopped = true
	for _, r := range h.runners { // order-free: each ends by itself
		close(r.jobs)
	}
	h.runners = nil
	h.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(ended)
	}()
	t := time.NewTimer(handlerGrace)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		close(h.kill)
		<-ended
	}
}

// runner runs one command for one event after the other.
type runner struct {
	h       *handlers
	command string
	jobs    chan job

	// Guarded by the handlers' mu.
	dropped  int
	reported time.Time
}

// add queues a job or counts it as lost. The caller holds the handlers' mu.
func (r *runner) add(j job) {
	select {
	case r.jobs <- j:
		return
	default:
	}
	r.dropped++
	if now := time.Now(); now.Sub(r.reported) >= dropPause {
		r.h.logger.Warn(fmt.Sprintf("agent: Script '%s' does not keep up: %d events are dropped for it, %d wait",
			r.command, r.dropped, len(r.jobs)))
		r.reported, r.dropped = now, 0
	}
}

func (r *runner) run() {
	for j := range r.jobs {
		select {
		case <-r.h.kill:
			continue // what waits is not begun any more
		default:
		}
		if r.h.recorded != nil {
			r.h.recorded(&j.event)
		}
		r.invoke(&j)
	}
}

// invoke runs the command for one event and reports how it went.
func (r *runner) invoke(j *job) {
	typ := j.event.Type.String()
	slow := time.AfterFunc(time.Second, func() {
		r.h.logger.Warn(fmt.Sprintf("agent: Script '%s' slow, execution exceeding 1s", r.command))
	})
	out, err := r.h.run(r.command, j, r.h.kill)
	slow.Stop()
	if out.total > int64(len(out.text)) {
		r.h.logger.Warn(fmt.Sprintf("agent: Script '%s' generated %d bytes of output, truncated to %d",
			r.command, out.total, len(out.text)))
	}
	r.h.logger.Debug(fmt.Sprintf("agent: Event '%s' script output: %s", typ, out.text))
	if err != nil {
		r.h.logger.Error(fmt.Sprintf("agent: Error invoking script '%s': %s", r.command, err))
		return
	}
	if j.event.Type != serf.EventQuery || len(out.text) == 0 {
		return
	}
	if err := r.h.respond(j.event.Query, out.text); err != nil {
		r.h.logger.Warn(fmt.Sprintf("agent: Failed to respond to query 'query: %s': %s", j.event.Name, err))
	}
}
