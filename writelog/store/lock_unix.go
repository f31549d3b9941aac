//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A process that was killed holds its lock until the system is through with it; one that
// is started at once in its place waits for that.
const lockPause = 20 * time.Millisecond

var lockPatience = 2 * time.Second

// lockDir takes the directory for this process, and writes its number into the lock file.
// The system gives the lock back when the process ends, however it does.
func lockDir(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	lock := func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	err = lock()
	for end := time.Now().Add(lockPatience); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(end); err = lock() {
		time.Sleep(lockPause)
	}
	if err == nil {
		// Only for who reads ErrInUse: a full disk must not keep a gateway from starting.
		if err := f.Truncate(0); err == nil {
			_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		}
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: process %s in %s", ErrInUse, holder(f), dir)
	}
	return nil, fmt.Errorf("%s: %w", f.Name(), err)
}

// holder returns the number that the one that has the lock has written.
func holder(f io.ReaderAt) string {
	var b [16]byte
	n, _ := f.ReadAt(b[:], 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" && strings.Trim(pid, "0123456789") == "" {
		return pid
	}
	return "(unknown)"
}

// syncUnsupported reports whether a directory cannot be forced here, so that
// there is nothing to wait for.
func syncUnsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP)
}
