package agent

import (
	"net"
	"testing"

	"github.com/hashicorp/mdns"
)

// Whatever else is announced in the network is nobody to join.
func TestDiscoveryTakesItsOwnServiceOnly(t *testing.T) {
	d := &discovery{service: DiscoveryService("prod")}
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
