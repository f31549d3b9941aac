package livefile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

// replace makes text the file's content, atomically, unless it is already. A link
// stays a link: what it points at is replaced.
func replace(path string, text []byte) (changed bool, err error) {
	if len(text) > live.MaxFile {
		return false, live.ErrTooLarge
	}
	old, _, err := read(path, nil)
	if err == nil && bytes.Equal(old, text) {
		return false, nil
	}
	if errors.Is(err, errNoFile) {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return true, replaceFile(path, text)
}

// confirm sets the file's time, which says that the list in it is still right.
func confirm(path string, now time.Time) error { return os.Chtimes(path, time.Time{}, now) }

// removeTemporary removes what writers left beside the file that were killed
// half-way. The caller holds the lock, so that nobody is writing now.
func removeTemporary(path string) {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"[0-9]*"))
	for _, name := range left {
		_ = os.Remove(name)
	}
}
