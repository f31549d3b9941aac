package delivery

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	stormFor  = flag.Duration("storm", 5*time.Second, "TestStorm: for how long faults are drawn; for what is going on to end comes on top")
	stormSeed = flag.Uint64("seed", 1, "TestStorm: what the faults are drawn from")
	stormAll  = flag.Bool("all", false, "TestStorm: servers are killed too, tables emptied and columns made and removed: servers may have to be filled then")
)

// wound is a fault that was drawn.
type wound struct {
	name  string
	of    []string // what it needs for itself
	least time.Duration
	most  time.Duration
	wreck func()
	mend  func()
}

// TestStorm breaks a cluster with -log in turn, and two things at a time, while clients
// write and read; then the histories of all clients have to be those of one server that
// never fails, and all servers have to be equal.
func TestStorm(t *testing.T) {
	h := newHosts(t, "log")
	h.schema()
	h.alike()
	random := rand.New(rand.NewPCG(*stormSeed, 0))
	past, round := newHistory(), new(atomic.Int64)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	wait := h.writers(ctx, *stormSeed, past, round)
	for begun := time.Now(); time.Since(begun) < *stormFor; round.Add(1) {
		time.Sleep(200 * time.Millisecond)
		h.hurt(draw(random, h.wounds()), random)
		h.compared(int(round.Load()) % nodes)
	}
	cancel()
	wait()
	h.heal()
	h.alike()
	h.checkAll(past)
}

// schema makes the tables that the clients use.
func (h *hosts) schema() {
	h.order(0, "table_create", "name", "Registers", "flags", "TABLE_PAT_KEY", "key_type", "ShortText")
	h.order(1, "column_create", "table", "Registers", "name", "value", "flags", "COLUMN_SCALAR", "type", "ShortText")
	h.order(2, "table_create", "name", "Emptied", "flags", "TABLE_PAT_KEY", "key_type", "ShortText")
	h.order(0, "column_create", "table", "Emptied", "name", "value", "flags", "COLUMN_SCALAR", "type", "ShortText")
	h.order(1, "table_create", "name", "Notes", "flags", "TABLE_NO_KEY")
	h.order(2, "column_create", "table", "Notes", "name", "text", "flags", "COLUMN_SCALAR", "type", "ShortText")
}

// draw draws one fault, or two that do not need the same thing.
func draw(random *rand.Rand, all []wound) []wound {
	first := all[random.IntN(len(all))]
	if random.IntN(2) == 0 {
		return []wound{first}
	}
	for range 20 {
		second := all[random.IntN(len(all))]
		if !slices.ContainsFunc(second.of, func(s string) bool { return slices.Contains(first.of, s) }) {
			return []wound{first, second}
		}
	}
	return []wound{first}
}

// hurt lets faults last for a while, and waits until all is well again.
func (h *hosts) hurt(list []wound, random *rand.Rand) {
	type end struct {
		at   time.Duration
		mend func()
	}
	var ends []end
	var names []string
	at := time.Duration(0)
	for _, w := range list {
		span := w.least + time.Duration(random.Int64N(int64(w.most-w.least)+1))
		names = append(names, fmt.Sprintf("%s for %v", w.name, span.Round(time.Millisecond)))
		ends = append(ends, end{at + span, w.mend})
		w.wreck()
		if len(list) > 1 && at == 0 {
			at = time.Duration(random.Int64N(int64(500 * time.Millisecond)))
			time.Sleep(at)
		}
	}
	sort.Slice(ends, func(i, j int) bool { return ends[i].at < ends[j].at })
	begun := time.Now().Add(-at)
	for _, e := range ends {
		time.Sleep(time.Until(begun.Add(e.at)))
		e.mend()
	}
	h.t.Log(strings.Join(names, ", "))
	h.t.Logf("all was well after %v", h.heal().Round(time.Millisecond))
}

// wounds are all faults that can be drawn.
func (h *hosts) wounds() (list []wound) {
	for i := range nodes {
		list = append(list, h.processFaults(i)...)
		list = append(list, h.networkFaults(i)...)
		list = append(list, h.diskFaults(i)...)
	}
	var all []string
	for i := range nodes {
		all = append(all, fmt.Sprint("gateway", i), fmt.Sprint("groonga", i))
	}
	gone := func(f func(i int)) func() {
		return func() {
			for i := range nodes {
				f(i)
			}
		}
	}
	agents := wound{"agents dead", []string{"agents"}, time.Second, 4 * time.Second,
		gone(func(i int) { h.agents[i].kill() }), gone(func(i int) { h.agents[i].start() })}
	if !*stormAll {
		return append(list, agents)
	}
	return append(list, agents,
		wound{"all killed", all, 0, time.Second,
			gone(func(i int) { h.gateways[i].kill(); h.servers[i].kill() }), gone(func(i int) { h.servers[i].start(); h.gateways[i].start() })},
	)
}

// processFaults are those of the processes of a host.
func (h *hosts) processFaults(i int) []wound {
	gateway, server := h.gateways[i], h.servers[i]
	stop := func(list ...*process) wound {
		w := wound{name: "stopped", least: 100 * time.Millisecond, most: 5 * time.Second}
		for _, p := range list {
			w.name += " " + p.name
			w.of = append(w.of, p.name)
		}
		w.wreck = func() {
			for _, p := range list {
				p.freeze()
			}
		}
		w.mend = func() {
			for _, p := range list {
				p.thaw()
			}
		}
		return w
	}
	kill := func(p *process) wound {
		return wound{"killed " + p.name, []string{p.name}, 0, 2 * time.Second, p.kill, p.start}
	}
	list := []wound{stop(gateway), stop(server), stop(gateway, server), kill(gateway)}
	if *stormAll {
		list = append(list, kill(server))
	}
	return list
}

// networkFaults are those of the network of a host: everything, one way, one port.
func (h *hosts) networkFaults(i int) []wound {
	next := h.address((i + 1) % nodes)
	port := strconv.Itoa(gatewayPort)
	cut := func(name string, rules ...string) wound {
		return wound{name, []string{fmt.Sprint("network", i)}, 200 * time.Millisecond, 4 * time.Second, func() {
			for _, rule := range rules {
				h.block(i, strings.Fields(rule)...)
			}
		}, func() { h.unblock(i) }}
	}
	name := fmt.Sprint("host", i)
	return []wound{
		cut(name+" cut off", "INPUT -i eth0", "OUTPUT -o eth0"),
		cut(name+" hears nothing", "INPUT -i eth0"),
		cut(name+" is not heard", "OUTPUT -o eth0"),
		cut(name+" not heard by the next", "OUTPUT -d "+next),
		cut(name+" and the next without 10040",
			"INPUT -p tcp -s "+next+" --dport "+port, "INPUT -p tcp -s "+next+" --sport "+port),
	}
}

// diskFaults are those of the disk that a gateway keeps its log on.
func (h *hosts) diskFaults(i int) []wound {
	gateway := h.gateways[i]
	filler := filepath.Join(h.kept(i), "filler")
	return []wound{
		{"disk full of " + gateway.name, []string{gateway.name}, time.Second, 3 * time.Second, func() {
			if err := fill(filler); err != nil {
				h.t.Errorf("filling a disk: %v", err)
			}
		}, func() {
			_ = os.Remove(filler)
			gateway.kill()
			gateway.start()
		}},
		// One at a time: who has lost its log has lost what it promised to keep.
		{"log lost of " + gateway.name, []string{gateway.name, "a log", "gateway0", "gateway1", "gateway2"}, 0, time.Second, func() {
			gateway.kill()
			if err := os.RemoveAll(filepath.Join(h.kept(i), "writes")); err != nil {
				h.t.Errorf("losing a log: %v", err)
			}
		}, gateway.start},
	}
}

// fill writes a file until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		n, err := f.Write(block)
		if err != nil && n == 0 {
			block = block[:len(block)/2]
		}
	}
	return nil
}
