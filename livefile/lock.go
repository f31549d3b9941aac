package livefile

import (
	"context"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// lock takes the lock of a file, which is a file beside it that stays there. The
// system gives it back when its holder ends, however that comes.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	type locked struct {
		unlock func()
		err    error
	}
	got := make(chan locked, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
		got <- locked{unlock, err}
	}()
	select {
	case l := <-got:
		return l.unlock, l.err
	case <-ctx.Done():
	}
	// It may still come, and nobody wants it any more. One that is free comes at once:
	// then nothing goes on after this.
	gone := make(chan struct{})
	go func() {
		if l := <-got; l.err == nil {
			l.unlock()
		}
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(lockGrace):
	}
	return nil, fmt.Errorf("%s.lock: %w", path, ctx.Err())
}

const lockGrace = 20 * time.Millisecond
