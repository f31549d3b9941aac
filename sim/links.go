package sim

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// errBroken is how a link ends whose other side has ended.
var errBroken = errors.New("broken")

// streamError is an error of a stream as drivers have to report it.
type streamError struct {
	error
	is [2]error
}

func (e streamError) Is(target error) bool { return target == e.is[0] || target == e.is[1] }

// reported is how a driver tells of the end of a stream.
func (s *stream) reported(err error) error {
	switch {
	case err == errRefused:
		return streamError{err, [2]error{swim.ErrConnect, swim.ErrRefused}}
	case err == errTimeout && s.connected:
		return streamError{err, [2]error{swim.ErrUnanswered}}
	case err == errTimeout:
		return streamError{err, [2]error{swim.ErrConnect}}
	}
	return err
}

// order opens or closes a link.
func (c *Cluster) order(n *Node, o *swim.LinkOrder) {
	if o.Close {
		if s := n.links[o.ID]; s != nil {
			s.ended = true
			n.unlink(s)
		}
		return
	}
	if n.deaf {
		later, life := *o, n.life
		later.Data = bytes.Clone(o.Data)
		n.outbox = append(n.outbox, func() {
			if n.life == life {
				n.c.order(n, &later)
			}
		})
		return
	}
	s := &stream{link: o.ID, id: swim.DialID(o.ID), dialer: n, life: n.life, until: c.clock.now + o.Timeout}
	if n.links == nil {
		n.links = make(map[swim.LinkID]*stream)
	}
	n.links[o.ID] = s
	c.connect(s, o.To, c.sealStream(o.Data))
}

// unlink forgets a link of n's at both ends.
func (n *Node) unlink(s *stream) {
	delete(n.links, s.link)
	if s.to != nil {
		s.to.held = slices.DeleteFunc(s.to.held, func(o *stream) bool { return o == s })
	}
}

// hold keeps a stream open that n's machine wants to be kept.
func (n *Node) hold(s *stream) {
	if s.link != 0 && len(n.held) < swim.MaxHeld {
		n.held = append(n.held, s)
	}
}

// breakLinks is what a host does when its process ends: it tells the others ends.
// Of a host that is gone nobody hears.
func (n *Node) breakLinks(host bool) {
	for _, s := range n.held {
		back := n.c.net.link(n, s.dialer)
		if !host && !back.Cut {
			n.c.end(n.c.clock.now+n.c.net.delay(back), s, nil, errBroken)
		}
	}
	n.held = nil
	for _, s := range n.links { // order-free: each is taken out of its own list
		if s.to != nil {
			s.to.held = slices.DeleteFunc(s.to.held, func(o *stream) bool { return o == s })
		}
	}
	n.links = nil
}

// linked is news of a link of n's.
func (n *Node) linked(now time.Time, e *event) {
	s := e.dial
	if n.links[s.link] != s {
		return
	}
	switch {
	case e.err == nil && !s.up:
		reply, err := n.c.readStream(e.data, false)
		n.c.log.stream(n.c, s.to, n, reply, err)
		s.up = true
		n.machine.HandleLink(now, s.link, swim.LinkUp, reply, nil)
	case s.up && e.err == errTimeout: // the time was for opening it
	default:
		s.ended = true
		event := swim.LinkFailed
		if s.up {
			event = swim.LinkBroken
		}
		n.unlink(s)
		n.machine.HandleLink(now, s.link, event, nil, s.reported(e.err))
	}
}

// connect starts a stream: connect, write, and what comes of it.
func (c *Cluster) connect(s *stream, addr netip.AddrPort, data []byte) {
	w, from := &c.net, s.dialer
	w.streamed += len(data)
	s.to = c.host(addr)
	c.end(s.until, s, nil, errTimeout)
	if s.to == nil || w.link(from, s.to).Cut || w.link(s.to, from).Cut {
		return
	}
	out, back := w.link(from, s.to), w.link(s.to, from)
	if out.Refuse {
		c.end(c.clock.now+w.delay(out), s, nil, errRefused)
		return
	}
	if w.chance(out.StreamFail) {
		if w.chance(0.5) {
			c.end(c.clock.now+w.delay(out), s, nil, errReset)
		}
		return
	}
	// Connecting is one round trip, the message is the third leg; what is lost
	// is sent again.
	at := c.clock.now + w.delay(out) + w.delay(back) + w.delay(out)
	for resend := 200 * time.Millisecond; w.chance(max(out.Loss, back.Loss)) && resend < 10*time.Second; resend *= 2 {
		at += resend
	}
	e := c.clock.schedule(at, dueStream, s.to)
	e.from, e.dial, e.data = netip.AddrPortFrom(from.addr.Addr(), 40000+uint16(s.id%20000)), s, data
}
