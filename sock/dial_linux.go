package sock

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Dial begins a connection. For an address that is an IP it does not wait until
// there is one: the first write does, or fails.
//
// The connection is for one goroutine. Another one may set a deadline, of which there
// is one for reading and writing, but not close it meanwhile. Its addresses are not told.
func Dial(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || to.Addr().Zone() != "" {
		return net.DialTimeout("tcp", addr, timeout)
	}
	family := unix.AF_INET
	if ip := to.Addr(); !ip.Is4() && !ip.Is4In6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", err)}
	}
	spare(uintptr(fd))
	if errno := connect(uintptr(fd), to); errno != 0 && errno != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: os.NewSyscallError("connect", errno)}
	}
	c, err := dialledOf(uintptr(fd))
	if err != nil {
		_ = unix.Close(fd)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return c, nil
}

// Waits tells whether Dial waits until the connection is there.
func Waits(addr string) bool {
	to, err := netip.ParseAddrPort(addr)
	return err != nil || to.Addr().Zone() != ""
}

var (
	off   int32
	reset = unix.Linger{Onoff: 1}
)

// spare has a packet spared: the acknowledgement that ends the handshake goes with the
// request. If it fails, only less is saved.
func spare(fd uintptr) {
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, uintptr(unsafe.Pointer(&off)), unsafe.Sizeof(off), 0)
}

// Answered says that all that was to come on a connection of Dial's is here. It then ends by a
// reset, which saves packets, and the server connections that wait for their time to be
// over. No other may end so: Groonga's server (13.0.0), if a reset comes before the
// whole request, closes connections of others, which then get each other's answers, or ends.
func Answered(c net.Conn) {
	if d, ok := c.(*dialled); ok {
		unix.RawSyscall6(unix.SYS_SETSOCKOPT, d.fd, unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&reset)), unsafe.Sizeof(reset), 0)
	}
}

func connect(fd uintptr, to netip.AddrPort) syscall.Errno {
	var port uint16 // in the network's order, as the kernel wants it
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&port))[:], to.Port())
	var errno syscall.Errno
	if ip := to.Addr().Unmap(); ip.Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: ip.As4()}
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet4)
	} else {
		sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: ip.As16()}
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet6)
	}
	return errno
}
