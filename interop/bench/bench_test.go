//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	r := &results{}
	for i := range 5 {
		r.add("kill -9: the last stream says failed", 32, "serf", 8+float64(i)/10)
		r.add("kill -9: the last stream says failed", 32, "ibuki", 0.01+float64(i)/100)
		r.add("kill -9: the last stream says failed", 3, "serf", 7)
	}
	r.add("idle: resident memory, MiB", 3, "ibuki", 15.5)
	r.add("starved: false alarms about others", 32, "ibuki", 0)
	r.fail("cut", 3, "serf")
	file := filepath.Join(t.TempDir(), "results.json")
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	table := readResults(file).table()
	for _, want := range []string{
		"| kill -9: the last stream says failed | 3 | – | 7.00 s (7.00 s) | – | 5 |",
		"| kill -9: the last stream says failed | 32 | 30 ms (50 ms) | 8.20 s (8.40 s) | 0.00366 | 5 |",
		"| idle: resident memory, MiB | 3 | 15.5 | – | – | 1 |",
		"| starved: false alarms about others | 32 | 0 | – | – | 1 |",
	} {
		if !strings.Contains(table, want+"\n") {
			t.Errorf("there is no line %q in\n%s", want, table)
		}
	}
	if err := r.draw(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "bench-32.svg")); err != nil {
		t.Error(err)
	}
}

// TestBench measures a few things of real clusters of three, one run each.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("real processes")
	}
	dir := t.TempDir()
	o := &options{parts: "join,event,idle", sizes: "3", runs: 1, warm: 500 * time.Millisecond, span: time.Second,
		short: true, net: "127.18"}
	var err error
	kinds := []*kind{{name: "ibuki"}, {name: "serf"}}
	if kinds[0].path, err = build(os.Getenv("IBUKI_PROGRAM"), filepath.Join(dir, "ours"), "../..", "./cmd/ibuki"); err != nil {
		t.Fatal(err)
	}
	if kinds[1].path, err = build(os.Getenv("IBUKI_SERF"), filepath.Join(dir, "serf"), "..", "github.com/hashicorp/serf/cmd/serf"); err != nil {
		t.Skip(err)
	}
	b := &runner{o: o, kinds: kinds, results: &results{}}
	if err := b.all(); err != nil {
		t.Fatal(err)
	}
	endAll()
	for _, name := range []string{"join storm: all see all", "user event: the last stream has it", "idle: resident memory, MiB"} {
		for _, k := range kinds {
			if v := b.results.get(name, 3).Values[k.name]; len(v) != 1 || v[0] <= 0 || v[0] > 60 {
				t.Errorf("%s, %s: %v", name, k.name, v)
			}
		}
	}
	if len(running) > 0 {
		t.Errorf("%d agents run on", len(running))
	}
}
