package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batcher reads and writes several datagrams of a socket with one call: recvmmsg and
// sendmmsg. The libraries that know these calls make an address of each datagram on
// the heap; here nothing is allocated.
type batcher struct {
	raw     syscall.RawConn
	v6      bool // the socket is of IPv6, and takes IPv4 in its form
	in, out vector
}

// mmsghdr is the kernel's struct of that name.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// vector is what the kernel is told of up to MaxBatch datagrams.
type vector struct {
	hdrs  [MaxBatch]mmsghdr
	bufs  [MaxBatch]unix.Iovec
	names [MaxBatch]unix.RawSockaddrInet6 // has room for IPv4's

	call  func(fd uintptr) bool
	len   int // how many datagrams are asked for
	got   int // how many the kernel took or gave
	errno syscall.Errno
}

func newBatcher(c *net.UDPConn) (*batcher, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batcher{raw: raw}
	err = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		b.v6 = err == nil && domain == unix.AF_INET6
	})
	b.in.init(unix.SYS_RECVMMSG)
	b.out.init(unix.SYS_SENDMMSG)
	return b, err
}

func (v *vector) init(call uintptr) {
	for i := range v.hdrs {
		h := &v.hdrs[i].hdr
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&v.names[i])), &v.bufs[i]
		h.SetIovlen(1)
	}
	v.call = func(fd uintptr) bool {
		for {
			n, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&v.hdrs)), uintptr(v.len), unix.MSG_DONTWAIT, 0, 0)
			if errno != unix.EINTR {
				v.got, v.errno = int(n), errno
				return errno != unix.EAGAIN
			}
		}
	}
}

// buffer has the i-th datagram in b.
func (v *vector) buffer(i int, b []byte) {
	v.bufs[i].Base = unsafe.SliceData(b)
	v.bufs[i].SetLen(len(b))
}

// result is what the call came to; the vector keeps no buffer.
func (v *vector) result(name string, err error) (int, error) {
	for i := range v.len {
		v.bufs[i].Base = nil
	}
	switch {
	case err != nil:
		return 0, err
	case v.errno != 0:
		return 0, &net.OpError{Op: name, Net: "udp", Err: os.NewSyscallError(name, v.errno)}
	}
	return v.got, nil
}

// read waits for datagrams and fills into with those that are there, at most MaxBatch.
func (b *batcher) read(into []Datagram) (int, error) {
	v := &b.in
	v.len = min(len(into), MaxBatch)
	for i := range v.len {
		into[i].Data = into[i].Data[:cap(into[i].Data)]
		v.buffer(i, into[i].Data)
		v.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
	}
	n, err := v.result("recvmmsg", b.raw.Read(v.call))
	for i := range n {
		into[i].Data = into[i].Data[:v.hdrs[i].len]
		into[i].Addr = addrOf(&v.names[i])
	}
	return n, err
}

// write sends the first of the datagrams, and returns how many. An error is about
// the next one.
func (b *batcher) write(out []Datagram) (int, error) {
	v := &b.out
	v.len = min(len(out), MaxBatch)
	for i := range v.len {
		v.buffer(i, out[i].Data)
		v.hdrs[i].hdr.Namelen = b.name(&v.names[i], out[i].Addr)
	}
	return v.result("sendmmsg", b.raw.Write(v.call))
}

// fits reports whether the address can be written as one of the socket's family.
func (b *batcher) fits(a netip.AddrPort) bool {
	return a.Addr().Zone() == "" && (b.v6 || a.Addr().Unmap().Is4())
}

// name writes an address as the kernel wants it, and returns its size.
func (b *batcher) name(to *unix.RawSockaddrInet6, a netip.AddrPort) uint32 {
	port := swapped(a.Port())
	if b.v6 {
		*to = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.Addr().As16()}
		return unix.SizeofSockaddrInet6
	}
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(to)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.Addr().Unmap().As4()}
	return unix.SizeofSockaddrInet4
}

// addrOf reads an address that the kernel wrote.
func addrOf(from *unix.RawSockaddrInet6) netip.AddrPort {
	port := swapped(from.Port)
	if from.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	ip := netip.AddrFrom16(from.Addr)
	if from.Scope_id != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(from.Scope_id), 10))
	}
	return netip.AddrPortFrom(ip, port)
}

// swapped turns a port from the host's order of bytes into the network's, or back.
func swapped(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
