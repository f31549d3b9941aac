package wire

import (
	"net/netip"
)

// Type is the first byte of a memberlist message.
type Type uint8

// The memberlist message types. The numbers are part of the protocol.
const (
	TypePing Type = iota
	TypeIndirectPing
	TypeAck
	TypeSuspect
	TypeAlive
	TypeDead
	TypePushPull
	TypeCompound
	TypeUser
	TypeCompress
	TypeEncrypt
	TypeNack
	TypeHasCRC
	TypeErr

	// TypeLabel is far from the others so that it can be told from the
	// encryption version byte (0 or 1) that an encrypted packet begins with.
	TypeLabel Type = 244
)

// Interner returns a string equal to b. One that knows the string already
// returns it without allocating; members of a cluster know each other's names.
type Interner interface {
	Intern(b []byte) string
}

// NodeState is the state of a member as memberlist writes it in a push/pull.
type NodeState uint8

// The states, with memberlist's numbers.
const (
	StateAlive NodeState = iota
	StateSuspect
	StateDead
	StateLeft
)

// Versions are the protocol versions that a member announces: what it
// understands at least and at most, and what it speaks, for memberlist (P) and
// for the layer above (D, the "delegate": Serf). All zero means not announced.
type Versions struct {
	PMin, PMax, PCur uint8
	DMin, DMax, DCur uint8
}

// Ping asks Node for an Ack with the same Seq. Node lets the receiver see that
// it is not the intended one. Source is where the answer goes; if it is not
// valid, the answer goes to where the packet came from.
type Ping struct {
	Seq        uint32
	Node       string
	Source     netip.AddrPort
	SourceNode string
	Native     uint8 // see NativeVersion
	Link       bool  // on a stream: it is to stay open once this is answered
}

// IndirectPing asks the receiver to ping Node at Target in the sender's place.
type IndirectPing struct {
	Seq        uint32
	Target     netip.AddrPort // a port of 0: the receiver's own default port
	Node       string
	Nack       bool // the sender wants a Nack if Node does not answer in time
	Source     netip.AddrPort
	SourceNode string
}

// Ack answers a Ping. Payload is the layer's (Serf: version byte and coordinate).
type Ack struct {
	Seq     uint32
	Payload []byte
	Native  uint8
	Wait    uint8 // when the next ping is wanted, in WaitUnit; 0: it does not say
}

// Nack says that an indirect ping got no answer in time: the relay is well, so
// the fault is not the asker's own.
type Nack struct {
	Seq uint32
}

// Err is what a memberlist answers on a stream that it could not read.
type Err struct {
	Error string
}

// Suspect: From says that Node, at this incarnation, did not answer.
type Suspect struct {
	Incarnation uint32
	Node        string
	From        string
	Verdict     Verdict // why, if From says so
}

// Alive: Node is alive at this incarnation, at this address, with this
// metadata (at most MetaMax bytes).
type Alive struct {
	Incarnation uint32
	Node        string
	Addr        netip.AddrPort // not valid if the sender's address bytes were not 4 or 16 long
	Meta        []byte
	Versions    Versions
	Native      uint8
}

// Dead: From says that Node is gone. From == Node: it left by its own will.
type Dead struct {
	Incarnation uint32
	Node        string
	From        string
	Verdict     Verdict // why, if From says so
}

// PushPullHeader begins a push/pull: Nodes PushNodeState follow, then
// UserStateLen bytes of the layer's state.
type PushPullHeader struct {
	Nodes        int
	UserStateLen int
	Join         bool // a join, not the periodic exchange
	// Digest is what two natives compare by, under the key D (P230); it aliases the message. Empty: none.
	Digest []byte
}

// PushNodeState is one member inside a push/pull.
type PushNodeState struct {
	Name        string
	Addr        netip.AddrPort
	Meta        []byte
	Incarnation uint32
	State       NodeState
	Versions    Versions
	Native      uint8
	Verdict     Verdict // why it is dead, if the sender knows
}
