package swim

import (
	"cmp"
	"errors"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is the rule of proof: when a host's word that a process is not
// there is enough to call it dead. One such word may be forged by whatever stands
// between two hosts; two of different hosts are not.

const (
	// freshFor is how long a refusal counts, unless the inquiry in which it came runs longer.
	freshFor = time.Second
	// refusalGap is how far apart two refusals are at least that may count without
	// another member's: a process that is started again binds its port in less.
	refusalGap = 20 * time.Millisecond
	// ownPortEvery is how often a node makes sure, while it is refused, that it can connect to itself.
	ownPortEvery = 100 * time.Millisecond
)

// ownPort is how a node finds out whether something on its own host refuses
// whatever it connects to.
type ownPort struct {
	dial DialID        // the running connect, 0: none
	open time.Duration // when one succeeded last, on the awake clock; 0: never
}

// fresh reports whether something happened at that time, and lately.
func fresh(at, now time.Duration) bool { return at != 0 && now-at <= freshFor }

// hasRefusal reports whether the member's host refused our connect, lately or in the
// inquiry that runs. (P290)
func (w *watch) hasRefusal(now time.Duration) bool {
	return fresh(w.refused, now) || w.refused != 0 && w.asks() && w.refused >= w.inquiry.began
}

// refusedBy: the host of w's member refused our connect.
func (m *Machine) refusedBy(w *watch) {
	now := max(1, m.clock.awake())
	again := w.hasRefusal(now)
	if !again || w.firstRefused <= w.heard {
		w.firstRefused = now
	}
	w.refused, w.inquiry.redial = now, 0
	if m.proven(w) {
		return
	}
	if !again {
		m.trace(Trace{Kind: TraceRefused, Level: LevelDebug, Node: w.e.name, Addr: w.e.at(), Incarnation: w.e.incarnation})
		m.ringChanged(w.e) // those behind it are to be watched (P192)
	}
	if w.phase == watchInquiry {
		// Its host is reached, so that an answer of its own would not take longer than others'.
		w.inquiry.ends = min(w.inquiry.ends, now+max(m.timing.burst, 2*cmp.Or(m.usual, m.cfg.ProbeTimeout)))
		m.arm(&w.timer, min(w.timer.at, now+refusalGap))
	}
	if m.members.numPresent() <= 2 { // nobody else could be asked
		m.connectToSelf()
		if w.refusedAlone(now, &m.ownPort) {
			m.dieAlone(w.e)
			return
		}
	}
	m.tellRefusal(w)
}

// refusedAlone reports whether this node's own refusals are enough for a verdict of its
// own: there are two, it can connect to itself, and the member was not heard. (P291)
func (w *watch) refusedAlone(now time.Duration, own *ownPort) bool {
	return w.hasRefusal(now) && w.refused-w.firstRefused >= refusalGap && w.heard < w.firstRefused &&
		own.open != 0 && own.open >= w.inquiry.began
}

// connectToSelf finds out whether this node's own port can be reached.
func (m *Machine) connectToSelf() {
	if o := &m.ownPort; o.dial == 0 && (o.open == 0 || m.clock.awake()-o.open >= ownPortEvery) {
		p := m.ping(m.nextSeq(), m.local.name)
		o.dial, _ = m.dial(dialSelf, m.local.at(), m.local.name, p.AppendTo(nil), m.cfg.ProbeTimeout)
	}
}

// ended: a connect has.
func (o *ownPort) ended(id DialID, err error, now time.Duration) {
	if o.dial == id {
		o.dial = 0
		if err == nil || !errors.Is(err, ErrConnect) {
			o.open = max(1, now)
		}
	}
}

// sent reports whether a message that came on a stream is what connectToSelf sent.
func (o *ownPort) sent(msg []byte, self string) bool {
	var p wire.Ping
	return o.dial != 0 && len(msg) > 0 && wire.Type(msg[0]) == wire.TypePing && p.Decode(msg[1:], nil) == nil && p.SourceNode == self
}

// dieAlone lists e as crashed on this node's own evidence. The others have been told that
// it was refused, and look themselves. (P291)
func (m *Machine) dieAlone(e *member) {
	m.trace(Trace{Kind: TraceCrashed, Level: LevelInfo, Node: e.name, Addr: e.at(), Incarnation: e.incarnation})
	m.lone.add(&m.members, e)
	m.bury(m.members.own(e), wire.Dead{Node: e.name, Incarnation: e.incarnation, From: m.local.name, Verdict: wire.VerdictCrashed})
}

// lone are the members that this node holds dead by its own refusals alone, with the
// incarnation at which it does.
type lone map[string]uint32

func (l *lone) add(t *members, e *member) {
	if *l == nil {
		*l = make(lone)
	}
	for name := range *l { // order-free: each stays or goes by itself
		if x := t.get(name); x == nil || !l.has(x) {
			delete(*l, name)
		}
	}
	(*l)[e.name] = e.incarnation
}

// has reports whether e is one of them.
func (l lone) has(e *member) bool {
	i, ok := l[e.name]
	return ok && i == e.incarnation
}

// proven declares w's member dead if two members' connects were refused, ours
// among them. (P195)
func (m *Machine) proven(w *watch) bool {
	if now := m.clock.awake(); !w.hasRefusal(now) || !fresh(w.told, now) {
		return false
	}
	e := w.e
	m.trace(Trace{Kind: TraceCrashed, Level: LevelInfo, Node: e.name, Addr: e.at(), Incarnation: e.incarnation})
	d := wire.Dead{Node: e.name, Incarnation: e.incarnation, From: m.local.name, Verdict: wire.VerdictCrashed}
	m.dead(d)
	msg := d.AppendTo(nil)
	m.members.watchersOf(e, m.local, m.passedBy, func(w *member) { m.send(w.at(), w.name, msg) })
	return true
}

// tellRefusal tells the other watchers of w's member, and nobody else.
func (m *Machine) tellRefusal(w *watch) {
	m.msg.suspect = wire.Suspect{Incarnation: w.e.incarnation, Node: w.e.name, From: m.local.name, Verdict: wire.VerdictCrashed}
	msg := m.msg.suspect.AppendTo(nil)
	m.members.watchersOf(w.e, m.local, m.passedBy, func(e *member) { m.send(e.at(), e.name, msg) })
}

// hearsRefusal takes another native's word that its connect was refused. Who watches
// the member too does not believe it, but looks. It reports whether that is so.
func (m *Machine) hearsRefusal(e *member, s *wire.Suspect) bool {
	if s.Verdict != wire.VerdictCrashed || m.cfg.Plain || s.From == m.local.name || e == nil || !e.present() {
		return false
	}
	w := m.watches.of(e)
	if w == nil || !m.members.refusedTo(s.From, m.local, e) || s.Incarnation < e.incarnation {
		return false
	}
	if !fresh(w.told, m.clock.awake()) || w.refused == 0 {
		w.told = max(1, m.clock.awake())
	}
	if m.proven(w) {
		return true
	}
	m.hinted(w)
	if w.phase >= watchInquiry && w.inquiry.dial == 0 { // our last try was before theirs
		m.askStream(w, 2*accusedAgain)
	}
	return true
}

// refusedTo reports whether the member of that name is a native other than self and e, so that
// its word counts that its connect to e was refused.
func (t *members) refusedTo(name string, self, e *member) bool {
	from := t.get(name)
	return from != nil && from != self && from.native > 0 && from != e
}

// hint: a packet to this address was refused, as far as the host knows. (P194)
func (m *Machine) hint(to netip.AddrPort) {
	at := pack(to)
	for _, w := range m.watches.list {
		if w.e.addr == at {
			m.hinted(w)
		}
	}
}
