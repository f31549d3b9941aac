package serf

import (
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// leaving is how far a leave has come (P60). Each step ends early when what it
// waits for has happened, and in any case when timerLeave comes.
type leaving uint8

const (
	notLeaving     leaving = iota
	intentSending          // the leave intent is being gossiped
	swimSending            // swim tells that this node is dead by its own will
	leavePropagate         // all is told; probes are still answered for a while
	leaveDone
)

// departure is how nodes go: this one, and those that were told to.
type departure struct {
	step       leaving
	intentSent bool
	leadOnly   bool // the intent gets a head start, and is not waited for
	forced     []forced
}

// forced is a member that was told to leave, and said that it stays.
type forced struct {
	name  string
	until time.Time
}

const (
	// forcedFor is how long after that a failure of such a member counts as the leave
	// that it was told: its process was being ended when it still said that it stays. (P171)
	forcedFor = 5 * time.Second
	// forcedMost bounds how many such members are remembered.
	forcedMost = 1024
)

// stays notes that a member that was told to leave says that it stays.
func (d *departure) stays(name string, now time.Time) {
	d.forced = slices.DeleteFunc(d.forced, func(f forced) bool { return f.name == name || !f.until.After(now) })
	if len(d.forced) < forcedMost {
		d.forced = append(d.forced, forced{name, now.Add(forcedFor)})
	}
}

// wasForced reports whether a member was told to leave a moment ago.
func (d *departure) wasForced(name string, now time.Time) bool {
	return slices.ContainsFunc(d.forced, func(f forced) bool { return f.name == name && f.until.After(now) })
}

// misuse is an error with Serf's text, which RPC clients see, that is also one
// of this package's sentinels.
type misuse struct {
	text string
	is   error
}

func (e *misuse) Error() string        { return e.text }
func (e *misuse) Is(target error) bool { return target == e.is }

var (
	errJoinLate      = &misuse{"Serf can't Join after Leave or Shutdown", ErrNotAlive}
	errLeaving       = &misuse{"Leave already in progress", ErrNotAlive}
	errLeaveShutdown = &misuse{"Leave called after Shutdown", ErrNotAlive}
)

// Leave begins to leave; State becomes Leaving and, when the others were told
// or the time-outs are over, Left.
func (m *Machine) Leave(now time.Time) error {
	m.now = now
	switch m.state {
	case Left:
		return nil
	case Leaving:
		return errLeaving
	case Shutdown, Ending:
		return errLeaveShutdown
	}
	m.state = Leaving
	l := wire.Leave{LTime: m.clock.tick(), Node: m.cfg.Swim.Name}
	m.leaveIntent(&l)
	m.leave.step = intentSending
	m.timers.set(timerLeave, now.Add(m.cfg.BroadcastTimeout))
	if m.othersAlive() {
		m.sendLeaveIntent(&l, func() { m.leave.intentSent = true })
		m.hastenLeave()
	} else {
		m.leave.intentSent = true
	}
	m.settle()
	return nil
}

// intentLead is how long before the end of a node plain members are told that
// it is about to leave: time enough for the eager sending to reach all.
const intentLead = 50 * time.Millisecond

// hastenLeave does not wait for rounds of gossip (P225). A native takes the word of a
// member that left for it whatever its intent; to a plain one it has failed
// unless the intent came first.
func (m *Machine) hastenLeave() {
	switch {
	case m.cfg.Swim.Plain:
	case m.swim.AllNative():
		m.leave.intentSent = true
	default:
		m.timers.set(timerLeave, m.now.Add(min(intentLead, m.cfg.BroadcastTimeout)))
		m.leave.leadOnly = true
	}
}

// sendLeaveIntent broadcasts a leave intent; done is called when it was sent
// often enough.
func (m *Machine) sendLeaveIntent(l *wire.Leave, done func()) {
	m.buf = append(m.buf[:0], byte(wire.TypeUser))
	m.buf = l.AppendTo(m.buf)
	m.push(&m.queues.intent, l.Node, m.buf, done)
}

// stepLeave goes on with a leave as far as it can. It is called after every
// input, outside of swim.
func (m *Machine) stepLeave() {
	if m.leave.step == intentSending {
		timeout := m.timers.due(timerLeave, m.now)
		if timeout && !m.leave.intentSent && !m.leave.leadOnly {
			m.trace(swim.Trace{Kind: TraceLeaveIntentTimeout, Level: swim.LevelWarn})
		}
		if m.leave.intentSent || timeout {
			m.leave.step = swimSending
			m.timers.set(timerLeave, m.now.Add(m.cfg.BroadcastTimeout))
			m.swim.Leave(m.now)
		}
	}
	if m.leave.step == swimSending {
		timeout := m.timers.due(timerLeave, m.now)
		sent := m.swim.LeaveSent()
		if timeout && !sent {
			m.trace(swim.Trace{Kind: TraceLeaveTimeout, Level: swim.LevelWarn})
		}
		if sent || timeout {
			m.leave.step = leavePropagate
			m.timers.set(timerLeave, m.now.Add(m.cfg.LeavePropagateDelay))
		}
	}
	// Natives say when they have it. (P238)
	if m.leave.step == leavePropagate && (m.swim.LeaveKnown() || m.timers.due(timerLeave, m.now)) {
		m.timers.stop(timerLeave)
		m.leave.step = leaveDone
		m.end(Left)
	}
}

// end brings this node's life to its end; nothing that is held back is lost.
func (m *Machine) end(s State) {
	m.state = s
	m.coalescer.flushMembers(m.now)
	m.coalescer.flushUsers(m.now)
}

// End says that the driver is about to end this node's life without a leave: from now on
// it contradicts nothing that is said of it. (P172)
func (m *Machine) End() {
	if m.state == Alive {
		m.state = Ending
		m.swim.End()
	}
}

// over reports whether commands come too late.
func (m *Machine) over() bool { return m.state == Left || m.state == Shutdown }

// ForceLeave turns a failed member into a left one everywhere; prune removes it from the lists
// (P66). A name that this node does not know may be known to others, so that they are told.
func (m *Machine) ForceLeave(now time.Time, name string, prune bool) error {
	m.now = now
	if m.over() {
		return ErrNotAlive
	}
	l := wire.Leave{LTime: m.clock.tick(), Node: name, Prune: prune}
	// About this node itself it is refuted at once, and there is nothing to tell.
	// The member that it is about counts among those who are told (Serf forgets
	// it): if it is alive, it has to hear of it to refute it.
	if m.leaveIntent(&l) && m.others(StatusAlive, StatusLeaving) {
		m.sendLeaveIntent(&l, nil)
	}
	m.settle()
	return nil
}

// pruned is a member that is to be removed at a time.
type pruned struct {
	name string
	at   time.Time
}

// prune removes a member that is gone. One that is still there, leaving, is
// removed when it has gone, but not before its leave had time to spread; if it
// says meanwhile that it stays, it stays. (Serf removes it in either case, and
// a live member that is removed is not listed again until it dies.)
func (m *Machine) prune(mem *member) {
	if mem.Name() == m.cfg.Swim.Name {
		return
	}
	m.unprune(mem.Name())
	if mem.status == StatusLeft {
		m.pruneNow(mem.Name())
		return
	}
	at := m.now.Add(m.cfg.BroadcastTimeout + m.cfg.LeavePropagateDelay)
	m.prunes = append(m.prunes, pruned{mem.Name(), at})
}

// unprune: the member stays.
func (m *Machine) unprune(name string) {
	m.prunes = slices.DeleteFunc(m.prunes, func(p pruned) bool { return p.name == name })
}

// pruneDue removes the members whose time has come and that are gone.
func (m *Machine) pruneDue() {
	for i := 0; i < len(m.prunes); {
		p := m.prunes[i]
		mem := m.members.get(p.name)
		gone := mem == nil || mem.status == StatusLeft || mem.status == StatusFailed
		if !gone || p.at.After(m.now) {
			i++
			continue
		}
		m.prunes = slices.Delete(m.prunes, i, i+1)
		m.pruneNow(p.name)
	}
}

// nextPrune is when pruneDue has something to do, zero if that is not known.
func (m *Machine) nextPrune() time.Time {
	var at time.Time
	for _, p := range m.prunes {
		if p.at.After(m.now) {
			at = earlier(at, p.at)
		}
	}
	return at
}

func (m *Machine) pruneNow(name string) {
	i, ok := m.members.find(name)
	if !ok {
		return
	}
	r := *m.members.at(i)
	m.trace(swim.Trace{Kind: TraceMemberReapForced, Level: swim.LevelInfo, Node: r.Name(), Addr: r.Addr()})
	m.eraseMember(i)
	// The echo of an older leave must not be news about an unknown name: it
	// would take the place of the prune in the queue. Kept as a join, which does
	// not make the member leave again if it comes back.
	m.rememberIntent(r.Name(), r.ltime, false)
}
