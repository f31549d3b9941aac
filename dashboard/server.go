package dashboard

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/access"
)

// Config are the settings of a Server. Zero means the default.
type Config struct {
	// Agent is the agent. Required.
	Agent Agent
	// Guard says who may do what. nil: everybody may read, nobody may send.
	Guard *access.Guard
	// Hosts are the names by which clients ask for the agent, beside its addresses and
	// localhost, which go without saying. Whoever presents a token of letters may use any.
	Hosts []string
	// Name is the agent's node, Version the program's.
	Name, Version string
	// TLS is for serving over TLS; nil: plainly.
	TLS *tls.Config
	// Figures are what /metrics tells beside what the API knows itself. nil: nothing.
	Figures func() []Figure
	// Why explains a member, as a value for JSON: by what this agent has seen, or by what
	// all members have, if all. nil: it cannot be told.
	Why func(ctx context.Context, node string, all bool) (any, error)
	// Gateway is HOST:PORT of the gateway whose /status is shown. "": there is none.
	Gateway string
	// Logger gets who was refused, once a minute each. nil: nobody.
	Logger *slog.Logger

	// MaxConns is how many connections there may be: 1024. Beyond it, and beyond MaxStreams,
	// another client gives way: see access.Seats.
	MaxConns int
	// MaxStreams is how many clients of /v1/stream there may be: 512.
	MaxStreams int
	// MaxQueries is how many queries may be waited for at once: 32.
	MaxQueries int
	// Patience is how long one write may take that a client does not read: 10 s.
	Patience time.Duration
	// HeaderPatience and BodyPatience are how long a client may take to say what it wants,
	// from its first byte to the end of the header, and to the end of the request: 5 s, 15 s.
	HeaderPatience, BodyPatience time.Duration
}

// The limits that cannot be set.
const (
	maxBody        = 64 << 10 // bytes of a request's body
	maxHeader      = 16 << 10
	answerPatience = 30 * time.Second
	idlePatience   = 2 * time.Minute
)

// Server serves the API of one agent.
type Server struct {
	cfg       Config
	agent     Agent
	epoch     string // of this process, for the numbers of records
	begun     time.Time
	journal   *journal
	histories histories
	refusals  refusals
	coords    coordCache
	meters    meters
	http      *http.Server
	cross     *http.CrossOriginProtection
	seats     *access.Seats // connections
	streams   *access.Seats // those of them that read the stream
	queries   chan struct{} // one for each query
	whys      chan struct{} // one for each question to all members
	beside    gatewayCache

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns a server that follows the agent and serves nobody yet.
func New(cfg Config) *Server {
	def := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&cfg.MaxConns, 1024)
	def(&cfg.MaxStreams, 512)
	def(&cfg.MaxQueries, 32)
	patience := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	patience(&cfg.Patience, 10*time.Second)
	patience(&cfg.HeaderPatience, 5*time.Second)
	patience(&cfg.BodyPatience, 15*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, agent: cfg.Agent, begun: time.Now(), journal: newJournal(),
		seats: access.NewSeats(cfg.MaxConns), streams: access.NewSeats(cfg.MaxStreams), queries: make(chan struct{}, cfg.MaxQueries)}
	s.cross = http.NewCrossOriginProtection()
	s.epoch = epochOf(s.begun)
	s.histories.nodes = make(map[string]*past)
	s.whys = make(chan struct{}, maxWhys)
	s.beside.init(cfg.Gateway)
	s.meters.init(s)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: cfg.HeaderPatience,
		ReadTimeout:       cfg.BodyPatience,
		WriteTimeout:      answerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, seatKey{}, access.SeatOf(c))
		},
	}
	s.wg.Go(func() { s.follow(s.ctx) })
	return s
}

// Serve serves on l until Close, which closes it.
func (s *Server) Serve(l net.Listener) error {
	// TLS comes on top: net/http looks whether a connection is of that kind.
	l = s.seats.Listen(shrinking{l})
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	err := s.http.Serve(l)
	if err == http.ErrServerClosed {
		return nil
	}
	return err
}

// Close ends all connections, streams too, and returns when nothing runs any more.
func (s *Server) Close() {
	s.cancel()
	s.http.Close()
	s.wg.Wait()
	s.beside.close()
}

// seatKey is where the context of a request has the client's seat.
type seatKey struct{}

// seatOf is the seat of the client that sent a request.
func seatOf(r *http.Request) *access.Seat {
	seat, _ := r.Context().Value(seatKey{}).(*access.Seat)
	return seat
}

// addrOf is the address that a request came from.
func addrOf(r *http.Request) net.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return &net.UnixAddr{}
	}
	return net.TCPAddrFromAddrPort(from)
}

// writeBuffer is what the system keeps for a client that does not read, in bytes. It
// would make it megabytes by itself.
const writeBuffer = 128 << 10

// shrinking is a listener whose connections keep no more than that.
type shrinking struct{ net.Listener }

// Accept implements net.Listener.
func (l shrinking) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(interface{ SetWriteBuffer(int) error }); ok && err == nil {
		_ = t.SetWriteBuffer(writeBuffer) // if not, it is what the system makes it
	}
	return c, err
}
