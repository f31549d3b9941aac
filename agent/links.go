package agent

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// linkResult is what happened to a link that the machine asked for.
type linkResult struct {
	id    swim.LinkID
	event swim.LinkEvent
	reply []byte
	err   error
}

// linkSet are the streams on which nothing is said, and whose end says that the
// process at the other end has ended: those that this node opened, and those of others
// that it holds.
type linkSet struct {
	mu     sync.Mutex
	own    map[swim.LinkID]*ownLink
	held   map[net.Conn]struct{}
	closed bool
}

// ownLink is a link that this node opened, or is about to.
type ownLink struct {
	cancel context.CancelFunc
	conn   net.Conn // nil until it is connected
	closed bool     // on our side
}

func (s *linkSet) init() {
	s.own = make(map[swim.LinkID]*ownLink)
	s.held = make(map[net.Conn]struct{})
}

// hold adds a stream of somebody else's; false if there are too many.
func (s *linkSet) hold(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.held) >= swim.MaxHeld {
		return false
	}
	s.held[c] = struct{}{}
	return true
}

func (s *linkSet) letGo(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, c)
}

func (s *linkSet) add(id swim.LinkID, l *ownLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.closed = s.closed
	s.own[id] = l
}

// connected notes the stream of a link; false if it is not wanted any more.
func (s *linkSet) connected(l *ownLink, c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.conn = c
	return !l.closed
}

// drop closes an own link. It reports whether that was done before.
func (s *linkSet) drop(id swim.LinkID) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.own[id]
	if l == nil {
		return true
	}
	delete(s.own, id)
	return l.close()
}

func (l *ownLink) close() (before bool) {
	before, l.closed = l.closed, true
	l.cancel()
	if l.conn != nil {
		l.conn.Close()
	}
	return before
}

func (s *linkSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.own { // order-free: all go
		l.close()
	}
	for c := range s.held { // order-free: all go
		c.Close()
	}
}

// orderLink opens or closes a link beside the loop.
func (a *Agent) orderLink(o *swim.LinkOrder) {
	if o.Close {
		a.links.drop(o.ID)
		return
	}
	own := *o
	own.Data = append([]byte(nil), o.Data...)
	ctx, cancel := context.WithTimeout(a.ctx, own.Timeout)
	l := &ownLink{cancel: cancel}
	a.links.add(own.ID, l)
	a.wg.Go(func() {
		defer cancel()
		a.keepLink(ctx, l, &own)
	})
}

// keepLink is a link's life.
func (a *Agent) keepLink(ctx context.Context, l *ownLink, o *swim.LinkOrder) {
	r := linkResult{id: o.ID, event: swim.LinkFailed}
	conn, reply, err := a.openLink(ctx, l, o)
	if r.err = err; err == nil {
		a.tellLink(linkResult{id: o.ID, event: swim.LinkUp, reply: reply})
		r.event, r.err = swim.LinkBroken, waitEnd(conn)
		conn.Close()
	}
	if !a.links.drop(o.ID) {
		a.tellLink(r)
	}
}

func (a *Agent) tellLink(r linkResult) {
	select {
	case a.linked <- r:
	case <-a.loopDone:
	}
}

func (a *Agent) openLink(ctx context.Context, l *ownLink, o *swim.LinkOrder) (net.Conn, []byte, error) {
	conn, err := a.transport.Dial(ctx, o.To)
	if err != nil {
		return nil, nil, connectError{err}
	}
	if !a.links.connected(l, conn) {
		conn.Close()
		return nil, nil, net.ErrClosed
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	s := a.newSender()
	b := s.stream(o.Data, a.speakTo(o.To))
	a.meter.count("memberlist.tcp.sent", float64(len(b)))
	var reply []byte
	if _, err = conn.Write(b); err == nil {
		reply, err = a.frame.Load().ReadReply(bufio.NewReaderSize(conn, linkBuffer), nil)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	idle(conn)
	return conn, reply, nil
}

// linkBuffer is enough for the one answer on a link, in bytes.
const linkBuffer = 512

// idle makes a stream one that may be silent for ever.
func idle(c net.Conn) {
	_ = c.SetDeadline(time.Time{})
	if t, ok := c.(*net.TCPConn); ok {
		// Pings say whether the other host is there. Keep-alives would only cost.
		_ = t.SetKeepAlive(false)
	}
}

var errSaid = errors.New("something was said on a link")

// waitEnd waits until the other side closes a link, or says something, which it
// must not.
func waitEnd(c net.Conn) error {
	var b [1]byte
	n, err := c.Read(b[:])
	if n > 0 {
		return errSaid
	}
	return err
}

// holdLink keeps a link of somebody else's until it ends.
func (a *Agent) holdLink(c net.Conn) {
	if !a.links.hold(c) {
		return
	}
	defer a.links.letGo(c)
	idle(c)
	_ = waitEnd(c)
}

// connectError says that a stream could not be opened: news about a join, but
// none about a member that does not answer pings either, unless it was refused.
type connectError struct{ error }

func (e connectError) Unwrap() []error {
	if errors.Is(e.error, syscall.ECONNREFUSED) {
		return []error{swim.ErrConnect, swim.ErrRefused, e.error}
	}
	return []error{swim.ErrConnect, e.error}
}
