package livefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

// Config are the settings of a watched file. Zero means the default.
type Config struct {
	// Poll is how often the file is looked at although no change was told: 1 s.
	Poll time.Duration
	// Settle is how long a file may be broken before that is a fault: 250 ms. Those
	// who write it otherwise than by a rename break it for a moment each time.
	Settle time.Duration
	// StaleAfter is how old the confirmation of a list may get that had them: 1 min.
	StaleAfter time.Duration
	// Report is called once for each fault, and with nil when it is over: never
	// twice at once, from the watching goroutine. nil: nobody is told.
	Report func(fault error)
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Poll, time.Second)
	def(&c.Settle, 250*time.Millisecond)
	def(&c.StaleAfter, time.Minute)
	if c.Report == nil {
		c.Report = func(error) {}
	}
	return c
}

// List is the list in a file, as it was when it was last good. Its methods may be
// called concurrently.
type List struct {
	cfg  Config
	path string
	list live.List

	mu     sync.Mutex
	health Health

	reader live.Reader // of the watching goroutine, as the fields below
	spare  []byte      // to read the file into
	last   lastRead
	broken time.Time // since when the file cannot be used; zero: it can
	fault  error     // what is wrong with it
	told   bool      // Report was called for it
	done   chan struct{}
}

// Watch reads the file, or finds it missing or broken, which is no error here, and
// follows it until ctx ends. An error is about what watching itself needs.
func Watch(ctx context.Context, path string, cfg Config) (*List, error) {
	if path == "" {
		return nil, errors.New("livefile: no path")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("livefile: %w", err)
	}
	l := &List{cfg: cfg.withDefaults(), path: path, done: make(chan struct{})}
	w := newWatcher(path)
	l.look(time.Now(), true)
	go l.run(ctx, w)
	return l, nil
}

// Path is the watched file's absolute path.
func (l *List) Path() string { return l.path }

// Current is the last good list, never nil. It takes no lock.
func (l *List) Current() *live.View { return l.list.Current() }

// Watch returns a channel that holds the newest list that was not yet received: the
// current one at first. A slow reader misses lists between, never the last one.
// It is closed when ctx ends.
func (l *List) Watch(ctx context.Context) <-chan *live.View { return l.list.Watch(ctx) }

// Done is closed when the file is not watched any more, after Watch's ctx ended.
func (l *List) Done() <-chan struct{} { return l.done }

// Health is what is known of the file now.
func (l *List) Health() Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.health
	h.Stale = h.Kept && time.Since(h.Confirmed) > l.cfg.StaleAfter
	return h
}

// run looks whenever something may have changed. A broken file is looked at again
// soon: most are whole a moment later.
func (l *List) run(ctx context.Context, w *watcher) {
	defer close(l.done)
	defer w.close()
	poll := time.NewTicker(l.cfg.Poll)
	defer poll.Stop()
	soon := time.NewTimer(0)
	defer soon.Stop()
	for {
		changed := false
		select {
		case <-ctx.Done():
			return
		case <-w.changed():
			changed = w.named.Swap(false)
		case <-poll.C:
			w.renew()
		case <-soon.C:
		}
		l.look(time.Now(), changed)
		if !l.broken.IsZero() && !l.told {
			soon.Reset(l.cfg.Settle / 8)
		}
	}
}

// look reads the file if it may be another than at the last time.
func (l *List) look(now time.Time, changed bool) {
	info, err := os.Stat(l.path)
	if err != nil {
		l.last = lastRead{}
		l.bad(now, err)
		return
	}
	if !changed && l.last.covers(info) {
		if l.broken.IsZero() {
			l.confirmed(info.ModTime())
		} else {
			l.bad(now, l.fault)
		}
		return
	}
	text, info, err := read(l.path, l.spare)
	if err != nil {
		l.last = lastRead{}
		l.bad(now, err)
		return
	}
	l.spare = text
	l.last = newLastRead(now, info)
	if l.broken.IsZero() && l.reader.Same(text) {
		l.confirmed(info.ModTime())
		return
	}
	reading, spare, err := l.reader.Read(text)
	if err != nil {
		l.bad(now, err)
		return
	}
	l.spare = spare
	l.good(now, info.ModTime(), reading)
}

// good takes over a list.
func (l *List) good(now, written time.Time, r live.Reading) {
	if r.Whole {
		l.list.Load(now, r.Entries)
	} else {
		l.list.Amend(now, r.Gone, r.Entries)
	}
	l.broken, l.fault = time.Time{}, nil
	l.mu.Lock()
	h := &l.health
	h.Loaded, h.Missing, h.Fault, h.FaultSince = true, false, nil, time.Time{}
	h.Written, h.Confirmed, h.Alone = written, written, r.Nodes == 1
	l.mu.Unlock()
	if l.told {
		l.told = false
		l.cfg.Report(nil)
	}
}

// confirmed notes that the list in memory is still what the file says.
func (l *List) confirmed(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.health
	if at.After(h.Confirmed) {
		h.Kept = at.Sub(h.Confirmed) < l.cfg.StaleAfter
		h.Confirmed = at
	}
}

// bad keeps the last good list. The fault counts once it has lasted, or if there
// is no list yet.
func (l *List) bad(now time.Time, fault error) {
	if l.broken.IsZero() {
		l.broken = now
	}
	l.fault = fault
	l.mu.Lock()
	if l.health.Loaded && now.Sub(l.broken) < l.cfg.Settle {
		l.mu.Unlock()
		return
	}
	h := &l.health
	h.Missing = errors.Is(fault, os.ErrNotExist)
	h.Fault = fault
	if h.FaultSince.IsZero() {
		h.FaultSince = l.broken
		h.Faults++
	}
	l.mu.Unlock()
	if !l.told {
		l.told = true
		l.cfg.Report(fmt.Errorf("live-node list %s: %w", l.path, fault))
	}
}
