package serf

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Bounds of what is kept about the queries of others; only a flood reaches them.
const (
	maxQueriesPerTime = 4096 // that claim one Lamport time
	maxIncoming       = 4096 // that wait for an answer
)

// queryBuffer remembers which queries were handled, by Lamport time modulo its size.
type queryBuffer struct {
	slots []querySlot
	min   wire.LTime // queries before it are not handled
}

type querySlot struct {
	ltime wire.LTime
	ids   []uint32
}

func (b *queryBuffer) init(n int, restored wire.LTime) {
	b.slots = make([]querySlot, n)
	if restored > 0 && restored < LastTime {
		b.min = restored + 1
	}
}

// add remembers a query if it is new. now is the clock's time.
func (b *queryBuffer) add(now, t wire.LTime, id uint32) eventVerdict {
	n := wire.LTime(len(b.slots))
	if now > n && t < now-n {
		return eventOld
	}
	slot := &b.slots[t%n]
	switch {
	case slot.ltime > t:
		return eventOld
	case slot.ltime < t:
		slot.ltime, slot.ids = t, slot.ids[:0]
	}
	if slices.Contains(slot.ids, id) {
		return eventSeen
	}
	if len(slot.ids) >= maxQueriesPerTime {
		return eventFull
	}
	slot.ids = append(slot.ids, id)
	return eventNew
}

// incomingQuery is a query that this node may answer, once, until the deadline (P93).
type incomingQuery struct {
	id           QueryID
	source       netip.AddrPort
	node         string // the asker's name
	relays       uint8
	outcome      bool // the asker wants to know how the answer came about
	deadline     time.Time
	given        bool
	wantsDecline bool // the asker wants to know if there will be none
	acked        bool
	declined     bool   // there will be none
	kept         []byte // the answer as it was sent
}

// incoming has the queries that handlers may answer. Invariant: order has those of
// byID, by deadline.
type incoming struct {
	byID  map[QueryID]*incomingQuery
	order []*incomingQuery
	bytes int // of what is kept
}

func (a *incoming) init() { a.byID = make(map[QueryID]*incomingQuery) }

// add keeps an answer, and forgets those whose time is over.
func (a *incoming) add(now time.Time, x *incomingQuery) {
	n := 0
	for n < len(a.order) && (a.order[n].deadline.Before(now) || len(a.order)-n >= maxIncoming) {
		delete(a.byID, a.order[n].id)
		a.bytes -= len(a.order[n].kept)
		n++
	}
	a.order = slices.Delete(a.order, 0, n)
	a.byID[x.id] = x
	i, _ := slices.BinarySearchFunc(a.order, x.deadline, func(y *incomingQuery, t time.Time) int {
		if y.deadline.After(t) {
			return 1
		}
		return -1
	})
	a.order = slices.Insert(a.order, i, x)
}

func (m *Machine) handleQuery(from netip.AddrPort, msg []byte) error {
	q := &m.msg.query
	if err := q.Decode(msg[1:], &m.names); err != nil {
		return err
	}
	m.traceMessage(wire.SerfQuery, from, q.Name)
	if ok, err := m.ahead.admits(&m.queryClock, q.LTime, from, msg); !ok {
		return err
	}
	if m.takeQuery(q) {
		m.passOn(&m.queues.query, m.queues.times.add(q, m.now, m.cfg.MaxQueueDepth), msg)
	}
	return nil
}

// takeQuery handles a query if it is new, and reports whether it is to be passed on.
func (m *Machine) takeQuery(q *wire.Query) bool {
	m.queryClock.witness(q.LTime)
	if q.LTime < m.queries.min {
		return false
	}
	now := m.queryClock.time()
	switch m.queries.add(now, q.LTime, q.ID) {
	case eventSeen:
		m.askedAgain(q)
		return false
	case eventOld:
		m.trace(swim.Trace{Kind: TraceQueryOld, Level: swim.LevelWarn, Node: q.Name, LTime: q.LTime, N: int(now)})
		return false
	case eventFull:
		m.trace(swim.Trace{Kind: TraceQueryFull, Level: swim.LevelWarn, Node: q.Name, LTime: q.LTime})
		return false
	}
	m.counts.Queries++
	// Those whom it is not for pass it on all the same (P91).
	if m.passes(q) {
		m.deliverQuery(q)
	}
	return q.Flags&wire.QueryFlagNoBroadcast == 0
}

// deliverQuery acks a query that is for this node, and hands it to whom it concerns.
func (m *Machine) deliverQuery(q *wire.Query) {
	a := &incomingQuery{
		id:     QueryID{LTime: q.LTime, ID: q.ID},
		source: q.Source, node: q.SourceNode, relays: q.RelayFactor,
		outcome:      q.Flags&wire.QueryFlagOutcome != 0,
		wantsDecline: q.Flags&wire.QueryFlagDecline != 0,
		acked:        q.Flags&wire.QueryFlagAck != 0,
		deadline:     m.now.Add(min(max(q.Timeout, 0), maxQueryTimeout)),
	}
	name, internal := strings.CutPrefix(q.Name, internalPrefix)
	a.declined = internal && name == "ping" && !m.cfg.Swim.Plain // the ack is all
	if a.acked || a.declined && a.wantsDecline {                 // P92
		m.send(a, m.ackOf(a))
	}
	if !internal || a.wantsDecline && !m.cfg.Swim.Plain {
		m.incoming.add(m.now, a)
	}
	if internal {
		m.internalQuery(a, name, q.Payload)
		return
	}
	m.coalescer.emit(Event{
		Type: EventQuery, LTime: q.LTime, Name: q.Name, Payload: bytes.Clone(q.Payload),
		Query: a.id, Source: a.node, Deadline: a.deadline, WantsOutcome: a.outcome,
	})
}

// The texts are Serf's; RPC clients see them.
var (
	errAnswered = &misuse{"failed to respond to key query: response already sent", ErrQueryOver}
	errTooLate  = &misuse{"failed to respond to key query: response is past the deadline", ErrQueryOver}
)

// Respond answers a query that came as an EventQuery, once, before its deadline.
func (m *Machine) Respond(now time.Time, id QueryID, payload []byte) error {
	return m.RespondOutcome(now, id, payload, Outcome{})
}

// RespondOutcome is Respond that says how the answer came about, if the asker
// wants to know. The answer is then cut to the limit, and says so. (P167)
func (m *Machine) RespondOutcome(now time.Time, id QueryID, payload []byte, o Outcome) error {
	m.now = now
	if m.over() {
		return ErrNotAlive
	}
	a := m.incoming.byID[id]
	if a == nil {
		return errTooLate
	}
	err := m.respond(a, payload, o)
	m.settle()
	return err
}

// respond gives an answer.
func (m *Machine) respond(a *incomingQuery, payload []byte, o Outcome) error {
	r := wire.QueryResponse{LTime: a.id.LTime, ID: a.id.ID, From: m.cfg.Swim.Name, Payload: payload}
	m.buf = r.AppendTo(m.buf[:0])
	limit := m.cfg.QueryResponseSizeLimit
	if a.outcome && o.Known {
		o.fit(&r, len(m.buf), limit)
		m.buf = r.AppendTo(m.buf[:0])
	}
	if !m.cfg.Swim.Plain {
		limit = max(limit, maxStreamAnswer)
	}
	if len(m.buf) > limit {
		return fmt.Errorf("failed to respond to key query: response exceeds limit of %d bytes", limit)
	}
	if a.given {
		return errAnswered
	}
	if m.now.After(a.deadline) {
		return errTooLate
	}
	a.given = true
	m.send(a, &r)
	return nil
}

// send sends an ack or an answer to who asked, and through relays if that is wanted.
func (m *Machine) send(a *incomingQuery, r *wire.QueryResponse) {
	if a.node == m.cfg.Swim.Name && a.source == m.swim.Local().Addr {
		m.takeResponse(r)
		return
	}
	if !a.source.IsValid() || a.source.Port() == 0 {
		m.trace(swim.Trace{Kind: TraceAnswerBad, Level: swim.LevelError, Node: a.node, Err: wire.ErrValue})
		return
	}
	m.buf = r.AppendTo(m.buf[:0])
	if r.Flags&wire.QueryFlagAck == 0 {
		if !m.cfg.Swim.Plain {
			m.incoming.keep(a, m.buf)
		}
		if m.streamAnswer(a, m.buf) {
			return
		}
	}
	m.swim.SendUser(a.source, a.node, m.buf)
	if a.relays > 0 {
		m.relay(a, m.buf)
	}
}

// relay sends a copy of an answer through other members, for the case that the
// direct way is blocked (P96).
func (m *Machine) relay(a *incomingQuery, msg []byte) {
	k, n := int(a.relays), m.members.len()
	if n < k+1 {
		return
	}
	r := wire.Relay{Dest: a.source, DestName: a.node, Message: msg}
	raw := r.AppendTo(nil)
	if limit := m.cfg.QueryResponseSizeLimit; len(raw) > limit {
		err := fmt.Errorf("relayed response exceeds limit of %d bytes", limit)
		m.trace(swim.Trace{Kind: TraceRelayBad, Level: swim.LevelError, Node: a.node, Addr: a.source, Err: err})
		return
	}
	for _, mem := range m.randomRelays(k, a.node) {
		m.swim.SendUser(mem.Addr(), mem.Name(), raw)
	}
}

// relayVersion is the memberlist version from which members know relays.
const relayVersion = 5

// randomRelays returns up to k alive members that can relay, neither this node
// nor the asker.
func (m *Machine) randomRelays(k int, asker string) []*member {
	var out []*member
	try := func(i int) bool {
		mem := m.members.at(i)
		if mem.status == StatusAlive && mem.Versions().PMax >= relayVersion &&
			mem.Name() != m.cfg.Swim.Name && mem.Name() != asker && !slices.Contains(out, mem) {
			out = append(out, mem)
		}
		return len(out) < k
	}
	n := m.members.len()
	if n <= 4*k+16 { // so few that random draws could miss somebody
		for _, i := range m.rng.Perm(n) {
			if !try(i) {
				break
			}
		}
		return out
	}
	for range 3 * n {
		if !try(m.rng.IntN(n)) {
			break
		}
	}
	return out
}

// maxRelayed is the longest message that is passed on: more does not fit into a
// datagram. (It may come on a stream, which carries more.)
const maxRelayed = 60 * 1024

// handleRelay passes a message on, unchanged, to the address in its header.
func (m *Machine) handleRelay(msg []byte) error {
	r := &m.msg.relay
	if err := r.Decode(msg[1:], &m.names); err != nil {
		return err
	}
	if !r.Dest.IsValid() || r.Dest.Port() == 0 || len(r.Message) == 0 {
		return wire.ErrValue
	}
	if len(r.Message) > maxRelayed {
		return wire.ErrLimit
	}
	m.trace(swim.Trace{Kind: TraceRelay, Level: swim.LevelDebug, Node: r.DestName, Addr: r.Dest})
	m.swim.SendUser(r.Dest, r.DestName, r.Message)
	return nil
}
