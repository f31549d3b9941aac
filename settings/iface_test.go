package settings

import (
	"net"
	"net/netip"
	"strings"
	"testing"
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
