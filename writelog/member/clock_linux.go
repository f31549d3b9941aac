package member

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is the time since the host was started, its sleep included: a lease must not
// outlast one.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return sinceStart()
	}
	return time.Duration(t.Nano())
}
