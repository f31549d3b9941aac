package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxQueued bounds how many errors are taken from the kernel's queue at a time.
const maxQueued = 64

// wantErrors asks the kernel to keep what ICMP says about packets that c has sent:
// which of them did not arrive, which an error of a later call alone does not tell.
func wantErrors(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// A socket is of one family, or of both. What does not fit it fails.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
}

// aboutEarlier reports whether the error of a call may be about a packet that was
// sent before.
func aboutEarlier(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) ||
		errors.Is(err, unix.EHOSTDOWN) || errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EACCES)
}

// takeErrors calls f for the addresses of packets that the kernel has heard to have
// been refused.
func takeErrors(c *net.UDPConn, f func(netip.AddrPort)) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	var data [1]byte
	var oob [256]byte
	_ = raw.Control(func(fd uintptr) {
		for range maxQueued {
			_, n, _, to, err := unix.Recvmsg(int(fd), data[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			if at := addrPortOf(to); at.IsValid() && refusedIn(oob[:n]) {
				f(at)
			}
		}
	})
}

// refusedIn reads a control message of the queue: whether it says that nobody
// listens there, or that there is no way.
func refusedIn(oob []byte) bool {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range msgs {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if (v4 || v6) && len(m.Data) >= 4 { // struct sock_extended_err begins with the errno
			switch syscall.Errno(binary.NativeEndian.Uint32(m.Data)) {
			case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH:
				return true
			}
		}
	}
	return false
}

func addrPortOf(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
