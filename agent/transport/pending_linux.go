package transport

import (
	"net"

	"golang.org/x/sys/unix"
)

// packetWaits asks the kernel for the size of the next datagram. An empty
// datagram looks like none.
func packetWaits(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		if v, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
			n = v
		}
	})
	return n > 0
}
