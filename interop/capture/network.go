package main

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A record is one packet, or one direction of a stream, as it was sent.
type record struct {
	kind     string // "packet", "stream" (from who opened it), "reply"
	from, to string
	bytes    []byte
}

// network joins transports and notes what goes over it.
type network struct {
	mu    sync.Mutex
	nodes map[string]*transport // by address
	log   []*record
	cut   map[[2]string]bool // packets from one address to another that are lost
	ours  map[string]bool    // real addresses that nodes of this process dialled from
}

func newNetwork() *network {
	return &network{nodes: map[string]*transport{}, cut: map[[2]string]bool{}, ours: map[string]bool{}}
}

func (n *network) records() []*record {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log
}

func (n *network) note(kind, from, to string, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, &record{kind, from, to, bytes.Clone(b)})
}

// lose makes packets between two addresses disappear in both directions.
func (n *network) lose(a, b string, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = lost, lost
}

func (n *network) own(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ours[addr] = true
}

func (n *network) owns(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ours[addr]
}

func (n *network) peer(from, to string) (t *transport, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[to], n.cut[[2]string{from, to}]
}

// transport is a memberlist.Transport on a network.
type transport struct {
	net     *network
	ip      net.IP // as the node announces it: 4 or 16 bytes
	addr    string
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n *network) transport(ip net.IP) *transport {
	t := &transport{net: n, ip: ip, addr: fmt.Sprint(&net.TCPAddr{IP: ip, Port: port}),
		packets: make(chan *memberlist.Packet, 1024), streams: make(chan net.Conn, 64)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[t.addr] = t
	return t
}

// remove takes the node off the network, as a crash does.
func (n *network) remove(t *transport) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.nodes, t.addr)
}

const port = 7946

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return t.ip, port, nil }
func (t *transport) PacketCh() <-chan *memberlist.Packet                 { return t.packets }
func (t *transport) StreamCh() <-chan net.Conn                           { return t.streams }
func (t *transport) Shutdown() error                                     { t.net.remove(t); return nil }

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	t.net.note("packet", t.addr, addr, b)
	now := time.Now()
	if peer, lost := t.net.peer(t.addr, addr); peer != nil && !lost {
		from, err := net.ResolveUDPAddr("udp", t.addr)
		if err != nil {
			return now, err
		}
		select {
		case peer.packets <- &memberlist.Packet{Buf: bytes.Clone(b), From: from, Timestamp: now}:
		default: // a full socket loses packets too
		}
	}
	return now, nil
}

func (t *transport) DialTimeout(addr string, _ time.Duration) (net.Conn, error) {
	peer, lost := t.net.peer(t.addr, addr)
	if peer == nil || lost {
		return nil, fmt.Errorf("no route to %s", addr)
	}
	ours, theirs := net.Pipe()
	dialer := &tap{Conn: ours, net: t.net, kind: "stream", from: t.addr, to: addr}
	acceptor := &tap{Conn: theirs, net: t.net, kind: "reply", from: addr, to: t.addr}
	peer.streams <- acceptor
	return dialer, nil
}

// tap notes what is written to one end of a stream when that end is closed.
type tap struct {
	net.Conn
	net      *network
	kind     string
	from, to string
	mu       sync.Mutex
	written  []byte
	closed   bool
}

func (c *tap) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	c.written = append(c.written, b[:n]...)
	c.mu.Unlock()
	return n, err
}

func (c *tap) Close() error {
	c.mu.Lock()
	if !c.closed && len(c.written) > 0 {
		c.net.note(c.kind, c.from, c.to, c.written)
	}
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}

// RemoteAddr is what memberlist prints and checks; a pipe has none of use.
func (c *tap) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", c.to)
	if err != nil {
		return c.Conn.RemoteAddr()
	}
	return a
}
