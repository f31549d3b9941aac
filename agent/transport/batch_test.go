package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// pairOf are two transports; it skips where the host has no such addresses.
func pairOf(t testing.TB, from, to string) (a, b *netTransport, at netip.AddrPort) {
	t.Helper()
	listen := func(host string) *netTransport {
		tr, err := ListenNet(netip.AddrPortFrom(netip.MustParseAddr(host), 0))
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { tr.Close() })
		return tr.(*netTransport)
	}
	a, b = listen(from), listen(to)
	at = b.Addr()
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
	}
	return a, b, at
}

func datagrams(n, size int) []Datagram {
	all := make([]Datagram, n)
	for i := range all {
		all[i].Data = make([]byte, size)
	}
	return all
}

// sendAll sends packets as writePackets does.
func sendAll(t testing.TB, a Transport, out []Datagram) {
	for len(out) > 0 {
		n, err := a.WritePackets(out)
		if err != nil || n < 1 {
			t.Fatal(n, err)
		}
		out = out[n:]
	}
}

// Many packets at a time arrive as they were sent, in every family.
func TestPacketsGoTogether(t *testing.T) {
	for _, c := range [][2]string{{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"0.0.0.0", "127.0.0.1"}, {"::", "127.0.0.1"}, {"::", "::1"}, {"127.0.0.1", "::"}} {
		t.Run(c[0]+" to "+c[1], func(t *testing.T) {
			a, b, at := pairOf(t, c[0], c[1])
			const n = 50
			out := datagrams(n, 0)
			for i := range out {
				out[i] = Datagram{fmt.Appendf(nil, "packet %d", i), at}
			}
			sendAll(t, a, out)
			into := datagrams(8, 100)
			for got := 0; got < n; {
				_ = b.udp.SetReadDeadline(time.Now().Add(30 * time.Second))
				k, err := b.ReadPackets(into)
				if err != nil || k < 1 {
					t.Fatalf("after %d packets: %d, %v", got, k, err)
				}
				for _, d := range into[:k] {
					if want := fmt.Sprintf("packet %d", got); string(d.Data) != want {
						t.Fatalf("%q, want %q", d.Data, want)
					}
					if d.Addr.Port() != a.Addr().Port() || !a.Addr().Addr().IsUnspecified() && d.Addr != a.Addr() {
						t.Fatalf("from %v, not %v", d.Addr, a.Addr())
					}
					got++
				}
			}
		})
	}
}

// An address that the socket cannot reach is an error of its own packet only.
func TestOnePacketThatCannotGo(t *testing.T) {
	a, b, at := pairOf(t, "127.0.0.1", "127.0.0.1")
	bad := netip.MustParseAddrPort("[2001:db8::1]:1")
	out := []Datagram{{[]byte("1"), at}, {[]byte("2"), bad}, {[]byte("3"), at}, {make([]byte, 70_000), at}, {[]byte("4"), at}}
	var failed []int
	for i := 0; i < len(out); {
		n, err := a.WritePackets(out[i:])
		if i += n; err != nil {
			failed = append(failed, i)
			i++
		}
	}
	if fmt.Sprint(failed) != "[1 3]" {
		t.Errorf("the packets %v failed", failed)
	}
	into := datagrams(1, 10)
	for _, want := range []string{"1", "3", "4"} {
		_ = b.udp.SetReadDeadline(time.Now().Add(30 * time.Second))
		if n, err := b.ReadPackets(into); n != 1 || err != nil || string(into[0].Data) != want {
			t.Fatalf("%d, %v, %q, want %q", n, err, into[0].Data, want)
		}
	}
	b.Close()
	if _, err := b.ReadPackets(into); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// BenchmarkPackets sends packets to oneself and reads them, so many at a time.
func BenchmarkPackets(b *testing.B) {
	for _, k := range []int{1, 4, MaxBatch} {
		b.Run(fmt.Sprintf("%d at a time", k), func(b *testing.B) {
			from, to, at := pairOf(b, "127.0.0.1", "127.0.0.1")
			out, into := datagrams(k, 200), datagrams(k, MaxPacket)
			for i := range out {
				out[i].Addr = at
			}
			b.ReportAllocs()
			for i := 0; i < b.N; i += k {
				sendAll(b, from, out)
				for got := 0; got < k; {
					n, err := to.ReadPackets(into[:k-got])
					if err != nil {
						b.Fatal(err)
					}
					got += n
				}
			}
		})
	}
}
