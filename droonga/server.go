package droonga

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

// Config are the settings of a Server. Zero means the default.
type Config struct {
	Doer dispatch.Doer // needed
	// Nodes tells each node's state (active, inactive or dead) by its full name,
	// host:port/tag; nil: there are none to tell of.
	Nodes func() map[string]string
	// Reporter names this gateway in answers to system.status.
	Reporter string
	// Catalog is the catalog.json that catalog.fetch answers; nil: it answers none.
	Catalog json.RawMessage
	// Datasets are the names that messages may have. Empty: the Doer judges.
	Datasets []string

	MaxConns     int           // clients at a time: 1,000; beyond it another one gives way: see access.Seats
	MaxMessage   int           // bytes of one message, also when it was compressed: 16 MiB
	MaxRequests  int           // messages under way, of all clients: 1,000
	MaxReceivers int           // connections for answers: 1,000
	Timeout      time.Duration // of a message that has none: 1 min
	MaxTimeout   time.Duration // 10 min
	IdleTimeout  time.Duration // of a client that sends nothing: 10 min
	CloseAfter   time.Duration // a connection for answers that is not used: 1 min

	Log *slog.Logger // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	number := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	number(&c.MaxConns, 1000)
	number(&c.MaxMessage, 16<<20)
	number(&c.MaxRequests, 1000)
	number(&c.MaxReceivers, 1000)
	duration := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	duration(&c.Timeout, time.Minute)
	duration(&c.MaxTimeout, 10*time.Minute)
	duration(&c.IdleTimeout, 10*time.Minute)
	duration(&c.CloseAfter, time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server speaks Droonga's message protocol.
type Server struct {
	cfg      Config
	ctx      context.Context
	stop     context.CancelFunc
	seats    *access.Seats
	requests chan struct{} // one for each message under way
	replies  replies
	all      sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners []io.Closer
	conns     map[net.Conn]struct{}

	complained atomic.Int64 // when a bad client was last named, in Unix seconds
}

// NewServer makes a Server.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), conns: make(map[net.Conn]struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.seats = access.NewSeats(s.cfg.MaxConns)
	s.requests = make(chan struct{}, s.cfg.MaxRequests)
	s.replies.init(s)
	return s
}

// Serve answers clients until Stop is called, and then returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if !s.listen(l) {
		return nil
	}
	defer l.Close()
	for {
		conn, err := l.Accept()
		if s.stopping() {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() { // too many files, say
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return err
		}
		if !s.enter(conn) {
			conn.Close()
			continue
		}
		ctx, cancel := context.WithCancel(s.ctx)
		seat := s.seats.Take(conn.RemoteAddr(), func() { cancel(); conn.Close() })
		go func() {
			defer s.all.Done()
			defer cancel()
			defer seat.Free()
			s.client(ctx, conn, seat)
		}()
	}
}

// ServeHeartbeat answers Fluentd's heartbeats, each datagram by one byte, until
// Stop is called. It closes p.
func (s *Server) ServeHeartbeat(p net.PacketConn) error {
	if !s.listen(p) {
		return nil
	}
	defer p.Close()
	var buf [1024]byte
	for {
		_, from, err := p.ReadFrom(buf[:])
		if s.stopping() {
			return nil
		}
		if err == nil {
			_, err = p.WriteTo([]byte{0}, from)
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// listen notes what Stop has to close; false: it was called already.
func (s *Server) listen(l io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return false
	}
	s.listeners = append(s.listeners, l)
	return true
}

func (s *Server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// enter notes a client's connection, unless Stop was called.
func (s *Server) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	s.all.Add(1)
	return true
}

// Stop takes no more messages, waits until those under way are answered or ctx ends,
// and closes all connections.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		l.Close()
	}
	for c := range s.conns { // order-free: all are told the same
		_ = c.SetReadDeadline(time.Now()) // wakes the reader
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.all.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	s.replies.stop(ctx)
	<-done
	return err
}

// client reads the messages of one connection. Its writes are done one after the
// other, in their order, and what follows a write sees it; reads are done at the
// same time. It ends with ctx.
func (s *Server) client(ctx context.Context, conn net.Conn, seat *access.Seat) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	r := bufio.NewReaderSize(conn, 16<<10)
	for {
		s.mu.Lock()
		closed := s.closed
		if !closed {
			_ = conn.SetReadDeadline(time.Now().Add(s.cfg.IdleTimeout))
		}
		s.mu.Unlock()
		if closed {
			return
		}
		f, err := readForward(r, s.cfg.MaxMessage)
		if err != nil {
			if errors.Is(err, errForward) || errors.Is(err, errTooLong) {
				s.complain(conn.RemoteAddr(), err)
			}
			return
		}
		seat.Begin()
		for _, e := range f.entries {
			req, err := parseRequest(e.tag, e.record)
			if err != nil {
				s.complain(conn.RemoteAddr(), err)
				continue
			}
			s.take(ctx, &req)
		}
		if f.chunk != "" {
			ack, err := pack(map[string]any{"ack": f.chunk})
			if err != nil {
				return
			}
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := conn.Write(ack); err != nil {
				return
			}
		}
		seat.End()
	}
}

// complain names a client that does not speak the protocol, once a minute.
func (s *Server) complain(from net.Addr, err error) {
	now, last := time.Now().Unix(), s.complained.Load()
	if now-last >= 60 && s.complained.CompareAndSwap(last, now) {
		s.cfg.Log.Warn("droonga: bad message", "from", from, "error", err)
	}
}

// take has a message done: a read beside others, a write before it returns. A client that
// is gone does not wait for its turn.
func (s *Server) take(ctx context.Context, r *request) {
	select {
	case s.requests <- struct{}{}:
	case <-ctx.Done():
		return
	}
	s.all.Add(1)
	do := func() {
		defer s.all.Done()
		defer func() { <-s.requests }()
		s.finish(r)
	}
	if r.writes() {
		do()
	} else {
		go do()
	}
}

// writes reports whether a message may change something.
func (r *request) writes() bool {
	switch r.kind {
	case "add", "update":
		return true
	}
	if !compatible[r.kind] {
		return false
	}
	c, err := groongaCommand(r)
	return err == nil && c.Kind() == groonga.Write
}

// finish does a message and sends the answer.
func (s *Server) finish(r *request) {
	timeout := s.cfg.Timeout
	if r.timeout > 0 {
		timeout = min(r.timeout, s.cfg.MaxTimeout)
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	body, err := s.body(ctx, r)
	if r.replyTo.host == "" {
		if err != nil {
			s.cfg.Log.Warn("droonga: failed, and nobody to tell", "type", r.kind, "id", r.id, "error", err)
		}
		return
	}
	s.replies.send(&r.replyTo, r.answer(body, err))
}

// body makes the body of the answer to a message.
func (s *Server) body(ctx context.Context, r *request) (any, error) {
	if err := s.acceptable(r); err != nil {
		return nil, err
	}
	switch r.kind {
	case "search":
		return s.search(ctx, r)
	case "add", "update":
		return s.add(ctx, r)
	case "system.status":
		return s.status(), nil
	case "catalog.fetch":
		if s.cfg.Catalog != nil {
			return parseJSON(s.cfg.Catalog)
		}
	default:
		if compatible[r.kind] {
			return s.groonga(ctx, r)
		}
	}
	return nil, badRequest("UnknownType", "[%s] Handler not found for the type: <%s>", r.dataset, r.kind)
}

// acceptable checks the dataset.
func (s *Server) acceptable(r *request) error {
	if r.dataset == "" {
		return badRequest("MissingDatasetParameter", "Missing required parameter: <dataset>")
	}
	if len(s.cfg.Datasets) == 0 {
		return nil
	}
	for _, name := range s.cfg.Datasets {
		if name == r.dataset {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", dispatch.ErrUnknownDataset, r.dataset)
}

// status is the answer to system.status.
func (s *Server) status() any {
	nodes := make(map[string]any)
	if s.cfg.Nodes != nil {
		for name, state := range s.cfg.Nodes() { // order-free: into another map
			nodes[name] = map[string]any{"status": state}
		}
	}
	return map[string]any{"nodes": nodes, "reporter": s.cfg.Reporter}
}
