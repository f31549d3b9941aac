package agent

import (
	"errors"
	"net"
	"net/netip"
)

// ErrNoPrivate: the host has no address that the others can be told. The text is Serf's.
var ErrNoPrivate = errors.New("no private IP address found, and explicit IP not provided")

// privateAddr finds the address to announce when this node listens on all: a
// private one of this host, best the one that packets to far away leave from.
func privateAddr() (netip.Addr, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, err
	}
	var found []netip.Addr
	for _, iface := range ifaces {
		if iface.Flags&net.FlagUp == 0 || iface.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := iface.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				found = append(found, p.Addr().Unmap())
			}
		}
	}
	return choosePrivate(found, defaultSource())
}

// defaultSource is where packets to far away leave from; not valid if there
// is no way out. No packet is sent.
func defaultSource() netip.Addr {
	c, err := net.Dial("udp", "192.0.2.1:9") // an address for documentation
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// choosePrivate prefers source, then IPv4.
func choosePrivate(addrs []netip.Addr, source netip.Addr) (netip.Addr, error) {
	var best netip.Addr
	for _, a := range addrs {
		switch {
		case !a.IsPrivate() && !sharedNet.Contains(a):
		case a == source:
			return a, nil
		case !best.IsValid() || best.Is6() && a.Is4():
			best = a
		}
	}
	if !best.IsValid() {
		return best, ErrNoPrivate
	}
	return best, nil
}

// sharedNet is the space of carriers' own networks (RFC 6598), which Serf counts
// as private.
var sharedNet = netip.MustParsePrefix("100.64.0.0/10")
