package main

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/sim"
)

const simLifeguardHelp = `
Usage: {prog} sim lifeguard [options]

  Plays the false-positive experiment of the Lifeguard paper in virtual time: of
  128 nodes some are unwell again and again, together. Counts the reports that a
  node has failed which was well all the time: at all nodes, and at those that
  were well themselves. In each run a process and a host crash as well: how long
  it takes until the first and until all nodes that are well know.

Options of sim lifeguard:

    -full               The paper's whole grid, 432 cells, instead of 27.
    -runs=1             How often each cell is played (the paper: 10).
    -mode=plain,native  plain is Serf's own algorithm.
    -anomaly=block      block: the unwell stop where they are about to send or have
                        received something (the paper's). stop: they are stopped.
                        deaf: they go on, but nothing leaves or reaches them. Or
                        several, with commas.
    -nodes=128
    -length=2m          How long a run is unwell.
    -seed=1             The first seed.
    -jobs=0             How many cells are played at a time; 0: one a processor.
    -cells              One line a cell as well.
`

// anomalies are the words of -anomaly.
var anomalies = map[string]sim.Anomaly{"block": sim.Blocked, "stop": sim.Stopped, "deaf": sim.Deaf}

// thinned is what is played of the paper's grid without -full.
var thinned = struct {
	sick      []int
	long, gap []time.Duration
}{
	[]int{4, 16, 32},
	[]time.Duration{2048 * time.Millisecond, 8192 * time.Millisecond, 32768 * time.Millisecond},
	[]time.Duration{4 * time.Millisecond, 256 * time.Millisecond, 4096 * time.Millisecond},
}

type lifeguardFlags struct {
	full, cells       bool
	runs, nodes, jobs int
	modes, anomalies  []string
	length            time.Duration
	seed              uint64
}

func (e *env) simLifeguard(args []string) int {
	f, code := e.lifeguardFlags(args)
	if code != 0 {
		return code
	}
	roomy()
	e.say("| unwell | mode | runs | false | false at well nodes | crash: first (99 %%), all | host gone: first (99 %%), all | datagrams/s | bytes/s |")
	e.say("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, anomaly := range f.anomalies {
		for _, mode := range f.modes {
			results, err := playCells(f.grid(mode == "plain", anomalies[anomaly]), f.jobs)
			if err != nil {
				return e.fail("Error: %s", err)
			}
			e.lifeguardRow(f, anomaly, mode, results)
		}
	}
	return 0
}

func (e *env) lifeguardFlags(args []string) (*lifeguardFlags, int) {
	f := &lifeguardFlags{}
	fs := e.flags()
	fs.BoolVar(&f.full, "full", false, "")
	fs.BoolVar(&f.cells, "cells", false, "")
	fs.IntVar(&f.runs, "runs", 1, "")
	fs.IntVar(&f.nodes, "nodes", 128, "")
	fs.IntVar(&f.jobs, "jobs", 0, "")
	fs.DurationVar(&f.length, "length", 2*time.Minute, "")
	fs.Uint64Var(&f.seed, "seed", 1, "")
	modes := fs.String("mode", "plain,native", "")
	kinds := fs.String("anomaly", "block", "")
	fs.Usage = func() { e.say("%s", e.text(simLifeguardHelp)) }
	if err := fs.Parse(args); err != nil {
		return nil, 1
	}
	var ok bool
	if f.modes, ok = modesOf(*modes); !ok {
		return nil, e.fail("Invalid mode: %q (plain, native)", *modes)
	}
	f.anomalies = strings.Split(*kinds, ",")
	for _, a := range f.anomalies {
		if _, ok := anomalies[a]; !ok {
			return nil, e.fail("Invalid anomaly: %q (block, stop, deaf)", a)
		}
	}
	if f.jobs == 0 {
		f.jobs = runtime.GOMAXPROCS(0)
	}
	if f.runs < 1 || f.jobs < 1 || f.nodes < 8 || f.length <= 0 || fs.NArg() > 0 {
		return nil, e.fail("%s", e.text(simLifeguardHelp))
	}
	return f, 0
}

// grid is what is played with one mode. Modes have the same seeds.
func (f *lifeguardFlags) grid(plain bool, kind sim.Anomaly) (cells []sim.Cell) {
	sick, long, gaps := sim.PaperSick, sim.PaperFor, sim.PaperGap
	if !f.full {
		sick, long, gaps = thinned.sick, thinned.long, thinned.gap
	}
	seed := f.seed
	for _, c := range sick {
		// The paper's numbers are of 128.
		c = max(1, c*f.nodes/128)
		for _, d := range long {
			for _, gap := range gaps {
				for range f.runs {
					cells = append(cells, sim.Cell{Nodes: f.nodes, Sick: c, For: d, Gap: gap, Length: f.length,
						Anomaly: kind, Plain: plain, Seed: seed})
					seed++
				}
			}
		}
	}
	return cells
}

// playCells plays cells, several at a time. Results are in the order of the cells.
func playCells(cells []sim.Cell, jobs int) ([]sim.CellResult, error) {
	results, errs := make([]sim.CellResult, len(cells)), make([]error, len(cells))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < len(cells); i = int(next.Add(1) - 1) {
				results[i], errs[i] = cells[i].Run()
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", cells[i].Seed, err)
		}
	}
	return results, nil
}

func (e *env) lifeguardRow(f *lifeguardFlags, anomaly, mode string, results []sim.CellResult) {
	var all, healthy, messages, bytes int
	var seconds float64
	var crash, silent []sim.Spread
	for _, r := range results {
		all, healthy = all+r.False, healthy+r.FalseHealthy
		messages, bytes = messages+r.Messages, bytes+r.Bytes
		seconds += r.Virtual.Seconds() * float64(r.Nodes)
		crash, silent = append(crash, r.Crash), append(silent, r.Silent)
		if f.cells {
			e.say("%d unwell for %v, %v between (seed %d): %d false, %d at well nodes; crash %s, %s; host gone %s, %s",
				r.Sick, r.For, r.Gap, r.Seed, r.False, r.FalseHealthy,
				shortTime(r.Crash.First), shortTime(r.Crash.Last), shortTime(r.Silent.First), shortTime(r.Silent.Last))
		}
	}
	e.say("| %s | %s | %d | %d | %d | %s (%s), %s | %s (%s), %s | %s | %s |", anomaly, mode, len(results), all, healthy,
		medianOf(crash, first), nearlyAll(crash), medianOf(crash, last),
		medianOf(silent, first), nearlyAll(silent), medianOf(silent, last),
		strconv.FormatFloat(float64(messages)/seconds, 'f', 1, 64), strconv.FormatFloat(float64(bytes)/seconds, 'f', 0, 64))
}

// nearlyAll is what 99 of 100 first reports were not later than.
func nearlyAll(all []sim.Spread) string {
	var d []time.Duration
	for _, s := range all {
		d = append(d, s.First)
	}
	slices.Sort(d)
	return shortTime(d[(len(d)*99-1)/100])
}
