//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// runner runs the parts.
type runner struct {
	o       *options
	kinds   []*kind
	block   int
	results *results
}

// part is one thing that is measured, on a fresh cluster each time.
type part struct {
	name string
	run  func(b *runner, k *kind, n int) error
	once bool // not for each of the runs
}

var parts = []part{
	{"join", (*runner).join, false},
	{"event", (*runner).event, false},
	{"query", (*runner).query, false},
	{"leave", (*runner).leave, false},
	{"crash", (*runner).crash, false},
	{"freeze", (*runner).freeze, false},
	{"restart", (*runner).restart, false},
	{"cut", (*runner).cut, false},
	{"idle", (*runner).idle, true},
	{"starve", (*runner).starve, true},
	{"load", (*runner).load, true},
}

func partNames() (names []string) {
	for _, p := range parts {
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
			return fmt.Errorf("-parts: there is no %q; there are %s", name, strings.Join(partNames(), ", "))
		}
		runs := b.o.runs
		if p.once {
			runs = 1
		}
		for _, n := range sizes {
			for range runs {
				for _, k := range b.kinds { // by turns, so that both have the same neighbours
					if err := p.run(b, k, n); err != nil {
						fmt.Fprintf(os.Stderr, "%s, %d %s: %v\n", p.name, n, k.name, err)
						b.results.fail(p.name, n, k.name)
					}
				}
			}
			fmt.Fprintf(os.Stderr, "%s, %d agents: done\n", p.name, n)
		}
	}
	return nil
}

func find(name string) *part {
	for i := range parts {
		if parts[i].name == name {
			return &parts[i]
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
	rest := 3*time.Second + time.Duration(b.block*137%1000)*time.Millisecond
	if b.o.short {
		rest = time.Second
	}
	time.Sleep(rest)
	return f(c)
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

func (b *runner) event(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		began := time.Now()
		if err := c.agents[n/2].rpc.UserEvent("deploy", []byte("1.4.2"), false); err != nil {
			return err
		}
		took, err := c.all("user", "deploy", began)
		return b.add("user event: the last stream has it", c, took, err)
	})
}

func (b *runner) query(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		took, err := c.query()
		return b.add("query, everybody answers: done", c, took, err)
	})
}

func (b *runner) leave(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		victim := c.agents[n-1]
		began := time.Now()
		go victim.rpc.Leave()
		took, err := c.listed(victim.name, "left", began, victim)
		return b.add("leave: all list it as left", c, took, err)
	})
}

func (b *runner) crash(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		victim := c.agents[n-1]
		began := time.Now()
		victim.signal(syscall.SIGKILL)
		took, err := c.all("member-failed", victim.name, began, victim)
		return b.add("kill -9: the last stream says failed", c, took, err)
	})
}

func (b *runner) freeze(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		victim := c.agents[n-1]
		began := time.Now()
		victim.signal(syscall.SIGSTOP)
		if k.name == "ibuki" && await(10*time.Second, func() bool { return degraded(c.agents[0], victim.name) }) {
			_ = b.add("frozen: degraded in a list", c, time.Since(began), nil)
		}
		took, err := c.all("member-failed", victim.name, began, victim)
		return b.add("frozen: the last stream says failed", c, took, err)
	})
}

// degraded asks the agent's list with our own command: Serf has no such thing.
func degraded(a *agent, name string) bool {
	out, _ := exec.Command(a.kind.path, "members", "-detailed", "-name="+name, "-rpc-addr="+a.ip+":7373").Output()
	return strings.Contains(strings.ToLower(string(out)), "degraded") || !strings.Contains(string(out), "alive")
}

// restart: the process is killed, and once all know it is started again, without
// being told of anybody.
func (b *runner) restart(k *kind, n int) error {
	return b.on(k, n, func(c *cluster) error {
		victim := c.agents[n-1]
		began := time.Now()
		victim.kill()
		if _, err := c.all("member-failed", victim.name, began, victim); err != nil {
			return err
		}
		time.Sleep(time.Second)
		began = time.Now()
		if err := victim.spawn(); err != nil {
			return err
		}
		if err := victim.connect(); err != nil {
			return err
		}
		took, err := c.listed(victim.name, "alive", began, victim)
		return b.add("restart without flags: alive in all lists", c, took, err)
	})
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
	time.Sleep(2*time.Second + time.Duration(b.block*137%1000)*time.Millisecond)
	victim := c.agents[n-1]
	began := time.Now()
	if err := victim.host.cut(); err != nil {
		return err
	}
	took, err := c.all("member-failed", victim.name, began, victim)
	return b.add("link cut: the last stream says failed", c, took, err)
}

func splitWords(s string) []string { return strings.Fields(s) }
