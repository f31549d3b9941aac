//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// runner runs the parts.
type runner struct {
	o       *options
	kinds   []*kind
	block   int
	rests   int
	results *results
}

// part is one thing that is measured, on a fresh cluster each time.
type part struct {
	name string
	run  func(b *runner, k *kind, n int) error
	once bool // not for each of the runs
}

var parts = []part{
	{"life", (*runner).life, false},
	{"cut", (*runner).cut, false},
	{"idle", (*runner).idle, true},
	{"starve", (*runner).starve, true},
	{"load", (*runner).load, true},
}

// others are parts of life, each on a cluster of its own, and what only runs when it is named.
var others = []part{
	{"join", (*runner).join, false},
	{"event", alone("event"), false},
	{"query", alone("query"), false},
	{"leave", alone("leave"), false},
	{"crash", alone("crash"), false},
	{"freeze", alone("freeze"), false},
	{"restart", alone("restart"), false},
	{"mass", (*runner).mass, false},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func otherNames() (names []string) {
	for _, p := range others {
		names = append(names, p.name)
	}
	return names
}

func (b *runner) all() error {
	sizes, err := b.o.counts()
	if err != nil {
		return err
	}
	chosen := partNames()
	if b.o.parts != "" {
		chosen = strings.Split(b.o.parts, ",")
	}
	for _, name := range chosen {
		p := find(name)
		if p == nil {
			return fmt.Errorf("-parts: there is no %q; there are %s, %s", name, strings.Join(partNames(), ", "), strings.Join(otherNames(), ", "))
		}
		runs := b.o.runs
		if p.once {
			runs = 1
		}
		sizes := sizes
		if p.name == "mass" { // it has sizes of its own
			sizes = sizes[:1]
		}
		for _, n := range sizes {
			for range runs {
				for _, k := range b.kinds { // by turns, so that both have the same neighbours
					if err := p.run(b, k, n); err != nil {
						fmt.Fprintf(os.Stderr, "%s, %d %s: %v\n", p.name, n, k.name, err)
						b.results.fail(p.name, n, k.name)
					}
					if b.o.data != "" {
						_ = b.results.write(b.o.data) // whatever becomes of the rest
					}
				}
			}
			fmt.Fprintf(os.Stderr, "%s, %d agents: done\n", p.name, n)
		}
	}
	return nil
}

func find(name string) *part {
	for _, p := range append(slices.Clone(parts), others...) {
		if p.name == name {
			return &p
		}
	}
	return nil
}

// on runs f on a cluster that is at rest, with another moment of its timers each time.
func (b *runner) on(k *kind, n int, f func(c *cluster) error) error {
	c, err := newCluster(b, k, n, false)
	if err != nil {
		return err
	}
	defer c.end()
	b.rest()
	return f(c)
}

// rest lets what was begun come to an end, to another moment of all timers each time.
func (b *runner) rest() {
	b.rests++
	rest := 2*time.Second + time.Duration(b.rests*137%1000)*time.Millisecond
	if b.o.short {
		rest = time.Second
	}
	time.Sleep(rest)
}

// add keeps a result, in seconds.
func (b *runner) add(name string, c *cluster, took time.Duration, err error) error {
	if err == nil {
		b.results.add(name, len(c.agents), c.kind.name, took.Seconds())
	}
	return err
}

func (b *runner) join(k *kind, n int) error {
	c, err := newCluster(b, k, n, false)
	if err != nil {
		return err
	}
	defer c.end()
	return b.add("join storm: all see all", c, c.joined, nil)
}

// steps are what can happen on one cluster, one after the other: after each it is
// as before, or done with.
var steps = map[string]func(b *runner, c *cluster) error{
	"event": (*runner).event, "query": (*runner).query, "freeze": (*runner).freeze, "crash": (*runner).crash,
	"restart": (*runner).restart, "leave": (*runner).leave,
}

// life is all of a cluster's life, which spares its start for each part of it.
func (b *runner) life(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		_ = b.add("join storm: all see all", c, c.joined, nil)
		for _, name := range []string{"event", "query", "freeze", "restart", "leave"} {
			if err := steps[name](b, c); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.rest()
		}
		return nil
	})
}

// alone is a step on a cluster of its own.
func alone(name string) func(b *runner, k *kind, n int) error {
	return func(b *runner, k *kind, n int) error {
		return b.on(k, n, func(c *cluster) error { return steps[name](b, c) })
	}
}

func (b *runner) event(c *cluster) error {
	began := time.Now()
	if err := c.agents[len(c.agents)/2].rpc.UserEvent("deploy", []byte("1.4.2"), false); err != nil {
		return err
	}
	took, err := c.all("user", "deploy", began)
	return b.add("user event: the last stream has it", c, took, err)
}

func (b *runner) query(c *cluster) error {
	took, err := c.query()
	return b.add("query, everybody answers: done", c, took, err)
}

func (b *runner) leave(c *cluster) error {
	victim := c.last()
	began := time.Now()
	go victim.rpc.Leave()
	took, err := c.listed(victim.name, "left", began, victim)
	return b.add("leave: all list it as left", c, took, err)
}

func (b *runner) crash(c *cluster) error {
	victim := c.last()
	began := time.Now()
	victim.signal(syscall.SIGKILL)
	took, err := c.all("member-failed", victim.name, began, victim)
	victim.over()
	return b.add("kill -9: the last stream says failed", c, took, err)
}

func (b *runner) freeze(c *cluster) error {
	victim := c.last()
	began := time.Now()
	victim.signal(syscall.SIGSTOP)
	if c.kind.name == "ibuki" && await(10*time.Second, func() bool { return degraded(c.agents[0], victim.name) }) {
		_ = b.add("frozen: degraded in a list", c, time.Since(began), nil)
	}
	took, err := c.all("member-failed", victim.name, began, victim)
	if err := b.add("frozen: the last stream says failed", c, took, err); err != nil {
		return err
	}
	began = time.Now()
	victim.signal(syscall.SIGCONT)
	took, err = c.listed(victim.name, "alive", began)
	return b.add("goes on: alive in all lists", c, took, err)
}

// degraded asks the agent's list with our own command: Serf has no such thing.
func degraded(a *agent, name string) bool {
	out, _ := exec.Command(a.kind.path, "members", "-detailed", "-name="+name, "-rpc-addr="+a.ip+":7373").Output()
	return strings.Contains(strings.ToLower(string(out)), "degraded") || !strings.Contains(string(out), "alive")
}

// restart: the process is killed, and once all know it is started again, without
// being told of anybody.
func (b *runner) restart(c *cluster) error {
	if err := b.crash(c); err != nil {
		return err
	}
	time.Sleep(time.Second)
	victim := c.last()
	began := time.Now()
	if err := firstOf(victim.spawn(), victim.connect()); err != nil {
		return err
	}
	took, err := c.listed(victim.name, "alive", began, victim)
	return b.add("restart without flags: alive in all lists", c, took, err)
}

func (b *runner) cut(k *kind, n int) error {
	if !b.o.inside {
		fmt.Fprintln(os.Stderr, "cut: needs root, for network namespaces")
		return nil
	}
	c, err := newCluster(b, k, n, true)
	if err != nil {
		return err
	}
	defer c.end()
	b.rest()
	victim := c.last()
	began := time.Now()
	if err := victim.host.cut(); err != nil {
		return err
	}
	took, err := c.all("member-failed", victim.name, began, victim)
	return b.add("link cut: the last stream says failed", c, took, err)
}
