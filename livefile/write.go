package livefile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
	"github.com/ibuki-dev/ibuki/live"
)

// replace makes text the file's content, atomically, unless it is already. The mode of a file that is
// there stays as it is. A link stays a link: what it points at is replaced.
func replace(path string, text []byte) (changed bool, err error) {
	if len(text) > live.MaxFile {
		return false, live.ErrTooLarge
	}
	old, _, err := read(path, nil)
	if err == nil && bytes.Equal(old, text) {
		return false, nil
	}
	if errors.Is(err, atomicfile.ErrNotRegular) {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	_, err = atomicfile.Replace(path, text, 0o644, true)
	return err == nil, err
}

// confirm sets the file's time, which says that the list in it is still right.
func confirm(path string, now time.Time) error { return os.Chtimes(path, time.Time{}, now) }
