package agent

import (
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
)

// deliver hands an event to the handlers and streams of its audience. It never waits.
func (a *Agent) deliver(e *serf.Event) {
	if e.To&serf.Windowed != 0 {
		a.logEvent(e)
	}
	handled := a.handlers.Deliver(e, a.local)
	ordered := e.To&serf.Prompt != 0 && a.orderLists(e)
	var id uint64
	if e.Type == serf.EventQuery {
		id = a.answers.add(e.Query, e.Deadline)
	}
	a.subs.send(e, id)
	if a.handlers.Updates(e) {
		update := *e
		update.Type = serf.EventMemberUpdate
		if e.To&serf.Windowed != 0 {
			a.logEvent(&update)
		}
		a.subs.send(&update, 0)
	}
	if e.Type == serf.EventQuery && !handled && !ordered && a.subs.none() {
		a.loop.declines = append(a.loop.declines, e.Query)
	}
}

// logEvent says that an event comes to those who get events as Serf tells them.
func (a *Agent) logEvent(e *serf.Event) {
	text := e.Type.String()
	switch e.Type {
	case serf.EventUser:
		text = "user-event: " + printable.Line(e.Name)
	case serf.EventQuery:
		text = "query: " + printable.Line(e.Name)
	}
	a.logger.Info("agent: Received event: " + text)
}

// declineQuery says that no handler answers a query, unless a reader of a stream may.
func (a *Agent) declineQuery(id serf.QueryID) {
	if a.subs.none() {
		_ = a.doErr(func(now time.Time) error { // it ends: nobody is told any more
			a.machine.Decline(now, id)
			return nil
		})
	}
}

// streamLag is how many events a reader of a stream may be behind.
const streamLag = 1024

// subs are the streams of events. Readers that are too slow lose their stream.
type subscribers struct {
	mu     sync.Mutex
	all    []*subscriber
	closed bool
}

type subscriber struct {
	ch       chan rpc.Event
	observes bool // it answers no query
	audience serf.Audience
	lost     int
	gone     bool // ch is closed
}

// add returns a stream of all events for an audience from now on. observes: the reader
// only looks on, so that no query waits for an answer of its.
func (s *subscribers) add(observes bool, audience serf.Audience) (events <-chan rpc.Event, lost func() int, cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &subscriber{ch: make(chan rpc.Event, streamLag), observes: observes, audience: audience}
	if s.closed {
		sub.close()
	} else {
		s.all = append(s.all, sub)
	}
	lost = func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return sub.lost
	}
	return sub.ch, lost, func() { s.remove(sub) }
}

// close closes the channel once. The set's mu is held.
func (sub *subscriber) close() {
	if !sub.gone {
		sub.gone = true
		close(sub.ch)
	}
}

func (s *subscribers) remove(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.close()
	for i, other := range s.all {
		if other == sub {
			s.all = append(s.all[:i], s.all[i+1:]...)
			return
		}
	}
}

// none reports whether nobody reads events that could answer a query by RPC.
func (s *subscribers) none() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.all, func(sub *subscriber) bool { return !sub.observes })
}

// send tells everybody. The value is built once for all of them.
func (s *subscribers) send(e *serf.Event, id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return
	}
	ev := rpc.Event{
		Type: e.Type.String(), LTime: uint64(e.LTime), Name: e.Name, Payload: e.Payload,
		Coalesce: e.Coalesce, ID: id, Deadline: e.Deadline,
	}
	if len(e.Members) > 0 {
		ev.Members = rpcMembers(e.Members)
	}
	for _, sub := range s.all {
		if e.To != 0 && e.To&sub.audience == 0 {
			continue
		}
		if sub.gone {
			sub.lost++
			continue
		}
		select {
		case sub.ch <- ev:
		default: // what is in the channel is still read, then the count of the lost
			sub.lost++
			sub.close()
		}
	}
}

func (s *subscribers) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, sub := range s.all {
		sub.close()
	}
	s.all = nil
}

// maxAnswerIDs is how many queries can wait for an answer by RPC.
const maxAnswerIDs = 4096

// answerIDs are the numbers by which RPC clients name queries that they answer.
type answerIDs struct {
	mu    sync.Mutex
	last  uint64
	byID  map[uint64]serf.QueryID
	order []answerID // oldest first
}

type answerID struct {
	id       uint64
	deadline time.Time
}

func (s *answerIDs) init() { s.byID = make(map[uint64]serf.QueryID) }

func (s *answerIDs) add(q serf.QueryID, deadline time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.order) > 0 && (len(s.order) >= maxAnswerIDs || now.After(s.order[0].deadline)) {
		delete(s.byID, s.order[0].id)
		s.order = s.order[1:]
	}
	s.last++
	s.byID[s.last] = q
	s.order = append(s.order, answerID{s.last, deadline})
	return s.last
}

func (s *answerIDs) lookup(id uint64) (serf.QueryID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.byID[id]
	return q, ok
}

// queryRoutes say who gets the news of this node's own queries. It belongs to
// the loop.
type queryRoutes struct {
	sinks map[serf.QueryID]func(rpc.QueryRecord)
}

func (r *queryRoutes) init() { r.sinks = make(map[serf.QueryID]func(rpc.QueryRecord)) }

func (r *queryRoutes) add(id serf.QueryID, sink func(rpc.QueryRecord)) { r.sinks[id] = sink }

func (r *queryRoutes) deliver(u *serf.QueryUpdate) {
	sink := r.sinks[u.ID]
	if sink == nil {
		return
	}
	switch u.Kind {
	case serf.QueryAck:
		sink(rpc.QueryRecord{Type: rpc.QueryRecordAck, From: u.From, Expected: u.Expected})
	case serf.QueryResponse:
		sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: u.From, Payload: u.Payload,
			Outcome: rpcOutcome(u.Outcome), Expected: u.Expected})
	case serf.QueryDone:
		sink(rpc.QueryRecord{Type: rpc.QueryRecordDone, Expected: u.Expected, Missing: u.Missing})
		delete(r.sinks, u.ID)
	}
}

// rpcOutcome is how an answer came about as RPC tells it, nil if it is not known.
func rpcOutcome(o serf.Outcome) *rpc.Outcome {
	if !o.Known {
		return nil
	}
	return &rpc.Outcome{Exit: int(o.Exit), Truncated: o.Truncated}
}
