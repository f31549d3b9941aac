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
		c.Close()
	}
}

// dial makes a connection. It ends early when stop is closed.
func (p *pool) dial(stop <-chan struct{}) (*conn, error) {
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
		if r.err != nil {
			return nil, r.err
		}
		return &conn{Conn: r.c, in: bufio.NewReaderSize(r.c, 16<<10)}, nil
	case <-stop:
		go func() {
			if r := <-made; r.c != nil {
				r.c.Close()
			}
		}()
		return nil, errInterrupted
	}
}
