package serf

import "github.com/ibuki-dev/ibuki/swim"

// The kinds of trace records of this package. Behind each: which fields are
// used. Render turns one into Serf's log line.
const (
	// A member's life. Node is the member, Addr its address.
	TraceMemberJoin swim.TraceKind = swim.TraceLayer + iota
	TraceMemberLeave
	TraceMemberFailed
	TraceMemberUpdate
	TraceMemberReap
	TraceMemberLeaveForced // a failed member was force-left
	TraceMemberReapForced  // a member was pruned
	TraceMemberFlap        // a failed member is back within FlapTimeout: Node

	// Announced restarts of Node, at Addr; Dur is how long it may still be away.
	TraceRestartSoon // it announces one
	TraceRestartAway // it has failed, which is not told yet
	TraceRestartBack // it is back

	// Messages. N is the wire.SerfType, Addr where it came from.
	TraceMessage        // one arrived: Node is the member or the name it is about
	TraceMessageBad     // it could not be decoded or was beyond a bound: Err
	TraceMessageUnknown // of an unknown type
	TraceStateBad       // a push/pull's state could not be used: Err

	TraceTimeAhead  // a message, of type N, from Addr waits: its LTime is too far ahead to be believed
	TraceClockAhead // clock N (of members, events, queries) is set to LTime, which Node and others show

	TraceRefuteLeave // a leave intent about this node is answered by a join intent
	TraceGoneBad     // swim says that Node is gone, whose Status N is neither alive nor leaving

	TraceEventOld   // user event Node of LTime is too old; N is the clock
	TraceEventFull  // too many user events at LTime: Node was dropped
	TraceQueryOld   // query Node of LTime is too old; N is the clock
	TraceQueryFull  // too many queries at LTime: Node was dropped
	TraceNoQuery    // an answer of From to LTime, N (the ID), which is not running
	TraceDuplicate  // a second ack or answer of From to LTime, N
	TraceQueryCrowd // more answers to LTime, N than members: that of From was dropped
	TraceFilterBad  // a filter of query Node could not be used: Err

	TraceRelay     // a message is passed on to Node at Addr
	TraceRelayBad  // a message could not be relayed: Err
	TraceAnswerBad // an answer to an internal query could not be given: Err

	TraceConflict         // Node, known at Old, is claimed by Addr too
	TraceConflictOwn      // this node's name is claimed by Addr too; N is 1 if it is being resolved
	TraceConflictStranger // an answer of From to the conflict query, LTime, does not count: it is no member that was listed for long enough
	TraceConflictBad      // an answer of From to the conflict query could not be read: Err
	TraceConflictFailed   // the conflict query could not be started: Err
	TraceConflictAsked    // From asks who Node is
	TraceConflictWon      // N of Of answers are for this node
	TraceConflictLost     // N of Of answers are for this node: it shuts down
	TraceConflictNoVotes  // nobody answered: this node stays

	TraceReconnect        // tries failed Node at Addr
	TraceReconnectForgone // not this time, by chance

	TraceQueueDepth // queue From has N messages
	TraceQueueFull  // queue From has N messages, more than Of: some are dropped

	TraceLeaveIntentTimeout // the leave intent was not sent in time
	TraceLeaveTimeout       // swim's leave was not sent in time

	TraceInternalUnknown // an internal query of an unknown name: Node
	TraceKeyQuery        // key query Node (without its prefix) arrived
	TraceKeyBad          // it could not be done: Err
	TraceKeyTruncated    // the first N of Of keys are told

	TraceCoordinateBad      // a coordinate of Node could not be decoded: Err
	TraceCoordinateRejected // a coordinate of Node cannot be used: Err
)

// trace hands a record to the Output.
func (m *Machine) trace(t swim.Trace) {
	if m.swim == nil { // while New builds it
		return
	}
	m.swim.AddTrace(t)
}
