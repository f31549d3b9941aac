package serf

import (
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// Counts are totals since New: numbers for metrics, which nothing here depends on.
type Counts struct {
	Swim swim.Counts
	// Received and Sent are Serf messages in packets, and how long they were together.
	Received, ReceivedBytes, Sent, SentBytes uint64
	// Events and Queries are those of the cluster that were new here.
	Events, Queries uint64
	// Acks and Responses are those to this node's own queries.
	Acks, Responses, DuplicateAcks, DuplicateResponses uint64
	// Adjusted is by how much the coordinate moved, in Adjustments steps.
	Adjusted    time.Duration
	Adjustments uint64
	// ZeroRTT are the steps for a ping that seemed to take no time.
	ZeroRTT uint64
}

// Counts returns the totals so far.
func (m *Machine) Counts() Counts {
	c := m.counts
	c.Swim, c.Sent, c.SentBytes = m.swim.Counts(), m.queues.sent, m.queues.sentBytes
	return c
}

// countAnswer counts an ack of or an answer to a query of this node.
func (m *Machine) countAnswer(isAck, duplicate bool) {
	c := &m.counts
	switch {
	case isAck && duplicate:
		c.DuplicateAcks++
	case isAck:
		c.Acks++
	case duplicate:
		c.DuplicateResponses++
	default:
		c.Responses++
	}
}
