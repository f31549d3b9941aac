package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

type streamKind uint8

const (
	kindEvents streamKind = iota
	kindMonitor
	kindQuery
)

// serverStream is a running stream, monitor or query of one client.
type serverStream struct {
	kind streamKind
	seq  uint64
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{} // closed when nothing more is sent
}

// streamSet are the running streams of one client.
type streamSet struct {
	mu    sync.Mutex
	bySeq map[uint64]*serverStream
	wg    sync.WaitGroup // their goroutines
}

// reserve makes room for a stream. The caller runs it or drops it.
func (c *serverConn) reserve(kind streamKind, seq uint64) (*serverStream, error) {
	set := &c.streams
	set.mu.Lock()
	defer set.mu.Unlock()
	if kind == kindMonitor {
		// order-free: is there any
		for _, st := range set.bySeq {
			if st.kind == kindMonitor {
				return nil, ErrMonitorExists
			}
		}
	}
	if _, taken := set.bySeq[seq]; taken {
		return nil, ErrStreamExists
	}
	if len(set.bySeq) >= c.s.cfg.MaxStreams {
		return nil, ErrTooManyStreams
	}
	st := &serverStream{kind: kind, seq: seq, done: make(chan struct{})}
	st.ctx, st.stop = context.WithCancel(c.ctx)
	if set.bySeq == nil {
		set.bySeq = make(map[uint64]*serverStream)
	}
	set.bySeq[seq] = st
	return st, nil
}

// free makes the number of a stream free for the next one.
func (set *streamSet) free(st *serverStream) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.bySeq[st.seq] == st {
		delete(set.bySeq, st.seq)
	}
}

// drop forgets a stream that has ended.
func (set *streamSet) drop(st *serverStream) {
	st.stop()
	set.free(st)
	close(st.done)
}

// get returns the stream of that number, or nil.
func (set *streamSet) get(seq uint64) *serverStream {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.bySeq[seq]
}

// run starts the stream's goroutine after the reply went out, so that the
// reply comes first and nothing that happens after it is missed. release lets
// go of what feeds the stream.
func (r *request) run(st *serverStream, stream func(*serverStream) error, release func()) error {
	if err := r.answer(nil, nil); err != nil {
		release()
		r.streams.drop(st)
		return err
	}
	r.seat.Begin()
	r.streams.wg.Go(func() {
		defer r.seat.End()
		defer r.streams.drop(st)
		defer release()
		if err := stream(st); err != nil && r.ctx.Err() == nil {
			r.s.cfg.Logger.Error("agent.ipc: Failed to stream", "client", r.name, "err", err)
		}
	})
	return nil
}

func serveStop(r *request) error {
	var req stopRequest
	err := r.decode(&req)
	if err == nil {
		if st := r.streams.get(req.Stop); st != nil {
			st.stop()
			<-st.done // nothing of it comes after the reply
		}
	}
	return r.answer(err, nil)
}

func serveStream(r *request) error {
	var req streamRequest
	if err := r.decode(&req); err != nil {
		return r.answer(err, nil)
	}
	filters, err := ParseEventFilter(req.Type)
	if err != nil {
		return r.answer(err, nil)
	}
	st, err := r.reserve(kindEvents, r.seq)
	if err != nil {
		return r.answer(err, nil)
	}
	events, lost, cancel := r.s.backend.Subscribe(req.Prompt)
	c := r.serverConn
	return r.run(st, func(st *serverStream) error {
		return c.streamEvents(st, filters, events, lost)
	}, cancel)
}

func (c *serverConn) streamEvents(st *serverStream, filters []EventFilter, events <-chan Event, lost func() int) error {
	for {
		ev, ok := take(st, c, events)
		if !ok {
			if n := lost(); n > 0 && st.ctx.Err() == nil {
				return c.endStream(st, fmt.Sprintf("Stream ended: reader too slow, %d events lost", n))
			}
			return nil // stopped, or the agent ends
		}
		if !matchAny(filters, &ev) {
			continue
		}
		if err := c.sendEvent(st.seq, &ev); err != nil {
			return err
		}
	}
}

// take waits for the next item of a stream; false if the stream has ended. When
// the server closes, what is already there still goes out.
func take[T any](st *serverStream, c *serverConn, items <-chan T) (item T, ok bool) {
	if st.ctx.Err() == nil {
		select {
		case item, ok = <-items:
			return item, ok
		case <-st.ctx.Done():
		}
	}
	if c.s.ctx.Err() != nil {
		select {
		case item, ok = <-items:
		default:
		}
	}
	return item, ok
}

func (c *serverConn) sendEvent(seq uint64, ev *Event) error {
	head := responseHeader{Seq: seq}
	switch ev.Type {
	case "user":
		return c.send(&head, &userEventRecord{ev.Type, ev.LTime, ev.Name, ev.Payload, ev.Coalesce})
	case "query":
		id := c.queries.register(ev.ID, ev.Deadline)
		return c.send(&head, &queryEventRecord{ev.Type, id, ev.LTime, ev.Name, ev.Payload})
	}
	return c.send(&head, &memberEventRecord{ev.Type, wireMembers(ev.Members, nil)})
}

// endStream tells the client why the stream ends here.
func (c *serverConn) endStream(st *serverStream, why string) error {
	c.streams.free(st) // before the client knows
	c.s.lostStreams.Add(1)
	c.s.cfg.Logger.Warn("agent.ipc: "+why, "client", c.name)
	head := responseHeader{Seq: st.seq, Error: why}
	if st.kind == kindMonitor {
		return c.send(&head, &logRecord{Log: why})
	}
	return c.send(&head, &streamEndRecord{Event: streamEnd, Reason: why})
}

func serveMonitor(r *request) error {
	var req monitorRequest
	if err := r.decode(&req); err != nil {
		return r.answer(err, nil)
	}
	level := strings.ToUpper(req.LogLevel)
	switch level {
	case "TRACE", "DEBUG", "INFO", "WARN", "ERR":
	default:
		return r.answer(fmt.Errorf("Unknown log level: %s", level), nil)
	}
	st, err := r.reserve(kindMonitor, r.seq)
	if err != nil {
		return r.answer(err, nil)
	}
	lines, cancel, err := r.s.backend.Monitor(level)
	if err != nil {
		r.streams.drop(st)
		return r.answer(err, nil)
	}
	c := r.serverConn
	return r.run(st, func(st *serverStream) error {
		return c.streamLines(st, lines)
	}, cancel)
}

func (c *serverConn) streamLines(st *serverStream, lines <-chan string) error {
	head := responseHeader{Seq: st.seq}
	for {
		line, ok := take(st, c, lines)
		if !ok {
			sleep(st.ctx, c.s.cfg.CloseGrace) // an agent that ends closes the server next
			if st.ctx.Err() == nil {
				return c.endStream(st, "Monitor ended: reader too slow")
			}
			return nil
		}
		if err := c.send(&head, &logRecord{Log: line}); err != nil {
			return err
		}
	}
}

func serveQuery(r *request) error {
	var req QueryRequest
	if err := r.decode(&req); err != nil {
		return r.answer(err, nil)
	}
	st, err := r.reserve(kindQuery, r.seq)
	if err != nil {
		return r.answer(err, nil)
	}
	news := newQueue[QueryRecord](r.s.cfg.MaxQueryRecords)
	done := QueryRecord{Type: QueryRecordDone}
	err = r.s.backend.Query(req, func(rec QueryRecord) {
		if rec.Type == QueryRecordDone {
			done = rec
			news.close(io.EOF)
		} else {
			news.push(rec)
		}
	})
	if err != nil {
		r.streams.drop(st)
		return r.answer(err, nil)
	}
	c := r.serverConn
	return r.run(st, func(st *serverStream) error {
		return c.streamQuery(st, news, &done, req.Prompt)
	}, func() { news.close(io.EOF) }) // what comes later is for nobody
}

// streamQuery tells a client of its query. done is what is told last; it is set
// before news ends.
func (c *serverConn) streamQuery(st *serverStream, news *queue[QueryRecord], done *QueryRecord, prompt bool) error {
	var last time.Time // when an answer went out
	for {
		head := responseHeader{Seq: st.seq}
		rec, err := news.next(st.ctx)
		switch {
		case errors.Is(err, io.EOF):
			if !prompt {
				sleep(st.ctx, time.Until(last.Add(c.s.cfg.QueryLinger)))
			}
			if n := news.lostCount(); n > 0 {
				c.s.lostStreams.Add(1)
				head.Error = fmt.Sprintf("Reader too slow, %d answers lost", n)
			}
			c.streams.free(st)
			return c.send(&head, done)
		case err != nil:
			return nil // stopped
		}
		if err := c.send(&head, &rec); err != nil {
			return err
		}
		last = time.Now()
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func serveRespond(r *request) error {
	var req respondRequest
	err := r.decode(&req)
	if err == nil {
		id, ok := r.queries.lookup(req.ID)
		if err = ErrInvalidQueryID; ok {
			err = r.s.backend.Respond(id, req.Payload)
		}
	}
	return r.answer(err, nil)
}

// queryIDs are the queries that one client was told about and may answer: its
// own numbers for them, from 1. A client can answer only what it was shown.
// Invariant: the numbers in queue are pending, oldest first.
type queryIDs struct {
	mu    sync.Mutex
	last  uint64
	first uint64 // the number of queue[0]
	queue []pendingQuery
}

type pendingQuery struct {
	id       uint64 // the backend's
	deadline time.Time
}

// register gives a number to a query.
func (q *queryIDs) register(id uint64, deadline time.Time) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	now := time.Now()
	for len(q.queue) > 0 && (len(q.queue) >= maxPendingQueries || q.queue[0].expired(now)) {
		q.queue = q.queue[1:]
		q.first++
	}
	if len(q.queue) == 0 {
		q.first = q.last
	}
	q.queue = append(q.queue, pendingQuery{id, deadline})
	return q.last
}

// lookup returns the backend's number of a query that can still be answered.
func (q *queryIDs) lookup(n uint64) (uint64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 || n < q.first || n > q.last {
		return 0, false
	}
	p := q.queue[n-q.first]
	return p.id, !p.expired(time.Now())
}

func (p pendingQuery) expired(now time.Time) bool {
	return !p.deadline.IsZero() && now.After(p.deadline)
}
