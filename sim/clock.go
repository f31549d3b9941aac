package sim

import (
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
	dueCall                     // call
)

// event is one entry of the heap. Which fields are used depends on kind.
type event struct {
	at   time.Duration // since the start
	seq  uint64        // breaks ties: what was scheduled first is due first
	kind eventKind
	node *Node
	life int // of node, where it must still be the same
	from netip.AddrPort
	data []byte
	dial *stream
	err  error
	call func()
}

// stream is one stream on its way.
type stream struct {
	id      swim.DialID
	dialer  *Node
	life    int
	to      *Node // nil: no such host
	noReply bool
	ended   bool
	until   time.Duration
}

// clock is the virtual time and what is due, a binary heap. It keeps the
// entries that were taken, to use them again.
type clock struct {
	now  time.Duration
	seq  uint64
	heap []*event
	free []*event
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
	k.heap = append(k.heap, e)
	k.up(len(k.heap) - 1)
	return e
}

// next takes the first entry due at or before until; nil if there is none.
func (k *clock) next(until time.Duration) *event {
	if len(k.heap) == 0 || k.heap[0].at > until {
		return nil
	}
	e := k.heap[0]
	last := len(k.heap) - 1
	k.heap[0] = k.heap[last]
	k.heap[last] = nil
	k.heap = k.heap[:last]
	k.down(0)
	k.now = e.at
	return e
}

// release gives a taken entry back.
func (k *clock) release(e *event) { k.free = append(k.free, e) }

func (k *clock) less(i, j int) bool {
	a, b := k.heap[i], k.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (k *clock) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !k.less(i, p) {
			return
		}
		k.heap[i], k.heap[p] = k.heap[p], k.heap[i]
		i = p
	}
}

func (k *clock) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(k.heap) {
			return
		}
		if c+1 < len(k.heap) && k.less(c+1, c) {
			c++
		}
		if !k.less(c, i) {
			return
		}
		k.heap[i], k.heap[c] = k.heap[c], k.heap[i]
		i = c
	}
}
