package swim

import (
	"net/netip"
	"slices"
	"time"
)

// This file is how a native tells that many others are gone from that it is cut off itself:
// it asks some of all, and who is cut off hears next to nobody. (P296)

const (
	// rollSize is how many others are asked.
	rollSize = 16
	// companyShare is which part of those asked is to answer: one in so many.
	companyShare = 3
	// companyFor is how long their answers count.
	companyFor = time.Second
)

// roll is the last question to others whether they hear this node.
//
// Rule: who was asked may answer once; when enough did, this node has company for a while.
// Invariant: asked is how many were asked under seq, from are those of them that answered.
type roll struct {
	seq   uint32 // of the last pings; 0: there were none
	next  time.Duration
	asked int
	from  []netip.AddrPort
	full  time.Duration // when enough had answered last, on the awake clock; 0: never
}

// call notes that so many are asked under that number.
func (r *roll) call(now time.Duration, seq uint32, asked int) {
	r.seq, r.next, r.asked, r.from = seq, now+harkEvery, asked, r.from[:0]
}

// awaits reports whether an ack with this number is an answer.
func (r *roll) awaits(seq uint32) bool { return r.seq != 0 && seq == r.seq }

// answer notes an answer, and reports whether enough have come by it.
func (r *roll) answer(from netip.AddrPort, now time.Duration) bool {
	if r.asked <= harkFew || slices.Contains(r.from, from) {
		return false
	}
	r.from = append(r.from, from)
	if len(r.from) != (r.asked+companyShare-1)/companyShare {
		return false
	}
	r.full = max(1, now)
	return true
}

// company reports whether enough have answered lately.
func (r *roll) company(now time.Duration) bool { return r.full != 0 && now-r.full <= companyFor }
