package serf

import "time"

// timer names a thing that is due at a time of its own. Queries have one
// deadline each and are kept in order by outgoing; prunes are in leave.go.
type timer uint8

const (
	timerReap          timer = iota // remove members and intents that are too old
	timerReconnect                  // try a failed member
	timerQueues                     // look at the depth of the queues
	timerMembers                    // flush coalesced member events
	timerUsers                      // flush coalesced user events
	timerFailures                   // tell failures that came soon after others
	timerLingering                  // a member that left is taken to have ended
	timerPromptMembers              // flush what the leading edge holds back
	timerPromptUsers
	timerReconnects // see to failed members
	timerWindow     // this node's restart window is over
	timerRestarts   // the restart window of a member is over
	timerClocks     // ask members what their clocks show
	timerLeave      // the present step of a leave is over
	numTimers
)

// timers holds when each is due; zero means not at all.
type timers [numTimers]time.Time

func (t *timers) set(which timer, at time.Time) { t[which] = at }
func (t *timers) stop(which timer)              { t[which] = time.Time{} }

// due reports whether the timer has come, and stops it if so.
func (t *timers) due(which timer, now time.Time) bool {
	if t[which].IsZero() || t[which].After(now) {
		return false
	}
	t[which] = time.Time{}
	return true
}

// next is when the earliest is due, zero if none is set.
func (t *timers) next() time.Time {
	var at time.Time
	for _, x := range t {
		at = earlier(at, x)
	}
	return at
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
