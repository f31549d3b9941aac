package serf

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Errors of the commands.
var (
	ErrNotAlive      = errors.New("not alive: leaving, left or shut down")
	ErrTagsTooLong   = errors.New("encoded tags exceed 512 bytes")
	ErrUnknownMember = errors.New("no such member")
	ErrQueryOver     = errors.New("query is over or was answered")
)

// Machine is one Serf node. It is not safe for concurrent use.
type Machine struct {
}

// New returns a machine that knows only itself. Its first Output has the
// member-join event of itself.
func New(cfg Config, rng *rand.Rand, now time.Time) (*Machine, error) { panic("unwritten") }

// HandlePacket: see swim.Machine.HandlePacket.
func (m *Machine) HandlePacket(now time.Time, from netip.AddrPort, msg []byte) { panic("unwritten") }

// HandleStream: see swim.Machine.HandleStream.
func (m *Machine) HandleStream(now time.Time, from netip.AddrPort, msg []byte) (reply []byte) {
	panic("unwritten")
}

// HandleDialed: see swim.Machine.HandleDialed.
func (m *Machine) HandleDialed(now time.Time, id swim.DialID, reply []byte, err error) {
	panic("unwritten")
}

// HandleSendFailed: see swim.Machine.HandleSendFailed.
func (m *Machine) HandleSendFailed(now time.Time, to netip.AddrPort) { panic("unwritten") }

// HandleTimeout does whatever is due at now.
func (m *Machine) HandleTimeout(now time.Time) { panic("unwritten") }

// Deadline is when HandleTimeout wants to be called next.
func (m *Machine) Deadline() time.Time { panic("unwritten") }

// Output returns what the inputs since the last call produced.
func (m *Machine) Output() *Output { panic("unwritten") }

// Join starts to join by the node at to; name may be empty. ignoreOld: user
// events from before the join are not delivered. It ends as a JoinResult in an Output.
func (m *Machine) Join(now time.Time, to netip.AddrPort, name string, ignoreOld bool) (swim.DialID, error) {
	panic("unwritten")
}

// Leave begins to leave; State becomes Leaving and, when the others were told
// or the time-outs are over, Left.
func (m *Machine) Leave(now time.Time) error { panic("unwritten") }

// ForceLeave turns a failed member into a left one everywhere; prune removes it from the lists.
func (m *Machine) ForceLeave(now time.Time, name string, prune bool) error { panic("unwritten") }

// UserEvent broadcasts a user event and delivers it here too.
func (m *Machine) UserEvent(now time.Time, name string, payload []byte, coalesce bool) error {
	panic("unwritten")
}

// Query asks; the answers come as QueryUpdates.
func (m *Machine) Query(now time.Time, name string, payload []byte, p QueryParam) (QueryID, error) {
	panic("unwritten")
}

// Respond answers a query that came as an EventQuery, once, before its deadline.
func (m *Machine) Respond(now time.Time, id QueryID, payload []byte) error { panic("unwritten") }

// SetTags replaces this node's tags and tells the others.
func (m *Machine) SetTags(now time.Time, tags []wire.Tag) error { panic("unwritten") }

// State is how far this node's own life has come.
func (m *Machine) State() State { panic("unwritten") }

// Members are all known members, failed and left ones too, sorted by name. The slice is the caller's.
func (m *Machine) Members() []Member { panic("unwritten") }

// Member returns one member.
func (m *Machine) Member(name string) (Member, bool) { panic("unwritten") }

// Local is this node's own member.
func (m *Machine) Local() Member { panic("unwritten") }

// DefaultQueryTimeout is GossipInterval × QueryTimeoutMult × ceil(log10(n+1)).
func (m *Machine) DefaultQueryTimeout() time.Duration { panic("unwritten") }

// Coordinate returns the network coordinate of a member (or of this node).
func (m *Machine) Coordinate(name string) (wire.Coordinate, bool) { panic("unwritten") }

// Stats are the figures of `serf info`.
type Stats struct {
	Members, Failed, Left, HealthScore  int
	MemberTime, EventTime, QueryTime    wire.LTime
	IntentQueue, EventQueue, QueryQueue int
	Encrypted                           bool
	CoordinateResets                    int
}

// Stats returns the present figures.
func (m *Machine) Stats() Stats { panic("unwritten") }
