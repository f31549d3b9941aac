package dispatch

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// conn is one connection to a Groonga server, for one request at a time.
type conn struct {
	net.Conn
	in   *bufio.Reader
	out  []byte // the request being built
	used bool   // it has carried a request before: the server may have closed it since
}

// pool are the idle connections of one server. The last used is the first to be
// used again, so that those that a burst made grow old.
type pool struct {
	addr    string
	timeout time.Duration
	waits   bool // open may take a while
	open    func(addr string, timeout time.Duration) (net.Conn, error)

	mu   sync.Mutex
	idle []*conn
}

// get takes an idle connection; nil if there is none.
func (p *pool) get() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// put gives a connection back.
func (p *pool) put(c *conn) {
	c.used = true
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

// drop closes all idle connections: the server that they led to is gone.
func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.end()
	}
}

// dial makes a connection, or begins one that its first write waits for. It ends
// early when stop is closed.
func (p *pool) dial(stop <-chan struct{}) (*conn, error) {
	if !p.waits {
		return fresh(p.open(p.addr, p.timeout))
	}
	type result struct {
		c   net.Conn
		err error
	}
	made := make(chan result, 1)
	go func() {
		c, err := p.open(p.addr, p.timeout)
		made <- result{c, err}
	}()
	select {
	case r := <-made:
		return fresh(r.c, r.err)
	case <-stop:
		go func() {
			if r := <-made; r.c != nil {
				r.c.Close()
			}
		}()
		return nil, errInterrupted
	}
}

// spare are the buffers of connections that have ended: there may be one a request.
var spare = sync.Pool{New: func() any { return &conn{in: bufio.NewReaderSize(nil, 16<<10)} }}

// fresh gives a new connection its buffers.
func fresh(nc net.Conn, err error) (*conn, error) {
	if err != nil {
		return nil, err
	}
	c := spare.Get().(*conn)
	c.Conn, c.used = nc, false
	c.in.Reset(nc)
	return c, nil
}

// end closes the connection and gives its buffers back. It is called once, by the one
// who has the connection.
func (c *conn) end() {
	c.Close()
	c.Conn = nil
	c.in.Reset(nil)
	spare.Put(c)
}
