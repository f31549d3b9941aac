package serf

import (
	"net/netip"
	"time"
)

// memberCoalescer holds member events back for an audience, to tell them together. One
// with windows (P110) tells what it has CoalescePeriod after the first event, or earlier
// when QuiescentPeriod passed without an event; failures it tells at once (P236). One
// without tells the first event of a burst at once (P226).
//
// Rule: of each member the chain of what happened is kept as short as possible
// without telling anything untrue, see AppendStep.
//
// Nothing outlives a flush: no event is sent twice, no name is remembered.
type memberCoalescer struct {
	to            Audience
	period, quiet time.Duration // of a window; 0: there are none
	urgent        time.Duration // failures at once, those within it together; 0: they wait like the rest
	width         time.Duration // of the leading edge, where there are no windows
	flushAt       timer
	failuresAt    timer
	lingering     []lingering // only with windows

	byName   map[string]*chain
	until    time.Time // the end of the window at the latest
	edge     edge
	failures edge
}

// chain is what happened to one member in the window.
type chain struct {
	before member // as it was before the first update, if steps begins with one
	gone   bool   // it was down before the window, and steps begins with a leave by force
	failed bool   // a failure in it is to be told at once
	steps  []Step[member]
}

// add appends an event, then shortens the chain. atOnce: it is a failure that does not
// wait for the end of the window.
func (c *chain) add(s Step[member], before *member, atOnce bool) {
	if len(c.steps) == 0 {
		if s.Type == EventMemberUpdate {
			c.before = *before
		}
		c.gone = s.Type.Down() && before != nil
	}
	if atOnce && len(c.steps) > 0 && c.steps[len(c.steps)-1].Type == EventMemberJoin {
		c.steps = append(c.steps, s) // what came before a failure is told with it
		return
	}
	c.steps = AppendStep(c.steps, s, c.gone)
}

// final is the chain without an update that came to nothing: the tags are what they were.
func (c *chain) final(view memberView, steps []Step[member]) []Step[member] {
	if len(steps) > 0 && steps[0].Type == EventMemberUpdate && view.sameFace(&c.before, &steps[0].Rec) {
		return steps[1:]
	}
	return steps
}

// memberCoalescers are those that the settings ask for: one for each audience, or one
// for both.
func memberCoalescers(cfg *Config) (all []memberCoalescer) {
	if cfg.CoalescePeriod > 0 && cfg.QuiescentPeriod > 0 {
		all = append(all, memberCoalescer{to: everybody, period: cfg.CoalescePeriod, quiet: cfg.QuiescentPeriod,
			urgent: cfg.FailureEdge, flushAt: timerMembers, failuresAt: timerFailures})
	}
	if cfg.LeadingEdge > 0 {
		all = append(all, memberCoalescer{to: everybody, width: cfg.LeadingEdge, flushAt: timerPromptMembers})
	}
	if len(all) == 2 {
		all[0].to, all[1].to = Windowed, Prompt
	}
	return all
}

// lingering is a leave whose window has not begun: the process of the member may still run.
type lingering struct {
	rec   member
	until time.Time // from then on it is taken to have ended
}

// release begins the windows of those leaves.
func (h *memberCoalescer) release(k *coalescer, now time.Time, ended func(*lingering) bool) {
	all := h.lingering
	h.lingering = nil
	for i := range all {
		if ended(&all[i]) {
			h.hold(k, now, EventMemberLeave, &all[i].rec, nil)
		} else {
			h.lingering = append(h.lingering, all[i])
		}
	}
	if len(all) == 0 {
		return
	}
	k.timers.stop(timerLingering)
	if len(h.lingering) > 0 {
		k.timers.set(timerLingering, h.lingering[0].until)
	}
}

func (h *memberCoalescer) hold(k *coalescer, now time.Time, t EventType, r, before *member) {
	if len(h.byName) == 0 {
		h.until = now.Add(h.period)
	}
	if h.byName == nil {
		h.byName = make(map[string]*chain)
	}
	c := h.byName[r.Name()]
	if c == nil {
		c = new(chain)
		h.byName[r.Name()] = c
	}
	atOnce := t == EventMemberFailed && h.urgent > 0
	c.add(Step[member]{t, *r}, before, atOnce)
	switch {
	case atOnce:
		c.failed = true
		if at := h.failures.admit(now); !at.IsZero() {
			k.timers.set(h.failuresAt, at)
		}
	case h.period > 0:
		k.timers.set(h.flushAt, earlier(h.until, now.Add(h.quiet)))
	default:
		if at := h.edge.admit(now); !at.IsZero() {
			k.timers.set(h.flushAt, at)
		}
	}
}

// flush delivers everything that is held back.
func (h *memberCoalescer) flush(k *coalescer, now time.Time) {
	k.timers.stop(h.flushAt)
	if len(h.byName) == 0 {
		return
	}
	chains := make([][]Step[member], 0, len(h.byName))
	// order-free: sorted by name in coalescer.chains.
	for _, c := range h.byName {
		if steps := c.final(k.view, c.steps); len(steps) > 0 {
			chains = append(chains, steps)
		}
	}
	h.byName = nil
	h.edge.opened(now, h.width)
	k.chains(h.to, chains)
}

// flushFailures tells the failures, each with what was held back of the same member
// before it, and what was of others at the same address: a failure must not come before
// the join that it ends. What else is held back keeps its window. (P236)
func (h *memberCoalescer) flushFailures(k *coalescer, now time.Time) {
	k.timers.stop(h.failuresAt)
	at := make(map[netip.AddrPort]bool)
	var chains [][]Step[member]
	// order-free: each by itself; sorted by name in coalescer.chains.
	for name, c := range h.byName {
		n := len(c.steps) // up to the last failure
		for n > 0 && c.steps[n-1].Type != EventMemberFailed {
			n--
		}
		if !c.failed || n == 0 {
			c.failed = false
			continue
		}
		at[c.steps[n-1].Rec.Addr()] = true
		if steps := c.final(k.view, c.steps[:n:n]); len(steps) > 0 {
			chains = append(chains, steps)
		}
		if n == len(c.steps) {
			delete(h.byName, name)
			continue
		}
		h.byName[name] = &chain{steps: c.steps[n:]}
	}
	// order-free: each by itself.
	for name, c := range h.byName {
		last := &c.steps[len(c.steps)-1]
		if at[last.Rec.Addr()] && !last.Type.up() {
			chains = append(chains, c.final(k.view, c.steps))
			delete(h.byName, name)
		}
	}
	h.failures.opened(now, h.urgent)
	k.chains(h.to, chains)
}
