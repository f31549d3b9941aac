package agent

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/mdns"
)

func TestChooseInterfaceAddr(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	both := addrs("169.254.1.1", "10.0.0.1", "fe80::1", "fd00::1")
	for _, c := range []struct {
		addrs      []netip.Addr
		bind, want string
		err        string
	}{
		{both, "0.0.0.0:7946", "10.0.0.1:7946", ""},
		{both, "[::]:7", "[fd00::1]:7", ""},
		{addrs("fe80::1", "fd00::1"), "0.0.0.0:7946", "[fd00::1]:7946", ""},
		{both, "10.0.0.1:0", "10.0.0.1:0", ""},
		{both, "[fd00::1]:1", "[fd00::1]:1", ""},
		{both, "[fe80::1%eth0]:1", "[fe80::1%eth0]:1", ""},
		{both, "10.0.0.2:1", "", "Interface 'if0' has no '10.0.0.2' address"},
		{addrs("fe80::1"), "0.0.0.0:1", "", "Failed to find usable address for interface 'if0'"},
		{addrs("10.0.0.1"), "[::]:1", "", "Failed to find usable address for interface 'if0'"},
		{nil, "0.0.0.0:1", "", "Interface 'if0' has no addresses"},
	} {
		got, err := chooseInterfaceAddr("if0", c.addrs, netip.MustParseAddrPort(c.bind))
		if c.err != "" && (err == nil || err.Error() != c.err) || c.err == "" && (err != nil || got.String() != c.want) {
			t.Errorf("%v of %v: %v, %v", c.bind, c.addrs, got, err)
		}
	}
}

// loopback is the loopback interface, which every machine has under some name.
func loopback(t *testing.T) string {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if addrs, _ := i.Addrs(); i.Flags&net.FlagLoopback != 0 && strings.Contains(addrText(addrs), "127.0.0.1/") {
			return i.Name
		}
	}
	t.Skip("needs an interface with 127.0.0.1")
	return ""
}

func addrText(addrs []net.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

func TestInterfaceIsBound(t *testing.T) {
	name := loopback(t)
	c, told, err := Options{NodeName: "n", Interface: name}.Config()
	if err != nil || c.Bind != netip.MustParseAddrPort("127.0.0.1:7946") {
		t.Fatalf("%v, %v", c.Bind, err)
	}
	if want := "Using interface '" + name + "' address '127.0.0.1'"; len(told) != 1 || told[0] != want {
		t.Errorf("told %q, want %q", told, want)
	}
	if _, _, err = (Options{NodeName: "n", Interface: name, Bind: "192.0.2.7"}).Config(); err == nil ||
		err.Error() != "Interface '"+name+"' has no '192.0.2.7' address" {
		t.Errorf("a bound address that the interface does not have: %v", err)
	}
}

// Whatever else is announced in the network is nobody to join.
func TestDiscoveryTakesItsOwnServiceOnly(t *testing.T) {
	d := &discovery{service: discoveryService("prod")}
	v4, v6 := net.ParseIP("10.0.0.1"), net.ParseIP("fe80::1")
	for _, c := range []struct {
		e    mdns.ServiceEntry
		want string
	}{
		{mdns.ServiceEntry{Name: "n1._serf_prod._tcp.local.", AddrV4: v4, Port: 7946}, "10.0.0.1:7946"},
		{mdns.ServiceEntry{Name: "N1._SERF_PROD._TCP.local.", AddrV4: v4, Port: 7946}, "10.0.0.1:7946"},
		{mdns.ServiceEntry{Name: "n1._serf_prod._tcp.local.", AddrV6IPAddr: &net.IPAddr{IP: v6, Zone: "eth0"}, Port: 1}, "[fe80::1%eth0]:1"},
		{mdns.ServiceEntry{Name: "n1._serf_test._tcp.local.", AddrV4: v4, Port: 7946}, ""},
		{mdns.ServiceEntry{Name: "printer._ipp._tcp.local.", AddrV4: v4, Port: 631}, ""},
		{mdns.ServiceEntry{Name: "n1._serf_prod._tcp.local.", AddrV4: v4}, ""},
		{mdns.ServiceEntry{Name: "n1._serf_prod._tcp.local.", AddrV4: net.ParseIP("0.0.0.0"), Port: 7946}, ""},
		{mdns.ServiceEntry{Name: "n1._serf_prod._tcp.local.", AddrV4: net.ParseIP("224.0.0.1"), Port: 7946}, ""},
		{mdns.ServiceEntry{Name: "n1._serf_prod._tcp.local.", Port: 7946}, ""},
	} {
		got, ok := d.address(&c.e)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%+v: %v, %v", c.e, got, ok)
		}
	}
}
