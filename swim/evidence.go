package swim

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is the rule of proof: when a host's word that a process is not
// there is enough to call it dead. One such word may be forged by whatever stands
// between two hosts; two of different hosts are not.

// freshFor is how long a refusal counts.
const freshFor = time.Second

// fresh reports whether something happened at that time, and lately.
func (m *Machine) fresh(at time.Duration) bool {
	return at != 0 && m.clock.awake()-at <= freshFor
}

// refusedBy: the host of w's member refused our connect.
func (m *Machine) refusedBy(w *watch) {
	if !m.fresh(w.refused) {
		m.trace(Trace{Kind: TraceRefused, Level: LevelDebug, Node: w.e.name, Addr: w.e.at(), Incarnation: w.e.incarnation})
	}
	w.refused, w.inquiry.redial = max(1, m.clock.awake()), 0
	if !m.proven(w) {
		m.tellRefusal(w)
	}
}

// proven declares w's member dead if two members' connects were refused, ours
// among them, or ours if there is nobody else. (P195)
func (m *Machine) proven(w *watch) bool {
	alone := m.members.numPresent() <= 2
	if !m.fresh(w.refused) || !alone && !m.fresh(w.told) {
		return false
	}
	e := w.e
	m.trace(Trace{Kind: TraceCrashed, Level: LevelInfo, Node: e.name, Addr: e.at(), Incarnation: e.incarnation})
	d := wire.Dead{Node: e.name, Incarnation: e.incarnation, From: m.local.name, Verdict: wire.VerdictCrashed}
	m.dead(d)
	msg := d.AppendTo(nil)
	m.members.watchersOf(e, m.local, func(w *member) { m.send(w.at(), w.name, msg) })
	return true
}

// tellRefusal tells the other watchers of w's member, and nobody else.
func (m *Machine) tellRefusal(w *watch) {
	m.msg.suspect = wire.Suspect{Incarnation: w.e.incarnation, Node: w.e.name, From: m.local.name, Verdict: wire.VerdictCrashed}
	msg := m.msg.suspect.AppendTo(nil)
	m.members.watchersOf(w.e, m.local, func(e *member) { m.send(e.at(), e.name, msg) })
}

// hearsRefusal takes another native's word that its connect was refused. Who watches
// the member too does not believe it, but looks. It reports whether that is so.
func (m *Machine) hearsRefusal(e *member, s *wire.Suspect) bool {
	if s.Verdict != wire.VerdictCrashed || m.cfg.Plain || s.From == m.local.name || e == nil || !e.present() {
		return false
	}
	w := m.watches.of(e)
	from := m.members.get(s.From)
	if w == nil || from == nil || from.native == 0 || from == e || s.Incarnation < e.incarnation {
		return false
	}
	if !m.fresh(w.told) || w.refused == 0 {
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

// hint: a packet to this address was refused, as far as the host knows. (P194)
func (m *Machine) hint(to netip.AddrPort) {
	at := pack(to)
	for _, w := range m.watches.list {
		if w.e.addr == at {
			m.hinted(w)
		}
	}
}
