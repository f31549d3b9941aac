package agent

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
	// ReadPacket waits for a packet and copies it into buf.
	ReadPacket(buf []byte) (n int, from netip.AddrPort, err error)
	// WritePacket sends one packet. It does not keep b.
	WritePacket(b []byte, to netip.AddrPort) error
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

// maxPacket is the largest datagram that can arrive.
const maxPacket = 65536
