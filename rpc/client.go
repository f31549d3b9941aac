package rpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ibuki-dev/ibuki/access"
)

// Errors of a client.
var (
	// ErrClientClosed: the connection is gone, by Close or by the agent's end.
	// The text is the one of Serf's own client.
	ErrClientClosed = errors.New("client closed")
	// ErrBadReply: what answered does not speak the protocol.
	ErrBadReply = errors.New("rpc: bad reply")
	// ErrSlowReader: a stream ended because its records were not taken.
	ErrSlowReader = errors.New("rpc: stream ended: reader too slow")
)

// ClientConfig are the settings of a client. Zero means the default.
type ClientConfig struct {
	Addr    string        // host:port of the agent, or unix:PATH; "": 127.0.0.1:7373
	AuthKey string        // the key or a token's secret; "": do not authenticate
	TLS     *tls.Config   // nil: no TLS
	Timeout time.Duration // 10 s: connect with handshake and auth; each write
	// StreamBuffer is how many records of a stream may wait to be taken: 16384.
	// Memory is used only for those that do wait.
	StreamBuffer int
	MaxReply     int // 64 MiB: one reply, as encoded
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:7373"
	}
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.StreamBuffer, 16384)
	setDefault(&c.MaxReply, 64<<20)
	return c
}

// Client talks to an agent. Its methods may be called concurrently. A context
// that ends abandons the call, not the connection. An error that the agent
// replied is an Error.
type Client struct {
	cfg  ClientConfig
	conn net.Conn
	r    *bufio.Reader
	done chan struct{} // closed when the reader has ended

	wmu sync.Mutex // one request at a time
	w   *bufio.Writer
	enc *codec.Encoder

	mu      sync.Mutex
	seq     uint64
	calls   map[uint64]*call
	streams map[uint64]recordSink // also those that have ended: late records are skipped
	err     error                 // why the client ended
	wg      sync.WaitGroup
}

// call is a request that waits for its reply, or was given up.
type call struct {
	body  bool // the reply has one
	reply chan reply
}

type reply struct {
	errText string
	body    []byte
}

func (r reply) error() error {
	if r.errText == "" {
		return nil
	}
	return Error(r.errText)
}

// Dial connects to an agent, with handshake and authentication.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	cfg = cfg.withDefaults()
	conn, err := dial(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	return NewClient(ctx, conn, cfg)
}

func dial(ctx context.Context, cfg *ClientConfig) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: cfg.Timeout}
	network, addr := "tcp", cfg.Addr
	if path, ok := access.UnixPath(addr); ok {
		network, addr = "unix", path
	}
	if cfg.TLS == nil {
		return dialer.DialContext(ctx, network, addr)
	}
	config := cfg.TLS
	if network == "unix" && config.ServerName == "" {
		config = config.Clone()
		config.ServerName = "localhost" // a socket has no name
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, addr)
}

// NewClient makes a client of a connection, with handshake and authentication.
// The connection is the client's from then on, also after an error.
func NewClient(ctx context.Context, conn net.Conn, cfg ClientConfig) (*Client, error) {
	cfg = cfg.withDefaults()
	c := &Client{
		cfg:     cfg,
		conn:    conn,
		r:       bufio.NewReader(conn),
		done:    make(chan struct{}),
		w:       bufio.NewWriter(conn),
		calls:   make(map[uint64]*call),
		streams: make(map[uint64]recordSink),
	}
	c.enc = codec.NewEncoder(c.w, handle)
	c.wg.Go(c.read)
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	err := c.do(ctx, cmdHandshake, &handshakeRequest{Version: protocolVersion}, nil)
	if err == nil && cfg.AuthKey != "" {
		err = c.do(ctx, cmdAuth, &authRequest{AuthKey: cfg.AuthKey}, nil)
	}
	if err != nil {
		c.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer to the handshake: %w", err)
		}
		return nil, err
	}
	return c, nil
}

// Close ends the client, its calls and its streams.
func (c *Client) Close() error {
	err := c.conn.Close()
	c.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Done is closed when the connection has ended, by Close or by the agent.
func (c *Client) Done() <-chan struct{} { return c.done }

// do sends a request and waits for its reply. resp is nil for a command whose
// replies have no body; with an error, resp holds what the agent sent with it.
func (c *Client) do(ctx context.Context, command string, req, resp any) error {
	cl := &call{body: resp != nil, reply: make(chan reply, 1)}
	c.mu.Lock()
	c.seq++
	seq := c.seq
	c.calls[seq] = cl
	c.mu.Unlock()
	if err := c.send(ctx, command, seq, req); err != nil {
		return err
	}
	select {
	case r := <-cl.reply:
		return r.decode(resp)
	case <-ctx.Done():
		return ctx.Err() // the entry stays: the reply has to be recognised
	case <-c.done:
	}
	select {
	case r := <-cl.reply: // the last thing that came
		return r.decode(resp)
	default:
		return c.closedError()
	}
}

func (r reply) decode(resp any) error {
	if resp != nil && r.body != nil {
		if err := decodeValue(r.body, resp); err != nil {
			return fmt.Errorf("rpc: reply: %w", err)
		}
	}
	return r.error()
}

// closedError is why the client ended.
func (c *Client) closedError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return ErrClientClosed
}

// send writes a request. A write that fails or comes too late ends the client,
// as part of the request may be out.
func (c *Client) send(ctx context.Context, command string, seq uint64, req any) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := ctx.Err(); err != nil {
		c.forget(seq)
		return err
	}
	by := time.Now().Add(c.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(by) {
		by = d
	}
	err := c.conn.SetWriteDeadline(by)
	if err == nil {
		err = c.enc.Encode(&requestHeader{Command: command, Seq: seq})
	}
	if err == nil && req != nil {
		err = c.enc.Encode(req)
	}
	if err == nil {
		err = c.w.Flush()
	}
	if err == nil {
		return nil
	}
	c.conn.Close()
	select {
	case <-c.done:
		return c.closedError()
	default:
		return err
	}
}

// forget removes a request that was never sent.
func (c *Client) forget(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, seq)
	delete(c.streams, seq)
}

// read hands out replies and records until the connection ends.
func (c *Client) read() {
	err := c.readAll()
	c.conn.Close()
	c.mu.Lock()
	var e *protocolError
	if errors.As(err, &e) {
		c.err = err
	}
	sinks := c.streams
	c.streams = map[uint64]recordSink{}
	c.mu.Unlock()
	close(c.done)
	for _, s := range sinks { // order-free: all end
		s.end(ErrClientClosed)
	}
}

// protocolError is something from the agent that is not the protocol.
type protocolError struct{ err error }

func (e *protocolError) Error() string   { return ErrBadReply.Error() + ": " + e.err.Error() }
func (e *protocolError) Unwrap() []error { return []error{ErrBadReply, e.err} }

func (c *Client) readAll() error {
	var buf []byte
	for {
		data, err := ReadValue(c.r, buf[:0], Limits{Bytes: 256 << 10, Elems: 64})
		if err != nil {
			return asProtocol(err)
		}
		buf = data
		var head responseHeader
		if err := decodeValue(data, &head); err != nil {
			return &protocolError{err}
		}
		if err := c.dispatch(head); err != nil {
			return asProtocol(err)
		}
	}
}

// asProtocol tells what the agent sent wrongly from a connection that ended.
func asProtocol(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrTooDeep) || errors.Is(err, ErrMalformed) {
		return &protocolError{err}
	}
	return err
}

// dispatch hands one reply or record to whom it belongs.
func (c *Client) dispatch(head responseHeader) error {
	c.mu.Lock()
	cl, isCall := c.calls[head.Seq]
	sink, isStream := c.streams[head.Seq]
	delete(c.calls, head.Seq)
	c.mu.Unlock()
	switch {
	case isCall:
		r := reply{errText: head.Error}
		if cl.body && !bodiless(head.Error) {
			var err error
			if r.body, err = c.readBody(); err != nil {
				return err
			}
		}
		cl.reply <- r
		return nil
	case isStream:
		body, err := c.readBody()
		if err != nil {
			return err
		}
		return sink.record(head.Error, body)
	}
	return &protocolError{fmt.Errorf("sequence number %d was not asked for", head.Seq)}
}

func (c *Client) readBody() ([]byte, error) {
	return ReadValue(c.r, nil, Limits{Bytes: c.cfg.MaxReply, Elems: c.cfg.MaxReply})
}
