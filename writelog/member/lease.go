package member

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/writelog"
)

const (
	// leasePatience is how long a search waits for a lease. After a rest that is one round trip.
	leasePatience = 100 * time.Millisecond
	// wantEvery is how often a gateway that answers searches says that it wants leases.
	wantEvery = 200 * time.Millisecond
)

// lease is until when searches may be answered, by Config.Now, and who waits for that.
type lease struct {
	until  atomic.Int64
	wanted atomic.Int64 // when it was wanted last

	mu   sync.Mutex
	next chan struct{} // closed with the next one; nil: nobody waits for it
}

func (l *lease) holds(now time.Duration) bool { return now < time.Duration(l.until.Load()) }

// wants reports whether it is time to say that leases are wanted.
func (l *lease) wants(now time.Duration) bool {
	last := l.wanted.Load()
	return (!l.holds(now) || now-time.Duration(last) > wantEvery) && l.wanted.CompareAndSwap(last, int64(now))
}

// set takes over until when it lasts. It is the loop's.
func (l *lease) set(until time.Duration) {
	if old := time.Duration(l.until.Swap(int64(until))); until <= old {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil {
		close(l.next)
		l.next = nil
	}
}

// coming is closed when the next lease is there.
func (l *lease) coming() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = make(chan struct{})
	}
	return l.next
}

// Leased reports whether searches may be answered from the read set now.
func (m *Member) Leased() bool { return m.lease.holds(m.cfg.Now()) }

// Serves reports whether they may be, or could a moment ago: at rest there is no lease, but a
// search gets one.
func (m *Member) Serves() bool { return m.StaleFor() < 2*writelog.RestEvery }

// StaleFor is since when they may not.
func (m *Member) StaleFor() time.Duration {
	return max(0, m.cfg.Now()-time.Duration(m.lease.until.Load()))
}

// Lease reports whether a search may be answered from the read set. After a rest it waits for
// a lease.
func (m *Member) Lease(ctx context.Context) bool {
	now := m.cfg.Now()
	leased := m.lease.holds(now)
	if m.lease.wants(now) {
		m.do(func(now time.Duration) {
			if m.machine != nil {
				m.machine.Want(now)
			}
		})
	}
	if leased || m.View().Leader == "" {
		return leased
	}
	coming := m.lease.coming()
	if m.Leased() { // in between
		return true
	}
	timer := time.NewTimer(leasePatience)
	defer timer.Stop()
	select {
	case <-coming:
	case <-timer.C:
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	return m.Leased()
}
