package swim

import "time"

// Counts are totals since New: numbers for metrics, which nothing here depends on.
type Counts struct {
	// Alive, Suspect and Dead are claims about members that were applied.
	Alive, Suspect, Dead uint64
	// Probes are those that ended, ProbeTime how long they took together.
	Probes    uint64
	ProbeTime time.Duration
	// Degraded are probes that were begun in less than perfect health.
	Degraded uint64
	// Missed are pings of watches that were not answered in time, Inquiries what came of
	// those and of evidence.
	Missed, Inquiries uint64
	// MissedSlots are pings of watchers that did not come when they were to.
	MissedSlots uint64
	// Gossips are rounds of gossip.
	Gossips uint64
	// Eager are packets that passed news on at once.
	Eager uint64
}

// Counts returns the totals so far.
func (m *Machine) Counts() Counts { return m.counts }

// QueueLen is how many broadcasts about members wait to be sent.
func (m *Machine) QueueLen() int { return m.queue.Len() }

// probeEnded counts the present probe.
func (m *Machine) probeEnded() {
	m.counts.Probes++
	m.counts.ProbeTime += m.clock.real - m.probe.sent
}
