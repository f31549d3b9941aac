package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
)

// health is what this gateway itself has seen of a volume's server.
type health uint8

const (
	// up: it answers.
	up health = iota
	// late: answers are overdue; it is being asked whether it is there at all.
	late
	// down: it refused, or did not answer. It is asked until it does.
	down
)

func (h health) String() string { return [...]string{"up", "late", "down"}[h] }

// volume is one Groonga server.
type volume struct {
	addr      string // host:port, as the catalog has it; also its name in the log of writes
	address   catalog.Address
	maxAnswer int
	ctx       context.Context // ends with the dispatcher, or when the catalog has it no more
	cancel    context.CancelFunc
	pool      pool

	outstanding atomic.Int32
	health      atomic.Uint32 // a health
	listed      atomic.Bool   // alive by the list
	out         atomic.Uint64 // of the read set, since this entry of the log of writes; 0: it is in
	lastAnswer  atomic.Int64  // when it last answered, nanoseconds on the dispatcher's clock
	answers     atomic.Uint64
	failures    atomic.Uint64
	latency     latencies

	started    atomic.Int64  // when the server was started that was last looked at, as it says; 0: none was
	emptied    atomic.Bool   // that one's database is not the one that it had
	inspecting chan struct{} // holds one: held by the one who inspects

	mu       sync.Mutex
	running  []*attempt // reads under way
	fault    string     // the last failure, for /status
	software string     // what the server calls itself; "" of Groonga's own
	since    time.Time  // of health
	wake     chan struct{}

	delivered atomic.Uint64 // writes
}

// lacks reports whether it lacks writes, or may: it is not to be read from.
func (v *volume) lacks() bool { return v.out.Load() != 0 || v.emptied.Load() }

func (v *volume) state() health { return health(v.health.Load()) }

// setState changes the health and reports whether it was another.
func (v *volume) setState(h health, now time.Time, fault string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state() == h {
		return false
	}
	v.health.Store(uint32(h))
	v.since = now
	if fault != "" {
		v.fault = fault
	}
	return true
}

// rank orders volumes for a read: the lower the better; noRank is not at all.
type rank uint8

const (
	good   rank = iota // alive by the list, and answers
	slow               // alive by the list, but overdue
	bad                // alive by the list, but did not answer just now
	absent             // not alive by the list, which may be wrong
	noRank             // lacks writes
)

func (v *volume) rank() rank {
	switch {
	case v.lacks():
		return noRank
	case !v.listed.Load():
		return absent
	case v.state() == up:
		return good
	case v.state() == late:
		return slow
	}
	return bad
}

// begin notes an attempt that is under way.
func (v *volume) begin(a *attempt) {
	v.outstanding.Add(1)
	v.mu.Lock()
	a.place = len(v.running)
	v.running = append(v.running, a)
	v.mu.Unlock()
}

func (v *volume) end(a *attempt) {
	v.mu.Lock()
	last := len(v.running) - 1
	moved := v.running[last]
	v.running[a.place] = moved
	moved.place = a.place
	v.running[last] = nil
	v.running = v.running[:last]
	v.mu.Unlock()
	v.outstanding.Add(-1)
}

// interruptAll ends all attempts under way: the server is gone.
func (v *volume) interruptAll() {
	v.mu.Lock()
	running := append([]*attempt(nil), v.running...)
	v.mu.Unlock()
	for _, a := range running {
		a.interrupt()
	}
}
