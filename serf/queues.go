package serf

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

// errTime: a Lamport time that no honest clock reaches (P270).
var errTime = errors.New("serf: impossible Lamport time")

// push queues a broadcast: a whole user message. The queue is never longer
// than MaxQueueDepth: what comes into a full one drops the most often sent.
// Serf looks at the length every 30 s only, and by then it may be anything.
func (m *Machine) push(q *broadcast.Queue, name string, msg []byte, done func()) {
	if m.cfg.Swim.Plain {
		q.Push(name, msg, done)
	} else {
		q.PushFresh(name, msg, wire.SerfType(msg[1]) == wire.SerfLeave, done)
		m.news(m.heardFrom)
	}
	if n := q.Len(); n > m.cfg.MaxQueueDepth {
		m.queueFull(q, n)
	}
}

// queueFull makes room for a while, so that a flood does not have to sort the
// queue for each message.
func (m *Machine) queueFull(q *broadcast.Queue, n int) {
	limit := m.cfg.MaxQueueDepth
	m.trace(swim.Trace{Kind: TraceQueueFull, Level: swim.LevelWarn, From: m.queues.name(q), N: n, Of: limit})
	q.Prune(limit - limit/8)
}

// passOn queues a message that came from elsewhere, as it is.
func (m *Machine) passOn(q *broadcast.Queue, name string, msg []byte) {
	if 1+len(msg) > m.packetBudget() {
		// It came on a stream, and would wait for ever for a packet to fit into.
		return
	}
	m.buf = append(m.buf[:0], byte(wire.TypeUser))
	m.buf = append(m.buf, msg...)
	m.push(q, name, m.buf, nil)
}

// news tells swim that there is something to pass on. swim has to know the
// time, and its own inputs have told it; but the commands of this machine have not.
func (m *Machine) news(from netip.AddrPort) {
	if m.swim != nil {
		m.swim.News(m.now, from)
	}
}

// takeFresh fills a packet with what was not sent yet (P222).
func (m *Machine) takeFresh(dst [][]byte, overhead, limit int) [][]byte {
	return m.queues.takeFresh(dst, overhead, limit, m.swim.Transmits(m.members.len()))
}

// takeBroadcasts fills a packet (P46).
func (m *Machine) takeBroadcasts(dst [][]byte, overhead, limit int) [][]byte {
	return m.queues.take(dst, overhead, limit, m.swim.Transmits(m.members.len()), m.cfg.Swim.Plain)
}

// queuesDue looks at the queues' depths from time to time (P48).
func (m *Machine) queuesDue() {
	if !m.timers.due(timerQueues, m.now) {
		return
	}
	m.timers.set(timerQueues, m.now.Add(m.cfg.QueueCheckInterval))
	for _, q := range [...]*broadcast.Queue{&m.queues.intent, &m.queues.event, &m.queues.query} {
		if n := q.Len(); n >= m.cfg.QueueDepthWarning {
			m.trace(swim.Trace{Kind: TraceQueueDepth, Level: swim.LevelWarn, From: m.queues.name(q), N: n})
		}
	}
}

// packetBudget is how long a broadcast may be and still fit into a packet that
// carries nothing else.
func (m *Machine) packetBudget() int {
	return m.cfg.Swim.PacketSize - wire.CompoundHeaderOverhead - wire.CompoundPartOverhead - wire.CRCOverhead
}

// queues are the messages to pass on, by kind.
type queues struct {
	intent, event, query broadcast.Queue
	times                queuedQueries // when those in query are over

	sent, sentBytes uint64 // messages that were given out, and how long they were
}

// inOrder are the queues, the most important first.
func (s *queues) inOrder() [3]*broadcast.Queue {
	return [...]*broadcast.Queue{&s.intent, &s.query, &s.event}
}

// name is what log lines call a queue.
func (s *queues) name(q *broadcast.Queue) string {
	switch q {
	case &s.intent:
		return "Intent"
	case &s.event:
		return "Event"
	}
	return "Query"
}

// takeFresh fills a packet with what was not sent yet. If there is more than
// fits, each queue gets a share of the room (P222).
func (s *queues) takeFresh(dst [][]byte, overhead, limit, transmits int) [][]byte {
	fresh, _ := s.waiting(overhead)
	list := s.inOrder()
	for i, q := range list {
		cost := q.FreshCost(overhead)
		fresh -= cost // of those that come after
		share := max(limit/(len(list)-i), limit-fresh)
		n := len(dst)
		dst = q.TakeFresh(dst, overhead, share, transmits)
		limit -= s.count(dst[n:], overhead)
	}
	return dst
}

// take fills a packet: intents, queries, user events (P46). A plain node gives all of the
// room to the first, another one a share of it to each (P222).
func (s *queues) take(dst [][]byte, overhead, limit, transmits int, plain bool) [][]byte {
	list, rest := s.inOrder(), 0
	if !plain {
		_, rest = s.waiting(overhead)
	}
	for i, q := range list {
		if q.Len() == 0 {
			continue
		}
		share := limit
		if !plain {
			rest -= q.Cost(overhead)
			share = max(limit/(len(list)-i), limit-rest)
		}
		n := len(dst)
		dst = q.Take(dst, overhead, share, transmits)
		limit -= s.count(dst[n:], overhead)
	}
	return dst
}

// waiting is what the fresh and what all queued messages would cost.
func (s *queues) waiting(overhead int) (fresh, all int) {
	for _, q := range s.inOrder() {
		fresh += q.FreshCost(overhead)
		all += q.Cost(overhead)
	}
	return fresh, all
}

// count counts messages that were given out, and returns what they cost.
func (s *queues) count(sent [][]byte, overhead int) (cost int) {
	for _, msg := range sent {
		cost += overhead + len(msg)
		s.sent++
		s.sentBytes += uint64(len(msg) - 1) // without swim's type
	}
	return cost
}

// dropOver drops the queries whose time is over.
func (s *queues) dropOver(now time.Time) { s.times.drop(&s.query, now) }

// queuedQueries are the queries that wait in the queue to be passed on, this node's own
// and those of others, until their time is over: who joins after that must not be asked
// what nobody waits for any more (P237).
//
// Invariant: order is sorted by until, and not longer than the queue may be.
type queuedQueries struct {
	order []queuedQuery
}

type queuedQuery struct {
	name  string // in the queue
	until time.Time
}

// add notes a query that is about to be queued, and returns its name there.
func (s *queuedQueries) add(q *wire.Query, now time.Time, most int) string {
	name := strconv.FormatUint(uint64(q.LTime), 36) + "/" + strconv.FormatUint(uint64(q.ID), 36)
	x := queuedQuery{name: name, until: now.Add(min(max(q.Timeout, 0), maxQueryTimeout))}
	i, _ := slices.BinarySearchFunc(s.order, x.until, func(y queuedQuery, t time.Time) int {
		if y.until.After(t) {
			return 1
		}
		return -1
	})
	s.order = slices.Insert(s.order, i, x)
	if len(s.order) > most { // what was sent often enough has left the queue, most of all the oldest
		s.order = slices.Delete(s.order, 0, 1)
	}
	return name
}

// next is when the first of them is over, zero if there is none.
func (s *queuedQueries) next() time.Time {
	if len(s.order) == 0 {
		return time.Time{}
	}
	return s.order[0].until
}

// drop takes those that are over out of the queue.
func (s *queuedQueries) drop(queue *broadcast.Queue, now time.Time) {
	n := 0
	for n < len(s.order) && !s.order[n].until.After(now) {
		queue.Drop(s.order[n].name)
		n++
	}
	s.order = slices.Delete(s.order, 0, n)
}
