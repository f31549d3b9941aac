package serf

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Status is a member's state as Serf tells it.
type Status uint8

// The statuses, with Serf's numbers.
const (
	StatusNone Status = iota
	StatusAlive
	StatusLeaving
	StatusLeft
	StatusFailed
)

// String is Serf's word for it.
func (s Status) String() string {
	switch s {
	case StatusAlive:
		return "alive"
	case StatusLeaving:
		return "leaving"
	case StatusLeft:
		return "left"
	case StatusFailed:
		return "failed"
	}
	return "none"
}

// Member is a member as the users of Serf see it. Tags are sorted by key.
type Member struct {
	Name     string
	Addr     netip.AddrPort
	Tags     []wire.Tag
	Status   Status
	Versions wire.Versions
	LTime    wire.LTime // of its last intent
	Since    time.Time  // when it got this status
	// Verdict is why it failed, or is Degraded; none if that is not known.
	Verdict wire.Verdict
	// Degraded: it does not answer as it should, and is not failed yet: work should go
	// elsewhere for now. It may be wrong, and no event tells of it.
	Degraded bool
	// Restarting: it has failed, as it had announced that it would for a while, and no
	// event has told so yet.
	Restarting bool
}

// EventType says what an Event is.
type EventType uint8

// The event types.
const (
	EventMemberJoin EventType = iota
	EventMemberLeave
	EventMemberFailed
	EventMemberUpdate
	EventMemberReap
	EventUser
	EventQuery
)

// String is Serf's word for it ("member-join", …, "user", "query").
func (t EventType) String() string {
	return [...]string{"member-join", "member-leave", "member-failed", "member-update",
		"member-reap", "user", "query"}[t]
}

// QueryID names a query in the whole cluster.
type QueryID struct {
	LTime wire.LTime
	ID    uint32
}

// Audience says to whom an Event goes. Where both windows and a leading edge are
// configured, an event may be told to each at another time, and with others together.
type Audience uint8

// The audiences.
const (
	// Prompt are those who want an event as soon as it can be, see Config.LeadingEdge.
	Prompt Audience = 1 << iota
	// Windowed are those who get events as Serf tells them, see Config.CoalescePeriod.
	Windowed

	everybody = Prompt | Windowed
)

// Event is something that handlers and streams are told, in order. It is the
// receiver's to keep.
type Event struct {
	To       Audience
	Type     EventType
	Members  []Member   // member events: sorted by name
	LTime    wire.LTime // user events and queries
	Name     string     // user events and queries
	Payload  []byte     // user events and queries
	Coalesce bool       // user events
	Query    QueryID    // queries: what Respond wants
	Source   string     // queries: the name of the asking node
	Deadline time.Time  // queries: an answer after it is not sent
	// WantsOutcome: the asker of a query wants to know how the answer came about.
	WantsOutcome bool
}

// QueryParam are the settings of a query.
type QueryParam struct {
	Nodes       []string   // only these nodes answer; nil: all
	Tags        []wire.Tag // only nodes whose tag Key matches the regular expression Value
	Ack         bool
	Outcome     bool // answers are to say how they came about
	RelayFactor uint8
	Timeout     time.Duration // 0: by Serf's rule, see Machine.DefaultQueryTimeout
}

// QueryUpdateKind says what a QueryUpdate is.
type QueryUpdateKind uint8

// The kinds of updates. Every started query ends with exactly one QueryDone.
const (
	QueryAck QueryUpdateKind = iota
	QueryResponse
	QueryDone
)

// QueryUpdate is news of a query that this node asked. It is the receiver's to keep.
type QueryUpdate struct {
	ID      QueryID
	Kind    QueryUpdateKind
	From    string
	Payload []byte
	// Expected is how many members were to answer, 0 if that is not known. Missing,
	// of a QueryDone, are those of them that neither did nor said that they
	// would not, sorted.
	Expected int
	Missing  []string
	Outcome  Outcome // QueryResponse: as far as the answer says it
}

// State is how far this node's own life has come.
type State uint8

// The states.
const (
	Alive State = iota
	Leaving
	Left
	Shutdown // it lost a name conflict: the driver stops
	Ending   // its process ends without a leave, see End
)

// Output is what the inputs since the last Output produced: first what swim
// wants done (see swim.Output for the ownership rules), then events in order,
// then the news of own queries.
type Output struct {
	*swim.Output
	Events  []Event
	Queries []QueryUpdate
	// KeyChanges are to be done in order, and each is to be answered by KeyChanged.
	KeyChanges []KeyChange
	// HistoryAsks are to be answered by Respond.
	HistoryAsks []HistoryAsk
}

// Config are the settings. New copies it. Zero means Serf's default.
type Config struct {
	// Swim are the settings of the membership machine. Its Meta and Versions
	// are set from Tags and Protocol.
	Swim swim.Config
	// Base is what to start from and to share with other machines; nil: the
	// machine knows only itself. Tags are then those in the base.
	Base *Base
	Tags []wire.Tag
	// Protocol is the Serf protocol version to speak, 2 to 5. 0: 5.
	Protocol uint8

	// These windows and LeadingEdge may be set both: each is then for an Audience of
	// its own. If one is set, it is for all; if none, everything is told at once.

	CoalescePeriod      time.Duration // member events: at most this long held back; 0: not at all
	QuiescentPeriod     time.Duration // member events: sent after this long without a further one
	UserCoalescePeriod  time.Duration
	UserQuiescentPeriod time.Duration
	// FailureEdge: in spite of the windows a failure is told at once, and those that come
	// within this time after it together at its end. 0: failures wait like the rest.
	FailureEdge time.Duration
	// LeadingEdge: an event is told at once, and what comes within this time after it
	// is told together at its end.
	LeadingEdge time.Duration

	ReconnectInterval   time.Duration // 30 s
	ReconnectTimeout    time.Duration // 24 h: failed members are reaped after
	TombstoneTimeout    time.Duration // 24 h: left members are reaped after
	ReapInterval        time.Duration // 15 s
	RecentIntentTimeout time.Duration // 5 min
	FlapTimeout         time.Duration // 60 s
	BroadcastTimeout    time.Duration // 5 s: how long a leave waits to be gossiped
	LeavePropagateDelay time.Duration // 1 s
	QueueCheckInterval  time.Duration // 30 s

	EventBuffer            int // 512 Lamport times
	QueryBuffer            int // 512
	QueryTimeoutMult       int // 16
	QuerySizeLimit         int // 1024 bytes, encoded
	QueryResponseSizeLimit int // 1024
	UserEventSizeLimit     int // 512
	MaxQueueDepth          int // 4096
	QueueDepthWarning      int // 128

	NoCoordinates        bool
	NoConflictResolution bool

	// Clocks to start from, after a restart: events and queries before them
	// are not delivered again.
	Clock, EventClock, QueryClock wire.LTime

	// Keyring answers key queries; nil: encryption is off.
	Keyring Keyring
}

// Keyring says which keys there are. Changes of it are an Output, for they may
// take a while.
type Keyring interface {
	List() (keys []string, primary string) // base64
}
