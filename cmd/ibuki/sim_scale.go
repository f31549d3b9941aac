package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/plot"
	"github.com/ibuki-dev/ibuki/sim"
)

const simScaleHelp = `
Usage: {prog} sim scale [options]

  Measures quiet clusters of growing size, in virtual time: how long it takes
  until all nodes know that one has crashed (its host answers that nobody
  listens), that a host is gone (nothing answers), or of a user event; how often
  a node receives an event; what a node sends while nothing happens; how fast it
  is simulated, and in how much memory. Every node runs the agent's own machine;
  they share what they have in common (see docs/performance.md).

Options of sim scale:

    -n=3,64,1000        How many nodes.
    -mode=plain,native  plain is Serf's own algorithm.
    -runs=5             How often each thing happens; medians are printed.
    -for=10s            How long the idle cluster is watched.
    -seed=1             The first seed.
    -exchange=10000     Up to how many nodes whole states are exchanged
                        periodically: beyond, nothing else would be computed.
    -loss=0             Which share of the datagrams is lost.
    -virtual            Only what is the same at each call: no speed, no memory.
    -svg=DIR            Write charts there.
`

type scaleFlags struct {
	sizes    []int
	modes    []string
	runs     int
	span     time.Duration
	seed     uint64
	exchange int
	loss     float64
	virtual  bool
	svg      string
}

// scaleRow is one line of the table.
type scaleRow struct {
	nodes                int
	mode                 string
	crash, silent, event []sim.Spread
	traffic              sim.Traffic
	exchange             bool
	speed                float64 // virtual seconds a second of processor time
	heap                 uint64
}

func (e *env) simScale(args []string) int {
	f, code := e.scaleFlags(args)
	if code != 0 {
		return code
	}
	roomy()
	var rows []*scaleRow
	for _, n := range f.sizes {
		for _, mode := range f.modes {
			r := &scaleRow{nodes: n, mode: mode}
			if err := r.measure(f); err != nil {
				return e.fail("%d nodes, %s: %s", n, mode, err)
			}
			rows = append(rows, r)
			fmt.Fprintf(e.stderr, "%d nodes, %s: done\n", n, mode)
		}
	}
	e.scaleTable(f, rows)
	if f.svg != "" {
		if err := scaleCharts(f, rows); err != nil {
			return e.fail("Error writing the charts: %s", err)
		}
	}
	return 0
}

// roomy has the garbage collector come seldom, while there is room: what a simulated
// cluster keeps is large, and what it throws away small.
func roomy() {
	const enough = 4 << 30 // from here on it comes as often as it must
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(enough)
}

func (e *env) scaleFlags(args []string) (*scaleFlags, int) {
	f := &scaleFlags{}
	fs := e.flags()
	sizes := fs.String("n", "3,64,1000", "")
	modes := fs.String("mode", "plain,native", "")
	fs.IntVar(&f.runs, "runs", 5, "")
	fs.DurationVar(&f.span, "for", 10*time.Second, "")
	fs.Uint64Var(&f.seed, "seed", 1, "")
	fs.IntVar(&f.exchange, "exchange", 10000, "")
	fs.Float64Var(&f.loss, "loss", 0, "")
	fs.BoolVar(&f.virtual, "virtual", false, "")
	fs.StringVar(&f.svg, "svg", "", "")
	fs.Usage = func() { e.say("%s", e.text(simScaleHelp)) }
	if err := fs.Parse(args); err != nil {
		return nil, 1
	}
	for _, s := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 2 || n > 130_000 {
			return nil, e.fail("Invalid number of nodes: %q (2 to 130000)", s)
		}
		f.sizes = append(f.sizes, n)
	}
	var ok bool
	if f.modes, ok = modesOf(*modes); !ok {
		return nil, e.fail("Invalid mode: %q (plain, native)", *modes)
	}
	if f.runs < 1 || f.span <= 0 || f.loss < 0 || f.loss >= 1 || fs.NArg() > 0 {
		return nil, e.fail("%s", e.text(simScaleHelp))
	}
	return f, 0
}

func modesOf(s string) (modes []string, ok bool) {
	modes = strings.Split(s, ",")
	return modes, !slices.ContainsFunc(modes, func(m string) bool { return m != "plain" && m != "native" })
}

// freshBelow is up to how many nodes each run has a cluster of its own; in a
// larger one a few crashed nodes change nothing.
const freshBelow = 1000

func (r *scaleRow) measure(f *scaleFlags) error {
	before := heap()
	s, err := r.cluster(f, 0)
	if err != nil {
		return err
	}
	began := cpuTime()
	if r.traffic, err = s.Idle(f.span); err != nil {
		return err
	}
	if used := cpuTime() - began; used > 0 {
		r.speed = f.span.Seconds() / used.Seconds()
	}
	r.heap = heap() - before
	for run := range f.runs {
		if run > 0 && r.nodes < freshBelow {
			if s, err = r.cluster(f, run); err != nil {
				return err
			}
		}
		if err := r.run(s, run); err != nil {
			return err
		}
	}
	runtime.KeepAlive(s)
	return nil
}

// cluster makes one that has come to rest.
func (r *scaleRow) cluster(f *scaleFlags, run int) (*sim.Scale, error) {
	plain := r.mode == "plain"
	r.exchange = r.nodes <= f.exchange
	s, err := sim.NewScale(sim.ScaleOptions{Nodes: r.nodes, Seed: f.seed + uint64(run), Plain: plain, NoExchange: !r.exchange, Loss: f.loss})
	if err != nil {
		return nil, err
	}
	return s, s.Advance(3 * time.Second)
}

// run lets one of each thing happen, at another phase of all timers in each run.
func (r *scaleRow) run(s *sim.Scale, run int) error {
	if err := s.Advance(time.Duration(run*137%1000) * time.Millisecond); err != nil {
		return err
	}
	event, err := s.Event(3*run+1, time.Minute)
	if err != nil {
		return err
	}
	crash, err := s.Crash(3*run+2, false, 3*time.Minute)
	if err != nil {
		return err
	}
	r.event, r.crash = append(r.event, event), append(r.crash, crash)
	if r.nodes <= 3 {
		// Nobody would be left to tell anybody: a cluster of its own.
		return nil
	}
	if err := s.Advance(5 * time.Second); err != nil {
		return err
	}
	silent, err := s.Crash(3*run+3, true, 3*time.Minute)
	r.silent = append(r.silent, silent)
	return err
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (e *env) scaleTable(f *scaleFlags, rows []*scaleRow) {
	head := "| nodes | mode | crash: first, all | host gone: first, all | event: half, all | copies | datagrams/s | bytes/s |"
	line := "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
	if !f.virtual {
		head, line = head+" speed | memory, KiB/node |", line+" ---: | ---: |"
	}
	e.say("%s\n%s", head, line)
	for _, r := range rows {
		bytes := fmt.Sprintf("%.0f", r.traffic.DatagramBytes+r.traffic.StreamBytes)
		if !r.exchange {
			bytes += " + states"
		}
		text := fmt.Sprintf("| %d | %s | %s, %s | %s, %s | %s, %s | %.1f | %.1f | %s |", r.nodes, r.mode,
			medianOf(r.crash, first), medianOf(r.crash, last), medianOf(r.silent, first), medianOf(r.silent, last),
			medianOf(r.event, half), medianOf(r.event, last), medianCopies(r.event), r.traffic.Datagrams, bytes)
		if !f.virtual {
			text += fmt.Sprintf(" %.3g × | %.1f |", r.speed, float64(r.heap)/1024/float64(r.nodes))
		}
		e.say("%s", text)
	}
}

func first(s sim.Spread) time.Duration { return s.First }
func half(s sim.Spread) time.Duration  { return s.Half }
func last(s sim.Spread) time.Duration  { return s.Last }

// medianOf is the median of some time of what all were told of in the end; if
// that is not even half of them, never.
func medianOf(all []sim.Spread, of func(sim.Spread) time.Duration) string {
	d, ok := medianTime(all, of)
	switch {
	case len(all) == 0:
		return "–"
	case !ok:
		return "never"
	}
	return shortTime(d)
}

func medianTime(all []sim.Spread, of func(sim.Spread) time.Duration) (time.Duration, bool) {
	const never = time.Duration(1<<63 - 1)
	var times []time.Duration
	for _, s := range all {
		if s.Missed > 0 {
			times = append(times, never)
		} else {
			times = append(times, of(s))
		}
	}
	slices.Sort(times)
	if len(times) == 0 || times[len(times)/2] == never {
		return 0, false
	}
	return times[len(times)/2], true
}

func medianCopies(all []sim.Spread) float64 {
	var c []float64
	for _, s := range all {
		c = append(c, s.Copies)
	}
	slices.Sort(c)
	return c[len(c)/2]
}

// shortTime has three digits.
func shortTime(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2g ms", float64(d)/1e6)
}

// scaleCharts draws the columns over the number of nodes.
func scaleCharts(f *scaleFlags, rows []*scaleRow) error {
	seconds := func(of func(r *scaleRow) []sim.Spread) func(r *scaleRow) float64 {
		return func(r *scaleRow) float64 {
			d, _ := medianTime(of(r), last)
			return d.Seconds()
		}
	}
	for _, c := range []struct {
		file, title, y string
		value          func(r *scaleRow) float64
	}{
		{"scale-crash.svg", "A process crashes: all nodes know", "seconds", seconds(func(r *scaleRow) []sim.Spread { return r.crash })},
		{"scale-silent.svg", "A host is gone: all nodes know", "seconds", seconds(func(r *scaleRow) []sim.Spread { return r.silent })},
		{"scale-event.svg", "A user event: all nodes are told", "seconds", seconds(func(r *scaleRow) []sim.Spread { return r.event })},
		{"scale-bytes.svg", "What an idle node sends", "bytes a second", func(r *scaleRow) float64 {
			if !r.exchange {
				return 0
			}
			return r.traffic.DatagramBytes + r.traffic.StreamBytes
		}},
		{"scale-speed.svg", "Speed of the simulation, one processor", "× real time", func(r *scaleRow) float64 { return r.speed }},
	} {
		chart := plot.Chart{Title: c.title, X: "nodes", Y: c.y}
		for _, mode := range f.modes {
			s := plot.Series{Name: mode}
			for _, r := range rows {
				if r.mode == mode {
					s.Points = append(s.Points, plot.Point{X: float64(r.nodes), Y: c.value(r)})
				}
			}
			chart.Series = append(chart.Series, s)
		}
		if err := os.WriteFile(filepath.Join(f.svg, c.file), []byte(chart.Lines()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
