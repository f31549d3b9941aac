package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// outcome is what a client knows of what it asked for.
type outcome int

const (
	done    outcome = iota // it is done, and was answered
	refused                // it is not done, and never will be
	open                   // nobody knows
)

// operation is one thing that a client asked for.
type operation struct {
	client    int
	key       string // of the register
	read      bool
	value     string // what was written or read; "" is no record
	outcome   outcome
	call, ret time.Duration // since the history began
}

// history is what all clients did, in the order in which it ended.
type history struct {
	begun time.Time

	mu         sync.Mutex
	list       []operation
	said       map[string]int // faults, by name
	notes      map[string]outcome
	columns    map[string]outcome // columns that were made
	removed    map[string]outcome // columns that were removed
	registered map[string]bool    // keys of registers, to which a truncate is a write
}

func newHistory() *history {
	return &history{begun: time.Now(), said: make(map[string]int), notes: make(map[string]outcome), columns: make(map[string]outcome),
		removed: make(map[string]outcome), registered: make(map[string]bool)}
}

func (h *history) now() time.Duration { return time.Since(h.begun) }

// add takes an operation that has ended now.
func (h *history) add(o operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.ret = h.now()
	h.list = append(h.list, o)
	h.registered[o.key] = true
}

// note counts what a client was answered.
func (h *history) note(said string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said[said]++
}

func (h *history) set(m map[string]outcome, name string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m[name] = o
}

// all is the history with a truncate as a write to each register of the table that is emptied.
func (h *history) all() (list []operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.list {
		if o.key != everything {
			list = append(list, o)
			continue
		}
		for key := range h.registered {
			if key[0] == 'w' {
				o.key = key
				list = append(list, o)
			}
		}
	}
	return list
}

// everything is the key of a truncate.
const everything = "*"

// register is a register for the checker: its state is the value.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		o := input.(operation)
		if o.read {
			return o.value == state.(string), state
		}
		return true, o.value
	},
	DescribeOperation: func(input, _ any) string {
		o := input.(operation)
		if o.read {
			return fmt.Sprintf("read %q", o.value)
		}
		return fmt.Sprintf("write %q, %v", o.value, o.outcome)
	},
}

// checkFor bounds the check of one register.
const checkFor = 20 * time.Second

// violations checks each register by itself, and describes those whose history nobody can put
// into one order. undecided counts those that would take too long.
func violations(list []operation) (bad []string, undecided int) {
	byKey := make(map[string][]operation)
	for _, o := range list {
		byKey[o.key] = append(byKey[o.key], o)
	}
	for key, of := range byKey {
		switch porcupine.CheckOperationsTimeout(register, linear(of), checkFor) {
		case porcupine.Illegal:
			bad = append(bad, describe(key, of))
		case porcupine.Unknown:
			undecided++
		}
	}
	slices.Sort(bad)
	return bad, undecided
}

// linear is the history of one register as the checker takes it. A write that nobody knows
// about may be done at any time after it was asked for. If nobody has read it, it may as well
// never have been done, and is left out.
func linear(list []operation) (out []porcupine.Operation) {
	seen := make(map[string]bool)
	for _, o := range list {
		if o.read {
			seen[o.value] = true
		}
	}
	for _, o := range list {
		p := porcupine.Operation{ClientId: o.client, Input: o, Call: int64(o.call), Return: int64(o.ret)}
		switch {
		case o.outcome == refused, o.outcome == open && (o.read || !seen[o.value]):
			continue
		case o.outcome == open:
			p.Return = 1 << 62
		}
		out = append(out, p)
	}
	return out
}

// describe shows the history of a register.
func describe(key string, list []operation) string {
	slices.SortFunc(list, func(a, b operation) int { return cmp.Compare(a.call, b.call) })
	text := "register " + key + ":"
	for _, o := range list {
		what := "write"
		if o.read {
			what = "read"
		}
		text += fmt.Sprintf("\n  %v to %v client %d %s %q %s", o.call.Round(time.Millisecond), o.ret.Round(time.Millisecond), o.client, what, o.value,
			[]string{"done", "refused", "unconfirmed"}[o.outcome])
	}
	return text
}
