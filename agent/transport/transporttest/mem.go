package transporttest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport"
)

// MemNet is a network in memory: the twin of the sockets for tests. All of its
// waiting is on channels and timers, so that it runs under testing/synctest.
type MemNet struct {
	// Delay is how long a packet or a connect takes.
	Delay time.Duration
	// Drop, if not nil, says which packets and connects are lost. Set it before use.
	Drop func(from, to netip.AddrPort) bool

	mu    sync.Mutex
	nodes map[netip.AddrPort]*memTransport
	ports uint16
}

// NewMemNet returns a network of no nodes.
func NewMemNet() *MemNet {
	return &MemNet{nodes: make(map[netip.AddrPort]*memTransport), ports: 49152}
}

// Listen is the MemNet's ListenNet.
func (n *MemNet) Listen(addr netip.AddrPort) (transport.Transport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		n.ports++
		addr = netip.AddrPortFrom(addr.Addr(), n.ports)
	}
	if n.nodes[addr] != nil {
		return nil, fmt.Errorf("listen %v: %w", addr, syscall.EADDRINUSE)
	}
	t := &memTransport{
		net: n, addr: addr,
		packets: make(chan memPacket, 1024),
		conns:   make(chan net.Conn, 128),
		done:    make(chan struct{}),
	}
	n.nodes[addr] = t
	return t, nil
}

func (n *MemNet) node(addr netip.AddrPort) *memTransport {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[addr]
}

func (n *MemNet) lost(from, to netip.AddrPort) bool {
	return n.Drop != nil && n.Drop(from, to)
}

type memPacket struct {
	data []byte
	from netip.AddrPort
}

type memTransport struct {
	net     *MemNet
	addr    netip.AddrPort
	packets chan memPacket
	conns   chan net.Conn
	done    chan struct{}

	mu        sync.Mutex
	listening bool
	closed    bool
}

func (t *memTransport) Addr() netip.AddrPort { return t.addr }

// OnRefused has no use here: packets to nobody are just lost.
func (t *memTransport) OnRefused(func(netip.AddrPort)) {}

func (t *memTransport) Pending() bool { return len(t.packets) > 0 }

func (t *memTransport) ReadPackets(into []transport.Datagram) (int, error) {
	select {
	case p := <-t.packets:
		d := &into[0]
		d.Data, d.Addr = d.Data[:copy(d.Data[:cap(d.Data)], p.data)], p.from
		return 1, nil
	case <-t.done:
		return 0, net.ErrClosed
	}
}

func (t *memTransport) WritePackets(packets []transport.Datagram) (int, error) {
	for i := range packets {
		t.write(packets[i].Data, packets[i].Addr)
	}
	return len(packets), nil
}

func (t *memTransport) write(b []byte, to netip.AddrPort) {
	if t.net.lost(t.addr, to) {
		return
	}
	p := memPacket{data: append([]byte(nil), b...), from: t.addr}
	deliver := func() {
		other := t.net.node(to)
		if other == nil {
			return
		}
		select {
		case other.packets <- p:
		default: // a full socket buffer loses packets too
		}
	}
	if t.net.Delay == 0 {
		deliver()
	} else {
		time.AfterFunc(t.net.Delay, deliver)
	}
}

func (t *memTransport) Listen() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listening = true
	return nil
}

func (t *memTransport) Accept() (net.Conn, error) {
	select {
	case c := <-t.conns:
		return c, nil
	case <-t.done:
		return nil, net.ErrClosed
	}
}

func (t *memTransport) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, fmt.Errorf("dial tcp %v: %w", to, err)
	}
	if t.net.lost(t.addr, to) {
		<-ctx.Done()
		return fail(ctx.Err())
	}
	select {
	case <-time.After(max(t.net.Delay, 1)):
	case <-ctx.Done():
		return fail(ctx.Err())
	}
	other := t.net.node(to)
	if other == nil || !other.accepts() {
		return fail(syscall.ECONNREFUSED)
	}
	near, far := net.Pipe()
	select {
	case other.conns <- memConn{far, t.addr}:
		return memConn{near, to}, nil
	default:
		return fail(syscall.ECONNREFUSED)
	}
}

func (t *memTransport) accepts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.listening
}

func (t *memTransport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	t.listening = false
	close(t.done)
	t.net.mu.Lock()
	delete(t.net.nodes, t.addr)
	t.net.mu.Unlock()
	for {
		select {
		case c := <-t.conns:
			c.Close()
		default:
			return nil
		}
	}
}

// memConn is one end of a pipe that says who is at the other.
type memConn struct {
	net.Conn
	remote netip.AddrPort
}

func (c memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
