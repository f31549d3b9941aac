package transport

import (
	"net/netip"
	"testing"
	"time"
)

// The kernel's word that nobody listens at an address reaches the agent, about that
// address and no other, and costs no packet to somebody else. (P194)
func TestRefusedPackets(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		t.Run(bind, func(t *testing.T) {
			a, err := ListenNet(netip.MustParseAddrPort(bind))
			if err != nil {
				t.Skipf("this host has no %s: %v", bind, err)
			}
			defer a.Close()
			host := netip.MustParseAddr("127.0.0.1")
			if a.Addr().Addr() == netip.IPv6Loopback() {
				host = netip.IPv6Loopback()
			}
			b, err := ListenNet(netip.AddrPortFrom(host, 0))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			gone, err := ListenNet(netip.AddrPortFrom(host, 0))
			if err != nil {
				t.Fatal(err)
			}
			dead := gone.Addr()
			gone.Close()

			refused := make(chan netip.AddrPort, 1000)
			a.OnRefused(func(to netip.AddrPort) { refused <- to })
			go func() {
				into := []Datagram{{Data: make([]byte, 100)}}
				for {
					if _, err := a.ReadPackets(into); err != nil {
						return
					}
				}
			}()
			got := make(chan int, 1)
			go func() {
				into := []Datagram{{Data: make([]byte, 100)}, {Data: make([]byte, 100)}}
				sum := 0
				for sum < 100 {
					n, err := b.ReadPackets(into)
					if err != nil {
						break
					}
					sum += n
				}
				got <- sum
			}()
			for range 100 {
				out := []Datagram{{[]byte("x"), dead}, {[]byte("y"), b.Addr()}}
				for len(out) > 0 {
					n, err := a.WritePackets(out)
					if err != nil || n == 0 {
						t.Fatal(n, err)
					}
					out = out[n:]
				}
			}
			select {
			case to := <-refused:
				if to != dead {
					t.Errorf("refused at %v, want %v", to, dead)
				}
			case <-time.After(30 * time.Second):
				t.Error("nothing is heard")
			}
			select {
			case n := <-got:
				if n != 100 {
					t.Errorf("%d packets of 100 arrived", n)
				}
			case <-time.After(30 * time.Second):
				t.Error("packets to somebody else were lost")
			}
		})
	}
}
