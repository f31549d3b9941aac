package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/sock"
	"github.com/ibuki-dev/ibuki/writelog/member"
)

// A stream carries requests of one gateway to another, one way and in order, on an upgraded
// HTTP connection. Each is four bytes of length, little-endian, and the request. Back come
// eight bytes now and then: how many were taken so far.

const (
	// streamPath is where a stream begins, and streamProtocol what it is called in Upgrade.
	streamPath     = "/ibuki/log/stream"
	streamProtocol = "ibuki-log"
	// ackEvery is how often a gateway says what it has taken.
	ackEvery = 100 * time.Millisecond
	// streamTimeout is how long the other gateway may take to take a request, and longTimeout
	// one of more than longRequest bytes.
	streamTimeout = 500 * time.Millisecond
	longTimeout   = 10 * time.Second
	longRequest   = 64 << 10
)

func timeoutOf(request []byte) time.Duration {
	if len(request) > longRequest {
		return longTimeout
	}
	return streamTimeout
}

// stream is a member.Stream.
type stream struct {
	conn net.Conn
	done chan struct{}

	mu    sync.Mutex
	sent  uint64
	taken uint64
	out   []byte // the frame being built
}

// Stream opens a stream to another gateway: see member.Transport.
func (c *Client) Stream(ctx context.Context, addr string) (_ member.Stream, refused bool, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, errors.Is(err, syscall.ECONNREFUSED), err
	}
	conn = sock.CheapConn(conn)
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	in := bufio.NewReader(conn)
	if err := upgrade(conn, in, addr); err != nil {
		conn.Close()
		return nil, false, err
	}
	s := &stream{conn: conn, done: make(chan struct{})}
	go s.read(in)
	return s, false, nil
}

func upgrade(conn net.Conn, in *bufio.Reader, addr string) error {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", streamPath, addr, streamProtocol)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("%s keeps no log of writes, or is another version: %s", addr, resp.Status)
	}
	return nil
}

// Send sends a request. It waits for nothing but room in the connection.
func (s *stream) Send(request []byte) error {
	limit := timeoutOf(request)
	s.out = append(binary.LittleEndian.AppendUint32(s.out[:0], uint32(len(request))), request...)
	until := time.Now().Add(limit)
	s.mu.Lock()
	if s.sent == s.taken || limit == longTimeout {
		_ = s.conn.SetReadDeadline(until)
	}
	s.sent++
	s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(until)
	_, err := s.conn.Write(s.out)
	if cap(s.out) > longRequest {
		s.out = nil
	}
	return err
}

// read takes what the other gateway has taken. It ends with the stream.
func (s *stream) read(in io.Reader) {
	defer close(s.done)
	defer s.conn.Close()
	var count [8]byte
	for {
		if _, err := io.ReadFull(in, count[:]); err != nil {
			return
		}
		s.mu.Lock()
		s.taken = binary.LittleEndian.Uint64(count[:])
		until := time.Time{}
		if s.taken != s.sent {
			until = time.Now().Add(streamTimeout)
		}
		_ = s.conn.SetReadDeadline(until)
		s.mu.Unlock()
	}
}

// Done is closed when the stream is broken.
func (s *stream) Done() <-chan struct{} { return s.done }

// Close ends the stream.
func (s *stream) Close() {
	s.conn.Close()
	<-s.done
}

// logStream takes another gateway's stream.
func (s *Server) logStream(ctx *fasthttp.RequestCtx) {
	if string(ctx.Request.Header.Peek("Upgrade")) != streamProtocol {
		ctx.Error("no stream of a gateway of this version", fasthttp.StatusBadRequest)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols)
	ctx.Response.Header.Set("Connection", "Upgrade")
	ctx.Response.Header.Set("Upgrade", streamProtocol)
	seat := seatOf(ctx)
	ctx.Hijack(func(conn net.Conn) {
		seat.Begin()
		defer seat.End()
		if !s.keepStream(conn, true) {
			return
		}
		defer s.keepStream(conn, false)
		_ = conn.SetDeadline(time.Time{})
		t := &taker{conn: conn, handle: s.cfg.WriteLog}
		s.cfg.Log.Debug("stream of a gateway is over", "from", conn.RemoteAddr(), "why", t.run())
	})
}

// keepStream notes the streams that there are, so that Stop ends them; false if it has been called.
func (s *Server) keepStream(conn net.Conn, is bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is && !s.stopped {
		s.streams[conn] = true
	} else {
		delete(s.streams, conn)
	}
	return !s.stopped
}

// taker takes the requests of one stream.
type taker struct {
	conn   net.Conn
	handle func(ctx context.Context, request []byte) ([]byte, error)

	mu    sync.Mutex
	taken uint64
	later bool // it will be said
	over  bool // the connection is not this one's any more: the library uses its memory for others
}

// run takes requests until the stream is over, and returns why it is.
func (t *taker) run() error {
	defer t.end()
	in := bufio.NewReaderSize(t.conn, 64<<10)
	var head [4]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n > member.MaxRequest {
			return fmt.Errorf("a request of %d bytes, at most %d", n, member.MaxRequest)
		}
		request, err := readAll(in, int(n))
		if err != nil {
			return err
		}
		if _, err := t.handle(context.Background(), request); err != nil {
			return err
		}
		t.note()
	}
}

// readAll reads n bytes, and takes memory as they come.
func readAll(in io.Reader, n int) ([]byte, error) {
	if n <= longRequest {
		b := make([]byte, n)
		_, err := io.ReadFull(in, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err == nil && len(b) < n {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// note counts a request, and has that said in a while.
func (t *taker) note() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken++
	if !t.later {
		t.later = true
		time.AfterFunc(ackEvery, t.say)
	}
}

func (t *taker) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

func (t *taker) say() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.later = false; t.over {
		return
	}
	_ = t.conn.SetWriteDeadline(time.Now().Add(streamTimeout))
	_, _ = t.conn.Write(binary.LittleEndian.AppendUint64(nil, t.taken)) // the other one notices
}
