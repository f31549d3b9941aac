// Package snapshot keeps a node's memory of a cluster in Serf's snapshot file: the
// others, the clocks, and what Serf has no line for in comments. It writes beside its
// owner's loop, and no disk holds that up.
package snapshot

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// incarnationStep is how far ahead of the incarnation in use the file is, so
	// that no moment of a crash leaves one behind it.
	incarnationStep = 16
	// snapshotSync is how old what a loss of power takes away may be.
	snapshotSync = 5 * time.Second
	// snapshotRetry is how long a disk that took nothing is left alone, at
	// first and at most.
	snapshotRetry, snapshotRetryMax = time.Second, 30 * time.Second
	// recordMax is how long a handler waits for its event to be recorded.
	recordMax = 100 * time.Millisecond
	// snapshotCloseMax bounds how long Stop waits for the disk.
	snapshotCloseMax = 2 * time.Second
)

// Snapshot keeps this node's memory in a file, beside the loop. Nothing waits
// in it for the disk: what is told it replaces what it was told before, whole
// lists and highest times, so that a slow disk costs neither knowledge nor
// memory.
type Snapshot struct {
	logger *slog.Logger
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	next  Memory // what the file is to say
	left  bool
	saved chan struct{} // closed when more of it is in the file
	event wire.LTime    // these are in the file
	query wire.LTime
	ill   bool // the disk takes nothing
}

// Start writes the file anew, so that it has this life's incarnation
// before the first packet goes out, and then keeps it.
func Start(store *Store, logger *slog.Logger) *Snapshot {
	w := newWriter(store, logger)
	w.begin(time.Now())
	go w.run()
	return w.Snapshot
}

func newWriter(store *Store, logger *slog.Logger) *writer {
	s := &Snapshot{
		logger: logger,
		wake:   make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		saved: make(chan struct{}),
	}
	s.next = store.Memory
	s.next.Incarnation = addIncarnation(store.Memory.Incarnation, 1+incarnationStep)
	s.event, s.query = s.next.Event, s.next.Query
	return &writer{Snapshot: s, store: store}
}

// errorOf is err unless the other way went well.
func errorOf(err, other error) error {
	if other == nil {
		return nil
	}
	return err
}

func addIncarnation(n, by uint32) uint32 {
	if n > math.MaxUint32-by {
		return math.MaxUint32
	}
	return n + by
}

// note changes what the file is to say; f reports whether it did.
func (s *Snapshot) note(f func(*Memory) bool) {
	s.mu.Lock()
	changed := f(&s.next)
	s.mu.Unlock()
	if changed {
		s.rouse()
	}
}

func (s *Snapshot) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Peers are all that is remembered of the others, sorted by name; they are the
// snapshot's from now on. After a leave, who is seen to go is not forgotten.
func (s *Snapshot) Peers(list []Peer) {
	s.note(func(m *Memory) bool {
		if s.left {
			return false
		}
		m.Peers = list
		return true
	})
}

// Seeds are the addresses that the next life tries too.
func (s *Snapshot) Seeds(list []string) {
	s.note(func(m *Memory) bool {
		m.Seeds = list
		return true
	})
}

// Times are the clocks and the incarnation in use.
func (s *Snapshot) Times(r serf.Restorable) {
	s.note(func(m *Memory) bool {
		old := *m
		m.Clock, m.Event, m.Query = max(m.Clock, r.Clock), max(m.Event, r.EventMin), max(m.Query, r.QueryMin)
		if addIncarnation(r.Incarnation, incarnationStep/4) > m.Incarnation {
			m.Incarnation = addIncarnation(r.Incarnation, incarnationStep)
		}
		return m.Clock != old.Clock || m.Event != old.Event || m.Query != old.Query || m.Incarnation != old.Incarnation
	})
}

// Leave: this life ends by a leave.
func (s *Snapshot) Leave() {
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	s.rouse()
}

// Recorded waits until the file has the time of a user event or query, so that
// it is not told again after a crash that comes while it is handled (P166). It
// gives up when the disk does.
func (s *Snapshot) Recorded(e *serf.Event) {
	if e.Type != serf.EventUser && e.Type != serf.EventQuery {
		return
	}
	t := time.NewTimer(recordMax)
	defer t.Stop()
	for {
		s.mu.Lock()
		have := s.event
		if e.Type == serf.EventQuery {
			have = s.query
		}
		ok, saved := have >= e.LTime || s.ill, s.saved
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-saved:
		case <-s.done:
			return
		case <-t.C:
			return
		}
	}
}

// Close writes what is to be written. A disk that hangs is left behind.
func (s *Snapshot) Close() {
	s.once.Do(func() { close(s.stop) })
	t := time.NewTimer(snapshotCloseMax)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
		s.logger.Warn("serf: the snapshot could not be completed in time")
	}
}

// writer is the goroutine of a snapshot.
type writer struct {
	*Snapshot
	store   *Store
	retryAt time.Time     // not before; zero: all is well
	pause   time.Duration // until the next try but one
	syncAt  time.Time     // zero: nothing to sync
	compact time.Time     // not before
}

// begin writes the file anew. Where that cannot be, new lines do.
func (w *writer) begin(now time.Time) {
	next := w.next
	w.store.change(&next, false)
	if err := w.store.compact(); err != nil {
		if self := w.store.Self; self.Addr.IsValid() {
			w.store.unsaved = appendPeer(w.store.unsaved, self.Name, self.Addr)
		}
		w.failed(now, errorOf(err, w.store.save()))
	}
}

func (w *writer) run() {
	defer close(w.done)
	timer := time.NewTimer(snapshotSync)
	defer timer.Stop()
	for {
		select {
		case <-w.wake:
		case <-timer.C:
		case <-w.stop:
			w.retryAt = time.Time{}
			w.step(time.Now())
			if err := w.store.close(); err != nil {
				w.logger.Error(fmt.Sprintf("serf: failed to flush snapshot: %v", err))
			}
			return
		}
		now := time.Now()
		w.step(now)
		if next := w.due(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(next.Sub(now), 1)) // at least 1: the race detector of Go 1.26 needs it under synctest
		}
	}
}

// due is when there is something to do without being woken.
func (w *writer) due() time.Time {
	if !w.retryAt.IsZero() {
		return w.retryAt
	}
	return w.syncAt
}

// step takes what was noted and writes it, if the disk is to be tried.
func (w *writer) step(now time.Time) {
	w.mu.Lock()
	next, left := w.next, w.left
	w.mu.Unlock()
	leaves := left && !w.store.left
	w.store.change(&next, left)
	if now.Before(w.retryAt) {
		return
	}
	if err := w.store.save(); err != nil {
		w.failed(now, err)
		return
	}
	w.well(next.Event, next.Query)
	if w.store.grown() && !now.Before(w.compact) {
		if err := w.store.compact(); err != nil {
			w.logger.Warn(fmt.Sprintf("serf: Failed to compact snapshot: %v", err))
			w.compact = now.Add(snapshotRetryMax)
		}
	}
	w.sync(now, leaves)
}

// sync makes what was written last, at once or when its time has come.
func (w *writer) sync(now time.Time, atOnce bool) {
	switch {
	case !w.store.dirty:
		w.syncAt = time.Time{}
	case atOnce || !w.syncAt.IsZero() && !now.Before(w.syncAt):
		w.syncAt = time.Time{}
		if err := w.store.sync(); err != nil {
			w.failed(now, err)
		}
	case w.syncAt.IsZero():
		w.syncAt = now.Add(snapshotSync)
	}
}

// failed reports the first of several failures and leaves the disk alone for a
// while. A nil err is none.
func (w *writer) failed(now time.Time, err error) {
	if err == nil {
		return
	}
	if w.retryAt.IsZero() {
		w.pause = snapshotRetry
		w.logger.Error(fmt.Sprintf("serf: Failed to update snapshot: %v", err))
	}
	w.retryAt = now.Add(w.pause)
	w.pause = min(2*w.pause, snapshotRetryMax)
	w.mu.Lock()
	w.ill = true
	w.tell()
	w.mu.Unlock()
}

// well: the file says everything up to these times.
func (w *writer) well(event, query wire.LTime) {
	if !w.retryAt.IsZero() {
		w.retryAt = time.Time{}
		w.logger.Info("serf: The snapshot is being written again")
	}
	w.mu.Lock()
	if w.ill || event > w.event || query > w.query {
		w.ill, w.event, w.query = false, event, query
		w.tell()
	}
	w.mu.Unlock()
}

// tell wakes those who wait for something to be recorded. The caller holds mu.
func (w *writer) tell() {
	close(w.saved)
	w.saved = make(chan struct{})
}

// Restore lets the machine go on from a former life.
func (m *Memory) Restore(cfg *serf.Config) {
	cfg.Swim.Incarnation = m.Incarnation
	cfg.Clock, cfg.EventClock, cfg.QueryClock = m.Clock, m.Event, m.Query
}
