package serf

import (
	"regexp"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// This file ends a query when everybody who was expected to answer has done so,
// said that it will not, or is gone, and asks those again who are silent.

const (
	// askAgainAfter is when those are asked again, directly, of whom nothing was
	// heard; each further time comes after twice the pause. An answer takes a few
	// milliseconds on a network that loses nothing.
	askAgainAfter = 100 * time.Millisecond
	askAgainMost  = 5 * time.Second
	// askAgainCount bounds how many are asked again at a time.
	askAgainCount = 32
	// maxKeptAnswers bounds the answers that are kept to be sent again, in bytes.
	maxKeptAnswers = 4 << 20
	// maxStreamAnswer is the longest answer, encoded: one beyond
	// QueryResponseSizeLimit goes over a stream.
	maxStreamAnswer = 256 << 10
)

// expected is what is still to come from one member.
type expected struct {
	ack, answer bool
}

// expect notes who is expected to answer a query of this node: the members that
// are alive and pass its filters. (P227)
func (m *Machine) expect(a *outgoingQuery, p *QueryParam, msg []byte) {
	filters := make([]*regexp.Regexp, len(p.Tags))
	for i := range p.Tags {
		re, err := compile(p.Tags[i].Value)
		if err != nil {
			return // nobody will answer: it is asked until its time is over, as by Serf
		}
		filters[i] = re
	}
	a.waits = make(map[string]expected)
	a.msg, a.pause, a.again = slices.Clone(msg), askAgainAfter, m.now.Add(askAgainAfter)
	for i := range m.members.len() {
		mem := m.members.at(i)
		if mem.status != StatusAlive || len(p.Nodes) > 0 && !slices.Contains(p.Nodes, mem.Name()) {
			continue
		}
		if m.tagsPass(mem, p.Tags, filters) {
			a.waits[mem.Name()] = expected{ack: p.Ack, answer: true}
		}
	}
	a.expected = len(a.waits)
}

func (m *Machine) tagsPass(mem *member, tags []wire.Tag, filters []*regexp.Regexp) bool {
	if len(tags) == 0 {
		return true
	}
	have := m.decodeTags(mem.Meta())
	for i := range tags {
		if !filters[i].MatchString(findTag(have, tags[i].Key)) {
			return false
		}
	}
	return true
}

// heard takes what came from a member, and ends the query if that was the last
// thing to come. An answer of a plain member is all there is to wait for: its ack
// was sent before, and is not sent twice.
func (s *outgoing) heard(a *outgoingQuery, from string, ack, answer bool) {
	w, ok := a.waits[from]
	if !ok {
		return
	}
	w.ack, w.answer = w.ack && !ack, w.answer && !answer
	if !w.answer && w.ack {
		w.ack = s.native(from)
	}
	if w.ack || w.answer {
		a.waits[from] = w
		return
	}
	delete(a.waits, from)
	s.endIfHeard(a)
}

// endIfHeard ends a query of which nothing is to come any more.
func (s *outgoing) endIfHeard(a *outgoingQuery) {
	if a.waits == nil || len(a.waits) > 0 {
		return
	}
	s.remove(a)
	s.end(a)
}

// end puts out that a query is over, and whose answers are missing.
func (s *outgoing) end(a *outgoingQuery) {
	u := QueryUpdate{ID: a.id, Kind: QueryDone, Expected: a.expected, Missing: a.gone}
	// order-free: sorted below.
	for name := range a.waits {
		u.Missing = append(u.Missing, name)
	}
	slices.Sort(u.Missing)
	s.update(u)
}

// gone: a member that is gone will not answer. Its answer is missing all the same.
func (s *outgoing) gone(name string) {
	for _, a := range slices.Clone(s.order) {
		if w, ok := a.waits[name]; ok {
			delete(a.waits, name)
			if w.answer {
				a.gone = append(a.gone, name)
			}
			s.endIfHeard(a)
		}
	}
}

// againDue returns the queries that are to be asked again, and says when they are next.
func (s *outgoing) againDue(now time.Time) (due []*outgoingQuery) {
	for _, a := range s.order {
		if a.again.IsZero() || a.again.After(now) {
			continue
		}
		a.pause = min(2*a.pause, askAgainMost)
		if a.again = now.Add(a.pause); !a.again.Before(a.deadline) {
			a.again = time.Time{}
		}
		due = append(due, a)
	}
	return due
}

// askAgain asks those members again that have not answered. Members that have acked only
// are asked too: a native sends its answer again.
func (m *Machine) askAgain(a *outgoingQuery) {
	var q wire.Query
	if err := q.Decode(a.msg[2:], &m.names); err != nil {
		return
	}
	q.Flags |= wire.QueryFlagNoBroadcast
	q.Timeout = a.deadline.Sub(m.now)
	msg := q.AppendTo(nil)
	n := m.members.len()
	start := m.rng.IntN(max(n, 1))
	for i, sent := 0, 0; i < n && sent < askAgainCount; i++ {
		mem := m.members.at((start + i) % n)
		w, ok := a.waits[mem.Name()]
		if !ok || mem.Name() == m.cfg.Swim.Name {
			continue
		}
		sm := m.swim.Member(mem.Name())
		if sm == nil || sm.Native == 0 && (a.acks == nil || !w.ack) {
			continue // a plain one that was heard of says nothing again
		}
		m.swim.SendUser(mem.Addr(), mem.Name(), msg)
		sent++
	}
}

// Decline says that nobody here will answer a query that came as an EventQuery. (P227)
func (m *Machine) Decline(now time.Time, id QueryID) {
	m.now = now
	if a := m.incoming.byID[id]; a != nil && !m.over() && !a.given {
		m.decline(a)
		m.settle()
	}
}

// decline says so if the asker wants to know.
func (m *Machine) decline(a *incomingQuery) {
	a.declined = true
	if a.wantsDecline && !m.cfg.Swim.Plain && !m.now.After(a.deadline) {
		m.send(a, m.ackOf(a))
	}
}

// ackOf is the ack of a query, which says whether an answer will follow.
func (m *Machine) ackOf(a *incomingQuery) *wire.QueryResponse {
	r := &wire.QueryResponse{LTime: a.id.LTime, ID: a.id.ID, From: m.cfg.Swim.Name, Flags: wire.QueryFlagAck}
	if a.declined && a.wantsDecline {
		r.Flags |= wire.QueryFlagDecline
	}
	return r
}

// askedAgain: a query came again, from who asked it and to this node alone. What
// was said is said again, the answer over a stream: it may be the packet that was
// lost that was too long for the way. (P228)
func (m *Machine) askedAgain(q *wire.Query) {
	a := m.incoming.byID[QueryID{LTime: q.LTime, ID: q.ID}]
	if a == nil || m.cfg.Swim.Plain || !a.wantsDecline || q.Flags&wire.QueryFlagNoBroadcast == 0 {
		return
	}
	if a.acked || a.declined {
		m.send(a, m.ackOf(a))
	}
	if a.kept != nil && a.source.IsValid() {
		_ = m.swim.SendUserStream(a.source, a.node, a.kept)
	}
}

// keep keeps an encoded answer for askedAgain.
func (s *incoming) keep(a *incomingQuery, msg []byte) {
	if a.wantsDecline && s.bytes+len(msg) <= maxKeptAnswers {
		a.kept = slices.Clone(msg)
		s.bytes += len(msg)
	}
}

// streamAnswer sends an answer that is too long for a packet, and reports whether
// it is one. (P229)
func (m *Machine) streamAnswer(a *incomingQuery, msg []byte) bool {
	if m.cfg.Swim.Plain || len(msg) <= min(m.cfg.QueryResponseSizeLimit, m.packetBudget()-1) {
		return false
	}
	if err := m.swim.SendUserStream(a.source, a.node, msg); err != nil {
		m.trace(swim.Trace{Kind: TraceAnswerBad, Level: swim.LevelError, Node: a.node, Addr: a.source, Err: err})
	}
	return true
}
