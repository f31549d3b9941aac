package swim

import (
	"iter"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// Layer is what rides above the membership machine. The machine calls it from
// within its own inputs, in a consistent state. A Layer may call SendUser,
// Trace and the views of the machine; it must not call an input.
// Byte slices that it is given are valid during the call only.
type Layer interface {
	// Message is a user message that arrived in a packet or on a stream.
	Message(now time.Time, from netip.AddrPort, msg []byte)
	// Broadcasts appends messages to piggyback: each costs overhead bytes
	// beyond its own length, together they may cost limit bytes.
	// Each is a whole user message, its wire.TypeUser byte first.
	Broadcasts(dst [][]byte, overhead, limit int) [][]byte
	// Fresh is the same of what was not sent yet and that News told of: each
	// message is given out so once, and by Broadcasts after that.
	Fresh(dst [][]byte, overhead, limit int) [][]byte
	// Waiting is what the fresh and what all messages would cost together.
	Waiting(overhead int) (fresh, all int)
	// Cluster is the name of the cluster that metadata say a member is of, "" if none.
	// It is asked only where Config.Cluster is set.
	Cluster(meta []byte) string
	// AppendState appends the layer's part of a push/pull.
	AppendState(dst []byte, join bool) []byte
	// MergeState takes the other side's part of a push/pull with from. asked: this
	// node opened it, to that address.
	MergeState(now time.Time, from netip.AddrPort, state []byte, asked bool)
	// AppendPart appends what AppendState would, but of the members only those
	// that in says; the rest only if all is set.
	AppendPart(dst []byte, in func(name string) bool, all bool) []byte
	// Stamp changes when what the layer knows of a present member does, and is the
	// same for all who know the same. Sum is that of everything else that it has.
	Stamp(name string) uint64
	Sum() uint64
	// Departed are the names of those that the layer holds to have failed, or to have left.
	Departed(left bool) iter.Seq[string]
	// AppendAckPayload appends what rides in an Ack.
	AppendAckPayload(dst []byte) []byte
	// PingDone: a direct ping was answered by an Ack after rtt.
	PingDone(now time.Time, name string, rtt time.Duration, payload []byte)
	// Joined: a member is alive that was unknown, dead or left.
	Joined(now time.Time, m *Member)
	// Gone: a member is dead (State Dead) or left (State Left).
	Gone(now time.Time, m *Member)
	// Ended: the process of a member that has left is known to have ended. A plain machine
	// never calls it.
	Ended(now time.Time, m *Member)
	// Doubted: a member is suspect, or for another reason than before, or not any
	// more. A plain machine never calls it.
	Doubted(now time.Time, m *Member)
	// Updated: the metadata of an alive member changed.
	Updated(now time.Time, m *Member)
	// Conflict: someone at other claims the name of existing, which is not
	// known to be gone.
	Conflict(now time.Time, existing *Member, other netip.AddrPort)
}

// Member is the machine's knowledge of one member. A pointer to one is valid
// during the call that handed it out.
type Member struct {
	Face        *Face // the next four fields, to be kept
	Name        string
	Addr        netip.AddrPort
	Meta        []byte
	Versions    wire.Versions
	State       wire.NodeState
	Incarnation uint32
	Changed     time.Time // when State became what it is
	Native      uint8     // the native version that it speaks, 0: plain, or not known
	// Verdict is why it is suspect or dead, if that is known.
	Verdict wire.Verdict
	// Degraded: it is suspect, so that work should go elsewhere for now.
	Degraded bool
}

// DialID names a stream that the machine asked the driver to open. It is never
// reused within a machine.
type DialID uint64

// Output is what the inputs since the last Output produced. The driver acts on
// it in the order of the fields. Everything in it (the slices, and the bytes
// they point to) belongs to the machine and is valid until its next input: a
// driver that sends later copies first. Dropping a packet is always safe; every
// Dial must be answered by HandleDialed, at the latest after its Timeout, and every
// link that is to be opened by HandleLink until it is up, likewise.
type Output struct {
	Packets []Packet
	Dials   []Dial
	Links   []LinkOrder
	Joins   []JoinResult
	Trace   []Trace
}

// Packet is one datagram to send: Data is a plain message (not sealed, not
// compressed, no label). The driver compresses it if that is on, then puts a
// CRC before it if CRC is set, then seals it.
type Packet struct {
	To   netip.AddrPort
	Node string // the receiver's name if known
	CRC  bool
	Data []byte
}

// Dial asks the driver to open a stream to To, write Data (a plain message,
// to be sealed), and, unless NoReply, read one message and hand it to
// HandleDialed. Timeout bounds the whole of it, from now on.
type Dial struct {
	ID      DialID
	To      netip.AddrPort
	Node    string
	Data    []byte
	NoReply bool
	Timeout time.Duration
}

// JoinResult ends a Join: Err is nil if the states were exchanged.
type JoinResult struct {
	ID  DialID
	To  netip.AddrPort
	Err error
}
