package serf

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Rejoin is Join by a node that this one knew before, in this life or a former
// one: user events that were sent since are wanted, those that a restored clock
// covers never come again (P83), and if nothing was restored, P87 holds for
// the first exchange.
func (m *Machine) Rejoin(now time.Time, to netip.AddrPort, name string) (swim.DialID, error) {
	return m.join(now, to, name, rejoined)
}

// Restorable is what a later life of this node resumes from: put into a
// Config, the machine starts above its old incarnation and tells no event twice.
type Restorable struct {
	Incarnation uint32
	// Clock is the newest time of an intent that was witnessed. EventMin and
	// QueryMin are times that are not told any more though they may never have
	// been, because a join has skipped them; who keeps EventClock and
	// QueryClock takes the higher of these and of what was told.
	Clock, EventMin, QueryMin wire.LTime
}

// Restorable returns the present values. It is cheap.
func (m *Machine) Restorable() Restorable {
	return Restorable{
		Incarnation: m.swim.Local().Incarnation,
		Clock:       m.clock.time() - 1,
		EventMin:    max(m.events.min, 1) - 1,
		QueryMin:    max(m.queries.min, 1) - 1,
	}
}
