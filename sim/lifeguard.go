package sim

import (
	"math/rand/v2"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// Cell is one cell of the false-positive experiment of the Lifeguard paper
// (Dadgar, Phillips, Currey 2018, section IV): of Nodes members Sick ones are
// unwell again and again, at the same times, for For each time with Gap between,
// for Length altogether.
type Cell struct {
	Nodes, Sick      int
	For, Gap, Length time.Duration
	Anomaly          Anomaly
	Plain            bool
	Seed             uint64
}

// CellResult is what came of a cell. False positives are reports that a node
// has failed which was neither unwell nor crashed: all of them, and those made at
// nodes that were well themselves. Healthy nodes crash as well, one with and one
// without its host, and are found.
type CellResult struct {
	Cell
	False, FalseHealthy int
	// Crash is the process that ended, Silent the host that was gone: found by
	// the nodes that were well.
	Crash, Silent Spread
	Messages      int // datagrams sent
	Bytes         int
	Virtual       time.Duration
}

// The grid of the paper's Interval experiment, ten runs of each cell.
var (
	PaperSick = []int{1, 4, 8, 12, 16, 20, 24, 28, 32}
	PaperFor  = []time.Duration{128 * time.Millisecond, 512 * time.Millisecond, 2048 * time.Millisecond,
		8192 * time.Millisecond, 16384 * time.Millisecond, 32768 * time.Millisecond}
	PaperGap = []time.Duration{time.Millisecond, 4 * time.Millisecond, 16 * time.Millisecond, 64 * time.Millisecond,
		256 * time.Millisecond, 1024 * time.Millisecond, 4096 * time.Millisecond, 16384 * time.Millisecond}
)

const (
	// settledAfter is when the anomalies begin.
	settledAfter = 5 * time.Second
	// consequences is how long false reports may come after the last anomaly.
	consequences = 40 * time.Second
)

// anomaly is a running cell.
type anomaly struct {
	Cell
	c       *Cluster
	sick    map[string]bool
	crashed map[string]bool
	told    map[string][]time.Duration
	result  CellResult
}

// Run plays the cell.
func (a Cell) Run() (CellResult, error) {
	opts := Options{Seed: a.Seed, Unchecked: true, Link: Link{Delay: 100 * time.Microsecond, Jitter: 300 * time.Microsecond}}
	opts.Serf.Swim.Plain = a.Plain
	opts.Serf.EventBuffer, opts.Serf.QueryBuffer = 16, 16
	c, err := New(opts)
	if err != nil {
		return CellResult{}, err
	}
	if err := c.AddKnown(a.Nodes, nil); err != nil {
		return CellResult{}, err
	}
	x := &anomaly{Cell: a, c: c, sick: make(map[string]bool), crashed: make(map[string]bool), told: make(map[string][]time.Duration)}
	x.result.Cell = a
	c.Advance(settledAfter)
	c.onEvent = x.event
	order := rand.New(rand.NewPCG(a.Seed, 6)).Perm(a.Nodes)
	var sick []*Node
	for _, i := range order[:a.Sick] {
		sick = append(sick, c.nodes[i])
		x.sick[c.nodes[i].name] = true
	}
	begin := c.clock.now
	x.begin(sick, begin+a.Length)
	crash, silent := c.nodes[order[a.Sick]], c.nodes[order[a.Sick+1]]
	var crashAt, silentAt time.Duration
	c.After(a.Length/4, func() { crashAt = x.crash(crash, false) })
	c.After(a.Length/2, func() { silentAt = x.crash(silent, true) })
	c.Advance(a.Length + a.For + consequences)
	x.result.Messages, x.result.Bytes, x.result.Virtual = c.net.sent, c.net.bytes, c.clock.now
	healthy := a.Nodes - a.Sick - 2
	s := Scale{c: c}
	// The second victim was well when the first crashed, and may have told.
	x.result.Crash = s.spread(x.told[crash.name], crashAt, healthy)
	x.result.Silent = s.spread(x.told[silent.name], silentAt, healthy)
	return x.result, c.failed
}

// begin makes the sick unwell, and again, until the end.
func (x *anomaly) begin(sick []*Node, end time.Duration) {
	if x.c.clock.now >= end {
		return
	}
	for _, n := range sick {
		n.Upset(x.Anomaly)
	}
	x.c.After(x.For, func() {
		for _, n := range sick {
			n.Release()
		}
		x.c.After(x.Gap, func() { x.begin(sick, end) })
	})
}

func (x *anomaly) crash(n *Node, host bool) time.Duration {
	x.crashed[n.name] = true
	n.Crash(host)
	return x.c.clock.now
}

// event counts the reports of failures.
func (x *anomaly) event(o *Node, ev *serf.Event) {
	if ev.Type != serf.EventMemberFailed {
		return
	}
	for _, m := range ev.Members {
		switch {
		case x.crashed[m.Name]:
			if !x.sick[o.name] {
				x.told[m.Name] = append(x.told[m.Name], x.c.clock.now)
			}
		case !x.sick[m.Name]:
			x.result.False++
			if !x.sick[o.name] {
				x.result.FalseHealthy++
			}
		}
	}
}
