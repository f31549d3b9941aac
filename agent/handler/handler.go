// Package handler runs event handlers: commands that are run for events, in Serf's form
// or with settings of their own, each with a bounded queue. It knows events, the members
// that they are about and the processes that it starts, and nothing of the agent:
// whoever delivers an event never waits for a command.
package handler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// Handler is one event handler: which events it wants, what is run, and how
// much it may take. The zero value of each setting is what Serf's form means.
type Handler struct {
	Filters []rpc.EventFilter
	Command string

	// Timeout ends a run: its process group is asked to end, then killed. 0: none.
	Timeout time.Duration
	// Parallel is how many events it may be run for at once; above 1 they may
	// end in another order than they came in. 0: 1.
	Parallel int
	// Queue is how many events may wait. 0: 512.
	Queue int
	// Drop says which event is lost when they are more.
	Drop DropRule
	// Retries is how often a run that failed is tried again, RetryPause how long
	// after the first failure; the pause doubles, up to a minute. 0: 1 s.
	Retries    int
	RetryPause time.Duration
	// JSON: standard input is one JSON object instead of lines.
	JSON bool
	// OneOf: of all nodes that have this handler one is to run it. nil: each does.
	OneOf *OneOf

	short bool // it was written in Serf's form
}

// DropRule says which event a full queue loses.
type DropRule uint8

// The rules.
const (
	DropNewest DropRule = iota // the one that comes
	DropOldest                 // the one that has waited longest
	// DropSame: one that waits and is of the same type and name goes as soon as
	// another one comes, whether the queue is full or not: for handlers that look
	// at how things are, not at what happened. A full queue loses its oldest.
	DropSame
	// dropUsers is the rule of the queue for Serf's form: member events are merged,
	// never lost; then the oldest user event goes.
	dropUsers
)

var dropRules = [...]string{"newest", "oldest", "same"}

// ParseDropRule reads "newest", "oldest" or "same"; the empty string is the first.
func ParseDropRule(s string) (DropRule, error) {
	for i, name := range dropRules {
		if s == name {
			return DropRule(i), nil
		}
	}
	if s == "" {
		return DropNewest, nil
	}
	return 0, fmt.Errorf("'%s' is none of %s", s, strings.Join(dropRules[:], ", "))
}

// String is the rule's word.
func (d DropRule) String() string { return dropRules[d] }

// Bounds of a handler's settings.
const (
	handlerQueue    = 512 // the default
	maxHandlerQueue = 1 << 16
	maxParallel     = 256
	maxRetries      = 100
	maxRetryPause   = time.Minute
)

// Validate returns all faults at once, nil if there are none.
func (h *Handler) Validate() error {
	var faults []error
	within := func(what string, n, most int) {
		if n < 0 || n > most {
			faults = append(faults, fmt.Errorf("%s is %d, not 0 to %d", what, n, most))
		}
	}
	if strings.TrimSpace(h.Command) == "" {
		faults = append(faults, errors.New("there is no command to run"))
	}
	if len(h.Filters) == 0 {
		faults = append(faults, errors.New("there is no event to run it on"))
	}
	within("parallel", h.Parallel, maxParallel)
	within("queue", h.Queue, maxHandlerQueue)
	within("retries", h.Retries, maxRetries)
	if h.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout is %v", h.Timeout))
	}
	if h.RetryPause < 0 || h.RetryPause > maxRetryPause {
		faults = append(faults, fmt.Errorf("retry_pause is %v, not 0 to %v", h.RetryPause, maxRetryPause))
	}
	return errors.Join(faults...)
}

// withDefaults fills in what is zero.
func (h Handler) withDefaults() Handler {
	if h.Parallel == 0 {
		h.Parallel = 1
	}
	if h.Queue == 0 {
		h.Queue = handlerQueue
	}
	if h.RetryPause == 0 {
		h.RetryPause = time.Second
	}
	return h
}

// matches reports whether the handler wants such an event.
func (h *Handler) matches(typ, name string) bool {
	return slices.ContainsFunc(h.Filters, func(f rpc.EventFilter) bool { return f.Match(typ, name) })
}

// runsAs is the same for handlers that share a queue: those with one command and
// one way to run it, whatever the events.
func (h *Handler) runsAs() string {
	return fmt.Sprintf("%v %q %v %d %d %v %d %v %v %s", h.short, h.Command, h.Timeout, h.Parallel, h.Queue, h.Drop,
		h.Retries, h.RetryPause, h.JSON, h.OneOf)
}

// Parse reads COMMAND, TYPE=COMMAND or TYPE,TYPE=COMMAND, where a TYPE may
// also be user:NAME, query:NAME or *. What is before the first = is taken for a
// part of the command if it cannot be meant as a filter: if there is a space
// or a slash in it, as in "handle --list=/run/list".
func Parse(spec string) (Handler, error) {
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
	return Handler{Filters: filters, Command: command, short: true}, nil
}

// parseAll reads specifications, and adds those that are typed already.
func parseAll(specs []string, more []Handler) ([]Handler, error) {
	var all []Handler
	for _, s := range specs {
		h, err := Parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, h.withDefaults())
	}
	for _, h := range more {
		all = append(all, h.withDefaults())
	}
	return all, nil
}
