package dispatch

import (
	"sync/atomic"
	"time"
)

// The bounds of what is late.
const (
	watchTick   = 4 * time.Millisecond
	hedgeAtFew  = 50 * time.Millisecond  // before there are enough answers to know better
	hedgeFloor  = 10 * time.Millisecond  // nothing is called late before
	hedgeLimit  = 150 * time.Millisecond // everything is worth a second attempt after
	lateFactor  = 4                      // so many times the hedge delay without any answer: a server is late
	lateFloor   = 40 * time.Millisecond
	lateLimit   = 250 * time.Millisecond
	enough      = 50              // answers that make a quantile
	ageEvery    = 5 * time.Second // how often old latencies are made to count half
	hedgeTokens = 50              // how many further attempts may come at once
	probeFor    = 500 * time.Millisecond
	probeFirst  = 20 * time.Millisecond
	probeLimit  = 250 * time.Millisecond
)

// watchdog looks after reads that are under way, so that a read itself needs
// neither a timer nor a second goroutine while all goes well.
type watchdog struct {
	d          *Dispatcher
	hedgeAfter atomic.Int64 // nanoseconds
	median     atomic.Int64
	hedges     atomic.Uint64 // attempts begun because another was late
	tokens     float64
	readsSeen  uint64
	aged       time.Time
	asleep     atomic.Bool
	wake       chan struct{} // holds one
}

func (w *watchdog) run() {
	w.hedgeAfter.Store(int64(hedgeAtFew))
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	w.aged = time.Now()
	for n := 0; ; n++ {
		select {
		case <-w.d.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if n%64 == 0 {
			w.measure(now)
		}
		w.earn()
		busy := false
		for _, v := range w.d.now().volumes {
			if v.outstanding.Load() > 0 {
				busy = true
				w.look(v, now)
			}
		}
		if !busy && !w.sleep(tick) {
			return
		}
	}
}

// sleep waits until something is under way, so that a gateway without work has none.
// It is false if the dispatcher has ended.
func (w *watchdog) sleep(tick *time.Ticker) bool {
	w.asleep.Store(true)
	for _, v := range w.d.now().volumes {
		if v.outstanding.Load() > 0 { // begun just before
			w.asleep.Store(false)
			return true
		}
	}
	tick.Stop()
	defer tick.Reset(watchTick)
	select {
	case <-w.d.ctx.Done():
		return false
	case <-w.wake:
		return true
	}
}

// begun wakes the watchdog if it sleeps.
func (w *watchdog) begun() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// measure computes what is late from the answers so far.
func (w *watchdog) measure(now time.Time) {
	q, total := w.d.latency.quantiles(0.5, 0.99)
	after := hedgeAtFew
	if total >= enough {
		after = min(max(q[1], hedgeFloor), hedgeLimit)
	}
	w.hedgeAfter.Store(int64(after))
	w.median.Store(int64(q[0]))
	if now.Sub(w.aged) > ageEvery {
		w.aged = now
		w.d.latency.age()
		for _, v := range w.d.now().volumes {
			v.latency.age()
		}
	}
}

// earn turns reads into the right to further attempts.
func (w *watchdog) earn() {
	reads := w.d.reads.Load()
	w.tokens = min(w.tokens+float64(reads-w.readsSeen)*max(w.d.cfg.HedgeShare, 0), hedgeTokens)
	w.readsSeen = reads
}

// look begins further attempts for late reads of one volume, and asks a server
// that has fallen silent whether it is still there.
func (w *watchdog) look(v *volume, now time.Time) {
	hedgeAfter := time.Duration(w.hedgeAfter.Load())
	lateAfter := min(max(lateFactor*hedgeAfter, lateFloor), lateLimit)
	var overdue []*race
	var oldest time.Duration
	v.mu.Lock()
	for _, a := range v.running {
		age := now.Sub(a.start)
		oldest = max(oldest, age)
		if a.race == nil || a.hedged || age < hedgeAfter {
			continue
		}
		// A server that is late or gone needs no permission to be avoided.
		if v.state() == up {
			if w.tokens < 1 {
				continue
			}
			w.tokens--
		}
		a.hedged = true
		overdue = append(overdue, a.race)
	}
	v.mu.Unlock()
	for _, r := range overdue {
		w.hedges.Add(1)
		go r.hedge()
	}
	silent := now.Sub(w.d.epoch) - time.Duration(v.lastAnswer.Load())
	if oldest > lateAfter && silent > lateAfter && v.state() == up {
		if v.setState(late, now, "no answer for "+silent.Round(time.Millisecond).String()) {
			w.d.log.Debug("server is late", "volume", v.addr, "oldest", oldest)
			v.probeNow()
		}
	}
	w.expire(v, now)
}

// expire ends the reads that have taken all their time.
func (w *watchdog) expire(v *volume, now time.Time) {
	var ended []*race
	v.mu.Lock()
	for _, a := range v.running {
		if a.race != nil && now.After(a.race.deadline) {
			ended = append(ended, a.race)
		}
	}
	v.mu.Unlock()
	for _, r := range ended {
		r.expire()
	}
}

// expire ends a race whose time is over.
func (r *race) expire() {
	r.mu.Lock()
	if !r.over {
		r.fault = ErrTimeout
	}
	r.mu.Unlock()
	r.giveUp()
}

// hedge asks one more volume, if there is one.
func (r *race) hedge() {
	if v := r.next(); v != nil {
		r.attempt(v)
	}
}
