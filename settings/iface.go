package settings

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/ibuki-dev/ibuki/agent"
)

// bindInterface narrows c.Bind to the interface that the user named, as Serf does:
// of an unspecified address it makes one of the interface's, any other must be
// one of them. The texts are Serf's.
func (o *Options) bindInterface(c *agent.Config) (told string, err error) {
	if o.Interface == "" {
		return "", nil
	}
	iface, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return "", fmt.Errorf("Invalid network interface: %w", err)
	}
	list, err := iface.Addrs()
	if err != nil {
		return "", fmt.Errorf("Failed to get interface addresses: %w", err)
	}
	bind, err := chooseInterfaceAddr(iface.Name, plainAddrs(list), c.Bind)
	if err != nil {
		return "", err
	}
	if bind != c.Bind {
		told = fmt.Sprintf("Using interface '%s' address '%s'", iface.Name, bind.Addr())
	}
	c.Bind = bind
	return told, nil
}

// plainAddrs are addresses of an interface without their masks.
func plainAddrs(list []net.Addr) (out []netip.Addr) {
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// chooseInterfaceAddr is the address to bind of those that the interface has. Where
// any address was meant, link-local ones, which others reach only by naming an
// interface of theirs, do not count; of "::" it makes an IPv6 address.
func chooseInterfaceAddr(name string, addrs []netip.Addr, bind netip.AddrPort) (netip.AddrPort, error) {
	if len(addrs) == 0 {
		return bind, fmt.Errorf("Interface '%s' has no addresses", name)
	}
	want := bind.Addr()
	for _, a := range addrs {
		switch {
		case !want.IsUnspecified():
			if a == want.WithZone("") {
				return bind, nil
			}
		case a.IsLinkLocalUnicast() || want.Is6() && a.Is4():
		default:
			return netip.AddrPortFrom(a, bind.Port()), nil
		}
	}
	if want.IsUnspecified() {
		return bind, fmt.Errorf("Failed to find usable address for interface '%s'", name)
	}
	return bind, fmt.Errorf("Interface '%s' has no '%s' address", name, want)
}

// mdns fills in what discovery needs. The first four texts are Serf's.
func (o *Options) mdns(c *agent.Config) error {
	m := o.MDNS
	switch {
	case o.Discover == "" && m.Interface != "":
		return errors.New("mDNS interface specified without enabling mDNS discovery")
	case o.Discover == "":
		return nil
	case m.DisableIPv4 && m.DisableIPv6:
		return errors.New("Invalid mDNS configuration: both IPv4 and IPv6 are disabled")
	}
	if m.Interface != "" {
		if _, err := net.InterfaceByName(m.Interface); err != nil {
			return fmt.Errorf("Invalid mDNS network interface: %w", err)
		}
	} else {
		m.Interface = o.Interface
	}
	if service := agent.DiscoveryService(o.Discover); !dnsName(service + ".local") {
		return fmt.Errorf("Invalid mDNS discovery name: %q is too long for DNS, or has an empty part", o.Discover)
	} else if !dnsName(c.Name + "." + service + ".local") {
		return fmt.Errorf("Node name '%s' cannot be announced by mDNS: it is too long for DNS, or has an empty part", c.Name)
	}
	c.Discover, c.DiscoverInterface = o.Discover, m.Interface
	c.DiscoverNoIPv4, c.DiscoverNoIPv6 = m.DisableIPv4, m.DisableIPv6
	return nil
}

// dnsName reports whether a message of DNS has room for the name and for each of
// its parts.
func dnsName(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || len(part) > 63 {
			return false
		}
	}
	return len(name) <= 253
}
