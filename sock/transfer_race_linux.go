//go:build race

package sock

import "syscall"

// The race detector knows that what one goroutine writes to a socket comes before what
// another one reads there, but of the calls of package syscall only.

func receive(fd uintptr, b []byte) (int, syscall.Errno) { return again(syscall.Read, fd, b) }

func send(fd uintptr, b []byte) (int, syscall.Errno) { return again(syscall.Write, fd, b) }

func again(call func(int, []byte) (int, error), fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, err := call(int(fd), b)
		errno, _ := err.(syscall.Errno)
		if errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}
