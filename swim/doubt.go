package swim

import (
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is suspicion among natives: as bounded as a refutation is quick, and
// different for each verdict. Suspicion without a verdict is Lifeguard's (suspicion.go).

// heardExtra is how much longer who only heard of an accusation waits for its
// end than who made it: the accusers look, and say how it ends.
const heardExtra = 500 * time.Millisecond

// span is how long the suspicion of e lasts, by its verdict. (P198)
func (m *Machine) span(e *member) (least, most time.Duration, want int) {
	s := m.members.suspects[e]
	var d suspicionSpan
	switch {
	case s.verdict == wire.VerdictCrashed && !s.bySilence:
		d = m.timing.crashed
	case s.verdict == wire.VerdictHung:
		d = m.timing.hung
	default:
		d = m.timing.silent
		if s.mine && m.watches.isolated() && !m.roll.company(m.clock.awake()) {
			d.least, d.most = 4*d.least, 4*d.most
		}
		if s.verdict == wire.VerdictCrashed { // it is refused besides
			d.least, d.most = d.least/2, d.most/2
		}
	}
	if e.native == 0 && s.verdict != wire.VerdictCrashed { // it refutes on its own tick only
		d.least, d.most = d.least+2*m.cfg.GossipInterval, d.most+2*m.cfg.GossipInterval
	}
	if !s.mine {
		d.most = 2*d.most + heardExtra
		d.least = d.most
	}
	if m.members.numPresent() <= 2 { // nobody could agree
		return d.most, d.most, 0
	}
	return d.least, d.most, 1
}

// isolated reports whether most of those whom self watches, and of whom it knows, are
// silent: then it is more likely self that is cut off.
func (ws *watches) isolated() bool {
	silent, reached := 0, 0
	for _, w := range ws.list {
		switch {
		case w.phase == watchAccused && !w.inquiry.connected && w.refused == 0:
			silent++
		case w.phase == watchAccused || w.phase < watchInquiry && w.rtt != 0:
			reached++
		}
	}
	return silent > 1 && silent > reached
}

// respan makes the suspicion of e last as long as it now has to.
func (m *Machine) respan(e *member) {
	s := m.members.suspects[e]
	if s.verdict == wire.VerdictNone {
		s.least, s.most, s.want = suspicionTimes(&m.cfg, m.members.len(), m.members.numPresent())
	} else {
		s.least, s.most, s.want = m.span(e)
	}
	m.arm(&s.timer, s.ends())
}

// respanOwn does so with the suspicions of those that this node accuses.
func (m *Machine) respanOwn() {
	for _, w := range m.watches.list {
		if s := m.members.suspects[w.e]; s != nil && s.mine {
			m.respan(w.e)
		}
	}
}

// agree adds an accusation with a verdict to a suspicion that runs, and reports
// whether that is news. (P198)
func (m *Machine) agree(e *member, from string, v wire.Verdict) bool {
	s := m.members.suspects[e]
	news := s.confirm(from)
	switch {
	case s.verdict == wire.VerdictNone:
		s.verdict, news = v, true
		s.begin(m.clock.awake(), from)
	case v == wire.VerdictHung && s.verdict != v: // its host answered somebody
		s.verdict, news = v, true
	}
	if from == m.local.name && !s.mine {
		s.mine, news = true, true
	}
	if news {
		m.respan(e)
		m.layer.Doubted(m.now, m.view(&m.told, e))
	}
	return news
}

// unsure reports whether self cannot say yet that the suspicion of e has ended: it may
// itself have missed the refutation. Then the suspicion goes on. (P201, P203)
func (m *Machine) unsure(e *member, s *suspicion) bool {
	switch {
	case m.cfg.Plain:
		return false
	case s.verdict == wire.VerdictCrashed && !s.bySilence:
		return m.crashEnds(e, s)
	case m.cutOff():
		m.hark(e)
		m.arm(&s.timer, m.clock.awake()+harkEvery)
	case !s.mine && s.verdict != wire.VerdictNone && !s.asked:
		s.asked = true
		m.askSuspect(e)
		m.arm(&s.timer, m.clock.awake()+m.cfg.ProbeTimeout)
	default:
		return false
	}
	return true
}

// crashEnds is the end of the suspicion of one whose connects were refused, to one
// member at least. It reports whether the suspicion goes on, or is over otherwise. (P291, P292)
func (m *Machine) crashEnds(e *member, s *suspicion) bool {
	w := m.watches.of(e)
	alone := w != nil && s.mine && w.refusedAlone(m.clock.awake(), &m.ownPort)
	switch {
	case alone && m.AllNative():
		m.dieAlone(e)
	case w != nil && s.mine:
		// Its host refuses no more, or this node may be refused whatever it connects to, or there
		// are members that cannot look: the silence of the accused decides.
		s.bySilence = true
		if !alone {
			s.verdict = wire.VerdictSilent
		}
		m.respan(e)
	default:
		// The word alone is none of this node's. What it sees itself decides.
		verdict := wire.VerdictCrashed
		if !m.members.refusedTo(s.from[0], m.local, e) {
			verdict = wire.VerdictSilent
		}
		m.lookInto(e, e.incarnation, verdict)
		if m.members.suspects[e] == s {
			m.arm(&s.timer, m.clock.awake()+m.cfg.ProbeTimeout)
		}
	}
	return true
}

// doubtAnew gives all suspicions their whole time again, as those of others.
func (m *Machine) doubtAnew() {
	if m.members.count[wire.StateSuspect] == 0 {
		return
	}
	for i := range m.members.len() { // in an order that is the same each time
		e := m.members.at(i)
		if s := m.members.suspects[e]; s != nil {
			s.began, s.mine, s.asked = m.clock.awake(), false, false
			m.respan(e)
		}
	}
}

// suspectsAsked is how many are asked at a time what P203 asks: when so many are gone
// together that nobody is left who accused them, they need not all be.
const suspectsAsked = 16

// askSuspect compares with a suspect, whose refutation may have been missed.
func (m *Machine) askSuspect(e *member) {
	switch {
	case len(m.dials.open) >= suspectsAsked:
	case e.native == 0:
		m.pushPullWith(e)
	default:
		m.comparison(e)
	}
}

// signOfLife: a suspect answered self, which therefore leaves the end of the
// suspicion to others and to its refutation.
func (m *Machine) signOfLife(e *member) {
	s := m.members.suspects[e]
	if s.mine {
		s.mine, s.began = false, m.clock.awake()
		m.respan(e)
	}
}

// watchSettled is called when it is clear again what a member is.
func (m *Machine) watchSettled(e *member) {
	w := m.watches.of(e)
	if w == nil {
		return
	}
	m.inquiryOver(w)
	w.refused, w.told, w.claimed = 0, 0, 0
	w.look = w.look || e.gone() // it is watched no more
	m.watchOn(w, w.every)
}
