//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/serf/client"
)

// cluster is a number of agents of one kind.
type cluster struct {
	kind   *kind
	agents []*agent
	joined time.Duration // from the first join until all saw all
}

// newCluster starts agents and joins them all to the first, at the same time.
func newCluster(b *runner, k *kind, n int, cuttable bool) (*cluster, error) {
	c := &cluster{kind: k}
	var lan *lan
	if cuttable {
		var err error
		if lan, err = newLAN(); err != nil {
			return nil, err
		}
	}
	b.block = b.block%250 + 1
	for i := range n {
		a := &agent{kind: k, name: fmt.Sprintf("n%d", i), ip: fmt.Sprintf("%s.%d.%d", b.o.net, b.block, i+1)}
		if lan != nil {
			a.host = lan.host(i)
			a.ip = a.host.ip
		}
		c.agents = append(c.agents, a)
	}
	if err := c.each(func(a *agent) error { return firstOf(a.spawn(), a.connect()) }); err != nil {
		c.end()
		return nil, err
	}
	began := time.Now()
	err := c.each(func(a *agent) error {
		if a == c.agents[0] {
			return nil
		}
		_, err := a.rpc.Join([]string{c.agents[0].ip}, false)
		return err
	})
	if err != nil {
		c.end()
		return nil, err
	}
	for _, a := range c.agents {
		if !await(patience, func() bool { return a.sees() == n }) {
			defer c.end()
			return nil, fmt.Errorf("%s %s sees %d of %d: %w", k.name, a.name, a.sees(), n, errLate)
		}
	}
	c.joined = time.Since(began)
	return c, nil
}

// each runs f for every agent at the same time.
func (c *cluster) each(f func(*agent) error) error {
	errs := make([]error, len(c.agents))
	var wg sync.WaitGroup
	for i, a := range c.agents {
		wg.Go(func() { errs[i] = f(a) })
	}
	wg.Wait()
	return firstOf(errs...)
}

func (c *cluster) end() {
	_ = c.each(func(a *agent) error { a.kill(); return nil })
}

// all waits until the streams of all agents but those left out have told of it,
// and says how long after since the last did.
func (c *cluster) all(kind, name string, since time.Time, but ...*agent) (time.Duration, error) {
	var last time.Time
	for _, a := range c.agents {
		if contains(but, a) {
			continue
		}
		var at time.Time
		if !await(patience, func() (ok bool) { at, ok = a.told(kind, name, since); return ok }) {
			return 0, fmt.Errorf("%s %s: %s %s: %w", c.kind.name, a.name, kind, name, errLate)
		}
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(since), nil
}

// last is the agent that things happen to.
func (c *cluster) last() *agent { return c.agents[len(c.agents)-1] }

func contains(all []*agent, a *agent) bool {
	for _, x := range all {
		if x == a {
			return true
		}
	}
	return false
}

// listed waits until all agents but those left out list the member so.
func (c *cluster) listed(name, status string, since time.Time, but ...*agent) (time.Duration, error) {
	for _, a := range c.agents {
		if !contains(but, a) && !await(patience, func() bool { return a.lists(name, status) }) {
			return 0, fmt.Errorf("%s %s lists %s not as %s: %w", c.kind.name, a.name, name, status, errLate)
		}
	}
	return time.Since(since), nil
}

// query asks everybody, who answers, and says how long it took until it was done.
func (c *cluster) query() (time.Duration, error) {
	answers := make(chan client.NodeResponse, len(c.agents))
	began := time.Now()
	err := c.agents[0].rpc.Query(&client.QueryParam{Name: "load", RespCh: answers})
	if err != nil {
		return 0, err
	}
	from := map[string]bool{}
	for x := range answers { // until the query is done
		from[x.From] = true
	}
	took := time.Since(began)
	if len(from) != len(c.agents) {
		return 0, fmt.Errorf("%s: %d of %d answered", c.kind.name, len(from), len(c.agents))
	}
	return took, nil
}

// lan is a bridge in this process's network, and hosts on it with networks of
// their own.
type lan struct{ bridge string }

// host is one of them: a process that is started by command has its network, whose
// other end is the port.
type host struct {
	lan      *lan
	ip, port string
	ready    *os.File // closed when the network is plugged in
}

var lans int

func newLAN() (*lan, error) {
	lans++
	l := &lan{bridge: fmt.Sprintf("ib%d", lans)}
	return l, firstOf(
		ip("link add "+l.bridge+" type bridge"),
		ip(fmt.Sprintf("addr add 10.%d.0.254/24 dev %s", lans, l.bridge)),
		ip("link set "+l.bridge+" up"))
}

func (l *lan) host(i int) *host {
	return &host{lan: l, ip: fmt.Sprintf("10.%d.0.%d", lans, i+1), port: fmt.Sprintf("%sp%d", l.bridge, i)}
}

// command is the program in a network of its own, held back until that is there.
func (h *host) command(path string, args []string) *exec.Cmd {
	r, w, err := os.Pipe()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `read go <&3; exec 3<&-; exec "$0" "$@"`, path}, args...)...)
	if err == nil {
		cmd.ExtraFiles, h.ready = []*os.File{r}, w
	} else {
		cmd.Err = err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return cmd
}

// plug connects the network of a process with the bridge, and lets it go.
func (h *host) plug(pid int) error {
	defer h.ready.Close()
	inside := func(line string) error {
		args := append([]string{"-t", fmt.Sprint(pid), "-n", "ip"}, strings.Fields(line)...)
		if text, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, text)
		}
		return nil
	}
	return firstOf(
		ip(fmt.Sprintf("link add %s type veth peer name e%s netns %d", h.port, h.port, pid)),
		ip("link set "+h.port+" master "+h.lan.bridge+" up"),
		inside("link set lo up"),
		inside(fmt.Sprintf("addr add %s/24 dev e%s", h.ip, h.port)),
		inside("link set e"+h.port+" up"))
}

// cut unplugs the host.
func (h *host) cut() error { return ip("link set " + h.port + " down") }
