package serf

import "github.com/ibuki-dev/ibuki/wire"

// Stats are the figures of `serf info`.
type Stats struct {
	Members, Failed, Left, HealthScore  int
	MemberTime, EventTime, QueryTime    wire.LTime
	IntentQueue, EventQueue, QueryQueue int
	Encrypted                           bool
	CoordinateResets                    int
}

// Stats returns the present figures.
func (m *Machine) Stats() Stats {
	s := Stats{
		Members: m.members.len(), Failed: m.members.failed, Left: m.members.left,
		HealthScore: m.swim.Health(),
		MemberTime:  m.clock.time(), EventTime: m.eventClock.time(), QueryTime: m.queryClock.time(),
		IntentQueue: m.queues.intent.Len(), EventQueue: m.queues.event.Len(), QueryQueue: m.queues.query.Len(),
		Encrypted: m.cfg.Keyring != nil, CoordinateResets: m.coords.resets(),
	}
	return s
}
