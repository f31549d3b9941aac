package rpc

import (
	"net"
	"time"
)

// protocolVersion is the only version of the protocol there is.
const protocolVersion = 1

// The commands.
const (
	cmdHandshake       = "handshake"
	cmdAuth            = "auth"
	cmdEvent           = "event"
	cmdForceLeave      = "force-leave"
	cmdJoin            = "join"
	cmdMembers         = "members"
	cmdMembersFiltered = "members-filtered"
	cmdTags            = "tags"
	cmdStream          = "stream"
	cmdMonitor         = "monitor"
	cmdStop            = "stop"
	cmdLeave           = "leave"
	cmdQuery           = "query"
	cmdRespond         = "respond"
	cmdStats           = "stats"
	cmdGetCoordinate   = "get-coordinate"
)

// The key commands, by the names that Backend.Key gets.
const (
	InstallKey = "install-key"
	UseKey     = "use-key"
	RemoveKey  = "remove-key"
	ListKeys   = "list-keys"
)

// Error is an error as it travels: the other side has only the text. Compare
// with errors.Is; the texts of the constants are Serf's and clients match them.
type Error string

// Error is the text.
func (e Error) Error() string { return string(e) }

// The protocol's own errors.
const (
	ErrUnsupportedCommand Error = "Unsupported command"
	ErrUnsupportedVersion Error = "Unsupported IPC version"
	ErrDuplicateHandshake Error = "Handshake already performed"
	ErrHandshakeRequired  Error = "Handshake required"
	ErrMonitorExists      Error = "Monitor already exists"
	ErrInvalidFilter      Error = "Invalid event filter"
	ErrStreamExists       Error = "Stream with given sequence exists"
	ErrInvalidQueryID     Error = "No pending queries matching ID"
	ErrAuthRequired       Error = "Authentication required"
	ErrInvalidAuthToken   Error = "Invalid authentication token"
)

// Errors that Serf does not have, because it does not have the limits.
const (
	ErrTooManyStreams  Error = "Too many streams"
	ErrRequestTooLarge Error = "Request too large"
	// ErrPermission: the token is good, but not for this command.
	ErrPermission Error = "Permission denied"
)

// bodiless reports whether a reply with this error has no body even if the
// command's replies have one: the server did not get as far as the command.
func bodiless(errText string) bool {
	switch Error(errText) {
	case ErrAuthRequired, ErrHandshakeRequired, ErrUnsupportedCommand, ErrPermission:
		return true
	}
	return false
}

// requestHeader comes before each request.
type requestHeader struct {
	Command string
	Seq     uint64
}

// responseHeader comes before each reply and each record of a stream.
type responseHeader struct {
	Seq   uint64
	Error string
}

type handshakeRequest struct{ Version int32 }

type authRequest struct{ AuthKey string }

type eventRequest struct {
	Name     string
	Payload  []byte
	Coalesce bool
}

type forceLeaveRequest struct {
	Node  string
	Prune bool
}

type joinRequest struct {
	Existing []string
	Replay   bool
}

type joinResponse struct{ Num int32 }

// MemberFilter selects members by regular expressions that have to match the
// whole value. Empty means any. A member without a tag has the value "" there.
type MemberFilter struct {
	Tags   map[string]string // tag → expression
	Status string
	Name   string

	// Times asks for each member's Since. (Not Serf's, whose agent ignores it.)
	Times bool `codec:",omitempty"`
}

type membersResponse struct{ Members []Member }

type tagsRequest struct {
	Tags       map[string]string
	DeleteTags []string
}

// streamRequest asks for events. Prompt: each as soon as it is known, not in Serf's
// windows; Serf passes that over.
type streamRequest struct {
	Type   string
	Prompt bool `codec:",omitempty"`
}

type monitorRequest struct{ LogLevel string }

type stopRequest struct{ Stop uint64 }

type respondRequest struct {
	ID      uint64
	Payload []byte
}

type keyRequest struct{ Key string }

type coordinateRequest struct{ Node string }

type coordinateResponse struct {
	Coord Coordinate
	Ok    bool //nolint:revive // the name on the wire
}

// Member is a member on the RPC wire. Protocol… are the versions of the
// memberlist protocol, Delegate… those of Serf's.
type Member struct {
	Name        string
	Addr        net.IP
	Port        uint16
	Tags        map[string]string
	Status      string
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
	// Verdict is why the member failed or is Degraded: "crashed", "silent", "hung",
	// "restarting" (as it had announced, and no event has told of it yet) or nothing. Degraded: it does not answer as it should, and is not failed yet. (Not Serf's.)
	Verdict  string `codec:",omitempty"`
	Degraded bool   `codec:",omitempty"`

	// Since is when Status became what it is, in nanoseconds since 1970; 0: not known,
	// or not asked for by MemberFilter.Times. (Not Serf's.)
	Since int64 `codec:",omitempty"`
}

// QueryRequest asks a query. A zero Timeout leaves it to the agent.
type QueryRequest struct {
	FilterNodes []string
	FilterTags  map[string]string // tag → regular expression
	RequestAck  bool
	RelayFactor uint8
	Timeout     time.Duration
	Name        string
	Payload     []byte
	// Outcome: answers are to say how they came about. (Not Serf's.)
	Outcome bool `codec:",omitempty"`
	// Prompt: the end is told as soon as it is known, for who does not forget the
	// answers that it has not shown yet. See ServerConfig.QueryLinger. (Not Serf's.)
	Prompt bool `codec:",omitempty"`
}

// Outcome is how an answer to a query came about.
type Outcome struct {
	Exit      int  // the handler's exit code; 0 is success
	Truncated bool // there was more output than the answer has
}

// The types of a QueryRecord.
const (
	QueryRecordAck      = "ack"
	QueryRecordResponse = "response"
	QueryRecordDone     = "done"
)

// QueryRecord is one piece of news of a running query.
type QueryRecord struct {
	Type    string
	From    string
	Payload []byte
	// Outcome is how a response came about; nil if that is not known. (Not Serf's.)
	Outcome *Outcome `codec:",omitempty"`
	// Expected is how many members are to answer, 0 if that is not known; Missing,
	// of a done, are those that did not and have not said that they would not. (Not Serf's.)
	Expected int      `codec:",omitempty"`
	Missing  []string `codec:",omitempty"`
}

// KeyResponse is what the nodes answered to a key command.
type KeyResponse struct {
	Messages map[string]string // node → what it has to say, if anything
	Keys     map[string]int    // key → on how many nodes; only of ListKeys
	NumNodes int
	NumErr   int
	NumResp  int
}

// Coordinate is a network coordinate on the RPC wire.
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

type logRecord struct{ Log string }

// The three shapes of an event on a stream. eventRecord reads any of them.
type (
	memberEventRecord struct {
		Event   string
		Members []Member
	}
	userEventRecord struct {
		Event    string
		LTime    uint64
		Name     string
		Payload  []byte
		Coalesce bool
	}
	queryEventRecord struct {
		Event   string
		ID      uint64
		LTime   uint64
		Name    string
		Payload []byte
	}
	eventRecord struct {
		Event    string
		Members  []Member
		LTime    uint64
		Name     string
		Payload  []byte
		Coalesce bool
		ID       uint64
	}
)

// streamEndRecord is the last record of a stream that the server ended for a
// reason; the header's Error says it too. Serf's own client shows it as an
// event of a type it does not know.
type streamEndRecord struct {
	Event  string // streamEnd
	Reason string
}

const streamEnd = "stream-end"
