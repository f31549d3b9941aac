package serf

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// This file decides what becomes of times far ahead of this node's clocks. They are
// honest where clusters merge or where a node was away for long; in one packet of
// anybody's they would make a whole cluster deaf. So they are checked: this node
// asks members, and follows what two of them show. (P271–P273)

const (
	startTime = 30 * time.Second // after it a node is not new any more
	loneTime  = 30 * time.Second // after it one member alone is believed

	maxHeld      = 64       // messages that wait to be believed
	maxHeldBytes = 16 << 10 // of one
	heldTime     = 10 * time.Second
	maxShown     = 64 // members whose clocks are remembered

	// Members are asked in rounds: at first after checkPause each, then after twice
	// the pause before, up to checkPauseMost. After checkRounds of them each new
	// reason to ask is good for one more.
	checkPause, checkPauseMost = 250 * time.Millisecond, 5 * time.Second
	checkQuick, checkRounds    = 8, 20
	checkQuiet                 = 2 * checkPauseMost // without a reason: it begins anew
)

// ahead is what is being checked.
//
// Rule: a far time moves a clock only by takeUp. Invariant: len(held) <= maxHeld,
// len(shown) <= maxShown.
type ahead struct {
	m *Machine

	held     []heldMessage
	shown    map[string]showing // by members that were asked
	joined   bool               // an own join went well, in this life
	joinedAt time.Time          // the first of them

	source netip.AddrPort // who gave the last reason to ask
	reason time.Time      // when that was
	wide   bool           // others than source are to be asked
	leap   bool           // two natives are to be asked
	round  int
	asked  time.Time       // the last round
	done   map[string]bool // who was asked, in these rounds
	traced time.Time
	ready  bool // a clock was moved: what is held may be taken
}

// heldMessage is one whose time is far ahead.
type heldMessage struct {
	at   time.Time
	from netip.AddrPort
	msg  []byte
}

// showing are the clocks of a member that was asked: of members, events and queries.
type showing struct {
	first  time.Time // since when any of them was far ahead
	clocks [3]wire.LTime
}

// clocks are this node's own, in the order of showing.clocks.
func (a *ahead) clocks() [3]*clock { return [...]*clock{&a.m.clock, &a.m.eventClock, &a.m.queryClock} }

// admits reports whether a message of time t may be taken now. One from too far
// ahead waits until that is known to be true; one from far behind shows that its
// sender missed something. (P270, P271, P274)
func (a *ahead) admits(c *clock, t wire.LTime, from netip.AddrPort, msg []byte) (bool, error) {
	m := a.m
	if t >= LastTime {
		return false, errTime
	}
	if t < c.next {
		if c.next-t > wire.LTime(len(m.events.slots)) {
			a.check(from, false)
		}
		return true, nil
	}
	if before := c.next; c.follow(m.now, t) {
		a.leapt(c.next-before, from)
		return true, nil
	}
	a.hold(t, from, msg)
	a.check(from, true)
	return false, nil
}

// leapt: a clock has moved by so much. If others have not heard what moved it, their
// messages are too old to this node until they see its clock. Natives can be asked
// cheaply; plain members see it at the next exchange of states. (P274)
func (a *ahead) leapt(by wire.LTime, from netip.AddrPort) {
	m := a.m
	if by > wire.LTime(len(m.events.slots)) && !m.cfg.Swim.Plain {
		a.leap = true
		a.check(from, false)
	}
}

// hold keeps a message, in place of the oldest if there are too many.
func (a *ahead) hold(t wire.LTime, from netip.AddrPort, msg []byte) {
	m := a.m
	if len(msg) > maxHeldBytes {
		return
	}
	for i := range a.held {
		if bytes.Equal(a.held[i].msg, msg) {
			return
		}
	}
	if m.now.Sub(a.traced) >= time.Minute {
		a.traced = m.now
		m.trace(swim.Trace{Kind: TraceTimeAhead, Level: swim.LevelWarn, Addr: from, LTime: t, N: int(msg[0])})
	}
	if len(a.held) >= maxHeld {
		a.held = slices.Delete(a.held, 0, 1)
	}
	a.held = append(a.held, heldMessage{m.now, from, bytes.Clone(msg)})
}

// check wants members to be asked what their clocks show: from, who gave the reason,
// and others too if that is wide.
func (a *ahead) check(from netip.AddrPort, wide bool) {
	m := a.m
	if m.now.Sub(a.reason) > checkQuiet {
		a.begin()
	}
	a.source, a.reason, a.wide = from, m.now, a.wide || wide
	if m.timers[timerClocks].IsZero() {
		m.timers.set(timerClocks, later(m.now, a.asked.Add(a.pause())))
	}
}

// begin begins the rounds anew.
func (a *ahead) begin() { a.round, a.done = 0, nil }

// pause is how long the next round waits after the last one.
func (a *ahead) pause() time.Duration {
	if a.round <= checkQuick {
		return checkPause
	}
	return min(checkPause<<min(a.round-checkQuick, 8), checkPauseMost)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// checkDue asks some members, and sees to it that others are asked if that settled nothing.
func (a *ahead) checkDue() {
	m := a.m
	if !m.timers.due(timerClocks, m.now) {
		return
	}
	a.held = slices.DeleteFunc(a.held, func(h heldMessage) bool { return m.now.Sub(h.at) > heldTime })
	a.asked = m.now
	for _, name := range a.witnesses() {
		m.swim.Consult(m.now, name)
	}
	a.leap, a.wide = false, len(a.held) > 0 || len(a.shown) > 0
	if a.round++; a.wide && a.round < checkRounds {
		m.timers.set(timerClocks, m.now.Add(a.pause()))
	}
}

// witnesses are the members to ask: who gave the reason and, if others are to be
// asked, a plain member, whose clock follows whatever it hears, two by chance that
// were not asked yet, and one that stands alone with its clock for long
// enough to be believed.
func (a *ahead) witnesses() (names []string) {
	m := a.m
	if a.done == nil || len(a.done) >= maxShown {
		a.done = map[string]bool{}
	}
	add := func(name string) bool {
		if name == "" || name == m.cfg.Swim.Name || slices.Contains(names, name) {
			return false
		}
		a.done[name] = true
		names = append(names, name)
		return true
	}
	if a.leap {
		add(m.swim.Random(swim.AnyNative))
		add(m.swim.Random(swim.AnyNative))
	} else {
		add(a.memberAt(a.source))
	}
	if !a.wide {
		return names
	}
	for name, s := range a.shown { // order-free: there is one, or none is added
		if len(a.shown) == 1 && m.now.Sub(s.first) >= loneTime {
			add(name)
		}
	}
	for n, tries := 0, 0; n < 2 && tries < 16; tries++ {
		if name := m.swim.Random(swim.AnyMember); !a.done[name] && add(name) {
			n++
		}
	}
	add(m.swim.Random(swim.AnyPlain))
	return names
}

// memberAt is the name of the member at an address. Streams come from ports of
// their own: then it is that of the only one on that host.
func (a *ahead) memberAt(at netip.AddrPort) string {
	m := a.m
	found, many := "", false
	for i := range m.members.len() {
		mem := m.members.at(i)
		if mem.status != StatusAlive || mem.Name() == m.cfg.Swim.Name {
			continue
		}
		switch addr := mem.Addr(); {
		case addr == at:
			return mem.Name()
		case addr.Addr() == at.Addr():
			many = found != ""
			found = mem.Name()
		}
	}
	if many {
		return ""
	}
	return found
}

// show notes the clocks of a member that this node asked, and follows what is
// shown by enough of them. first: this is the first join.
func (a *ahead) show(from netip.AddrPort, s *wire.SerfState, first bool) {
	m := a.m
	name := a.memberAt(from)
	if name == "" && !first {
		return
	}
	now := showing{first: m.now, clocks: [...]wire.LTime{s.LTime, s.EventLTime, s.QueryLTime}}
	far := false
	for i, c := range a.clocks() {
		far = far || now.clocks[i] > c.next && now.clocks[i]-1-c.next > nearTime
	}
	old, known := a.shown[name]
	switch {
	case !far:
		delete(a.shown, name)
		return
	case known:
		now.first = old.first
	case len(a.shown) >= maxShown:
		return
	}
	if a.shown == nil {
		a.shown = map[string]showing{}
	}
	a.shown[name] = now
	if a.takeUp(name, first) {
		a.tookUp()
		return
	}
	a.check(from, true)
}

// takeUp moves the clocks to what is shown, and reports whether any moved.
// asked is who has just shown its clocks.
func (a *ahead) takeUp(asked string, first bool) (moved bool) {
	m := a.m
	others, end := 0, farthest
	for i := range m.members.len() {
		if mem := m.members.at(i); mem.status == StatusAlive && mem.Name() != m.cfg.Swim.Name {
			others++
		}
	}
	alone := first || others <= 1 || m.now.Sub(m.epoch) < startTime ||
		m.now.Sub(a.shown[asked].first) >= loneTime
	if first {
		end = farthestStart
	}
	for i, c := range a.clocks() {
		var best, second wire.LTime
		for name, s := range a.shown { // order-free: the two highest of all
			if mem := m.members.get(name); mem == nil && !first || mem != nil && mem.status != StatusAlive {
				continue
			}
			t := s.clocks[i]
			best, second = max(best, t), max(second, min(best, t))
		}
		to := second
		if alone {
			to = max(to, a.shown[asked].clocks[i])
		}
		if to = min(to, end); to > c.next {
			m.trace(swim.Trace{Kind: TraceClockAhead, Level: swim.LevelInfo, Node: asked, LTime: to, N: i})
			c.next, moved = to, true
		}
	}
	return moved
}

// tookUp goes on with what waited, and asks others once more: they see this node's
// clocks then, and may be as far behind as it was.
func (a *ahead) tookUp() {
	m := a.m
	for name, s := range a.shown { // order-free: each is kept or not by itself
		far := false
		for i, c := range a.clocks() {
			far = far || s.clocks[i] > c.next
		}
		if !far {
			delete(a.shown, name)
		}
	}
	a.begin()
	a.wide = true
	m.timers.set(timerClocks, m.now)
	a.ready = true
}

// releaseHeld takes the messages that waited, once the state that showed them to be
// true has been merged.
func (a *ahead) releaseHeld() {
	m := a.m
	if !a.ready {
		return
	}
	a.ready = false
	held := a.held
	a.held = nil
	for i := range held {
		m.message(held[i].from, held[i].msg)
	}
}
