package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// inboundBudget is how many bytes all inbound streams together may have read
// and not yet given back. Streams beyond it are refused.
const inboundBudget = 64 << 20

// inboundSet are the streams that others have opened and that are being served.
type inboundSet struct {
	max  int
	held atomic.Int64 // bytes

	mu     sync.Mutex
	conns  []*inboundConn // oldest first
	closed bool
}

type inboundConn struct {
	net.Conn
	heard bool // its message is complete; guarded by the set's mu
}

var (
	errStreamBudget = errors.New("too much in unfinished streams")
	errEvicted      = errors.New("too many streams: the oldest unfinished one was closed")
)

// add makes room for a stream if it must: those that connect and say nothing
// must not lock out the others. It returns whom it closed.
func (s *inboundSet) add(c *inboundConn) (evicted *inboundConn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	if len(s.conns) >= s.max {
		for i, old := range s.conns {
			if !old.heard {
				evicted = old
				s.conns = append(s.conns[:i], s.conns[i+1:]...)
				break
			}
		}
		if evicted == nil {
			return nil, false
		}
		evicted.Close()
	}
	s.conns = append(s.conns, c)
	return evicted, true
}

func (s *inboundSet) heard(c *inboundConn) {
	s.mu.Lock()
	c.heard = true
	s.mu.Unlock()
}

func (s *inboundSet) remove(c *inboundConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.conns {
		if other == c {
			s.conns = append(s.conns[:i], s.conns[i+1:]...)
			return
		}
	}
}

func (s *inboundSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.conns {
		c.Close()
	}
}

// inboundMessage is what came on a stream, on its way to the loop.
type inboundMessage struct {
	from  netip.AddrPort
	msg   []byte
	reply chan streamReply // has room for one
}

// streamReply is what becomes of a stream once its message is handled.
type streamReply struct {
	msg  []byte // to write back, nil for nothing
	hold bool   // it is a link, and stays open
}

func (m *inboundMessage) handle(now time.Time, machine *serf.Machine) {
	reply := machine.HandleStream(now, m.from, m.msg)
	if reply != nil {
		reply = append([]byte(nil), reply...) // the machine's until its next input
	}
	m.reply <- streamReply{reply, machine.HoldStream()}
}

// acceptStreams accepts until the transport is closed.
func (a *Agent) acceptStreams() {
	for {
		conn, err := a.transport.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || a.ctx.Err() != nil {
				return
			}
			a.faults.note("stream", "accept", netip.AddrPort{}, err) // out of file descriptors, most likely
			a.pause(20 * time.Millisecond)
			continue
		}
		a.meter.count("memberlist.tcp.accept", 1)
		c := &inboundConn{Conn: conn}
		evicted, ok := a.streams.add(c)
		if evicted != nil {
			a.faults.note("stream", "evicted", remoteOf(evicted), errEvicted)
		}
		if !ok {
			a.faults.note("stream", "crowded", remoteOf(conn), nil)
			conn.Close()
			continue
		}
		a.wg.Go(func() { a.serveStream(c) })
	}
}

// serveStream reads the one message of a stream and writes the answer.
func (a *Agent) serveStream(c *inboundConn) {
	defer c.Close()
	defer a.streams.remove(c)
	from := remoteOf(c)
	_ = c.SetDeadline(time.Now().Add(a.streamTimeout()))
	r := budgetReader{r: c, set: &a.streams}
	defer r.giveBack()
	msg, key, err := a.frame.Load().ReadStreamKey(bufio.NewReader(&r), nil)
	if errors.Is(err, io.EOF) { // somebody looked whether the port is open
		return
	}
	s := a.newSender()
	if err != nil {
		a.faults.note("stream", wire.Reason(err), from, err)
		e := wire.Err{Error: err.Error()}
		a.writeStream(c, s.reply(e.AppendTo(nil), key))
		return
	}
	a.streams.heard(c)
	a.stateCame(msg)
	in := &inboundMessage{from: from, msg: msg, reply: make(chan streamReply, 1)}
	select {
	case a.inbound <- in:
	case <-a.loopDone:
		return
	}
	select {
	case reply := <-in.reply:
		if reply.msg != nil {
			a.stateGoes(reply.msg)
			a.writeStream(c, s.reply(reply.msg, key))
		}
		if reply.hold {
			r.giveBack()
			a.streams.remove(c) // it is none of those that are served any more
			a.holdLink(c.Conn)
		}
	case <-a.loopDone:
	}
}

func (a *Agent) writeStream(c net.Conn, b []byte) {
	a.meter.count("memberlist.tcp.sent", float64(len(b)))
	_ = c.SetDeadline(time.Now().Add(a.streamTimeout()))
	if _, err := c.Write(b); err != nil && a.ctx.Err() == nil {
		a.faults.note("stream", "write", remoteOf(c), err)
	}
}

// budgetReader counts what is read against the budget of all streams.
type budgetReader struct {
	r    io.Reader
	set  *inboundSet
	held int64
}

func (b *budgetReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.held += int64(n)
	if b.set.held.Add(int64(n)) > inboundBudget {
		return 0, errStreamBudget
	}
	return n, err
}

func (b *budgetReader) giveBack() {
	b.set.held.Add(-b.held)
	b.held = 0
}

func remoteOf(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return transport.PlainAddr(a.AddrPort())
	}
	return netip.AddrPort{}
}

// dialResult is how a stream that the machine asked for has ended.
type dialResult struct {
	id    swim.DialID
	reply []byte
	err   error
}

// startDial opens a stream beside the loop. The machine bounds how many
// there are at a time.
func (a *Agent) startDial(d *swim.Dial) {
	own := *d
	own.Data = append([]byte(nil), d.Data...)
	a.wg.Go(func() {
		r := dialResult{id: own.ID}
		r.reply, r.err = a.dial(&own)
		select {
		case a.dialed <- r:
		case <-a.loopDone:
		}
	})
}

func (a *Agent) dial(d *swim.Dial) ([]byte, error) {
	if isState(d.Data) {
		defer a.meter.since("memberlist.pushPullNode", time.Now())
		a.stateGoes(d.Data)
	}
	ctx, cancel := context.WithTimeout(a.ctx, d.Timeout)
	defer cancel()
	conn, err := a.transport.Dial(ctx, d.To)
	if err != nil {
		return nil, connectError{err}
	}
	if isState(d.Data) { // as Serf counts: not the pings
		a.meter.count("memberlist.tcp.connect", 1)
	}
	defer conn.Close()
	// Stop must not wait for the time-out.
	defer context.AfterFunc(a.ctx, func() { conn.Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	s := a.newSender()
	b := s.stream(d.Data, a.speakTo(d.To))
	a.meter.count("memberlist.tcp.sent", float64(len(b)))
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	if d.NoReply {
		return nil, nil
	}
	reply, err := a.frame.Load().ReadReply(bufio.NewReader(conn), nil)
	if err == nil {
		a.stateCame(reply)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: %w", swim.ErrUnanswered, err)
	}
	return reply, err
}
