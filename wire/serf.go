package wire

import (
	"net/netip"
	"time"
)

// SerfType is the first byte of a Serf message (which travels inside a
// memberlist user message).
type SerfType uint8

// The Serf message types. The numbers are part of the protocol.
const (
	SerfLeave SerfType = iota
	SerfJoin
	SerfPushPull
	SerfUserEvent
	SerfQuery
	SerfQueryResponse
	SerfConflictResponse
	SerfKeyRequest
	SerfKeyResponse
	SerfRelay
)

// LTime is a Lamport time.
type LTime uint64

// Flags of Query and QueryResponse.
const (
	// QueryFlagAck: in a query, an ack is wanted; in a response, it is one.
	QueryFlagAck uint32 = 1 << iota
	// QueryFlagNoBroadcast: do not pass the query on.
	QueryFlagNoBroadcast

	// QueryFlagOutcome: in a query, answers are to say how they came about; in a
	// response, this one does: QueryFlagTruncated, and the exit code in the eight
	// bits from QueryExitShift on. Serf passes over all of them. (P167)
	QueryFlagOutcome   uint32 = 1 << 8
	QueryFlagTruncated uint32 = 1 << 9
	QueryExitShift            = 16

	// QueryFlagDecline: in a query, who will not answer it is to say so; in an ack, this
	// is said. Serf passes over it. (P227)
	QueryFlagDecline uint32 = 1 << 10
)

// Join is a member's intent to be in the cluster.
type Join struct {
	LTime LTime
	Node  string
}

// Leave is the intent that Node leaves, by itself or by force-leave.
type Leave struct {
	LTime LTime
	Node  string
	Prune bool
}

// UserEvent is a user event as it is broadcast.
type UserEvent struct {
	LTime    LTime
	Name     string
	Payload  []byte
	Coalesce bool // "CC" on the wire
}

// Query is a query as it is broadcast.
type Query struct {
	LTime       LTime
	ID          uint32
	Source      netip.AddrPort // where the answer goes
	SourceNode  string
	Filters     [][]byte // each encoded by AppendNodeFilter or AppendTagFilter
	Flags       uint32
	RelayFactor uint8
	Timeout     time.Duration
	Name        string
	Payload     []byte
}

// QueryResponse is an ack or an answer to a query.
type QueryResponse struct {
	LTime   LTime
	ID      uint32
	From    string
	Flags   uint32
	Payload []byte
}

// SerfState is Serf's part of a push/pull.
type SerfState struct {
	LTime      LTime
	Status     []StatusLTime // sorted by Node when encoded by us; a map on the wire
	Left       []string
	EventLTime LTime
	Events     []EventsAt // ordered as on the wire: ring order, holes skipped
	QueryLTime LTime
}

// StatusLTime is the Lamport time of a member's last intent.
type StatusLTime struct {
	Node  string
	LTime LTime
}

// EventsAt are the user events of one Lamport time.
type EventsAt struct {
	LTime  LTime
	Events []StateEvent
}

// StateEvent is one user event inside SerfState.
type StateEvent struct {
	Name    string
	Payload []byte
}

// FilterType is the first byte of a query filter.
type FilterType uint8

// The filter types.
const (
	FilterNode FilterType = iota
	FilterTag
)

// ConflictResponse is the answer to _serf_conflict: the member that the
// answering node knows by the name (Serf's Member struct on the wire).
type ConflictResponse struct {
	Name        string
	Addr        netip.Addr
	Port        uint16
	Tags        []Tag
	Status      int
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

// KeyRequest is the payload of the _serf_*-key queries.
type KeyRequest struct {
	Key []byte
}

// KeyResponse answers them.
type KeyResponse struct {
	Result     bool
	Message    string
	Keys       []string
	PrimaryKey string
}

// Relay wraps a message that the receiver passes on to Dest as it is.
type Relay struct {
	Dest     netip.AddrPort
	DestName string
	Message  []byte // a whole Serf message, type byte first
}

// Tag is one tag of a member.
type Tag struct {
	Key, Value string
}

// Coordinate is a Vivaldi coordinate as it travels in the payload of an Ack,
// behind a version byte (PingPayloadVersion).
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

// PingPayloadVersion is the first byte of Serf's ack payload.
const PingPayloadVersion = 1
