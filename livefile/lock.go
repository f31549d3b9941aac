package livefile

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
)

// lockPause is how long who waits for a lock sleeps between two tries, at first and at most.
const lockPause, lockPauseMost = time.Millisecond, 20 * time.Millisecond

// lock takes the lock of a file, which is a file beside it that stays there and that only its
// owner may open: whoever can open it could hold it. The system gives it back when its
// holder ends, however that comes.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	path, err = atomicfile.Resolve(path)
	if err != nil {
		return nil, err
	}
	name := path + ".lock"
	f, err := atomicfile.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		_ = f.Chmod(0o600) // of an earlier version; another user's stays as it is
	}
	pause := lockPause
	for {
		free, err := tryLock(f)
		if free {
			return func() { f.Close() }, nil
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, lockPauseMost)
		case <-ctx.Done():
			by := holder(f)
			f.Close()
			return nil, fmt.Errorf("%s is held by %s: %w", name, by, ctx.Err())
		}
	}
}
