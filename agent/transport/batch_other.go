//go:build !linux

package transport

import (
	"net"
	"net/netip"
)

// batcher is for systems that have no call for several datagrams: one at a time.
type batcher struct{ c *net.UDPConn }

func newBatcher(c *net.UDPConn) (*batcher, error) { return &batcher{c}, nil }

func (b *batcher) read(into []Datagram) (int, error) {
	d := &into[0]
	n, from, err := b.c.ReadFromUDPAddrPort(d.Data[:cap(d.Data)])
	if err != nil {
		return 0, err
	}
	d.Data, d.Addr = d.Data[:n], from
	return 1, nil
}

func (b *batcher) write(out []Datagram) (int, error) {
	if _, err := b.c.WriteToUDPAddrPort(out[0].Data, out[0].Addr); err != nil {
		return 0, err
	}
	return 1, nil
}

func (b *batcher) fits(netip.AddrPort) bool { return true }
