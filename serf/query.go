package serf

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// maxOutgoing bounds the queries of this node that run at a time.
const maxOutgoing = 4096

var errTooManyQueries = errors.New("too many queries are running")

// outgoingQuery is a query of this node that is running. It is known by its time and
// number together, and no two of this node's have the same time, so that the
// answers to one are never taken for another's (P90, P94).
type outgoingQuery struct {
	id       QueryID
	deadline time.Time
	acks     map[string]struct{} // who acked
	answers  map[string]struct{} // who answered
	conflict bool                // it is the vote of a name conflict, not a user's query

	// See query_end.go. waits is nil if it is not known who should answer.
	waits    map[string]expected
	expected int
	gone     []string // who was expected and is gone
	msg      []byte   // the query as a whole user message
	again    time.Time
	pause    time.Duration
}

// outgoing has the running queries, and what has become known of them. Invariant: order has
// those of byID, by deadline.
type outgoing struct {
	byID    map[QueryID]*outgoingQuery
	order   []*outgoingQuery
	updates []QueryUpdate

	native func(member string) bool
}

func (a *outgoing) init(native func(string) bool) {
	a.byID, a.native = make(map[QueryID]*outgoingQuery), native
}

// update puts an update out.
func (a *outgoing) update(u QueryUpdate) { a.updates = append(a.updates, u) }

// take returns the updates since the last call.
func (a *outgoing) take() (updates []QueryUpdate) {
	updates, a.updates = a.updates, nil
	return updates
}

func (a *outgoing) add(q *outgoingQuery) {
	a.byID[q.id] = q
	i, _ := slices.BinarySearchFunc(a.order, q.deadline, func(x *outgoingQuery, t time.Time) int {
		if x.deadline.After(t) {
			return 1
		}
		return -1 // after those of the same deadline
	})
	a.order = slices.Insert(a.order, i, q)
}

// next is when the first of them ends or is to be asked again, zero if there is none.
func (a *outgoing) next() time.Time {
	var at time.Time
	for i, q := range a.order {
		if i == 0 {
			at = q.deadline
		}
		if !q.again.IsZero() {
			at = earlier(at, q.again)
		}
	}
	return at
}

// remove takes one out before its time.
func (a *outgoing) remove(q *outgoingQuery) {
	delete(a.byID, q.id)
	a.order = slices.DeleteFunc(a.order, func(x *outgoingQuery) bool { return x == q })
}

// popDue removes and returns the first if its time has come.
func (a *outgoing) popDue(now time.Time) *outgoingQuery {
	if len(a.order) == 0 || a.order[0].deadline.After(now) {
		return nil
	}
	q := a.order[0]
	a.order = slices.Delete(a.order, 0, 1)
	delete(a.byID, q.id)
	return q
}

// Query asks; the answers come as QueryUpdates. It ends with a QueryDone when
// everybody has answered who was expected to (P227), at the latest at its time-out (P95).
func (m *Machine) Query(now time.Time, name string, payload []byte, p QueryParam) (QueryID, error) {
	m.now = now
	if m.over() {
		return QueryID{}, ErrNotAlive
	}
	q, err := m.startQuery(name, payload, p)
	if err != nil {
		return QueryID{}, err
	}
	m.settle()
	return q.id, nil
}

// startQuery starts a query of all members.
func (m *Machine) startQuery(name string, payload []byte, p QueryParam) (*outgoingQuery, error) {
	a, q, msg, err := m.newQuery(name, payload, p, 0)
	if err != nil {
		return nil, err
	}
	m.push(&m.queues.query, m.queues.times.add(q, m.now, m.cfg.MaxQueueDepth), msg, nil)
	m.takeQuery(q) // P99
	m.outgoing.endIfHeard(a)
	return a, nil
}

// newQuery makes a query that is running, and the packet to send it in.
func (m *Machine) newQuery(name string, payload []byte, p QueryParam, flags uint32) (*outgoingQuery, *wire.Query, []byte, error) {
	if m.cfg.Protocol < 4 {
		return nil, nil, nil, ErrProtocol
	}
	if len(m.outgoing.order) >= maxOutgoing {
		return nil, nil, nil, errTooManyQueries
	}
	if p.Timeout <= 0 {
		p.Timeout = m.DefaultQueryTimeout()
	}
	p.Timeout = min(p.Timeout, maxQueryTimeout)
	q := &wire.Query{
		LTime: m.queryClock.time(), ID: uint32(m.rng.Int32()),
		Source: m.swim.Local().Addr, SourceNode: m.cfg.Swim.Name,
		Filters: p.filters(), Flags: flags, RelayFactor: p.RelayFactor, Timeout: p.Timeout,
		Name: name, Payload: payload,
	}
	if p.Ack {
		q.Flags |= wire.QueryFlagAck
	}
	if p.Outcome {
		q.Flags |= wire.QueryFlagOutcome
	}
	whole := !m.cfg.Swim.Plain && name != internalPrefix+"conflict"
	if whole {
		q.Flags |= wire.QueryFlagDecline
	}
	msg := q.AppendTo([]byte{byte(wire.TypeUser)})
	if len(msg)-1 > m.cfg.QuerySizeLimit {
		return nil, nil, nil, fmt.Errorf("query exceeds limit of %d bytes", m.cfg.QuerySizeLimit)
	}
	if budget := m.packetBudget(); len(msg) > budget {
		return nil, nil, nil, fmt.Errorf("query exceeds packet limit of %d bytes", budget)
	}
	m.queryClock.tick()
	a := &outgoingQuery{
		id:       QueryID{LTime: q.LTime, ID: q.ID},
		deadline: m.now.Add(p.Timeout),
		answers:  make(map[string]struct{}),
	}
	if p.Ack {
		a.acks = make(map[string]struct{})
	}
	m.outgoing.add(a)
	if whole {
		m.expect(a, &p, msg)
	}
	return a, q, msg, nil
}

// filters encodes the restrictions of a query.
func (p *QueryParam) filters() [][]byte {
	var out [][]byte
	if len(p.Nodes) > 0 {
		out = append(out, wire.AppendNodeFilter(nil, p.Nodes))
	}
	for _, t := range p.Tags {
		out = append(out, wire.AppendTagFilter(nil, t.Key, t.Value))
	}
	return out
}

// ResponseLimit is how many bytes an answer to a query may have, encoded.
func (m *Machine) ResponseLimit() int { return m.cfg.QueryResponseSizeLimit }

// DefaultQueryTimeout is GossipInterval × QueryTimeoutMult × ceil(log10(n+1)).
func (m *Machine) DefaultQueryTimeout() time.Duration {
	n := float64(max(m.swim.NumAlive(), 1))
	return m.cfg.Swim.GossipInterval * time.Duration(m.cfg.QueryTimeoutMult) *
		time.Duration(math.Ceil(math.Log10(n+1)))
}

func (m *Machine) handleResponse(from netip.AddrPort, msg []byte) error {
	r := &m.msg.resp
	if err := r.Decode(msg[1:], &m.names); err != nil {
		return err
	}
	m.traceMessage(wire.SerfQueryResponse, from, r.From)
	m.takeResponse(r)
	return nil
}

// takeResponse takes an ack of or an answer to a query of this node, one of
// each per member (P94).
func (m *Machine) takeResponse(r *wire.QueryResponse) {
	a := m.outgoing.byID[QueryID{LTime: r.LTime, ID: r.ID}]
	if a == nil || m.now.After(a.deadline) {
		m.traceResponse(TraceNoQuery, swim.LevelWarn, r)
		return
	}
	if a.conflict && !m.conflict.counts(m, r.From, m.heardFrom) {
		m.traceResponse(TraceConflictStranger, swim.LevelWarn, r)
		return
	}
	isAck := r.Flags&wire.QueryFlagAck != 0
	if isAck && r.Flags&wire.QueryFlagDecline != 0 {
		defer m.outgoing.heard(a, r.From, true, true)
		if a.acks == nil {
			return
		}
	}
	seen := a.answers
	if isAck {
		seen = a.acks
	}
	if seen == nil { // an ack that nobody asked for
		m.traceResponse(TraceNoQuery, swim.LevelWarn, r)
		return
	}
	if _, dup := seen[r.From]; dup {
		m.countAnswer(isAck, true)
		m.traceResponse(TraceDuplicate, swim.LevelDebug, r)
		return
	}
	if len(seen) >= 2*m.members.len()+64 {
		m.traceResponse(TraceQueryCrowd, swim.LevelWarn, r)
		return
	}
	seen[r.From] = struct{}{}
	m.countAnswer(isAck, false)
	if a.conflict {
		m.vote(r)
		return
	}
	u := QueryUpdate{ID: a.id, Kind: QueryAck, From: r.From, Expected: a.expected}
	if !isAck {
		u.Kind, u.Payload, u.Outcome = QueryResponse, bytes.Clone(r.Payload), outcomeOf(r.Flags)
	}
	m.outgoing.update(u)
	m.outgoing.heard(a, r.From, isAck, !isAck)
}

func (m *Machine) traceResponse(k swim.TraceKind, l swim.TraceLevel, r *wire.QueryResponse) {
	m.trace(swim.Trace{Kind: k, Level: l, From: r.From, LTime: r.LTime, N: int(r.ID)})
}

// queriesDue ends the queries whose time is over.
func (m *Machine) queriesDue() {
	for {
		a := m.outgoing.popDue(m.now)
		if a == nil {
			return
		}
		if a.conflict {
			m.conflictOver()
			continue
		}
		m.outgoing.end(a)
	}
}
