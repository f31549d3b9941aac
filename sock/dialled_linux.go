package sock

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dialled is a connection that was dialled, and may still be in the making. It has an
// epoll of its own in which its socket is, and it is the epoll that Go's runtime watches:
// made once, for one connection after the other. The runtime's own way with a new
// socket is to make an object for it, to watch it for more than is of interest, and to
// undo that again, which costs as much as half the connection.
type dialled struct {
	*calls
	epoll    uintptr
	file     *os.File // of the epoll
	deadline atomic.Bool
}

// unused are those without a socket. The runtime closes the epoll of one that it drops.
var unused sync.Pool

// dialledOf makes a connection of a socket.
func dialledOf(fd uintptr) (*dialled, error) {
	d, _ := unused.Get().(*dialled)
	if d == nil {
		var err error
		if d, err = newDialled(); err != nil {
			return nil, err
		}
	}
	d.fd = fd
	if err := d.watch(unix.EPOLL_CTL_ADD, unix.EPOLLIN); err != nil {
		unused.Put(d)
		return nil, err
	}
	return d, nil
}

func newDialled() (*dialled, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or else the runtime would not watch it
		_ = unix.Close(epoll)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(epoll), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &dialled{calls: newCalls(0, raw), epoll: uintptr(epoll), file: file}, nil
}

// watch says what is of interest of the socket.
func (d *dialled) watch(how uintptr, events uint32) error {
	e := unix.EpollEvent{Events: events}
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, d.epoll, how, d.fd, uintptr(unsafe.Pointer(&e)), 0, 0); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Write writes all of b, once the connection is there.
func (d *dialled) Write(b []byte) (int, error) { return d.writeBy(d.waitToWrite, b) }

// waitToWrite calls try until it is true. An epoll is never ready to be written to: it is
// ready to be read, as soon as there is anything to do about its socket.
func (d *dialled) waitToWrite(try func(uintptr) bool) error {
	if try(d.fd) {
		return nil
	}
	if err := d.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
		return err
	}
	if err := d.raw.Read(try); err != nil {
		return err
	}
	return d.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
}

// Close ends the connection. It is called once, by the one who has it.
func (d *dialled) Close() error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, d.fd, 0, 0)
	if d.deadline.Load() {
		d.file.Close() // what a deadline has left behind is not for the next one
	} else {
		unused.Put(d)
	}
	if errno != 0 {
		return fault("close", errno)
	}
	return nil
}

// SetDeadline is for reading and writing alike.
func (d *dialled) SetDeadline(t time.Time) error {
	d.deadline.Store(true)
	return d.file.SetDeadline(t)
}

// SetReadDeadline is SetDeadline.
func (d *dialled) SetReadDeadline(t time.Time) error { return d.SetDeadline(t) }

// SetWriteDeadline is SetDeadline.
func (d *dialled) SetWriteDeadline(t time.Time) error { return d.SetDeadline(t) }

// LocalAddr is nobody's business here.
func (*dialled) LocalAddr() net.Addr { return nil }

// RemoteAddr is what was dialled, as the one knows who did.
func (*dialled) RemoteAddr() net.Addr { return nil }
