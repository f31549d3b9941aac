package swim

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Machine is one node's membership state. It is not safe for concurrent use.
type Machine struct {
}

// New returns a machine that knows only itself, alive.
func New(cfg Config, layer Layer, rng *rand.Rand, now time.Time) (*Machine, error) {
	panic("unwritten")
}

// HandlePacket takes the plain message of one datagram (opened, not unpacked:
// it may have a CRC, be compressed or be a compound).
func (m *Machine) HandlePacket(now time.Time, from netip.AddrPort, msg []byte) { panic("unwritten") }

// HandleStream takes the one message that arrived on a stream which somebody
// opened to us, and returns what to write back before it is closed; nil for
// nothing. The reply is valid until the next input.
func (m *Machine) HandleStream(now time.Time, from netip.AddrPort, msg []byte) (reply []byte) {
	panic("unwritten")
}

// HandleDialed ends a Dial: with the reply, or with why there is none.
func (m *Machine) HandleDialed(now time.Time, id DialID, reply []byte, err error) {
	panic("unwritten")
}

// HandleSendFailed: a packet to this address could not be sent. It is a hint
// that hastens a running probe, never a verdict.
func (m *Machine) HandleSendFailed(now time.Time, to netip.AddrPort) { panic("unwritten") }

// HandleTimeout does whatever is due at now.
func (m *Machine) HandleTimeout(now time.Time) { panic("unwritten") }

// Deadline is when HandleTimeout wants to be called next.
func (m *Machine) Deadline() time.Time { panic("unwritten") }

// Output returns what the inputs since the last call produced.
func (m *Machine) Output() *Output { panic("unwritten") }

// Join starts an exchange of states with the node at to; name may be empty.
// It ends as a JoinResult with the returned id.
func (m *Machine) Join(now time.Time, to netip.AddrPort, name string) DialID { panic("unwritten") }

// Leave begins to leave: the others are told that this node is gone by its own
// will. LeaveSent reports when that has been gossiped often enough.
func (m *Machine) Leave(now time.Time) { panic("unwritten") }

// LeaveSent reports whether the leave was told, or there is nobody to tell.
func (m *Machine) LeaveSent() bool { panic("unwritten") }

// SetMeta changes this node's metadata and tells the others.
func (m *Machine) SetMeta(now time.Time, meta []byte) error { panic("unwritten") }

// SendUser sends a user message (a Serf message, its type byte first) in one packet.
func (m *Machine) SendUser(to netip.AddrPort, name string, msg []byte) { panic("unwritten") }

// AddTrace appends a record of the layer's to the Output.
func (m *Machine) AddTrace(t Trace) { panic("unwritten") }

// Local is this node's own entry.
func (m *Machine) Local() *Member { panic("unwritten") }

// Member returns the member of that name, nil if unknown.
func (m *Machine) Member(name string) *Member { panic("unwritten") }

// Each calls f for every known member, in a stable order, until f returns false.
func (m *Machine) Each(f func(*Member) bool) { panic("unwritten") }

// NumMembers is the number of known members, NumAlive of those neither dead nor left.
func (m *Machine) NumMembers() int { panic("unwritten") }

// NumAlive is the number of members that are alive or suspect, this node included.
func (m *Machine) NumAlive() int { panic("unwritten") }

// Health is Lifeguard's local health score: 0 is well.
func (m *Machine) Health() int { panic("unwritten") }

// Intern returns the known member name equal to b, or a new string.
func (m *Machine) Intern(b []byte) string { panic("unwritten") }
