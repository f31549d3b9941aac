package member

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sinceBoot is the time since the host was started, its sleep included: a lease must not
// outlast one. It is asked for all the time, so Go's scheduler is not told of the call: it
// would wake a thread of its own to look after it.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return sinceStart()
	}
	return time.Duration(t.Nano())
}
