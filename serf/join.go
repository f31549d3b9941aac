package serf

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// joinKind says why an exchange was begun, which decides what is made of the
// other side's old user events and of the result.
type joinKind uint8

const (
	notJoining  joinKind = iota // a periodic exchange, or one that another node began
	joinReplay                  // a Join that wants old user events
	joinIgnore                  // a Join that does not
	reconnected                 // an attempt to reach a failed member
	rejoined                    // a Rejoin
)

// Join starts to join by the node at to; name may be empty. ignoreOld: user
// events from before the join are not delivered. It ends as a JoinResult in an Output.
func (m *Machine) Join(now time.Time, to netip.AddrPort, name string, ignoreOld bool) (swim.DialID, error) {
	if ignoreOld {
		return m.join(now, to, name, joinIgnore)
	}
	return m.join(now, to, name, joinReplay)
}

func (m *Machine) join(now time.Time, to netip.AddrPort, name string, kind joinKind) (swim.DialID, error) {
	m.now = now
	if m.state != Alive {
		return 0, errJoinLate
	}
	id := m.swim.Join(now, to, name)
	m.joins[id] = kind
	m.settle()
	return id, nil
}

// joinMerged tells the cluster after a join that went well (P78).
func (m *Machine) joinMerged() {
	if !m.merged || m.state != Alive {
		return
	}
	switch m.merging {
	case joinReplay, joinIgnore, rejoined:
		m.sendJoinIntent()
	}
}

// hideReconnects drops the results of attempts to reconnect, which are nobody's
// business above. It runs when the Output was taken: it must not trace.
func (m *Machine) hideReconnects(out *swim.Output) {
	if len(out.Joins) == 0 {
		return
	}
	out.Joins = slices.DeleteFunc(out.Joins, func(r swim.JoinResult) bool {
		kind := m.joins[r.ID]
		delete(m.joins, r.ID)
		return kind == reconnected
	})
}
