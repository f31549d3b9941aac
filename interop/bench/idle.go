//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// idle measures what agents of a cluster cost that has nothing to do.
func (b *runner) idle(k *kind, n int) error {
	c, err := newCluster(b, k, n, false)
	if err != nil {
		return err
	}
	defer c.end()
	for _, a := range c.agents { // connections would cost memory
		a.rpc.Close()
	}
	time.Sleep(b.o.warm)
	before := make([]usage, n)
	for i, a := range c.agents {
		if before[i], err = usageOf(a.cmd.Process.Pid); err != nil {
			return err
		}
	}
	sent := loopbackBytes()
	time.Sleep(b.o.span)
	sent = loopbackBytes() - sent
	var cpu, rss, private []float64
	for i, a := range c.agents {
		u, err := usageOf(a.cmd.Process.Pid)
		if err != nil {
			return err
		}
		cpu = append(cpu, (u.cpu-before[i].cpu).Seconds()/b.o.span.Minutes())
		rss = append(rss, float64(u.rss)/(1<<20))
		private = append(private, float64(u.private)/(1<<20))
	}
	b.results.add("idle: CPU, seconds a minute", n, k.name, mean(cpu))
	b.results.add("idle: resident memory, MiB", n, k.name, median(rss))
	b.results.add("idle: of it not shared, MiB", n, k.name, median(private))
	if b.o.inside {
		b.results.add("idle: sent, bytes a second (with IP headers)", n, k.name, float64(sent)/b.o.span.Seconds()/float64(n))
	}
	return nil
}

// loopbackBytes is what this network's loopback device has sent, which is all
// that its agents have.
func loopbackBytes() int64 {
	data, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "lo" {
			if f := strings.Fields(rest); len(f) > 8 {
				n, _ := strconv.ParseInt(f[8], 10, 64)
				return n
			}
		}
	}
	return 0
}

// starve stops and continues an eighth of the agents at random, and counts what
// was said to have failed that was not one of them.
func (b *runner) starve(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		began := time.Now()
		sick := c.agents[:max(1, n/8)]
		stop := time.Now().Add(b.o.starve)
		var wg sync.WaitGroup
		for _, a := range sick {
			wg.Go(func() {
				for time.Now().Before(stop) {
					a.signal(syscall.SIGSTOP)
					time.Sleep(between(time.Second, 5*time.Second))
					a.signal(syscall.SIGCONT)
					time.Sleep(between(5*time.Millisecond, 60*time.Millisecond))
				}
			})
		}
		wg.Wait()
		time.Sleep(min(b.o.starve/4, 15*time.Second))
		b.falseAlarms(c, "starved: false alarms about others", sick, began)
		return nil
	})
}

// load keeps all processors busy, and counts the failures that were none.
func (b *runner) load(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		began := time.Now()
		var over atomic.Bool
		var wg sync.WaitGroup
		for range 2 * runtime.NumCPU() {
			wg.Go(func() {
				for x := uint64(1); !over.Load(); {
					for range 1 << 20 {
						x = x*6364136223846793005 + 1
					}
				}
			})
		}
		time.Sleep(b.o.starve)
		over.Store(true)
		wg.Wait()
		time.Sleep(min(b.o.starve/4, 15*time.Second))
		b.falseAlarms(c, "processors busy: false alarms", nil, began)
		return nil
	})
}

func between(a, b time.Duration) time.Duration { return a + time.Duration(rand.Int64N(int64(b-a))) }

// falseAlarms counts the events about agents that are well.
func (b *runner) falseAlarms(c *cluster, name string, sick []*agent, since time.Time) {
	unwell := map[string]bool{}
	for _, a := range sick {
		unwell[a.name] = true
	}
	count := 0
	for _, a := range c.agents {
		for _, failed := range a.failures(since) {
			if !unwell[failed] {
				count++
				fmt.Fprintf(os.Stderr, "%s: %s says that %s has failed\n", c.kind.name, a.name, failed)
			}
		}
	}
	b.results.add(name, len(c.agents), c.kind.name, float64(count))
}
