//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

var lockPatience time.Duration

// lockDir takes the directory for this process by a file that only one can
// create. A process that was killed leaves it; it says so.
func lockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		pid, _ := os.ReadFile(path)
		return nil, fmt.Errorf("%w: process %s in %s (if there is none, remove %s)", ErrInUse, pid, dir, path)
	}
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprint(f, os.Getpid())
	return createdLock{f}, nil
}

type createdLock struct{ *os.File }

func (l createdLock) Close() error { return errors.Join(l.File.Close(), os.Remove(l.Name())) }

// syncUnsupported: these systems cannot force a directory.
func syncUnsupported(error) bool { return true }
