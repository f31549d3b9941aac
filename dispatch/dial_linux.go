package dispatch

import (
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dialTCP begins a connection. For an address that is an IP it does not wait until
// there is one: the first write does, or fails. Groonga's own server answers one
// request a connection, so that connections are made as often as requests; what the
// standard library does for each is four times the system calls.
func dialTCP(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || to.Addr().Zone() != "" {
		return net.DialTimeout("tcp", addr, timeout)
	}
	var sa unix.Sockaddr
	family := unix.AF_INET
	if ip := to.Addr(); ip.Is4() || ip.Is4In6() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: ip.Unmap().As4()}
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(to.Port()), Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", err)}
	}
	// The acknowledgement that ends the handshake goes with the request, and the
	// end is a reset: when it comes, the answer is here or not wanted any more. That
	// saves packets, and the server connections that wait for their time to be over.
	// What fails here is only less saved.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: os.NewSyscallError("connect", err)}
	}
	return begunConn{os.NewFile(uintptr(fd), addr)}, nil
}

// begunConn is a connection that may still be in the making.
type begunConn struct{ *os.File }

// The addresses are nobody's business here.
func (begunConn) LocalAddr() net.Addr  { return nil }
func (begunConn) RemoteAddr() net.Addr { return nil }

// dialWaits tells whether dialTCP waits until the connection is there.
func dialWaits(addr string) bool {
	_, err := netip.ParseAddrPort(addr)
	return err != nil
}
