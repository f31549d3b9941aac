package agent

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// queueMetrics is how often the lengths of queues are sampled: Serf's
// QueueCheckInterval. The members by state are told as often.
const queueMetrics = 30 * time.Second

// metricsState belongs to the loop.
type metricsState struct {
	last serf.Counts
}

// measure takes the numbers of one turn of the loop, which began at now.
func (a *Agent) measure(now time.Time, out *serf.Output) {
	for i := range out.Trace {
		t := &out.Trace[i]
		a.counters.trace(now, t)
		switch t.Kind {
		case serf.TraceMemberJoin:
			a.meter.count("serf.member.join", 1)
		case serf.TraceMemberLeave, serf.TraceMemberLeaveForced:
			a.meter.count("serf.member.left", 1)
		case serf.TraceMemberFailed:
			a.meter.count("serf.member.failed", 1)
		case serf.TraceMemberUpdate:
			a.meter.count("serf.member.update", 1)
		case serf.TraceMemberFlap:
			a.meter.count("serf.member.flap", 1)
		case serf.TraceCoordinateRejected:
			a.meter.count("serf.coordinate.rejected", 1)
		case swim.TraceFailed:
			if t.N < t.Of {
				a.meter.count("memberlist.degraded.timeout", 1)
			}
		}
	}
	for i := range out.Events {
		switch e := &out.Events[i]; e.Type {
		case serf.EventUser:
			a.countNamed("serf.events.", e.Name)
		case serf.EventQuery:
			a.countNamed("serf.queries.", e.Name)
		}
	}
	c := a.machine.Counts()
	if c == a.metered.last {
		return
	}
	a.measureCounts(now, &a.metered.last, &c)
	a.metered.last = c
}

func (a *Agent) countNamed(prefix, name string) {
	if metric, ok := a.meter.of(prefix, name); ok {
		a.meter.count(metric, 1)
	}
}

// measureCounts takes what the machine's totals have grown by.
func (a *Agent) measureCounts(now time.Time, was, is *serf.Counts) {
	for _, x := range [...]struct {
		name    string
		was, is uint64
	}{
		{"memberlist.msg.alive", was.Swim.Alive, is.Swim.Alive},
		{"memberlist.msg.suspect", was.Swim.Suspect, is.Swim.Suspect},
		{"memberlist.msg.dead", was.Swim.Dead, is.Swim.Dead},
		{"memberlist.degraded.probe", was.Swim.Degraded, is.Swim.Degraded},
		{"serf.events", was.Events, is.Events},
		{"serf.queries", was.Queries, is.Queries},
		{"serf.coordinate.zero-rtt", was.ZeroRTT, is.ZeroRTT},
		{"serf.query_acks", was.Acks, is.Acks},
		{"serf.query_responses", was.Responses, is.Responses},
		{"serf.query_duplicate_acks", was.DuplicateAcks, is.DuplicateAcks},
		{"serf.query_duplicate_responses", was.DuplicateResponses, is.DuplicateResponses},
	} {
		if x.is != x.was {
			a.meter.count(x.name, float64(x.is-x.was))
		}
	}
	a.mean("serf.msgs.received", is.Received-was.Received, float64(is.ReceivedBytes-was.ReceivedBytes))
	a.mean("serf.msgs.sent", is.Sent-was.Sent, float64(is.SentBytes-was.SentBytes))
	a.mean("memberlist.probeNode", is.Swim.Probes-was.Swim.Probes, milliseconds(is.Swim.ProbeTime-was.Swim.ProbeTime))
	a.mean("serf.coordinate.adjustment-ms", is.Adjustments-was.Adjustments, milliseconds(is.Adjusted-was.Adjusted))
	if is.Swim.Gossips != was.Swim.Gossips {
		a.meter.since("memberlist.gossip", now)
	}
	if is.Swim.Probes != was.Swim.Probes {
		a.meter.gauge("memberlist.health.score", float64(a.machine.Swim().Health()))
	}
}

// mean samples n values of which only the sum is known.
func (a *Agent) mean(name string, n uint64, sum float64) {
	for range n {
		a.meter.sample(name, sum/float64(n))
	}
}

// startMetrics begins to hand on what is measured.
func (a *Agent) startMetrics() {
	for _, s := range []metricSink{
		{network: "tcp", addr: a.cfg.StatsiteAddr, what: "statsite"},
		{network: "udp", addr: a.cfg.StatsdAddr, what: "statsd"},
	} {
		if s.addr != "" {
			s.faults, s.packets = a.faults, make(chan []byte, sinkLag)
			a.sinks = append(a.sinks, &s)
			a.wg.Go(func() { s.run(a.ctx) })
		}
	}
	a.wg.Go(a.handMetricsOn)
}

func (a *Agent) handMetricsOn() {
	// With nobody to hand them to, metrics are put together more rarely: each time
	// wakes the process.
	host, every := "", metricsQuiet
	if len(a.sinks) > 0 { // several agents may report to one place
		host, _ = os.Hostname()
		every = metricsFlush
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var list []metric
	var rt runtimeMetrics
	var rpcSeen [2]uint64
	queues := time.Now().Add(queueMetrics)
	a.memberMetrics()
	for {
		select {
		case now := <-ticker.C:
			rt.measure(a.meter)
			if !now.Before(queues) {
				queues = now.Add(queueMetrics)
				a.queueMetrics()
				a.memberMetrics()
			}
			a.rpcMetrics(&rpcSeen)
			m := a.meter.take()
			list = m.list(list[:0], host)
			a.recent.add(now.Round(0), list) // for people: without the monotonic clock
			if packets := packMetrics(list); len(packets) > 0 {
				for _, s := range a.sinks {
					s.send(packets)
				}
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// queueMetrics samples the lengths of the queues, and memberMetrics counts the
// members by state; the loop is asked for both.
func (a *Agent) queueMetrics() {
	var s serf.Stats
	var members int
	if a.doErr(func(time.Time) error { s, members = a.machine.Stats(), a.machine.Swim().QueueLen(); return nil }) != nil {
		return
	}
	a.meter.sample("memberlist.queue.broadcasts", float64(members))
	a.meter.sample("serf.queue.Intent", float64(s.IntentQueue))
	a.meter.sample("serf.queue.Event", float64(s.EventQueue))
	a.meter.sample("serf.queue.Query", float64(s.QueryQueue))
}

func (a *Agent) memberMetrics() {
	var n [wire.StateLeft + 1]int
	if a.doErr(func(time.Time) error {
		a.machine.Swim().Each(func(m *swim.Member) bool {
			if m.State <= wire.StateLeft {
				n[m.State]++
			}
			return true
		})
		return nil
	}) != nil {
		return
	}
	for state, name := range map[wire.NodeState]string{ // order-free: four gauges
		wire.StateAlive: "alive", wire.StateSuspect: "suspect", wire.StateDead: "dead", wire.StateLeft: "left",
	} {
		a.meter.gauge("memberlist.node.instances."+name, float64(n[state]))
	}
}

// rpcMetrics takes what the RPC server counts.
func (a *Agent) rpcMetrics(seen *[2]uint64) {
	if a.rpcServer == nil {
		return
	}
	s := a.rpcServer.Stats()
	a.meter.count("agent.ipc.accept", float64(s.Accepted-seen[0]))
	a.meter.count("agent.ipc.command", float64(s.Commands-seen[1]))
	*seen = [2]uint64{s.Accepted, s.Commands}
}

// timed runs handlers as run does and measures how long they take.
func (a *Agent) timed(run handler.RunFunc) handler.RunFunc {
	return func(h *handler.Handler, j *handler.Job, kill <-chan struct{}) (handler.Output, error) {
		begun := time.Now()
		out, err := run(h, j, kill)
		if name, ok := a.meter.of("agent.invoke.", h.Command); ok {
			a.meter.since(name, begun)
		}
		return out, err
	}
}

// runtimeMetrics are Go's own, read without stopping the world, which would hold up
// the loop. The names are those of runtime.MemStats in Serf's form.
type runtimeMetrics struct {
	read [len(goMetrics)]metrics.Sample
	gc   debug.GCStats
	seen int64 // collections whose pauses were told
}

// What measure reads. Tiny objects are not among those allocated and freed.
const (
	goAllocated = iota
	goFreed
	goTiny
	goObjects
	goHeap
	goTotal
)

var goMetrics = [...]string{
	goAllocated: "/gc/heap/allocs:objects",
	goFreed:     "/gc/heap/frees:objects",
	goTiny:      "/gc/heap/tiny/allocs:objects",
	goObjects:   "/gc/heap/objects:objects",
	goHeap:      "/memory/classes/heap/objects:bytes",
	goTotal:     "/memory/classes/total:bytes",
}

func (r *runtimeMetrics) measure(m *meter) {
	for i, name := range goMetrics {
		r.read[i].Name = name
	}
	metrics.Read(r.read[:])
	value := func(i int) float64 { return float64(r.read[i].Value.Uint64()) }
	debug.ReadGCStats(&r.gc)
	m.gauge("runtime.num_goroutines", float64(runtime.NumGoroutine()))
	m.gauge("runtime.alloc_bytes", value(goHeap))
	m.gauge("runtime.sys_bytes", value(goTotal))
	m.gauge("runtime.malloc_count", value(goAllocated)+value(goTiny))
	m.gauge("runtime.free_count", value(goFreed)+value(goTiny))
	m.gauge("runtime.heap_objects", value(goObjects))
	m.gauge("runtime.total_gc_pause_ns", float64(r.gc.PauseTotal))
	m.gauge("runtime.total_gc_runs", float64(r.gc.NumGC))
	news := min(int(r.gc.NumGC-r.seen), len(r.gc.Pause)) // the newest first
	for _, pause := range slices.Backward(r.gc.Pause[:news]) {
		m.sample("runtime.gc_pause_ns", float64(pause))
	}
	r.seen = r.gc.NumGC
}

// isState reports whether a message is one side of a push/pull.
func isState(msg []byte) bool { return len(msg) > 0 && wire.Type(msg[0]) == wire.TypePushPull }

// stateCame and stateGoes measure the messages of a push/pull.
func (a *Agent) stateCame(msg []byte) {
	if isState(msg) {
		a.meter.sample("memberlist.size.remote", float64(len(msg)))
	}
}

func (a *Agent) stateGoes(msg []byte) {
	if isState(msg) {
		a.meter.gauge("memberlist.size.local", float64(len(msg)))
	}
}
