//go:build !race

package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receive reads into b. What it got is 0 after an error.
func receive(fd uintptr, b []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_RECVFROM, fd, b, 0)
}

// send writes b, or a part of it.
func send(fd uintptr, b []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_SENDTO, fd, b, unix.MSG_NOSIGNAL)
}

func transfer(call, fd uintptr, b []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
