//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package dispatch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// lockBufferDir takes the directory for this process by a file that only one can
// create. A process that was killed leaves it; it says so.
func lockBufferDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: %s (if none does, remove %s)", ErrBufferLocked, dir, path)
	}
	if err != nil {
		return nil, err
	}
	return createdLock{f}, nil
}

type createdLock struct{ *os.File }

func (l createdLock) Close() error { return errors.Join(l.File.Close(), os.Remove(l.Name())) }

// syncUnsupported: these systems cannot force a directory.
func syncUnsupported(error) bool { return true }
