package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forger sits in the switch of a netns, on a port of one host, and speaks in the name of
// another one, as a firewall may.
type forger struct {
	fd, ifindex  int
	port         string
	victim, fake netip.Addr // whom it speaks to, and in whose name
	buf          [2048]byte
}

// newForger opens a packet socket on the port of a network namespace.
func newForger(t *testing.T, namespace, port, victim, fake string) *forger {
	t.Helper()
	f := &forger{port: port, victim: netip.MustParseAddr(victim), fake: netip.MustParseAddr(fake)}
	// The thread must not end: what it has started dies with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	err = f.open(namespace)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // the tests that run beside this one would be in the wrong place
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *forger) open(namespace string) error {
	ns, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	const all = unix.ETH_P_ALL << 8 // in the network's order: a bridge takes what is for one protocol only
	if f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
		return err
	}
	dev, err := net.InterfaceByName(f.port)
	if err != nil {
		return err
	}
	f.ifindex = dev.Index
	timeout := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
	return firstError(
		unix.Bind(f.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index}),
		unix.SetsockoptTimeval(f.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *forger) close() { unix.Close(f.fd) }

// collect keeps the last segment of each connection of the victim's to the other one, until
// stop: what is needed to reset them later.
func (f *forger) collect(stop *atomic.Bool) map[string][]byte {
	last := map[string][]byte{}
	for !stop.Load() {
		if seg, ok := f.segment(); ok {
			header := 14 + int(seg[14]&15)*4
			last[string(seg[header:header+4])] = slices.Clone(seg)
		}
	}
	return last
}

// segment is the next one of the victim's to the other one, an Ethernet frame; false if there is none soon,
// or it is a reset itself.
func (f *forger) segment() ([]byte, bool) {
	n, from, err := unix.Recvfrom(f.fd, f.buf[:], 0)
	b := f.buf[:max(n, 0)]
	if ll, ok := from.(*unix.SockaddrLinklayer); err != nil || !ok || ll.Pkttype == unix.PACKET_OUTGOING || n < 14+20+20 || b[12] != 8 || b[13] != 0 {
		return nil, false
	}
	ip := b[14:]
	src, _ := netip.AddrFromSlice(ip[12:16])
	dst, _ := netip.AddrFromSlice(ip[16:20])
	tcp := ip[int(ip[0]&15)*4:]
	if ip[9] != unix.IPPROTO_TCP || src != f.victim || dst != f.fake || tcp[13]&0x04 != 0 {
		return nil, false
	}
	return b, true
}

// resetTo answers a segment as a host does on which nobody listens.
func (f *forger) resetTo(t *testing.T, mac, seg []byte) {
	t.Helper()
	ip := seg[14:]
	header := int(ip[0]&15) * 4
	tcp := ip[header:]
	length := uint32(binary.BigEndian.Uint16(ip[2:])) - uint32(header) - uint32(tcp[12]>>4)*4
	if tcp[13]&0x02 != 0 { // SYN
		length++
	}
	out := make([]byte, 20)
	copy(out, tcp[2:4])
	copy(out[2:], tcp[:2])
	copy(out[4:], tcp[8:12]) // what it expects next; nothing yet for a SYN
	binary.BigEndian.PutUint32(out[8:], binary.BigEndian.Uint32(tcp[4:])+length)
	out[12], out[13] = 5<<4, 0x14 // RST, ACK
	binary.BigEndian.PutUint16(out[16:], checksum(out, f.pseudo(unix.IPPROTO_TCP, len(out))))
	f.send(t, mac, unix.IPPROTO_TCP, out)
}

// unreachable tells the victim that nobody listens where it sent a packet of gossip to.
func (f *forger) unreachable(t *testing.T, mac []byte) {
	t.Helper()
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, 7946)
	binary.BigEndian.PutUint16(udp[2:], 7946)
	binary.BigEndian.PutUint16(udp[4:], 8)
	out := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, ipv4(f.victim, f.fake, unix.IPPROTO_UDP, udp)...)
	binary.BigEndian.PutUint16(out[2:], checksum(out, 0))
	f.send(t, mac, unix.IPPROTO_ICMP, out)
}

// send puts a packet of the other one's onto the wire to the victim.
func (f *forger) send(t *testing.T, mac []byte, protocol byte, payload []byte) {
	t.Helper()
	frame := append(append([]byte{}, mac...), 2, 0, 0, 0, 0, 1, 0x08, 0x00)
	frame = append(frame, ipv4(f.fake, f.victim, protocol, payload)...)
	if err := unix.Sendto(f.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: f.ifindex, Halen: 6}); err != nil && err != unix.ENOBUFS {
		t.Fatal(err)
	}
}

// ipv4 is a packet.
func ipv4(from, to netip.Addr, protocol byte, payload []byte) []byte {
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], checksum(h, 0))
	return append(h, payload...)
}

// pseudo is the sum over what TCP adds to its own header.
func (f *forger) pseudo(protocol, length int) uint32 {
	sum := uint32(protocol + length)
	for _, a := range [2]netip.Addr{f.fake, f.victim} {
		b := a.As4()
		sum += uint32(binary.BigEndian.Uint16(b[:])) + uint32(binary.BigEndian.Uint16(b[2:]))
	}
	return sum
}

// checksum is the Internet's.
func checksum(b []byte, sum uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// macOf is the hardware address of a host.
func (c *safety) macOf(i int) []byte {
	c.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", c.n.Host(i), "cat", "/sys/class/net/eth0/address").Output()
	if err != nil {
		c.t.Fatal(err)
	}
	mac, err := net.ParseMAC(strings.TrimSpace(string(out)))
	if err != nil {
		c.t.Fatal(err)
	}
	return mac
}
