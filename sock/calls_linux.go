package sock

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// calls reads from and writes to a socket that does not block. Only one goroutine may
// read at a time, and only one write.
type calls struct {
	fd  uintptr
	raw syscall.RawConn // waits until fd is worth a try; knows deadlines and Close

	in    []byte // of the read under way
	got   int
	inErr syscall.Errno
	read  func(uintptr) bool

	out    []byte // of the write under way: what is left of it
	outErr syscall.Errno
	write  func(uintptr) bool
}

func newCalls(fd uintptr, raw syscall.RawConn) *calls {
	c := &calls{fd: fd, raw: raw}
	c.read, c.write = c.tryRead, c.tryWrite // once: each would be garbage of its own
	return c
}

// tryRead reads once; it is false if there is nothing yet.
func (c *calls) tryRead(uintptr) bool {
	c.got, c.inErr = receive(c.fd, c.in)
	return c.inErr != unix.EAGAIN
}

// tryWrite writes as much as it can; it is false if there is no room for the rest.
func (c *calls) tryWrite(uintptr) bool {
	c.outErr = 0
	for len(c.out) > 0 && c.outErr == 0 {
		var n int
		n, c.outErr = send(c.fd, c.out)
		c.out = c.out[n:]
	}
	return c.outErr != unix.EAGAIN
}

// Read reads what there is, and waits until there is something.
func (c *calls) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.in = b
	err := c.raw.Read(c.read)
	c.in = nil
	switch {
	case err != nil:
		return 0, err
	case c.inErr != 0:
		return 0, fault("read", c.inErr)
	case c.got == 0:
		return 0, io.EOF
	}
	return c.got, nil
}

// writeBy writes all of b. wait has c.write called until it is true.
func (c *calls) writeBy(wait func(func(uintptr) bool) error, b []byte) (int, error) {
	c.out = b
	err := wait(c.write)
	n := len(b) - len(c.out)
	c.out = nil
	if err == nil && c.outErr != 0 {
		err = fault("write", c.outErr)
	}
	return n, err
}

// fault is an error as the net package has it.
func fault(call string, errno syscall.Errno) error {
	return &net.OpError{Op: call, Net: "tcp", Err: os.NewSyscallError(call, errno)}
}
