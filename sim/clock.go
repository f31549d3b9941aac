package sim

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// epoch is the instant at which every cluster's clock starts.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// eventKind says what is due.
type eventKind uint8

const (
	duePacket  eventKind = iota // a datagram reaches node
	dueTimer                    // node's timer
	dueStream                   // the message on a stream reaches node
	dueDialed                   // a stream that node opened has ended
	dueRefused                  // node's host learns that a datagram was refused
	dueLink                     // news of a link of node's
	dueCall                     // call
)

// event is one entry of the clock. Which fields are used depends on kind.
type event struct {
	at   time.Duration // since the start
	seq  uint64        // breaks ties: what was scheduled first is due first
	next *event        // in the list of its slot
	kind eventKind
	node *Node
	life int // of node, where it must still be the same
	from netip.AddrPort
	data []byte
	raw  bool // data is no message of anybody's
	dial *stream
	err  error
	call func()
}

// stream is one stream on its way.
type stream struct {
	id        swim.DialID
	dialer    *Node
	life      int
	to        *Node // nil: no such host
	noReply   bool
	ended     bool
	connected bool        // its host took it
	link      swim.LinkID // 0: it is no link
	up        bool        // link: it is established
	until     time.Duration
}

// The wheels: a slot of the near one is 2^16 ns (66 µs), a whole turn of it
// (268 ms) is a slot of the far one, which turns in 275 s.
const (
	slotBits = 16
	nearBits = 12
	farBits  = 10
)

// clock is the virtual time and what is due. It keeps the entries that were
// taken, to use them again.
//
// Rule: entries come out by time, then in the order in which they were
// scheduled. Only those of the present slot are held sorted, in a small heap:
// most of a big cluster's entries are put into a list and taken out once, which
// costs the same however many there are. Invariant: due has all entries of slots
// up to tick; near those of later slots in the same turn; far those of later
// turns that are in the same turn of far; later the rest.
type clock struct {
	now  time.Duration
	seq  uint64
	n    int
	tick int64
	due  []dueEvent
	near wheel[[1 << nearBits]*event, [1 << (nearBits - 6)]uint64]
	far  wheel[[1 << farBits]*event, [1 << (farBits - 6)]uint64]
	// later is a list without an order.
	later *event
	free  []*event
}

// dueEvent has what the heap compares beside the entry.
type dueEvent struct {
	at  time.Duration
	seq uint64
	e   *event
}

// wheel is a number of lists, and a bit for each that is not empty.
type wheel[L, U any] struct {
	lists L
	used  U
}

// schedule makes an entry for at, not before now, to be filled in by the caller.
func (k *clock) schedule(at time.Duration, kind eventKind, n *Node) *event {
	var e *event
	if l := len(k.free); l > 0 {
		e, k.free = k.free[l-1], k.free[:l-1]
	} else {
		e = new(event)
	}
	k.seq++
	*e = event{at: max(at, k.now), seq: k.seq, kind: kind, node: n}
	k.n++
	k.place(e)
	return e
}

// place puts e where the invariant wants it.
func (k *clock) place(e *event) {
	slot := int64(e.at) >> slotBits
	turn, present := slot>>nearBits, k.tick>>nearBits
	switch {
	case slot <= k.tick:
		k.due = append(k.due, dueEvent{e.at, e.seq, e})
		k.up(len(k.due) - 1)
	case turn == present:
		put(k.near.lists[:], k.near.used[:], slot, e)
	case turn>>farBits == present>>farBits:
		put(k.far.lists[:], k.far.used[:], turn, e)
	default:
		e.next, k.later = k.later, e
	}
}

func put(lists []*event, used []uint64, i int64, e *event) {
	i &= int64(len(lists) - 1)
	e.next, lists[i] = lists[i], e
	used[i>>6] |= 1 << (i & 63)
}

// takeFirst empties the first list that is not, and returns it with its place.
func takeFirst(lists []*event, used []uint64) (*event, int64) {
	for w, word := range used {
		if word == 0 {
			continue
		}
		i := w<<6 + bits.TrailingZeros64(word)
		used[w] = word & (word - 1)
		e := lists[i]
		lists[i] = nil
		return e, int64(i)
	}
	return nil, 0
}

// turn moves tick to the next slot that has entries; false if there are none.
func (k *clock) turn() bool {
	for len(k.due) == 0 {
		turn := k.tick >> nearBits
		e, i := takeFirst(k.near.lists[:], k.near.used[:])
		if e != nil {
			k.tick = turn<<nearBits | i
			k.placeAll(e)
			continue
		}
		if e, i = takeFirst(k.far.lists[:], k.far.used[:]); e != nil {
			k.tick = (turn>>farBits<<farBits | i) << nearBits
			k.placeAll(e)
			continue
		}
		if k.later == nil {
			return false
		}
		first := k.later.at
		for e := k.later; e != nil; e = e.next {
			first = min(first, e.at)
		}
		k.tick = int64(first) >> slotBits
		e, k.later = k.later, nil
		k.placeAll(e)
	}
	return true
}

func (k *clock) placeAll(e *event) {
	for e != nil {
		next := e.next
		e.next = nil
		k.place(e)
		e = next
	}
}

// next takes the first entry due at or before until; nil if there is none.
func (k *clock) next(until time.Duration) *event {
	if len(k.due) == 0 && !k.turn() || k.due[0].at > until {
		return nil
	}
	e := k.due[0].e
	last := len(k.due) - 1
	k.due[0] = k.due[last]
	k.due[last] = dueEvent{}
	k.due = k.due[:last]
	k.down(0)
	k.n--
	k.now = e.at
	return e
}

// each calls f for every entry, in no order.
func (k *clock) each(f func(*event)) {
	for _, d := range k.due {
		f(d.e)
	}
	for _, lists := range [][]*event{k.near.lists[:], k.far.lists[:], {k.later}} {
		for _, e := range lists {
			for ; e != nil; e = e.next {
				f(e)
			}
		}
	}
}

// release gives a taken entry back.
func (k *clock) release(e *event) { k.free = append(k.free, e) }

func (k *clock) less(i, j int) bool {
	a, b := &k.due[i], &k.due[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (k *clock) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !k.less(i, p) {
			return
		}
		k.due[i], k.due[p] = k.due[p], k.due[i]
		i = p
	}
}

func (k *clock) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(k.due) {
			return
		}
		if c+1 < len(k.due) && k.less(c+1, c) {
			c++
		}
		if !k.less(c, i) {
			return
		}
		k.due[i], k.due[c] = k.due[c], k.due[i]
		i = c
	}
}
