package rpc

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/access"
)

// ErrServerClosed is what Serve returns after Close.
var ErrServerClosed = errors.New("rpc: server closed")

// ServerConfig are the settings of a server. Zero means the default.
type ServerConfig struct {
	AuthKey string // lets its holder do everything; "": none
	// Guard says what others may do, by tokens that are presented as AuthKey is.
	// Without it and without AuthKey, everybody may do everything.
	Guard  *access.Guard
	Logger *slog.Logger // nil: silent

	MaxClients int // 1024; beyond it another one gives way: see access.Seats
	MaxStreams int // 64 for each client: streams, monitor and running queries
	MaxRequest int // 1 MiB: the body of one request, as encoded
	// MaxQueryRecords is how many answers of one query may wait for a client
	// that reads slowly: 16384.
	MaxQueryRecords int

	// QueryLinger is how long after its last answer a query's end is told at the
	// earliest: 10 ms. Serf's own command line forgets answers that it has got
	// but not shown when the end comes.
	QueryLinger time.Duration

	HandshakeTimeout time.Duration // 10 s from connect to handshake and auth
	RequestTimeout   time.Duration // 10 s from the first to the last byte of a request
	WriteTimeout     time.Duration // 10 s to take a reply or a record
	CloseGrace       time.Duration // 1 s for replies that are under way when the server closes
}

// Limits that no one needs to set.
const (
	maxHeader         = 4096     // bytes of a request header
	maxEarlyRequest   = 64 << 10 // bytes of a body before authentication
	maxPendingQueries = 1024     // query events that one client can still answer
)

func (c ServerConfig) withDefaults() ServerConfig {
	setDefault(&c.MaxClients, 1024)
	setDefault(&c.MaxStreams, 64)
	setDefault(&c.MaxRequest, 1<<20)
	setDefault(&c.MaxQueryRecords, 16384)
	setDefault(&c.QueryLinger, 10*time.Millisecond)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.RequestTimeout, 10*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.CloseGrace, time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// ServerStats count what a server saw since its start.
type ServerStats struct {
	Clients     int    // connected now
	Accepted    uint64 // connections
	Evicted     uint64 // connections that made room for others
	Commands    uint64
	BadRequests uint64 // requests that could not be read or decoded
	Forbidden   uint64 // commands that the client's token is not good for
	LostStreams uint64 // streams ended because the reader was too slow
}

// Server serves a Backend to any number of clients. Each client's commands are
// served in order; clients do not wait for one another.
type Server struct {
	cfg     ServerConfig
	backend Backend
	authSum [sha256.Size]byte
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // the clients' goroutines

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	clients   map[*serverConn]struct{}
	seats     *access.Seats
	closed    bool

	accepted                           atomic.Uint64
	commands, badRequests, lostStreams atomic.Uint64
	refusedCommands                    atomic.Uint64
}

// NewServer returns a server that serves nothing yet. It copies cfg.
func NewServer(cfg ServerConfig, b Backend) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	cfg = cfg.withDefaults()
	return &Server{
		cfg:       cfg,
		seats:     access.NewSeats(cfg.MaxClients),
		backend:   b,
		authSum:   sha256.Sum256([]byte(cfg.AuthKey)),
		ctx:       ctx,
		cancel:    cancel,
		listeners: make(map[net.Listener]struct{}),
		clients:   make(map[*serverConn]struct{}),
	}
}

// Serve accepts clients until Close and then returns ErrServerClosed. It closes
// l. A failing accept (too many open files) is retried, not an end.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.track(l) {
		return ErrServerClosed
	}
	pause := 5 * time.Millisecond
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			s.ServeConn(conn)
			continue
		}
		if s.ctx.Err() != nil {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.cfg.Logger.Error("agent.ipc: Failed to accept client", "err", err)
		select {
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		case <-s.ctx.Done():
			return ErrServerClosed
		}
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.listeners[l] = struct{}{}
	}
	return !s.closed
}

// ServeConn serves one connection that is already there; it returns at once.
// The connection belongs to the server from now on.
func (s *Server) ServeConn(conn net.Conn) {
	c := newServerConn(s, conn)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		c.abort()
		return
	}
	s.clients[c] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	c.seat = s.seats.Take(conn.RemoteAddr(), c.giveWay)
	c.presented(*c.grant.Load())
	s.accepted.Add(1)
	s.cfg.Logger.Info("agent.ipc: Accepted client", "client", c.name)
	go func() {
		defer s.wg.Done()
		c.serve()
		c.seat.Free()
		s.mu.Lock()
		delete(s.clients, c)
		s.mu.Unlock()
	}()
}

// Close ends the server: no new clients, the streams end, calls of the backend
// get their context cancelled. Replies that are under way have CloseGrace to
// get out, so that the answer to leave arrives. Close does not wait for ever on
// a backend that does not return, and may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	for l := range s.listeners { // order-free: all are closed
		l.Close()
	}
	clear(s.listeners)
	for c := range s.clients { // order-free: all are told
		c.finish()
	}
	s.mu.Unlock()

	if s.wait() {
		return nil
	}
	s.mu.Lock()
	for c := range s.clients { // order-free: all are closed
		closeNow(c.conn)
	}
	s.mu.Unlock()
	s.wait()
	return nil
}

// wait waits up to CloseGrace for the clients' goroutines.
func (s *Server) wait() bool {
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	timer := time.NewTimer(s.cfg.CloseGrace)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	return ServerStats{
		Clients:     s.seats.Len(),
		Accepted:    s.accepted.Load(),
		Evicted:     s.seats.Evicted(),
		Commands:    s.commands.Load(),
		BadRequests: s.badRequests.Load(),
		Forbidden:   s.refusedCommands.Load(),
		LostStreams: s.lostStreams.Load(),
	}
}
