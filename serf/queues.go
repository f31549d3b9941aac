package serf

import (
	"errors"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// errTime: a Lamport time beyond maxTime.
var errTime = errors.New("serf: impossible Lamport time")

// push queues a broadcast: a whole user message. The queue is never longer
// than MaxQueueDepth: what comes into a full one drops the most often sent.
// Serf looks at the length every 30 s only, and by then it may be anything.
func (m *Machine) push(q *swim.Queue, name string, msg []byte, done func()) {
	q.Push(name, msg, done)
	if n := q.Len(); n > m.cfg.MaxQueueDepth {
		m.queueFull(q, n)
	}
}

// queueFull makes room for a while, so that a flood does not have to sort the
// queue for each message.
func (m *Machine) queueFull(q *swim.Queue, n int) {
	limit := m.cfg.MaxQueueDepth
	m.trace(swim.Trace{Kind: TraceQueueFull, Level: swim.LevelWarn, From: m.queueName(q), N: n, Of: limit})
	q.Prune(limit - limit/8)
}

// passOn queues a message that came from elsewhere, as it is.
func (m *Machine) passOn(q *swim.Queue, name string, msg []byte) {
	if 1+len(msg) > m.packetBudget() {
		// It came on a stream, and would wait for ever for a packet to fit into.
		return
	}
	m.buf = append(m.buf[:0], byte(wire.TypeUser))
	m.buf = append(m.buf, msg...)
	m.push(q, name, m.buf, nil)
}

func (m *Machine) queueName(q *swim.Queue) string {
	switch q {
	case &m.intentQueue:
		return "Intent"
	case &m.eventQueue:
		return "Event"
	}
	return "Query"
}

// takeBroadcasts fills a packet: intents, queries, user events (P46).
func (m *Machine) takeBroadcasts(dst [][]byte, overhead, limit int) [][]byte {
	transmits := swim.TransmitLimit(m.cfg.Swim.RetransmitMult, m.members.len())
	for _, q := range [...]*swim.Queue{&m.intentQueue, &m.queryQueue, &m.eventQueue} {
		if q.Len() == 0 {
			continue
		}
		n := len(dst)
		dst = q.Take(dst, overhead, limit, transmits)
		for _, msg := range dst[n:] {
			limit -= overhead + len(msg)
			m.counts.Sent++
			m.counts.SentBytes += uint64(len(msg) - 1) // without swim's type
		}
	}
	return dst
}

// queuesDue looks at the queues' depths from time to time (P48).
func (m *Machine) queuesDue() {
	if !m.timers.due(timerQueues, m.now) {
		return
	}
	m.timers.set(timerQueues, m.now.Add(m.cfg.QueueCheckInterval))
	for _, q := range [...]*swim.Queue{&m.intentQueue, &m.eventQueue, &m.queryQueue} {
		if n := q.Len(); n >= m.cfg.QueueDepthWarning {
			m.trace(swim.Trace{Kind: TraceQueueDepth, Level: swim.LevelWarn, From: m.queueName(q), N: n})
		}
	}
}

// packetBudget is how long a broadcast may be and still fit into a packet that
// carries nothing else.
func (m *Machine) packetBudget() int {
	return m.cfg.Swim.PacketSize - wire.CompoundHeaderOverhead - wire.CompoundPartOverhead - wire.CRCOverhead
}
