package livefile

import (
	"context"
	"fmt"

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
		go func() { // it may still come, and nobody wants it any more
			if l := <-got; l.err == nil {
				l.unlock()
			}
		}()
		return nil, fmt.Errorf("%s.lock: %w", path, ctx.Err())
	}
}
