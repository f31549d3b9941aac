//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package dispatch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A process that was killed holds its lock until the system is through with it; who is
// started at once in its place waits for that.
const (
	lockPatience = 2 * time.Second
	lockPause    = 20 * time.Millisecond
)

// lockBufferDir takes the directory for this process. The system gives it back
// when the process ends, however it does.
func lockBufferDir(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	lock := func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	err = lock()
	for end := time.Now().Add(lockPatience); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(end); err = lock() {
		time.Sleep(lockPause)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrBufferLocked, dir)
		}
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "lock"), err)
	}
	return f, nil
}

// syncUnsupported reports whether a directory cannot be forced here, so that
// there is nothing to wait for.
func syncUnsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP)
}
