package sim

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// What a stream can end with, beside success. The texts are those of the
// transcript.
var (
	errTimeout = errors.New("timeout")
	errRefused = errors.New("refused")
	errReset   = errors.New("reset")
	errClosed  = errors.New("closed without a reply")
)

// Link is one direction of the way between two nodes. Probabilities are 0 to 1,
// each for one datagram (StreamFail: for one stream).
type Link struct {
	Cut        bool          // nothing passes; streams end by their timeout
	StreamOnly bool          // no datagram passes, as behind some firewalls
	Delay      time.Duration // of everything
	Jitter     time.Duration // added to Delay, evenly from 0 to this
	Loss       float64       // streams are only delayed by it
	Duplicate  float64       // delivered a second time, later
	Reorder    float64       // held back for up to ReorderBy, so that others overtake
	ReorderBy  time.Duration
	Truncate   float64 // cut off somewhere
	Refuse     bool    // streams are refused, as by some firewalls
	StreamFail float64 // reset at once, or no answer, or the reply is lost
}

// network knows who can be reached how. Its generator decides about faults only.
type network struct {
	rng    *rand.Rand
	normal Link // all directions but those in other
	other  map[way]*Link
	bufs   [][]byte

	sent, lost, bytes int // datagrams
	streamed          int // bytes on streams
}

// way is a direction: the indexes of sender and receiver.
type way struct{ from, to int32 }

// link is the direction from a to b, to look at.
func (w *network) link(a, b *Node) *Link {
	if len(w.other) > 0 {
		if l := w.other[way{int32(a.index), int32(b.index)}]; l != nil {
			return l
		}
	}
	return &w.normal
}

// change is the direction from a to b, to be changed: a cluster of a hundred
// thousand has no room for all ways, so that most share what is normal.
func (w *network) change(a, b *Node) *Link {
	k := way{int32(a.index), int32(b.index)}
	l := w.other[k]
	if l == nil {
		l = new(Link)
		*l = w.normal
		if w.other == nil {
			w.other = make(map[way]*Link)
		}
		w.other[k] = l
	}
	return l
}

// chance is true with probability p; without one it costs no randomness, so
// that a fault that is off does not shift the others.
func (w *network) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// upTo is evenly between 0 and d.
func (w *network) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

func (w *network) delay(l *Link) time.Duration { return l.Delay + w.upTo(l.Jitter) }

// buffer returns an empty buffer, an old one if there is one.
func (w *network) buffer() []byte {
	if l := len(w.bufs); l > 0 {
		b := w.bufs[l-1]
		w.bufs = w.bufs[:l-1]
		return b[:0]
	}
	return make([]byte, 0, 2048)
}

func (w *network) recycle(b []byte) {
	if cap(b) > 0 {
		w.bufs = append(w.bufs, b)
	}
}

// send puts a framed datagram on the way; data is the network's from now on.
// plain is what was framed, for the transcript.
func (c *Cluster) send(from *Node, to netip.AddrPort, data, plain []byte) {
	if from.deaf {
		if c.opts.Log != nil {
			plain = bytes.Clone(plain)
		}
		from.withhold(func() { c.send(from, to, data, plain) })
		return
	}
	w := &c.net
	w.sent++
	w.bytes += len(data)
	dst := c.host(to)
	if dst == nil {
		c.log.lost(c, from, to.String(), plain, "no such host")
		w.recycle(data)
		return
	}
	l := w.link(from, dst)
	if l.Cut || l.StreamOnly || w.chance(l.Loss) {
		w.lost++
		c.log.lost(c, from, dst.label, plain, "lost")
		w.recycle(data)
		return
	}
	if w.chance(l.Truncate) {
		data = data[:w.rng.IntN(len(data)+1)]
	}
	at := c.clock.now + w.delay(l)
	if w.chance(l.Reorder) {
		at += w.upTo(l.ReorderBy)
	}
	if w.chance(l.Duplicate) {
		again := append(w.buffer(), data...)
		c.arrive(at+w.delay(l)+w.upTo(l.ReorderBy), from, dst, again)
	}
	c.arrive(at, from, dst, data)
}

func (c *Cluster) arrive(at time.Duration, from, dst *Node, data []byte) {
	e := c.clock.schedule(at, duePacket, dst)
	e.from, e.data = from.addr, data
}

// refuse tells the sender that nobody listens at to: its host says so, unless
// that is gone as well.
func (c *Cluster) refuse(from netip.AddrPort, to *Node) {
	src := c.host(from)
	if src == nil || to.hostDown || c.opts.NoRefusals || c.net.link(to, src).Cut {
		return
	}
	e := c.clock.schedule(c.clock.now+c.net.delay(c.net.link(to, src)), dueRefused, src)
	e.from, e.life = to.addr, src.life
}

// open starts a stream: connect, write, and what comes of it.
func (c *Cluster) open(from *Node, d *swim.Dial, data []byte) {
	if from.deaf {
		later := *d
		from.outbox = append(from.outbox, func() { c.open(from, &later, data) }) // it has to end
		return
	}
	s := &stream{id: d.ID, dialer: from, life: from.life, noReply: d.NoReply, until: c.clock.now + d.Timeout}
	c.connect(s, d.To, data)
}

// end schedules the end of a stream at its dialer. The first one counts.
func (c *Cluster) end(at time.Duration, s *stream, reply []byte, err error) {
	kind := dueDialed
	if s.link != 0 {
		kind = dueLink
	}
	e := c.clock.schedule(at, kind, s.dialer)
	e.dial, e.life, e.data, e.err = s, s.life, reply, err
}

// streamArrives decides what the host at the other end does with a stream.
// It reports whether the process is to read it.
func (c *Cluster) streamArrives(e *event) bool {
	s, w := e.dial, &c.net
	out, back := w.link(s.dialer, s.to), w.link(s.to, s.dialer)
	switch {
	case out.Cut || back.Cut || s.to.hostDown || c.clock.now > s.until:
		return false
	case !s.to.up:
		c.end(c.clock.now+w.delay(back), s, nil, errRefused)
		return false
	}
	s.connected = true
	if s.noReply {
		// The kernel takes the message, whether or not the process runs.
		c.end(c.clock.now+w.delay(back), s, nil, nil)
	}
	return true
}

// reply sends what a stream's reader answered back to the dialer.
func (c *Cluster) reply(s *stream, data []byte) {
	w := &c.net
	back := w.link(s.to, s.dialer)
	if s.noReply || back.Cut || w.link(s.dialer, s.to).Cut || w.chance(back.StreamFail) {
		return
	}
	at := c.clock.now + w.delay(back)
	w.streamed += len(data)
	if len(data) == 0 {
		c.end(at, s, nil, errClosed)
		return
	}
	c.end(at, s, data, nil)
}

// Partition cuts every direction between nodes of different groups. Nodes that
// are in no group keep their links.
func (c *Cluster) Partition(groups ...[]*Node) {
	for i, g := range groups {
		for j, h := range groups {
			for _, a := range g {
				for _, b := range h {
					if i != j {
						c.net.change(a, b).Cut = true
					}
				}
			}
		}
	}
}

// Cut cuts the direction from a to b, or mends it.
func (c *Cluster) Cut(a, b *Node, cut bool) { c.net.change(a, b).Cut = cut }

// SetLink gives the direction from a to b other faults.
func (c *Cluster) SetLink(a, b *Node, l Link) { *c.net.change(a, b) = l }

// Heal makes every direction a perfect one with the given delay. What is under
// way stays.
func (c *Cluster) Heal(delay time.Duration) {
	c.net.normal, c.net.other = Link{Delay: delay}, nil
}
