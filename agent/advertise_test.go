package agent

import (
	"net/netip"
	"testing"
)

func TestChoosePrivate(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		addrs  []netip.Addr
		source string
		want   string
	}{
		{[]netip.Addr{addr("8.8.8.8"), addr("fd00::1"), addr("10.0.0.1"), addr("192.168.0.1")}, "192.168.0.1", "192.168.0.1"},
		{[]netip.Addr{addr("8.8.8.8"), addr("fd00::1"), addr("10.0.0.1"), addr("192.168.0.1")}, "8.8.8.8", "10.0.0.1"},
		{[]netip.Addr{addr("100.64.0.1")}, "::", "100.64.0.1"},
	} {
		if got, err := choosePrivate(c.addrs, addr(c.source)); err != nil || got != addr(c.want) {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := choosePrivate([]netip.Addr{addr("8.8.8.8")}, addr("8.8.8.8")); err == nil {
		t.Error("a public address was chosen")
	}
}
