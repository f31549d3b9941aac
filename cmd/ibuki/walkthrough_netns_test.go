//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// netns is the mission's network: three hosts with its addresses and a switch,
// each a network namespace.
type netns struct {
	t     *testing.T
	id    string
	hosts int
}

// netnsCount tells apart the networks of tests that run at the same time.
var netnsCount atomic.Int32

func (n *netns) name(who string) string { return "ibuki-" + n.id + "-" + who }
func (n *netns) host(i int) string      { return n.name(fmt.Sprint(i)) }

// ip runs one ip command; the first that fails because this machine does not let
// us make namespaces skips the test.
func (n *netns) ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

func newNetns(t *testing.T, hosts int) *netns {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (iproute2) to make network namespaces")
	}
	n := &netns{t: t, id: fmt.Sprintf("%d-%d", os.Getpid(), netnsCount.Add(1)), hosts: hosts}
	if err := n.ip("netns", "add", n.name("switch")); err != nil {
		t.Skipf("needs network namespaces: %v", err)
	}
	t.Cleanup(func() { _ = n.ip("netns", "del", n.name("switch")) })
	steps := [][]string{
		{"-n", n.name("switch"), "link", "add", "bridge", "type", "bridge"},
		{"-n", n.name("switch"), "link", "set", "bridge", "up"},
	}
	for i := range hosts {
		port, host := fmt.Sprintf("port%d", i), n.host(i)
		t.Cleanup(func() { _ = n.ip("netns", "del", host) })
		steps = append(steps,
			[]string{"netns", "add", host},
			[]string{"-n", n.name("switch"), "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host},
			[]string{"-n", n.name("switch"), "link", "set", port, "master", "bridge", "up"},
			[]string{"-n", host, "addr", "add", fmt.Sprintf("192.168.100.%d/24", 50+i), "dev", "eth0"},
			[]string{"-n", host, "link", "set", "eth0", "up"},
			[]string{"-n", host, "link", "set", "lo", "up"})
	}
	for i, step := range steps {
		if err := n.ip(step...); err != nil && i == 0 {
			t.Skipf("needs a bridge: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestWalkthroughNamespaces plays M2 to M11 on the document's three hosts by its
// own command lines: a program named serf on the PATH, no flag beyond the
// document's, Serf's own ports and timing.
func TestWalkthroughNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for Serf's own timing")
	}
	t.Parallel()
	network := newNetns(t, 3)
	bin := buildIbuki(t)
	path := t.TempDir()
	if err := os.Symlink(bin, filepath.Join(path, "serf")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := &devCluster{program: "serf", self: bin, env: []string{"PATH=" + path + ":" + os.Getenv("PATH")}, tell: func(n devNews) { fmt.Fprintln(&out, "     ", n) }}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	for i := range network.hosts {
		addr := fmt.Sprintf("192.168.100.%d", 50+i)
		n := c.add(fmt.Sprintf("node%d", i), devPlace{host: addr, port: devGossipPort})
		n.prefix = []string{"ip", "netns", "exec", network.host(i)}
		handler, err := c.handler(n)
		if err != nil {
			t.Fatal(err)
		}
		n.args = []string{"agent", "-node=" + n.name, "-bind=" + addr, "-event-handler=" + handler, "-log-level=debug"}
	}
	p := &play{
		ctx: t.Context(), out: &out, c: c,
		// Each survivor looks for the lost node every 30 s by the toss of a coin.
		limit: 5 * time.Minute,
		reset: func(n *devNode) error {
			if err := network.ip("-n", network.name("switch"), "link", "set", "port1", "down"); err != nil {
				return err
			}
			return c.kill(n)
		},
		restore: func(*devNode) error {
			return network.ip("-n", network.name("switch"), "link", "set", "port1", "up")
		},
	}
	err := p.walkthrough()
	t.Logf("%s", out.String())
	if err != nil {
		t.Fatal(err)
	}
}
