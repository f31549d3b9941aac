package swim

import (
	"net/netip"
	"sort"
	"time"
)

// relays are the indirect pings that others asked for and that are not answered.
//
// Rule: an ack that comes in time is passed back, otherwise a nack if it was
// wanted; either happens at most once (P11). All wait equally long, so
// they end in the order in which they began, and one timer, for the first,
// serves all. Invariant: list[head:] is ordered by seq and by ends, and
// list[head] is open; len(list)-head <= MaxRelays.
type relays struct {
	timer timer
	list  []relay
	head  int
}

type relay struct {
	ends   time.Duration // on the awake clock
	seq    uint32        // of our ping
	asked  uint32        // of the asker's
	to     netip.AddrPort
	name   string
	nack   bool
	closed bool
}

func (r *relays) full() bool { return len(r.list)-r.head >= MaxRelays }

// add takes one more; it must end no earlier than those before.
func (r *relays) add(x relay) {
	if r.head > 0 && len(r.list) == cap(r.list) {
		n := copy(r.list, r.list[r.head:])
		clear(r.list[n:])
		r.list, r.head = r.list[:n], 0
	}
	r.list = append(r.list, x)
}

// first is the one that ends first, nil if there is none.
func (r *relays) first() *relay {
	if r.head == len(r.list) {
		return nil
	}
	return &r.list[r.head]
}

// ack closes and returns the relay whose ping has that number, nil if there is none.
func (r *relays) ack(seq uint32) *relay {
	open := r.list[r.head:]
	if len(open) == 0 {
		return nil
	}
	// Differences, because numbers wrap around.
	base := open[0].seq
	i := sort.Search(len(open), func(i int) bool { return open[i].seq-base >= seq-base })
	if i == len(open) || open[i].seq != seq || open[i].closed {
		return nil
	}
	open[i].closed = true
	return &open[i]
}

// trim drops the closed ones from the front.
func (r *relays) trim() {
	for r.head < len(r.list) && r.list[r.head].closed {
		r.list[r.head] = relay{}
		r.head++
	}
	if r.head == len(r.list) {
		r.list, r.head = r.list[:0], 0
	}
}
