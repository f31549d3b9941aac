package agent

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

// Histogram is how often something took how long. Counts has one number for each of
// Bounds, of what took at most that long and longer than the bound before, and one
// for what took longer than all.
type Histogram struct {
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// histogram is one that anybody may add to, without a lock.
type histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64
	sum    atomic.Int64
}

func newHistogram(bounds ...time.Duration) *histogram {
	return &histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) snapshot() Histogram {
	out := Histogram{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		out.Counts[i] = h.counts[i].Load()
	}
	return out
}

// Figures are totals since the agent began, and how things stand now.
type Figures struct {
	// Lateness is how late the loop came to what it had to do at a certain time.
	Lateness Histogram
	// Detection is the time from the first sign that a member does not answer, as this
	// node saw it, to its failure.
	Detection Histogram
	// Refuted is how often others held this node for failed, and it said that it is not:
	// false alarms. Summed over all nodes it is those of the cluster.
	Refuted uint64
	// Failed is how often a member failed, Flapped how often one was back soon after.
	Failed, Flapped uint64
	// Drops are what came from outside and could not be used, by kind and reason.
	Drops map[string]uint64
	// Handlers are those of events, Oldest how long the one has waited that waits longest.
	Handlers []handler.Stats
	Oldest   time.Duration
	// Streams are the event streams of RPC clients.
	Streams int
	Health  int // of Lifeguard: 0 is well
	// Queues are how many messages wait to be sent.
	MemberQueue, IntentQueue, EventQueue, QueryQueue int
	// ListDropped are orders for the files of the live-node list that were lost.
	ListDropped uint64
	// ListLeftOut is how many nodes are alive and not in one of these files.
	ListLeftOut int
}

// maxSigns is how many members can be under suspicion here at once and be measured.
const maxSigns = 1024

// signAge is when a sign is forgotten that nothing came of.
const signAge = time.Minute

// counters is what Figures are made of. The loop adds to it.
type counters struct {
	lateness, detection      *histogram
	refuted, failed, flapped atomic.Uint64
	signs                    map[string]time.Time // of the loop: since when a member does not answer
}

func (t *counters) init() {
	t.lateness = newHistogram(time.Millisecond, 5*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond,
		100*time.Millisecond, 500*time.Millisecond, time.Second, 10*time.Second)
	t.detection = newHistogram(5*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond,
		time.Second, 2*time.Second, 5*time.Second, 10*time.Second, 30*time.Second)
	t.signs = make(map[string]time.Time)
}

// late notes how late the loop is.
func (t *counters) late(due, now time.Time) { t.lateness.add(max(now.Sub(due), 0)) }

// trace looks at what the core says.
func (t *counters) trace(now time.Time, r *swim.Trace) {
	switch r.Kind {
	case swim.TracePingFailed, swim.TraceSuspect, swim.TraceRefused:
		t.sign(now, r.Node)
	case swim.TraceRefuteSuspect, swim.TraceRefuteDead:
		t.refuted.Add(1)
	case serf.TraceMemberFailed:
		t.failed.Add(1)
		if begun, ok := t.signs[r.Node]; ok {
			t.detection.add(now.Sub(begun))
			delete(t.signs, r.Node)
		}
	case serf.TraceMemberFlap:
		t.flapped.Add(1)
	case serf.TraceMemberJoin, serf.TraceMemberLeave:
		delete(t.signs, r.Node)
	}
}

func (t *counters) sign(now time.Time, node string) {
	if begun, ok := t.signs[node]; ok && now.Sub(begun) < signAge {
		return
	}
	if len(t.signs) >= maxSigns {
		maps.DeleteFunc(t.signs, func(_ string, begun time.Time) bool { return now.Sub(begun) >= signAge })
	}
	if len(t.signs) < maxSigns {
		t.signs[node] = now
	}
}

// Figures returns the totals so far. It asks the loop, and returns false if the agent
// has ended.
func (a *Agent) Figures() (Figures, bool) {
	t := &a.counters
	f := Figures{Lateness: t.lateness.snapshot(), Detection: t.detection.snapshot(), Refuted: t.refuted.Load(),
		Failed: t.failed.Load(), Flapped: t.flapped.Load(), Drops: a.faults.snapshot(), Handlers: a.HandlerStats()}
	f.Oldest = a.handlers.Oldest(time.Now())
	a.subs.mu.Lock()
	f.Streams = len(a.subs.all)
	a.subs.mu.Unlock()
	if a.lists != nil {
		f.ListDropped, f.ListLeftOut = a.lists.Dropped(), a.lists.LeftOut()
	}
	err := a.doErr(func(time.Time) error {
		s := a.machine.Stats()
		f.Health, f.MemberQueue = s.HealthScore, a.machine.Swim().QueueLen()
		for why, n := range a.machine.Swim().Drops() {
			f.Drops["core "+swim.Drop(why).String()] = n
		}
		f.IntentQueue, f.EventQueue, f.QueryQueue = s.IntentQueue, s.EventQueue, s.QueryQueue
		return nil
	})
	return f, err == nil
}

// HandlerStats returns the figures of the handlers in force, in the order of the
// configuration; handlers that share a queue come once.
func (a *Agent) HandlerStats() []handler.Stats { return a.handlers.Stats() }
