//go:build !windows

package atomicfile

import (
	"io/fs"
	"os"
	"syscall"
)

const (
	// openFlags: no link that was put there in the meantime, and no wait.
	openFlags   = syscall.O_NOFOLLOW | noWait
	noWait      = syscall.O_NONBLOCK | syscall.O_CLOEXEC
	chmodNeeded = true
)

// trusted reports whether a link belongs to root or to the user who runs this.
func trusted(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int64(s.Uid) == int64(os.Geteuid()))
}
