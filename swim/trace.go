package swim

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// TraceLevel ranks trace records as Serf's log levels do.
type TraceLevel uint8

// The levels.
const (
	LevelTrace TraceLevel = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

// String is the level as Serf's log lines write it.
func (l TraceLevel) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "level-" + strconv.Itoa(int(l))
}

var levelNames = [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERR"}

// TraceKind says what a Trace is about. The layer above numbers its own from
// TraceLayer on.
type TraceKind uint8

// The kinds. Behind each: its level, and the fields that it uses.
const (
	// TracePingFailed: no ack to the direct ping in time. DEBUG: Node, Addr, Dur (the time-out).
	TracePingFailed TraceKind = iota
	// TracePingUnsent: the ping could not be sent. ERR: Node, Addr.
	TracePingUnsent
	// TraceStreamPingFailed: the ping over a stream failed after it was connected. ERR: Node, Addr, Err.
	TraceStreamPingFailed
	// TraceStreamOnly: the member answered over a stream, but no packet came. WARN: Node, Addr.
	TraceStreamOnly
	// TraceSuspect: a probe failed; the member is suspect. INFO: Node, Addr, Incarnation,
	// N (the wire.Verdict).
	TraceSuspect
	// TraceFailed: a suspicion ended; the member is marked as failed. INFO: Node, Addr, Incarnation,
	// N (confirmations that came), Of (that were wanted).
	TraceFailed
	// TraceRefuteSuspect: a suspicion of this node is refuted. WARN: Node, From, Incarnation (the new one).
	TraceRefuteSuspect
	// TraceRefuteDead: a report of this node's death is refuted. WARN: Node, From, Incarnation (the new one).
	TraceRefuteDead
	// TraceRefuteAlive: a claim about this node with other settings is refuted. WARN: Node, Addr (claimed),
	// Incarnation (the new one).
	TraceRefuteAlive
	// TraceAddressConflict: a node at Addr claims the name of a member. ERR: Node, Addr, Old (the member's
	// address), N (its wire.NodeState).
	TraceAddressConflict
	// TraceAddressUpdate: a member that left or failed is back at another address. INFO: Node, Addr, Old.
	TraceAddressUpdate
	// TraceNameElsewhere: the others hold this node's name for a member at another address, which is
	// checked. WARN: Node, Addr (ours), Old (the other).
	TraceNameElsewhere
	// TraceNameTaken: nobody is at the old address; this node has its name. INFO: Node, Addr, Old, Incarnation.
	TraceNameTaken
	// TraceVersionsIgnored: an alive message announces impossible versions. WARN: Node, Addr, N (lowest), Of (highest).
	TraceVersionsIgnored
	// TraceUnexpectedPing: a ping for another node came here. WARN: Node (the intended), From, Addr.
	TraceUnexpectedPing
	// TraceBadPacket: a packet or a part of one was dropped. ERR: Addr, N (the Drop), Of (how many like it since
	// the last such record), Err.
	TraceBadPacket
	// TraceBadStream: the message on a stream was dropped. ERR: Addr, N (the Drop), Of, Err.
	TraceBadStream
	// TraceStream: somebody opened a stream to us. DEBUG: Addr, N (the wire.Type on it).
	TraceStream
	// TracePushPull: an exchange of states begins. DEBUG: Node, Addr.
	TracePushPull
	// TracePushPullFailed: a periodic exchange of states failed. ERR: Node, Addr, Err.
	TracePushPullFailed
	// TraceIndirectOnly: a watched native answered to others only, told once in a while. DEBUG: Node, Addr, Dur (of the inquiry).
	TraceIndirectOnly
	// TraceClusterRefused: a member of another cluster was not taken in. WARN: Node, Addr, Err.
	TraceClusterRefused
	// TraceMergeRefused: the states of an asker could not be merged. ERR: Addr, Err.
	TraceMergeRefused
	// TraceJoin: a join begins. DEBUG: Node, Addr.
	TraceJoin
	// TraceJoined: a join succeeded. DEBUG: Node, Addr, N (members in the other's state).
	TraceJoined
	// TraceJoinFailed: a join failed. DEBUG: Node, Addr, Err.
	TraceJoinFailed
	// TraceLeave: this node leaves. INFO: Node, Incarnation.
	TraceLeave
	// TraceForgotten: dead and left members were forgotten. DEBUG: N.
	TraceForgotten
	// TraceRefused: a member's host refused a connect. DEBUG: Node, Addr, Incarnation.
	TraceRefused
	// TraceCrashed: two members' connects were refused, or there is nobody else: the member has
	// crashed. INFO: Node, Addr, Incarnation.
	TraceCrashed
	// TraceSlept: the process evidently did not run for Dur; the time does not count. WARN (DEBUG if short): Dur.
	TraceSlept
	// TraceDeaf: nobody at all was heard for Dur, which therefore does not count. WARN: Dur.
	TraceDeaf
	// TraceAccused: another member suspects one, and it is believed. DEBUG: Node, From, Incarnation,
	// N (the wire.Verdict).
	TraceAccused
	// TraceConfirmed: another member suspects one that is suspect already. DEBUG: Node, From, Incarnation,
	// N (the wire.Verdict).
	TraceConfirmed
	// TraceCleared: a suspect has refuted. DEBUG: Node, Incarnation (its new one).
	TraceCleared
	// TraceToldDead: another member says that one is dead. DEBUG: Node, From, Incarnation, N (the wire.Verdict).
	TraceToldDead
	// A user message could not be sent over a stream. DEBUG: Node, Addr, Err.
	TraceUserStreamFailed

	numTraceKinds
)

// TraceLayer is the first kind that belongs to the layer.
const TraceLayer TraceKind = 128

var traceNames = [numTraceKinds]string{
	TracePingFailed:       "ping-failed",
	TracePingUnsent:       "ping-unsent",
	TraceStreamPingFailed: "stream-ping-failed",
	TraceStreamOnly:       "stream-only",
	TraceSuspect:          "suspect",
	TraceFailed:           "failed",
	TraceRefuteSuspect:    "refute-suspect",
	TraceRefuteDead:       "refute-dead",
	TraceRefuteAlive:      "refute-alive",
	TraceAddressConflict:  "address-conflict",
	TraceAddressUpdate:    "address-update",
	TraceNameElsewhere:    "name-elsewhere",
	TraceNameTaken:        "name-taken",
	TraceVersionsIgnored:  "versions-ignored",
	TraceUnexpectedPing:   "unexpected-ping",
	TraceBadPacket:        "bad-packet",
	TraceBadStream:        "bad-stream",
	TraceStream:           "stream",
	TracePushPull:         "push-pull",
	TracePushPullFailed:   "push-pull-failed",
	TraceIndirectOnly:     "indirect-only",
	TraceClusterRefused:   "cluster-refused",
	TraceMergeRefused:     "merge-refused",
	TraceJoin:             "join",
	TraceJoined:           "joined",
	TraceJoinFailed:       "join-failed",
	TraceLeave:            "leave",
	TraceForgotten:        "forgotten",
	TraceRefused:          "refused",
	TraceCrashed:          "crashed",
	TraceSlept:            "slept",
	TraceDeaf:             "deaf",
	TraceAccused:          "accused",
	TraceConfirmed:        "confirmed",
	TraceCleared:          "cleared",
	TraceToldDead:         "told-dead",
	TraceUserStreamFailed: "user-stream-failed",
}

// String is a short word for the kind, for transcripts.
func (k TraceKind) String() string {
	if k < numTraceKinds {
		return traceNames[k]
	}
	return "kind-" + strconv.Itoa(int(k))
}

// Trace is one typed record of what the machine did or saw. Which fields are
// used is said at each kind. The machine does not log: the driver renders.
type Trace struct {
	Kind        TraceKind
	Level       TraceLevel
	Node        string         // whom it is about
	From        string         // who said so
	Addr        netip.AddrPort // where it came from or goes to
	Old         netip.AddrPort // the address known so far
	Incarnation uint32
	LTime       wire.LTime
	N, Of       int
	Dur         time.Duration
	Err         error
}
