package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ibuki-dev/ibuki/access"
)

// serverConn is one client. One goroutine reads and serves its commands in
// order; each of its streams has one more. They meet in send, which writes one
// header with its body at a time.
type serverConn struct {
	s      *Server
	conn   net.Conn
	seat   *access.Seat
	name   string
	since  time.Time
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	r      *bufio.Reader
	header []byte // reused

	version int32                        // from the handshake; 0: not yet
	grant   atomic.Pointer[access.Grant] // what it may do
	ready   atomic.Bool                  // it may send commands
	left    bool                         // it was answered that the agent has left

	wmu sync.Mutex // one message at a time
	w   *bufio.Writer
	enc *codec.Encoder

	dmu     sync.Mutex // the read deadline against finish
	closing bool

	streams streamSet
	queries queryIDs
}

func newServerConn(s *Server, conn net.Conn) *serverConn {
	c := &serverConn{
		s:     s,
		conn:  conn,
		name:  clientName(conn),
		since: time.Now(),
		r:     bufio.NewReader(conn),
		w:     bufio.NewWriter(conn),
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.enc = codec.NewEncoder(c.w, handle)
	start := s.startGrant()
	c.grant.Store(&start)
	return c
}

// serve reads and serves commands until the client is gone or not worth it.
func (c *serverConn) serve() {
	defer c.close()
	if err := c.handshakeTLS(); err != nil {
		c.s.badRequests.Add(1)
		c.s.cfg.Logger.Warn("agent.ipc: No TLS with client", "client", c.name, "err", err)
		return
	}
	for {
		err := c.serveOne()
		switch {
		case err == nil:
			continue
		case c.isClosing(), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		case errors.Is(err, os.ErrDeadlineExceeded) && !c.ready.Load():
			c.s.cfg.Logger.Debug("agent.ipc: No handshake in time", "client", c.name)
		default:
			c.s.badRequests.Add(1)
			c.s.cfg.Logger.Error("agent.ipc: Failed to serve request", "client", c.name, "err", err)
		}
		return
	}
}

// abort closes a connection that was never served.
func (c *serverConn) abort() {
	c.cancel()
	c.conn.Close()
}

// giveWay ends the connection, because somebody else needs the seat.
func (c *serverConn) giveWay() {
	c.cancel()
	closeNow(c.conn)
}

// presented sets what the client may do.
func (c *serverConn) presented(grant access.Grant) {
	c.grant.Store(&grant)
	c.seat.Know(grant.Name != "")
}

// close ends the connection and waits for its streams. If it is the server that
// closes, they may first send what they have.
func (c *serverConn) close() {
	c.cancel()
	if c.isClosing() {
		c.streams.wg.Wait()
		if c.left {
			c.linger()
		}
	}
	c.conn.Close()
	c.streams.wg.Wait()
}

// lingerFor is how long a client that was answered that the agent has left may take to hang up.
const lingerFor = 200 * time.Millisecond

// linger waits until the client hangs up. The official client, if it sees the answer and the end of the
// connection at the same time, says one time in two that the leave has failed.
func (c *serverConn) linger() {
	c.dmu.Lock()
	c.conn.SetReadDeadline(time.Now().Add(lingerFor))
	c.dmu.Unlock()
	_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, 1<<20)) // it may say what it likes
}

// finish lets the command that is being served end and nothing start after it.
func (c *serverConn) finish() {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	c.closing = true
	c.conn.SetReadDeadline(time.Unix(1, 0))
}

func (c *serverConn) isClosing() bool {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	return c.closing
}

// readBy sets the deadline for reading; zero is none.
func (c *serverConn) readBy(t time.Time) {
	c.dmu.Lock()
	defer c.dmu.Unlock()
	if !c.closing {
		c.conn.SetReadDeadline(t)
	}
}

// serveOne reads one request and serves it. Its error ends the connection.
func (c *serverConn) serveOne() error {
	head, err := c.readHeader()
	if err != nil {
		return err
	}
	c.s.commands.Add(1)
	if c.version == 0 && head.Command != cmdHandshake {
		c.reply(head.Seq, ErrHandshakeRequired, nil)
		return ErrHandshakeRequired
	}
	cmd, known := serverCommands[head.Command]
	refusal := c.refusal(head.Command, cmd.verb)
	if !known {
		why := ErrUnsupportedCommand
		if refusal == ErrAuthRequired {
			why = refusal
		}
		c.reply(head.Seq, why, nil)
		// Whether a body follows is not known, so what follows cannot be read.
		return fmt.Errorf("command %.40q: %w", head.Command, why)
	}
	req := request{serverConn: c, seq: head.Seq, command: head.Command}
	if cmd.body {
		if req.body, err = c.readBody(); err != nil {
			if errors.Is(err, ErrTooLarge) {
				c.reply(head.Seq, ErrRequestTooLarge, cmd.emptyReply())
			}
			return err
		}
	}
	c.readBy(time.Time{})
	if refusal != "" {
		c.refused(head.Command, refusal)
		return c.reply(head.Seq, refusal, nil)
	}
	c.seat.Begin()
	defer c.seat.End()
	return cmd.serve(&req)
}

// readHeader waits for a request and reads its header. A client that is ready
// may be silent as long as it likes between two requests, not within one.
func (c *serverConn) readHeader() (requestHeader, error) {
	var head requestHeader
	early := c.since.Add(c.s.cfg.HandshakeTimeout)
	ready := c.ready.Load()
	if ready {
		early = time.Time{}
	}
	c.readBy(early)
	if _, err := c.r.Peek(1); err != nil {
		return head, err
	}
	by := time.Now().Add(c.s.cfg.RequestTimeout)
	if !ready && early.Before(by) {
		by = early
	}
	c.readBy(by)
	data, err := ReadValue(c.r, c.header[:0], Limits{Bytes: maxHeader, Elems: 64})
	if err != nil {
		return head, fmt.Errorf("request header: %w", err)
	}
	c.header = data
	if err := decodeValue(data, &head); err != nil {
		return head, fmt.Errorf("request header: %w", err)
	}
	return head, nil
}

// readBody reads the body of a request, into memory of its own because what is
// decoded may keep it.
func (c *serverConn) readBody() ([]byte, error) {
	size := c.s.cfg.MaxRequest
	if !c.ready.Load() {
		size = min(size, maxEarlyRequest)
	}
	data, err := ReadValue(c.r, nil, Limits{Bytes: size, Elems: 64 << 10})
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	return data, nil
}

// reply answers a request. body is nil for a command whose replies have none.
func (c *serverConn) reply(seq uint64, err error, body any) error {
	head := responseHeader{Seq: seq}
	if err != nil {
		head.Error = err.Error()
	}
	return c.send(&head, body)
}

// send writes a header and a body as one message. After a failure, the time-out
// of a client that does not read among them, the connection is of no use and
// is closed.
func (c *serverConn) send(head *responseHeader, body any) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	err := c.conn.SetWriteDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
	if err == nil {
		err = c.enc.Encode(head)
	}
	if err == nil && body != nil {
		err = c.enc.Encode(body)
	}
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		c.conn.Close()
		return fmt.Errorf("reply: %w", err)
	}
	return nil
}
