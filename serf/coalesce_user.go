package serf

import (
	"cmp"
	"slices"
	"time"
)

// maxHeldUsers bounds the user events of one window; beyond it, it ends.
const maxHeldUsers = 4096

// userCoalescer holds the coalescable user events of one window back for an audience
// (P113): of each name those with the newest Lamport time, in the order they came in.
type userCoalescer struct {
	to            Audience
	period, quiet time.Duration // of a window; 0: there are none
	width         time.Duration // of the leading edge, where there are no windows
	flushAt       timer

	byName map[string]*heldUser
	n      int
	until  time.Time // the end of the window at the latest
	edge   edge
}

type heldUser struct {
	events []Event // all of one Lamport time
	seq    int     // of the first, in the window
}

// userCoalescers are those that the settings ask for: one for each audience, or one
// for both.
func userCoalescers(cfg *Config) (all []userCoalescer) {
	if cfg.UserCoalescePeriod > 0 && cfg.UserQuiescentPeriod > 0 {
		all = append(all, userCoalescer{to: everybody, period: cfg.UserCoalescePeriod, quiet: cfg.UserQuiescentPeriod, flushAt: timerUsers})
	}
	if cfg.LeadingEdge > 0 {
		all = append(all, userCoalescer{to: everybody, width: cfg.LeadingEdge, flushAt: timerPromptUsers})
	}
	if len(all) == 2 {
		all[0].to, all[1].to = Windowed, Prompt
	}
	return all
}

// hold keeps a user event until its time has come.
func (h *userCoalescer) hold(k *coalescer, now time.Time, e Event) {
	e.To = h.to
	if len(h.byName) == 0 {
		h.until = now.Add(h.period)
		h.byName = make(map[string]*heldUser)
		h.n = 0
	}
	u := h.byName[e.Name]
	switch {
	case u == nil || u.events[0].LTime < e.LTime:
		h.byName[e.Name] = &heldUser{events: []Event{e}, seq: h.n}
	case u.events[0].LTime == e.LTime:
		u.events = append(u.events, e)
	}
	if h.period > 0 {
		k.timers.set(h.flushAt, earlier(h.until, now.Add(h.quiet)))
	} else if at := h.edge.admit(now); !at.IsZero() {
		k.timers.set(h.flushAt, at)
	}
	if h.n++; h.n >= maxHeldUsers {
		h.flush(k, now)
	}
}

// flush delivers what is held back for an audience, in the order of the Lamport times.
func (h *userCoalescer) flush(k *coalescer, now time.Time) {
	k.timers.stop(h.flushAt)
	held := make([]*heldUser, 0, len(h.byName))
	// order-free: sorted below.
	for _, u := range h.byName {
		held = append(held, u)
	}
	h.byName = nil
	h.edge.opened(now, h.width)
	slices.SortFunc(held, func(a, b *heldUser) int {
		return cmp.Or(cmp.Compare(a.events[0].LTime, b.events[0].LTime), cmp.Compare(a.seq, b.seq))
	})
	for _, u := range held {
		for _, e := range u.events {
			k.emit(e)
		}
	}
}
