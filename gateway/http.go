package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/backup"
	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/sock"
)

// The headers between gateways.
const (
	headerPassed  = "X-Ibuki-Passed"     // a search that another gateway has passed on
	headerDataset = "X-Ibuki-Dataset"    // which dataset a command is about, also from clients
	headerStale   = "X-Ibuki-Stale"      // in an answer: it may lack writes of the last so many seconds
	headerRequest = "X-Ibuki-Request-Id" // a client's own id of a write: it is done once however often it is sent
	headerFault   = "X-Ibuki-Fault"      // in an answer: no server's, but this fault
)

// Config are the settings of a Server. Zero means the default.
type Config struct {
	Doer dispatch.Doer // needed
	// WriteLog answers the gateways that share the log of writes; nil: there is no such log.
	WriteLog func(ctx context.Context, request []byte) (reply []byte, err error)
	// Compare compares the servers: see dispatch.Dispatcher. nil: they are not compared.
	Compare func(context.Context, dispatch.CompareRequest, func(compare.Progress)) ([]dispatch.SliceComparison, error)
	// Cluster is how the servers stand, for /metrics; nil: there are no metrics.
	Cluster func() dispatch.Status
	// Fill has the servers of a node filled, and Fillings tells how they stand; nil: there is no such log.
	Fill     func(ctx context.Context, node string, discard bool) ([]*dispatch.FillTarget, error)
	Fillings func(ctx context.Context, node string) ([]*dispatch.FillTarget, error)
	// Backups takes backups; nil: there is no such log. Version is the program's, for their manifests.
	Backups Backups
	Version string
	// Operator changes the cluster; nil: it cannot be changed. Guard has the tokens that it takes; nil: only this
	// machine may.
	Operator Operator
	Guard    *access.Guard
	// Status is what /status shows, as JSON; needed.
	Status func() any

	MaxConns  int // clients at a time: 10,000; beyond it another one gives way: see access.Seats
	MaxBody   int // bytes of a body that is no load, or says that it is a form: 64 MiB
	MaxRecord int // bytes of one record of a load: 16 MiB
	MaxChunk  int // bytes of records that are loaded in one step; a larger load is taken in several: 1 MiB
	// IdleTimeout is how long a client may keep a connection without a request: 2 min.
	IdleTimeout time.Duration

	Log *slog.Logger // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	number := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	number(&c.MaxConns, 10000)
	number(&c.MaxBody, 64<<20)
	number(&c.MaxRecord, 16<<20)
	number(&c.MaxChunk, 1<<20)
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 2 * time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server speaks Groonga's HTTP interface.
type Server struct {
	cfg   Config
	http  *fasthttp.Server
	seats *access.Seats

	mu       sync.Mutex
	listener net.Listener // what Serve was given
	stopped  bool
	streams  map[net.Conn]bool // of other gateways
}

// NewServer makes a Server.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), streams: make(map[net.Conn]bool)}
	s.seats = access.NewSeats(s.cfg.MaxConns)
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		Name:                         "ibuki",
		Concurrency:                  2 * s.cfg.MaxConns, // with those that gave way, and have not ended yet
		IdleTimeout:                  s.cfg.IdleTimeout,
		ReadBufferSize:               maxHead,
		ErrorHandler:                 s.unreadable,
		ConnState:                    noteIdle,
		MaxRequestBodySize:           s.cfg.MaxChunk,
		StreamRequestBody:            true, // what is longer than that is taken as it comes
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		Logger:                       quiet{},
	}
	return s
}

// quiet drops what the library would print: it is about single bad clients.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Serve answers clients until Stop is called. It closes l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return l.Close()
	}
	err := s.http.Serve(longHeads{s.seats.Listen(sock.Cheap(l))})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	return err
}

// Stop takes no more commands and waits for those under way, until ctx ends. What is
// under way then is ended by whoever ends the Doer.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	l := s.listener
	for conn := range s.streams { // order-free: all are ended
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	err := s.http.ShutdownWithContext(ctx)
	if l != nil {
		_ = l.Close() // the library does not know it yet, if Serve has only just begun
	}
	return err
}

// handle routes one request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	seat := seatOf(ctx)
	seat.Begin()
	defer seat.End()
	// Nearly all are commands: of those the library need not take the path apart.
	if bytes.HasPrefix(ctx.RequestURI(), []byte("/d/")) {
		s.command(ctx)
		return
	}
	path := ctx.Path()
	switch {
	case bytes.HasPrefix(path, []byte("/d/")):
		s.command(ctx)
	case string(path) == "/status":
		s.json(ctx, s.cfg.Status())
	case string(path) == FillPath && s.cfg.Fill != nil:
		s.fill(ctx)
	case string(path) == CatalogPath && s.cfg.Operator != nil:
		s.catalog(ctx)
	case string(path) == DrainPath && s.cfg.Operator != nil:
		s.drain(ctx)
	case string(path) == logPath && s.cfg.WriteLog != nil:
		s.logRequest(ctx)
	case string(path) == "/metrics" && s.cfg.Cluster != nil:
		status := s.cfg.Cluster()
		ctx.SetContentType(metricsType)
		ctx.SetBodyString(metrics(&status))
	case string(path) == ComparePath && s.cfg.Compare != nil:
		s.compare(ctx)
	case string(path) == backup.Path && s.cfg.Backups != nil:
		s.backup(ctx)
	case string(path) == streamPath && s.cfg.WriteLog != nil:
		s.logStream(ctx)
	case string(path) == "/":
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString("This is ibuki's gateway before Groonga servers: commands are at /d/COMMAND, how it stands at /status.\nThe dashboard is the agent's (ibuki agent -http=ADDR); Groonga's own page is at each server.\n")
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		ctx.SetContentType("text/plain")
		ctx.SetBodyString("not found: there are /d/COMMAND and /status\n")
	}
}

// seatOf is the seat of a request's connection.
func seatOf(ctx *fasthttp.RequestCtx) *access.Seat {
	conn := ctx.Conn()
	if h, ok := conn.(*headConn); ok {
		conn = h.Conn
	}
	return access.SeatOf(conn)
}

func (s *Server) json(ctx *fasthttp.RequestCtx, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(text, '\n'))
}

// command answers /d/COMMAND.
func (s *Server) command(ctx *fasthttp.RequestCtx) {
	start := time.Now()
	if !ctx.IsGet() && !ctx.IsPost() && !ctx.IsHead() {
		s.fault(ctx, start, groonga.Form{}, fmt.Errorf("%w: HTTP method %.20q", groonga.ErrBadCommand, ctx.Method()))
		return
	}
	c, err := groonga.ParseURI(string(ctx.RequestURI()))
	if err != nil {
		s.fault(ctx, start, groonga.Form{}, err)
		return
	}
	header := &ctx.Request.Header
	c.Dataset = string(header.Peek(headerDataset))
	c.Forwarded = len(header.Peek(headerPassed)) > 0
	if id := header.Peek(headerRequest); len(id) > 0 && s.cfg.WriteLog != nil {
		c.ID = string(id)
	}
	answer, err := s.do(ctx, c)
	if err != nil {
		form := c.Form()
		if c.Forwarded {
			form = groonga.Form{} // for the other gateway to read
		}
		s.fault(ctx, start, form, err)
		return
	}
	if answer.Stale > 0 {
		ctx.Response.Header.Set(headerStale, strconv.FormatFloat(answer.Stale.Seconds(), 'f', 3, 64))
	}
	ctx.SetStatusCode(answer.Status)
	ctx.SetContentType(answer.ContentType)
	ctx.Response.SetBodyRaw(answer.Body)
}

// do has a command done. What is posted to a load are its records, or they are its
// arguments, as of every other command: what else a body might be to Groonga, commands
// among it, goes no further.
func (s *Server) do(ctx *fasthttp.RequestCtx, c *groonga.Command) (groonga.Answer, error) {
	var body io.Reader
	if ctx.IsPost() {
		var err error
		if body, err = s.body(ctx, c); err != nil {
			return groonga.Answer{}, err
		}
	}
	if c.Name == "load" && c.Form().Understood() {
		records, ok, err := s.records(c, body)
		if err != nil {
			return groonga.Answer{}, err
		}
		if ok {
			return s.loaded(c, records, body != nil)
		}
	}
	return s.cfg.Doer.Do(context.Background(), c)
}

// loaded does a load. Whatever form the client wants, servers are asked in one that can be
// added up.
func (s *Server) loaded(c *groonga.Command, records io.Reader, posted bool) (groonga.Answer, error) {
	result, err := s.load(c.Asked(), records)
	if err != nil {
		return groonga.Answer{}, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(records, drained)) // a client may still be sending
	form := c.Form()
	if posted {
		form.Callback = "" // as Groonga: findings/groonga-load-callback.sh
	}
	return result.Answer(form), nil
}

// drained is how much is read of a body behind the records.
const drained = 1 << 20

// formType is the type of a body of arguments.
const formType = "application/x-www-form-urlencoded"

// body takes what a client has posted: arguments, or the records of a load, which it
// returns. nil: there are none.
func (s *Server) body(ctx *fasthttp.RequestCtx, c *groonga.Command) (io.Reader, error) {
	var in io.Reader
	if ctx.Request.IsBodyStream() {
		in = ctx.RequestBodyStream()
	} else {
		in = bytes.NewReader(ctx.Request.Body())
	}
	form := bytes.HasPrefix(ctx.Request.Header.ContentType(), []byte(formType))
	if c.Name == "load" {
		if !form {
			return in, nil
		}
		// curl says that it is a form of whatever it posts.
		text := bufio.NewReader(in)
		if b, err := firstByte(text); err == nil && (b == '[' || b == '{') {
			return text, nil
		}
		in = text
	}
	text, err := s.all(in)
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(text)) == 0:
		return nil, nil
	case !form:
		return nil, fmt.Errorf("%w: %s has no body; only load has", groonga.ErrBadCommand, c.Name)
	}
	return nil, c.ParseForm(string(text))
}

// firstByte is the first one that is no space; those before it are read.
func firstByte(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, in.UnreadByte()
		}
	}
}

// all reads a body that is short.
func (s *Server) all(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, int64(s.cfg.MaxBody)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: body: %v", groonga.ErrBadCommand, err)
	}
	if len(text) > s.cfg.MaxBody {
		return nil, fmt.Errorf("%w: body of more than %d bytes", groonga.ErrTooLong, s.cfg.MaxBody)
	}
	return text, nil
}

// fault tells what is wrong in Groonga's form, of those the one that the client wants.
func (s *Server) fault(ctx *fasthttp.RequestCtx, start time.Time, form groonga.Form, err error) {
	f := faultOf(err)
	if f.code == codeUnknown && !errors.Is(err, context.Canceled) {
		s.cfg.Log.Warn("command failed", "path", string(ctx.Path()), "error", err)
	}
	if form.Type == "" || !form.Understood() {
		form = groonga.Form{Version: 1, Type: "json"}
	}
	kind, body := form.Write(groonga.Header{
		Code: f.code, Fault: &groonga.Fault{Message: err.Error()},
		Start:   strconv.FormatFloat(float64(start.UnixMicro())/1e6, 'f', 6, 64),
		Elapsed: strconv.FormatFloat(time.Since(start).Seconds(), 'f', 9, 64),
	}, nil)
	ctx.SetStatusCode(f.status)
	ctx.SetContentType(kind)
	ctx.Response.Header.Set(headerFault, f.name)
	ctx.Response.SetBodyRaw(body)
	if ctx.Request.IsBodyStream() {
		ctx.SetConnectionClose() // the rest of the body was not read
	}
}

// unreadable tells a client whose request the library could not read.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	var form groonga.Form
	if errors.As(err, &small) {
		if c, ok := ctx.Conn().(*headConn); ok {
			form = c.form()
		}
		err = fmt.Errorf("%w: a request line and headers of more than %d bytes; send the arguments as a form by POST", groonga.ErrTooLong, maxLongHead)
	} else {
		err = fmt.Errorf("%w: %v", groonga.ErrBadCommand, err)
	}
	s.fault(ctx, time.Now(), form, err)
	ctx.SetConnectionClose()
	// What is not read resets the connection, and the client does not get the answer.
	if conn := ctx.Conn(); conn != nil && conn.SetReadDeadline(time.Now().Add(drainFor)) == nil {
		_, _ = io.CopyN(io.Discard, conn, drained)
	}
}

// drainFor is how long the rest of a request that cannot be read is waited for.
const drainFor = 200 * time.Millisecond

// maxHead is how long the head of a request may be, but for longHeads. Each connection has a
// buffer of that size.
const maxHead = 32 << 10
