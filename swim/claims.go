package swim

import (
	"math"
	"net/netip"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file applies what precedence.go decides about a claim: it changes the
// table, queues what is passed on and tells the layer.

// mask gives an address without a port our own: senders of protocol version 1
// have none. (P142)
func (m *Machine) mask(a netip.AddrPort) netip.AddrPort {
	port := a.Port()
	if port == 0 || m.local.versions.PCur < 2 {
		port = m.local.addr.port
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), port)
}

// nameOK counts claims about impossible names.
func (m *Machine) nameOK(name string) bool {
	if name == "" || len(name) > MaxName {
		m.drop(DropName, m.from, nil)
		return false
	}
	return true
}

func (m *Machine) handleAlive(body []byte) {
	a := &m.msg.alive
	if err := a.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	m.alive(a)
}

func (m *Machine) handleSuspect(body []byte) {
	s := &m.msg.suspect
	if err := s.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	m.suspect(*s)
}

func (m *Machine) handleDead(body []byte) {
	d := &m.msg.dead
	if err := d.Decode(body, m); err != nil {
		m.drop(dropOf(err), m.from, err)
		return
	}
	m.dead(*d)
}

// alive judges and applies that somebody is alive. a may be changed.
func (m *Machine) alive(a *wire.Alive) {
	if !m.aliveOK(a) {
		return
	}
	e := m.members.get(a.Node)
	switch m.far.judge(m, e, a.Incarnation, e != nil && e.addr == pack(a.Addr)) {
	case ignore:
		return
	case accept:
		m.revive(m.members.own(e), a)
		return
	}
	switch judgeAlive(e, a, e == m.local, m.departure.silent(), m.cfg.Plain) {
	case conflict:
		m.trace(Trace{Kind: TraceAddressConflict, Level: LevelError, Node: e.name, Addr: a.Addr, Old: e.at(), N: int(e.state)})
		m.layer.Conflict(m.now, m.view(&m.told, e), a.Addr)
	case refute:
		t := Trace{Kind: TraceRefuteAlive, Level: LevelWarn, Node: e.name, Addr: a.Addr}
		t.Incarnation = m.refute(a.Incarnation)
		m.trace(t)
	case accept:
		if e != nil {
			m.revive(m.members.own(e), a)
			return
		}
		if m.members.len() >= MaxMembers || !m.far.asked && !m.recent.came.take(m.clock.awake(), m.from.Addr() == a.Addr.Addr()) {
			m.drop(DropMembers, m.from, nil)
			return
		}
		m.revive(m.members.add(&Face{a.Node, m.members.keep(a.Meta), pack(a.Addr), a.Versions}, m.rng), a)
	case ignore:
		if e == nil {
			m.drop(DropIncarnation, m.from, nil)
		} else if a.Incarnation == e.incarnation {
			m.toldNative(e, a.Native)
		}
	}
}

// aliveOK checks what does not depend on what is known, and completes the address.
func (m *Machine) aliveOK(a *wire.Alive) bool {
	if !m.nameOK(a.Node) {
		return false
	}
	if len(a.Meta) > wire.MetaMax {
		m.drop(DropMeta, m.from, nil)
		return false
	}
	if m.cfg.Plain {
		a.Native = 0
	}
	a.Addr = m.mask(a.Addr)
	if !a.Addr.Addr().IsValid() {
		m.drop(DropAddr, m.from, nil)
		return false
	}
	if m.foreign(a.Meta) {
		m.refuseForeign(a)
		return false
	}
	if a.Versions != (wire.Versions{}) && badVersions(a.Versions) {
		if _, report := m.drops.add(DropVersions, m.clock.real); report {
			m.trace(Trace{Kind: TraceVersionsIgnored, Level: LevelWarn, Node: a.Node, Addr: a.Addr,
				N: int(a.Versions.PMin), Of: int(a.Versions.PMax)})
		}
		return false
	}
	return true
}

// revive applies an alive message to e and passes it on.
func (m *Machine) revive(e *member, a *wire.Alive) {
	m.endSuspicion(e) // P27
	if e.state == wire.StateSuspect {
		m.trace(Trace{Kind: TraceCleared, Level: LevelDebug, Node: e.name, Incarnation: a.Incarnation})
	}
	m.toldNative(e, a.Native)
	m.scratch = a.AppendTo(m.scratch[:0])
	if e.addr != pack(a.Addr) {
		m.trace(Trace{Kind: TraceAddressUpdate, Level: LevelInfo, Node: e.name, Addr: a.Addr, Old: e.at()})
		m.scratch = m.moved(m.scratch[:0], e.incarnation, a) // P109
	}
	m.broadcast(e.name, nil)
	e.incarnation = a.Incarnation
	updated := m.members.show(e, a)
	m.counts.Alive++
	joined, doubted := e.gone(), e.state == wire.StateSuspect
	e.verdict = wire.VerdictNone
	if e.state != wire.StateAlive {
		m.members.set(e, wire.StateAlive, m.clock.real)
	}
	if joined || doubted {
		m.watchSettled(e)
	}
	if doubted { // watching goes past it no more
		m.ringChanged(e)
	}
	if doubted && !m.cfg.Plain {
		m.layer.Doubted(m.now, m.view(&m.told, e))
	}
	// P30
	if joined {
		if m.cfg.Introduce && !m.cfg.Plain && e != m.local && m.introductions.add(e.name, m.members.numPresent()) { // P204
			m.arm(&m.introductions.timer, m.clock.awake()+m.stagger(m.introductions.every))
		}
		m.ringChanged(e)
		m.layer.Joined(m.now, m.view(&m.told, e))
	} else if updated {
		m.layer.Updated(m.now, m.view(&m.told, e))
	}
}

// suspect judges and applies that somebody got no answer from a member.
func (m *Machine) suspect(s wire.Suspect) {
	if m.cfg.Plain {
		s.Verdict = wire.VerdictNone
	}
	e := m.members.get(s.Node)
	if m.far.judge(m, e, s.Incarnation, false) == ignore || m.hearsRefusal(e, &s) {
		return
	}
	switch judgeSuspect(e, s.Incarnation, e == m.local, m.departure.silent()) {
	case refute:
		m.trace(Trace{Kind: TraceRefuteSuspect, Level: LevelWarn, Node: s.Node, From: s.From,
			Incarnation: m.refute(s.Incarnation)})
	case confirm:
		if m.confirm(e, &s) {
			m.traceTold(TraceConfirmed, s.Node, s.From, s.Incarnation, s.Verdict)
			m.passSuspect(s) // P25
		}
	case accept:
		m.traceTold(TraceAccused, s.Node, s.From, s.Incarnation, s.Verdict)
		e = m.members.own(e)
		m.counts.Suspect++
		m.passSuspect(s)
		e.incarnation = s.Incarnation
		m.members.set(e, wire.StateSuspect, m.clock.real)
		m.beginSuspicion(e, &s)
		m.ringChanged(e)
		if s.Verdict == wire.VerdictSilent && m.recent.silences.add(2, manyWithin/2, max(1, m.clock.awake())) {
			m.watches.each(m.look) // what ended them may have ended others (P297)
		}
	case ignore:
		m.answerSuspect(e, &s)
	}
}

// answerSuspect says that a member is gone to one that suspects it, and that would find
// nobody to agree: who holds a member dead does not suspect it. (P293)
func (m *Machine) answerSuspect(e *member, s *wire.Suspect) {
	from := m.members.get(s.From)
	if m.cfg.Plain || e == nil || !e.gone() || e == m.local || s.Incarnation > e.incarnation || from == nil || from == m.local || from == e || from.gone() || !e.toldTo(from) {
		return
	}
	if m.lone.has(e) && e.state == wire.StateDead {
		if s.Verdict != wire.VerdictCrashed || !m.members.refusedTo(s.From, m.local, e) {
			return
		}
		delete(m.lone, e.name) // another's refusal and this node's own: that is proof
		m.scratch = m.appendWord(m.scratch[:0], e)
		m.broadcast(e.name, nil)
	}
	m.send(from.at(), from.name, m.appendWord(nil, e))
}

// appendWord appends what this node says of a member that is not alive. Of one that it
// holds dead by its own refusals alone it says that it was refused. (P291)
func (m *Machine) appendWord(dst []byte, e *member) []byte {
	switch s := m.members.suspects[e]; {
	case s != nil:
		m.msg.suspect = wire.Suspect{Incarnation: e.incarnation, Node: e.name, From: s.from[0], Verdict: s.verdict}
		return m.msg.suspect.AppendTo(dst)
	case e.state == wire.StateLeft:
		m.msg.dead = wire.Dead{Incarnation: e.incarnation, Node: e.name, From: e.name, Verdict: e.verdict}
	case m.lone.has(e):
		m.msg.suspect = wire.Suspect{Incarnation: e.incarnation, Node: e.name, From: m.local.name, Verdict: wire.VerdictCrashed}
		return m.msg.suspect.AppendTo(dst)
	default:
		m.msg.dead = wire.Dead{Incarnation: e.incarnation, Node: e.name, From: m.local.name, Verdict: e.verdict}
	}
	return m.msg.dead.AppendTo(dst)
}

func (m *Machine) passSuspect(s wire.Suspect) {
	m.msg.suspect = s
	m.scratch = m.msg.suspect.AppendTo(m.scratch[:0])
	m.broadcast(s.Node, nil)
}

func (m *Machine) beginSuspicion(e *member, by *wire.Suspect) {
	s := &suspicion{timer: timer{kind: timerSuspicion, who: e}, verdict: by.Verdict, mine: by.From == m.local.name}
	s.begin(m.clock.awake(), by.From)
	m.members.suspects[e] = s
	m.respan(e)
	if !m.cfg.Plain {
		m.layer.Doubted(m.now, m.view(&m.told, e))
	}
}

// confirm adds an accusation to the suspicion of e, and reports whether it counts.
func (m *Machine) confirm(e *member, by *wire.Suspect) bool {
	s := m.members.suspects[e]
	if by.Verdict != wire.VerdictNone {
		return m.agree(e, by.From, by.Verdict)
	}
	if !s.confirm(by.From) {
		return false
	}
	m.arm(&s.timer, s.ends())
	return true
}

func (m *Machine) endSuspicion(e *member) {
	if s := m.members.suspects[e]; s != nil {
		m.timers.stop(&s.timer)
		delete(m.members.suspects, e)
	}
}

// suspicionEnd: e did not refute in time. (P26)
func (m *Machine) suspicionEnd(e *member) {
	s := m.members.suspects[e]
	if m.unsure(e, s) {
		return
	}
	m.trace(Trace{Kind: TraceFailed, Level: LevelInfo, Node: e.name, Addr: e.at(), Incarnation: e.incarnation,
		N: s.confirmations(), Of: s.want})
	m.dead(wire.Dead{Node: e.name, Incarnation: e.incarnation, From: m.local.name, Verdict: s.verdict})
}

// dead judges and applies that a member is gone.
func (m *Machine) dead(d wire.Dead) {
	e := m.members.get(d.Node)
	if m.far.judge(m, e, d.Incarnation, false) == ignore {
		return
	}
	switch judgeDead(e, d.Incarnation, e == m.local, m.departure.leaving, m.departure.ending) {
	case refute:
		m.trace(Trace{Kind: TraceRefuteDead, Level: LevelWarn, Node: d.Node, From: d.From,
			Incarnation: m.refute(d.Incarnation)})
	case accept:
		if d.From != d.Node {
			m.traceTold(TraceToldDead, d.Node, d.From, d.Incarnation, d.Verdict)
		}
		m.bury(m.members.own(e), d)
	case ignore:
		if e != nil && d.Incarnation >= e.incarnation {
			delete(m.lone, e.name) // others hold it dead too
		}
	}
	if e != nil && d.From == d.Node && d.Verdict == wire.VerdictCrashed && d.Incarnation == e.incarnation {
		m.processEnded(m.members.get(d.Node))
	}
}

// traceTold notes what another member says of one; what this one says of it has
// records of its own.
func (m *Machine) traceTold(kind TraceKind, node, from string, incarnation uint32, v wire.Verdict) {
	if from != m.local.name {
		m.trace(Trace{Kind: kind, Level: LevelDebug, Node: node, From: from, Incarnation: incarnation, N: int(v)})
	}
}

func (m *Machine) bury(e *member, d wire.Dead) {
	m.counts.Dead++
	if m.cfg.Plain {
		d.Verdict = wire.VerdictNone
	} else if s := m.members.suspects[e]; d.Verdict == wire.VerdictNone && s != nil {
		d.Verdict = s.verdict
	}
	state := wire.StateDead
	if d.From == e.name {
		state, d.Verdict = wire.StateLeft, wire.VerdictNone // P34
	}
	m.endSuspicion(e)
	m.msg.dead = d
	m.scratch = m.msg.dead.AppendTo(m.scratch[:0])
	var done func()
	if e == m.local {
		done = func() { m.departure.sent = true }
		if m.AllNative() { // P225
			m.departure.sent, done = true, nil
			m.sayFarewell()
		}
	}
	if m.lone.has(e) {
		m.noteNews(netip.AddrPort{}) // nothing to pass on, but others come after e in the rings
	} else {
		m.broadcast(e.name, done)
	}
	e.incarnation, e.verdict = d.Incarnation, d.Verdict
	m.members.set(e, state, m.clock.real)
	if m.recent.gone.add(manyAre, manyWithin, max(1, m.clock.real)) && m.settling == 0 {
		m.settle() // what this node missed of that nobody would say again (P295)
	}
	m.watchSettled(e)
	m.ringChanged(e)
	m.layer.Gone(m.now, m.view(&m.told, e))
}

// refute tells everybody that this node is alive, with an incarnation above
// its own and above the one that was claimed of it, and returns that. Having
// had to do so is a sign of being unwell. (P17, P28)
func (m *Machine) refute(claimed uint32) uint32 {
	raise(m, claimed)
	m.awareness.apply(1)
	m.announce()
	return m.local.incarnation
}

// raise takes an incarnation above this node's own and the one that was claimed of it; near
// the end a low one, if all members would ask this node for it. (P276)
func raise(m *Machine, claimed uint32) {
	m.local.incarnation = above(m.local.incarnation, claimed)
	if m.local.incarnation >= lastIncarnation && m.AllNative() {
		m.local.incarnation = 1
	}
}

// above is the incarnation that beats both. It does not wrap around: beside plain
// members a node whose incarnation has been driven to the end stays there.
func above(own, claimed uint32) uint32 {
	n := max(own, claimed)
	if n == math.MaxUint32 {
		return n
	}
	return n + 1
}

// announce queues this node's own alive message.
func (m *Machine) announce() {
	m.members.touch()
	e := m.local
	m.msg.alive = wire.Alive{Incarnation: e.incarnation, Node: e.name, Addr: e.at(), Meta: e.meta, Versions: e.versions, Native: m.cfg.native()}
	m.scratch = m.msg.alive.AppendTo(m.scratch[:0])
	m.broadcast(e.name, nil)
}
