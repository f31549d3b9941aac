// Package transport carries packets and streams between nodes: over UDP and TCP sockets
// (ListenNet), and in package transporttest in memory. It knows addresses and bytes, and
// nothing of the protocol.
package transport

import (
	"context"
	"net"
	"net/netip"
)

// Transport carries packets and streams for one node. The agent reads and
// writes packets from one goroutine each and accepts from one; Dial is called
// concurrently. Close ends all of them.
type Transport interface {
	// Addr is the address that packets and streams are received at. Its port is
	// the one in use even if port 0 was asked for.
	Addr() netip.AddrPort
	// ReadPackets waits for packets and puts those that are there into the first n of into:
	// each into a Data, up to its capacity. Without an error n is at least 1.
	ReadPackets(into []Datagram) (n int, err error)
	// WritePackets sends packets in their order and returns how many it did. It may send
	// fewer than all without an error, but then at least one; an error is about
	// packets[n]. It keeps nothing of them.
	WritePackets(packets []Datagram) (n int, err error)
	// OnRefused sets what is called, from whatever goroutine, with the address of a packet
	// that was refused, as far as this host hears of that. It comes before all else.
	OnRefused(func(to netip.AddrPort))
	// Pending reports whether a packet waits to be read, as far as can be told.
	Pending() bool
	// Listen starts to accept streams. Packets are received from the beginning.
	Listen() error
	// Accept waits for a stream that somebody opened to this node.
	Accept() (net.Conn, error)
	// Dial opens a stream.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Close ends everything; calls that wait return an error.
	Close() error
}

// Datagram is a packet and where it comes from, or goes to.
type Datagram struct {
	Data []byte
	Addr netip.AddrPort
}

// MaxBatch is how many packets are read or written at a time.
const MaxBatch = 16

// MaxPacket is the largest datagram that can arrive.
const MaxPacket = 65536
