//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/plot"
)

// result is what was measured of one thing with one number of agents, by the
// name of the program.
type result struct {
	Name   string
	Nodes  int
	Values map[string][]float64
	Failed map[string]int `json:",omitempty"`
}

// results are all, in the order in which they came.
type results struct{ List []*result }

func readResults(file string) *results {
	r := &results{}
	if data, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(data, r)
	}
	for _, x := range r.List {
		x.Failed = nil // said once
	}
	return r
}

func (r *results) write(file string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func (r *results) get(name string, nodes int) *result {
	for _, x := range r.List {
		if x.Name == name && x.Nodes == nodes {
			return x
		}
	}
	x := &result{Name: name, Nodes: nodes, Values: map[string][]float64{}}
	r.List = append(r.List, x)
	return x
}

func (r *results) add(name string, nodes int, kind string, v float64) {
	x := r.get(name, nodes)
	x.Values[kind] = append(x.Values[kind], v)
}

// fail notes that a run came to nothing.
func (r *results) fail(part string, nodes int, kind string) {
	x := r.get("runs of "+part+" without a result", nodes)
	if x.Failed == nil {
		x.Failed = map[string]int{}
	}
	x.Failed[kind]++
}

// table is Markdown: of each thing the median, the worst, and the ratio of medians.
func (r *results) table() string {
	var b strings.Builder
	b.WriteString("| what | agents | ibuki (worst) | Serf (worst) | ratio | runs |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	slices.SortStableFunc(r.List, func(x, y *result) int {
		if x.Name == y.Name {
			return x.Nodes - y.Nodes
		}
		return 0
	})
	for _, x := range r.List {
		if x.Failed != nil {
			fmt.Fprintf(&b, "| %s | %d | %d | %d | | |\n", x.Name, x.Nodes, x.Failed["ibuki"], x.Failed["serf"])
			continue
		}
		ours, serf := x.Values["ibuki"], x.Values["serf"]
		ratio := "–"
		if len(ours) > 0 && len(serf) > 0 && median(serf) > 0 {
			ratio = fmt.Sprintf("%.3g", median(ours)/median(serf))
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %d |\n", x.Name, x.Nodes, x.cell(ours), x.cell(serf), ratio, max(len(ours), len(serf)))
	}
	return b.String()
}

// timed reports whether the values are seconds that something took.
func (x *result) timed() bool {
	return !strings.HasPrefix(x.Name, "idle") && !strings.Contains(x.Name, "alarms")
}

func (x *result) cell(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	show := func(v float64) string { return fmt.Sprintf("%.3g", v) }
	if x.timed() {
		show = seconds
	}
	s := show(median(values))
	if len(values) > 1 {
		s += " (" + show(slices.Max(values)) + ")"
	}
	return s
}

func seconds(v float64) string {
	switch {
	case v >= 10:
		return fmt.Sprintf("%.1f s", v)
	case v >= 1:
		return fmt.Sprintf("%.2f s", v)
	case v >= 0.01:
		return fmt.Sprintf("%.0f ms", v*1e3)
	}
	return fmt.Sprintf("%.1f ms", v*1e3)
}

// draw writes a chart of all times, one for each number of agents.
func (r *results) draw(dir string) error {
	var sizes []int
	for _, x := range r.List {
		if x.timed() && x.Failed == nil && !slices.Contains(sizes, x.Nodes) {
			sizes = append(sizes, x.Nodes)
		}
	}
	for _, n := range sizes {
		c := plot.Chart{Title: fmt.Sprintf("%d agents, medians", n), Y: "seconds", Series: []plot.Series{{Name: "ibuki"}, {Name: "Serf"}}}
		for _, x := range r.List {
			if x.Nodes != n || !x.timed() || x.Failed != nil {
				continue
			}
			c.Names = append(c.Names, strings.SplitN(x.Name, ":", 2)[0])
			for i, kind := range []string{"ibuki", "serf"} {
				p := plot.Point{}
				if len(x.Values[kind]) > 0 {
					p.Y = median(x.Values[kind])
				}
				c.Series[i].Points = append(c.Series[i].Points, p)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("bench-%d.svg", n)), []byte(c.Bars()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(1, len(values)))
}
