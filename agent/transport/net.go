package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// socketBuffer is what the kernel is asked to hold for us of received packets,
// in bytes: the packets of a busy moment, or of one in which this process
// did not run. memberlist asks for the same.
const socketBuffer = 2 << 20

// netTransport is the Transport over UDP and TCP sockets on one port.
type netTransport struct {
	udp     *net.UDPConn
	batch   *batcher // of udp
	addr    netip.AddrPort
	refused func(netip.AddrPort) // see OnRefused

	mu     sync.Mutex
	tcp    *net.TCPListener // nil until Listen
	closed bool
}

// ListenNet binds addr. Port 0 means any port that is free for both UDP and
// TCP; a TCP socket that was taken for that purpose accepts from then on.
func ListenNet(addr netip.AddrPort) (Transport, error) {
	if addr.Port() != 0 {
		t, err := listenUDP(addr)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	var last error
	for range 16 {
		t, err := listenUDP(addr)
		if err != nil {
			return nil, err
		}
		if last = t.Listen(); last == nil {
			return t, nil
		}
		t.Close()
	}
	return nil, last
}

func listenUDP(addr netip.AddrPort) (*netTransport, error) {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("failed to start UDP listener on %q port %d: %w", addr.Addr(), addr.Port(), err)
	}
	// The kernel may allow less; fewer packets then survive a burst, no more.
	_ = udp.SetReadBuffer(socketBuffer)
	wantErrors(udp)
	batch, err := newBatcher(udp)
	if err != nil {
		udp.Close()
		return nil, err
	}
	port := udp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	return &netTransport{udp: udp, batch: batch, addr: netip.AddrPortFrom(addr.Addr(), port)}, nil
}

func (t *netTransport) Addr() netip.AddrPort { return t.addr }

func (t *netTransport) ReadPackets(into []Datagram) (int, error) {
	n, err := t.batch.read(into)
	for aboutEarlier(err) {
		t.noteRefused()
		n, err = t.batch.read(into)
	}
	for i := range n {
		into[i].Addr = PlainAddr(into[i].Addr)
	}
	return n, err
}

func (t *netTransport) WritePackets(packets []Datagram) (int, error) {
	n, err := t.write(packets)
	if aboutEarlier(err) { // that other packet's error is gone now, ours would come again
		t.noteRefused()
		n, err = t.write(packets)
	}
	if err == nil && n < len(packets) { // an error ended it that the kernel does not tell of then
		t.noteRefused()
	}
	return n, err
}

// write sends what can go with one call: packets up to the first whose address the
// call has no form for, and that one alone.
func (t *netTransport) write(packets []Datagram) (int, error) {
	n := 0
	for n < len(packets) && t.batch.fits(packets[n].Addr) {
		n++
	}
	if n > 0 {
		return t.batch.write(packets[:n])
	}
	if _, err := t.udp.WriteToUDPAddrPort(packets[0].Data, packets[0].Addr); err != nil {
		return 0, err
	}
	return 1, nil
}

// OnRefused sets what is called with the address of a packet that the kernel
// heard to have been refused. It is called before the agent reads or writes.
func (t *netTransport) OnRefused(f func(netip.AddrPort)) { t.refused = f }

func (t *netTransport) noteRefused() {
	takeErrors(t.udp, func(to netip.AddrPort) {
		if t.refused != nil {
			t.refused(to)
		}
	})
}

func (t *netTransport) Pending() bool { return packetWaits(t.udp) }

func (t *netTransport) Listen() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	if t.tcp != nil {
		return nil
	}
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(t.addr))
	if err != nil {
		return fmt.Errorf("failed to start TCP listener on %q port %d: %w", t.addr.Addr(), t.addr.Port(), err)
	}
	t.tcp = tcp
	return nil
}

var errNotListening = errors.New("not listening yet")

func (t *netTransport) Accept() (net.Conn, error) {
	t.mu.Lock()
	tcp := t.tcp
	t.mu.Unlock()
	if tcp == nil {
		return nil, errNotListening
	}
	return tcp.Accept()
}

func (t *netTransport) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to.String())
}

func (t *netTransport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	err := t.udp.Close()
	if t.tcp != nil {
		err = errors.Join(err, t.tcp.Close())
	}
	return err
}

// PlainAddr turns the IPv6 form of an IPv4 address, which a socket bound to
// all addresses reports, into the IPv4 address that members announce.
func PlainAddr(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}
