package swim

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// slots spread the pings of those who watch this node: each answer says when
// the next ping is wanted. So the longest wait for a sign of this node is short, though
// watchers know nothing of each other. (P193)
//
// Rule: of n watchers each pings once in n times every, and gets the middle of the longest
// time, in such a round, in which neither another one pings nor this node does: its own
// pings are a sign of it as well (P234). Who asks again before its slot has come is told
// the same one. Invariant: no slot is further away than a round and a half.
type slots struct {
	by    [watchersEach + 1]slot
	marks []time.Duration // scratch
}

type slot struct {
	from netip.AddrPort
	at   time.Duration // on the awake clock
	due  bool          // the ping of at has not come yet, and is missed if it does not

	late, dev time.Duration // of its pings after their slots
}

// slotKeep is how much longer the longest time must be than the one a slot is in,
// in quarters, for the slot to be moved there: without it slots would never settle.
const slotKeep = 5

// next says in how long the ping after this one is wanted, in wire.WaitUnit. pings is when
// this node is to ping others.
func (s *slots) next(now, every time.Duration, from netip.AddrPort, pings []time.Duration) uint8 {
	own := s.of(now, from)
	own.arrived(now, every)
	s.marks = s.marks[:0]
	n := time.Duration(1)
	for i := range s.by {
		if b := &s.by[i]; b != own && b.from.IsValid() && b.at > now-every {
			n++
			s.marks = append(s.marks, b.at)
		}
	}
	round := n * every
	if own.at <= now+every/2 || own.at > now+2*round {
		s.marks = append(s.marks, pings...)
		own.at = now + round + s.shift(now, round)
	}
	own.due = true
	wait := min((own.at-now+wire.WaitUnit/2)/wire.WaitUnit, math.MaxUint8)
	own.at = now + wait*wire.WaitUnit
	return uint8(wait)
}

// of is the slot of that watcher; if it has none, the one that was used least lately.
func (s *slots) of(now time.Duration, from netip.AddrPort) *slot {
	own := &s.by[0]
	for i := range s.by {
		b := &s.by[i]
		if b.from == from {
			return b
		}
		if b.at < own.at {
			own = b
		}
	}
	*own = slot{from: from, at: now}
	return own
}

// shift is how far the middle of the longest time without a mark is from now, in a
// round: between minus a half and half of it. All marks repeat with the round.
func (s *slots) shift(now, round time.Duration) time.Duration {
	if len(s.marks) == 0 {
		return 0
	}
	for i, at := range s.marks {
		s.marks[i] = ((at-now)%round + round) % round
	}
	slices.Sort(s.marks)
	// The time around now is from the last mark before it to the first after it.
	last, first := s.marks[len(s.marks)-1]-round, s.marks[0]
	best, from := (first-last)*slotKeep/4, last
	to := first
	for i := 1; i < len(s.marks); i++ {
		if d := s.marks[i] - s.marks[i-1]; d > best {
			best, from, to = d, s.marks[i-1], s.marks[i]
		}
	}
	mid := from + (to-from)/2
	if mid > round/2 {
		mid -= round
	}
	return mid
}

// arrived takes into account how late a ping is.
func (b *slot) arrived(now, every time.Duration) {
	if b.at > now+every/2 || !b.due {
		return
	}
	b.due = false
	late := max(now-b.at, 0)
	b.dev += ((late - b.late).Abs() - b.dev) / 4
	b.late += (late - b.late) / 8
}

// grace is how late the ping of a slot may be before it is missed.
func (b *slot) grace(least time.Duration) time.Duration { return max(least, b.late+4*b.dev) }

// void: this node did not run, and knows nothing of what did not come.
func (s *slots) void() {
	for i := range s.by {
		s.by[i].due = false
	}
}

// missed calls f for the watchers whose pings are missed, each once, and says when the next
// will be; never if none is due.
func (s *slots) missed(now, least time.Duration, f func(netip.AddrPort)) (next time.Duration, any bool) {
	for i := range s.by {
		b := &s.by[i]
		if !b.due {
			continue
		}
		at := b.at + b.grace(least)
		if at <= now {
			b.due = false
			f(b.from)
			continue
		}
		if !any || at < next {
			next, any = at, true
		}
	}
	return next, any
}
