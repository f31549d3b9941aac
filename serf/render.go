package serf

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Render returns the log text of a trace record as it stands behind the level:
// Serf's words and prefixes where Serf says the same, because programs parse
// them.
func Render(t swim.Trace) string {
	if t.Kind < swim.TraceLayer {
		return renderSwim(&t)
	}
	return renderSerf(&t)
}

// from is how memberlist ends a line about a peer.
func from(a netip.AddrPort) string {
	if !a.IsValid() {
		return "from=<unknown address>"
	}
	return "from=" + a.String()
}

// split is an address as memberlist writes one it takes from a message.
func split(a netip.AddrPort) string { return fmt.Sprintf("%v:%d", a.Addr(), a.Port()) }

// memberStates are memberlist's names.
var memberStates = [...]string{"alive", "suspect", "dead", "left"}

func memberState(n int) string {
	if n >= 0 && n < len(memberStates) {
		return memberStates[n]
	}
	return "unknown"
}

func renderSwim(t *swim.Trace) string {
	const p = "memberlist: "
	switch t.Kind {
	case swim.TracePingFailed:
		return p + fmt.Sprintf("Failed UDP ping: %s (timeout reached)", t.Node)
	case swim.TracePingUnsent:
		return p + fmt.Sprintf("Failed to send UDP ping: %s %s", t.Node, t.Addr)
	case swim.TraceStreamPingFailed:
		return p + fmt.Sprintf("Failed fallback TCP ping: %v", t.Err)
	case swim.TraceStreamOnly:
		return p + fmt.Sprintf("Was able to connect to %s over TCP but UDP probes failed, network may be misconfigured", t.Node)
	case swim.TraceSuspect:
		return p + fmt.Sprintf("Suspect %s has failed, no acks received%s", t.Node, because(wire.Verdict(t.N)))
	case swim.TraceFailed:
		return p + fmt.Sprintf("Marking %s as failed, suspect timeout reached (%d peer confirmations)", t.Node, t.N)
	case swim.TraceRefuteSuspect:
		return p + fmt.Sprintf("Refuting a suspect message (from: %s)", t.From)
	case swim.TraceRefuteDead:
		return p + fmt.Sprintf("Refuting a dead message (from: %s)", t.From)
	case swim.TraceRefuteAlive:
		return p + fmt.Sprintf("Refuting an alive message for '%s' (%s)", t.Node, split(t.Addr))
	case swim.TraceAddressConflict:
		return p + fmt.Sprintf("Conflicting address for %s. Mine: %s Theirs: %s Old state: %s",
			t.Node, split(t.Old), split(t.Addr), memberState(t.N))
	case swim.TraceAddressUpdate:
		return p + fmt.Sprintf("Updating address for left or failed node %s from %s to %s", t.Node, split(t.Old), split(t.Addr))
	case swim.TraceNameElsewhere:
		return p + fmt.Sprintf("The name '%s' is held by the cluster for %s, not for %s: checking who is there", t.Node, split(t.Old), split(t.Addr))
	case swim.TraceNameTaken:
		return p + fmt.Sprintf("Nobody answers at %s: '%s' is now at %s", split(t.Old), t.Node, split(t.Addr))
	case swim.TraceVersionsIgnored:
		return p + fmt.Sprintf("Ignoring an alive message for '%s' (%s) because protocol version(s) are wrong: %d to %d",
			t.Node, split(t.Addr), t.N, t.Of)
	case swim.TraceUnexpectedPing:
		return p + fmt.Sprintf("Got ping for unexpected node '%s' %s", t.Node, from(t.Addr))
	}
	return p + renderExchange(t)
}

// renderExchange is renderSwim for streams, bad input, and what Serf has no words for.
func renderExchange(t *swim.Trace) string {
	switch t.Kind {
	case swim.TraceBadPacket:
		return fmt.Sprintf("Failed to decode packet: %s%s%s %s", swim.Drop(t.N), colon(t.Err), times(t.Of), from(t.Addr))
	case swim.TraceBadStream:
		return fmt.Sprintf("failed to receive: %s%s%s %s", swim.Drop(t.N), colon(t.Err), times(t.Of), from(t.Addr))
	case swim.TraceStream:
		return fmt.Sprintf("Stream connection %s", from(t.Addr))
	case swim.TracePushPull, swim.TraceJoin:
		return fmt.Sprintf("Initiating push/pull sync with: %s %s", t.Node, t.Addr)
	case swim.TracePushPullFailed:
		return fmt.Sprintf("Push/Pull with %s failed: %v", t.Node, t.Err)
	case swim.TraceIndirectOnly:
		return fmt.Sprintf("Reached %s only through other members, network may be misconfigured", t.Node)
	case swim.TraceClusterRefused:
		return fmt.Sprintf("Refused %s at %s: %v", t.Node, t.Addr, t.Err)
	case swim.TraceMergeRefused:
		return fmt.Sprintf("Failed push/pull merge: %v %s", t.Err, from(t.Addr))
	case swim.TraceJoined:
		return fmt.Sprintf("Joined: %s %s (%s)", t.Node, t.Addr, count(t.N, "member"))
	case swim.TraceJoinFailed:
		return fmt.Sprintf("Failed to join %s: %v", t.Addr, t.Err)
	case swim.TraceLeave:
		return fmt.Sprintf("Leaving: %s (incarnation %d)", t.Node, t.Incarnation)
	case swim.TraceForgotten:
		return fmt.Sprintf("Forgot %s that had failed or left", count(t.N, "member"))
	case swim.TraceRefused:
		return fmt.Sprintf("The host of %s refused a connection to %s", t.Node, t.Addr)
	case swim.TraceCrashed:
		return fmt.Sprintf("Marking %s as failed: it crashed (its host refuses connections)", t.Node)
	case swim.TraceAccused:
		return fmt.Sprintf("%s suspects %s%s", t.From, t.Node, because(wire.Verdict(t.N)))
	case swim.TraceConfirmed:
		return fmt.Sprintf("%s also suspects %s%s", t.From, t.Node, because(wire.Verdict(t.N)))
	case swim.TraceCleared:
		return fmt.Sprintf("%s refuted the suspicion (incarnation %d)", t.Node, t.Incarnation)
	case swim.TraceToldDead:
		return fmt.Sprintf("%s reports that %s has failed%s", t.From, t.Node, because(wire.Verdict(t.N)))
	case swim.TraceSlept:
		return fmt.Sprintf("This process was paused for %v; silence of other members in that time does not count", t.Dur)
	case swim.TraceDeaf:
		return fmt.Sprintf("Received nothing from any member for %v; their silence in that time does not count", t.Dur)
	}
	return t.Kind.String()
}

func because(v wire.Verdict) string {
	switch v {
	case wire.VerdictCrashed:
		return ": its host refuses connections"
	case wire.VerdictSilent:
		return ", and its host does not answer either"
	case wire.VerdictHung:
		return ", although its host answers"
	}
	return ""
}

func colon(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func times(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

// messageNames are Serf's names of its message types in debug lines.
var messageNames = map[wire.SerfType]string{
	wire.SerfLeave:         "messageLeaveType",
	wire.SerfJoin:          "messageJoinType",
	wire.SerfUserEvent:     "messageUserEventType",
	wire.SerfQuery:         "messageQueryType",
	wire.SerfQueryResponse: "messageQueryResponseType",
}

// messageWords name them in error lines.
var messageWords = map[wire.SerfType]string{
	wire.SerfLeave:         "leave message",
	wire.SerfJoin:          "join message",
	wire.SerfUserEvent:     "user event message",
	wire.SerfQuery:         "query message",
	wire.SerfQueryResponse: "query response message",
	wire.SerfRelay:         "relay header",
}

func renderSerf(t *swim.Trace) string {
	const p = "serf: "
	switch t.Kind {
	case TraceMemberJoin:
		return p + fmt.Sprintf("EventMemberJoin: %s %s", t.Node, t.Addr.Addr())
	case TraceMemberLeave:
		return p + fmt.Sprintf("EventMemberLeave: %s %s", t.Node, t.Addr.Addr())
	case TraceMemberFailed:
		return p + fmt.Sprintf("EventMemberFailed: %s %s", t.Node, t.Addr.Addr())
	case TraceMemberUpdate:
		return p + fmt.Sprintf("EventMemberUpdate: %s", t.Node)
	case TraceMemberReap:
		return p + fmt.Sprintf("EventMemberReap: %s", t.Node)
	case TraceMemberLeaveForced:
		return p + fmt.Sprintf("EventMemberLeave (forced): %s %s", t.Node, t.Addr.Addr())
	case TraceMemberReapForced:
		return p + fmt.Sprintf("EventMemberReap (forced): %s %s", t.Node, t.Addr.Addr())
	case TraceRestartSoon:
		return p + fmt.Sprintf("%s will restart within %v", t.Node, t.Dur)
	case TraceRestartAway:
		return p + fmt.Sprintf("%s is away for its announced restart; its failure is held back for another %v", t.Node, t.Dur.Round(time.Millisecond))
	case TraceRestartBack:
		return p + fmt.Sprintf("%s is back from its restart", t.Node)
	case TraceMemberFlap:
		return p + fmt.Sprintf("%s failed and rejoined within the flap timeout", t.Node)
	case TraceMessage:
		return p + fmt.Sprintf("%s: %s", messageNames[wire.SerfType(t.N)], t.Node)
	case TraceMessageBad:
		return p + fmt.Sprintf("Error decoding %s: %v", messageWords[wire.SerfType(t.N)], t.Err)
	case TraceMessageUnknown:
		return p + fmt.Sprintf("Received message of unknown type: %d", t.N)
	case TraceStateBad:
		return p + fmt.Sprintf("Failed to decode remote state: %v", t.Err)
	case TraceTimeAhead:
		return p + fmt.Sprintf("%s of Lamport time %d is far ahead: asking members for their clocks %s",
			messageNames[wire.SerfType(t.N)], t.LTime, from(t.Addr))
	case TraceClockAhead:
		return p + fmt.Sprintf("Lamport clock of %s set to %d, the value at %s", [...]string{"members", "events", "queries"}[t.N], t.LTime, t.Node)
	case TraceRefuteLeave:
		return p + "Refuting an older leave intent"
	case TraceGoneBad:
		return p + fmt.Sprintf("Bad state when leave: %d", t.N)
	case TraceReconnect:
		return p + fmt.Sprintf("attempting reconnect to %s %s", t.Node, t.Addr)
	case TraceReconnectForgone:
		return p + "forgoing reconnect for random throttling"
	case TraceQueueDepth:
		return p + fmt.Sprintf("%s queue depth: %d", t.From, t.N)
	case TraceQueueFull:
		return p + fmt.Sprintf("%s queue depth (%d) exceeds limit (%d), dropping messages!", t.From, t.N, t.Of)
	case TraceLeaveIntentTimeout:
		return p + "timeout while waiting for graceful leave"
	case TraceLeaveTimeout:
		return p + "timeout waiting for leave broadcast: timeout waiting for leave broadcast"
	case TraceCoordinateBad:
		return p + fmt.Sprintf("Failed to decode coordinate from ping: %v", t.Err)
	case TraceCoordinateRejected:
		return p + fmt.Sprintf("Rejected coordinate from %s: %v", t.Node, t.Err)
	}
	return p + renderQuery(t)
}

// renderQuery is renderSerf for events and queries.
func renderQuery(t *swim.Trace) string {
	switch t.Kind {
	case TraceEventOld:
		return fmt.Sprintf("received old event %s from time %d (current: %d)", t.Node, t.LTime, t.N)
	case TraceEventFull:
		return fmt.Sprintf("too many events at time %d, dropped %s", t.LTime, t.Node)
	case TraceQueryOld:
		return fmt.Sprintf("received old query %s from time %d (current: %d)", t.Node, t.LTime, t.N)
	case TraceQueryFull:
		return fmt.Sprintf("too many queries at time %d, dropped %s", t.LTime, t.Node)
	case TraceNoQuery:
		return fmt.Sprintf("reply for non-running query (LTime: %d, ID: %d) From: %s", t.LTime, t.N, t.From)
	case TraceDuplicate:
		return fmt.Sprintf("duplicate reply for query (LTime: %d, ID: %d) From: %s", t.LTime, t.N, t.From)
	case TraceQueryCrowd:
		return fmt.Sprintf("Failed to deliver query response, dropping (LTime: %d, ID: %d) From: %s", t.LTime, t.N, t.From)
	case TraceFilterBad:
		return fmt.Sprintf("failed to use filter of query %s: %v", t.Node, t.Err)
	case TraceRelay:
		return fmt.Sprintf("Relaying response to addr: %s", t.Addr)
	case TraceRelayBad:
		return fmt.Sprintf("failed to relay response: %v", t.Err)
	case TraceAnswerBad:
		return fmt.Sprintf("Failed to respond to internal query: %v", t.Err)
	case TraceInternalUnknown:
		return fmt.Sprintf("Unhandled internal query '%s'", t.Node)
	case TraceKeyQuery:
		return fmt.Sprintf("Received %s query", t.Node)
	case TraceKeyBad:
		return keyFault(t)
	case TraceKeyTruncated:
		return fmt.Sprintf("truncated key list response, showing first %d of %d keys", t.N, t.Of)
	}
	return renderConflict(t)
}

// keyFault is Serf's line about a key query that failed.
func keyFault(t *swim.Trace) string {
	if errors.Is(t.Err, errNoKeyring) || errors.Is(t.Err, errEmptyKeyring) || errors.Is(t.Err, errKeyPayload) {
		return t.Err.Error()
	}
	switch t.Node {
	case "install-key":
		return fmt.Sprintf("Failed to install key: %v", t.Err)
	case "use-key":
		return fmt.Sprintf("Failed to change primary key: %v", t.Err)
	case "remove-key":
		return fmt.Sprintf("Failed to remove key: %v", t.Err)
	}
	return fmt.Sprintf("Failed to answer key query %s: %v", t.Node, t.Err)
}

func renderConflict(t *swim.Trace) string {
	switch t.Kind {
	case TraceConflict:
		return fmt.Sprintf("Name conflict for '%s' both %s and %s are claiming", t.Node, split(t.Old), split(t.Addr))
	case TraceConflictOwn:
		return fmt.Sprintf("Node name conflicts with another node at %s. Names must be unique! (Resolution enabled: %v)",
			split(t.Addr), t.N == 1)
	case TraceConflictStranger:
		return fmt.Sprintf("Passing over the answer of %s to the name conflict: it is no member that has been here for long, or not its host", t.From)
	case TraceConflictBad:
		return fmt.Sprintf("Failed to decode conflict query response: %v", t.Err)
	case TraceConflictFailed:
		return fmt.Sprintf("Failed to start name resolution query: %v", t.Err)
	case TraceConflictAsked:
		return fmt.Sprintf("Got conflict resolution query for '%s'", t.Node)
	case TraceConflictWon:
		return fmt.Sprintf("majority in name conflict resolution [%d / %d]", t.N, t.Of)
	case TraceConflictLost:
		return fmt.Sprintf("minority in name conflict resolution, quiting [%d / %d]", t.N, t.Of)
	case TraceConflictNoVotes:
		return "nobody voted in name conflict resolution, staying"
	}
	return fmt.Sprintf("trace %d", t.Kind)
}
