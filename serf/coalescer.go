package serf

import (
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// memberView is how a coalescer looks at members.
type memberView interface {
	public(r *member) Member
	sameFace(a, b *member) bool
	over() bool // this node has left or is shut down
}

// coalescer takes all events, holds back those that are to be delivered together, and
// keeps the others for the next Output. It uses the timers that its parts name.
type coalescer struct {
	members []memberCoalescer // one for each audience that does not get events one by one
	users   []userCoalescer
	ready   []Event

	self   string // this node's name
	timers *timers
	view   memberView
}

func newCoalescer(cfg *Config, t *timers, view memberView) coalescer {
	return coalescer{members: memberCoalescers(cfg), users: userCoalescers(cfg), self: cfg.Swim.Name, timers: t, view: view}
}

// emit delivers an event, to everybody unless it says to whom.
func (k *coalescer) emit(e Event) {
	if e.To == 0 {
		e.To = everybody
	}
	k.ready = append(k.ready, e)
}

// take returns the events that were emitted since the last call.
func (k *coalescer) take() (events []Event) {
	events, k.ready = k.ready, nil
	return events
}

// member takes a member event. before is the member before an update, or before a leave
// if it was down already.
func (k *coalescer) member(now time.Time, t EventType, r, before *member) {
	if len(k.members) == 0 || k.view.over() {
		k.emit(Event{Type: t, Members: []Member{k.view.public(r)}})
		return
	}
	for i := range k.members {
		h := &k.members[i]
		h.release(k, now, func(l *lingering) bool { return l.rec.Name() == r.Name() || l.rec.Addr() == r.Addr() })
		h.hold(k, now, t, r, before)
	}
}

// left takes a leave. Where there are windows, that of a native which said so itself
// begins when its process has ended: whoever connects to the services of that host because
// of the event must not find them still there, as they are until the agent ends. (P239)
func (k *coalescer) left(now time.Time, r *member, native bool) {
	if !native || r.Name() == k.self || len(k.members) == 0 || k.view.over() {
		k.member(now, EventMemberLeave, r, nil)
		return
	}
	for i := range k.members {
		if h := &k.members[i]; h.period > 0 {
			h.lingering = append(h.lingering, lingering{*r, now.Add(min(swim.LingersFor, h.period))})
			k.timers.set(timerLingering, h.lingering[0].until)
		} else {
			h.hold(k, now, EventMemberLeave, r, nil)
		}
	}
}

// ended: the process of a member that left has ended.
func (k *coalescer) ended(now time.Time, name string) {
	for i := range k.members {
		k.members[i].release(k, now, func(l *lingering) bool { return l.rec.Name() == name })
	}
}

// user takes a user event.
func (k *coalescer) user(now time.Time, e Event) {
	if !e.Coalesce || len(k.users) == 0 || k.view.over() {
		k.emit(e)
		return
	}
	for i := range k.users {
		k.users[i].hold(k, now, e)
	}
}

// flushMembers delivers all member events that are held back.
func (k *coalescer) flushMembers(now time.Time) {
	for i := range k.members {
		k.members[i].release(k, now, func(*lingering) bool { return true })
		k.members[i].flush(k, now)
	}
}

// flushUsers delivers all user events that are held back.
func (k *coalescer) flushUsers(now time.Time) {
	for i := range k.users {
		k.users[i].flush(k, now)
	}
}

// flushDue delivers what has been held back for long enough.
func (k *coalescer) flushDue(now time.Time) {
	for i := range k.members {
		h := &k.members[i]
		if h.period > 0 && k.timers.due(timerLingering, now) {
			h.release(k, now, func(l *lingering) bool { return !l.until.After(now) })
		}
		if h.urgent > 0 && k.timers.due(h.failuresAt, now) {
			h.flushFailures(k, now)
		}
		if k.timers.due(h.flushAt, now) {
			h.flush(k, now)
		}
	}
	for i := range k.users {
		if h := &k.users[i]; k.timers.due(h.flushAt, now) {
			h.flush(k, now)
		}
	}
}

// flushEdges delivers what came in the input that ends, and is not to wait.
func (k *coalescer) flushEdges(now time.Time) {
	for i := range k.members {
		h := &k.members[i]
		if h.failures.due {
			h.flushFailures(k, now)
		}
		if h.edge.due {
			h.flush(k, now)
		}
	}
	for i := range k.users {
		if h := &k.users[i]; h.edge.due {
			h.flush(k, now)
		}
	}
}

// chains delivers what happened to several members, in rounds and sorted by name.
func (k *coalescer) chains(to Audience, chains [][]Step[member]) {
	slices.SortFunc(chains, func(a, b []Step[member]) int {
		return strings.Compare(a[0].Rec.Name(), b[0].Rec.Name())
	})
	Rounds(chains, func(t EventType, recs []member) {
		members := make([]Member, len(recs))
		for i := range recs {
			members[i] = k.view.public(&recs[i])
		}
		k.emit(Event{Type: t, Members: members, To: to})
	})
}
