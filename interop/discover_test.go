package interop

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// network has hosts, each a network namespace, on one bridge over which
// multicast goes.
type network struct {
	t    *testing.T
	id   string
	path string // of the programs' output
}

func (n *network) host(i int) string  { return fmt.Sprintf("ibuki-%s-%d", n.id, i) }
func (n *network) addr(i int) string  { return fmt.Sprintf("10.77.0.%d", 10+i) }
func (n *network) addr6(i int) string { return fmt.Sprintf("fd77::%d", 10+i) }

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

// newNetwork makes hosts with a route for multicast, with or without IPv6.
func newNetwork(t *testing.T, hosts int, ipv6 bool) *network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces: multicast does not go over loopback everywhere")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (iproute2) to make network namespaces")
	}
	n := &network{t: t, id: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()%1e6), path: t.TempDir()}
	bridge := n.host(999)
	if err := ip("netns", "add", bridge); err != nil {
		t.Skipf("needs network namespaces: %v", err)
	}
	t.Cleanup(func() { _ = ip("netns", "del", bridge) })
	if err := ip("-n", bridge, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"); err != nil {
		t.Skipf("needs a bridge: %v", err)
	}
	steps := [][]string{{"-n", bridge, "link", "set", "bridge", "up"}}
	for i := range hosts {
		host, port := n.host(i), fmt.Sprintf("port%d", i)
		t.Cleanup(func() { _ = ip("netns", "del", host) })
		steps = append(steps,
			[]string{"netns", "add", host},
			[]string{"-n", bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host},
			[]string{"-n", bridge, "link", "set", port, "master", "bridge", "up"},
			[]string{"-n", host, "addr", "add", n.addr(i) + "/24", "dev", "eth0"},
			[]string{"-n", host, "link", "set", "lo", "up"},
			[]string{"-n", host, "link", "set", "eth0", "up"},
			[]string{"-n", host, "route", "add", "default", "dev", "eth0"})
		if ipv6 {
			steps = append(steps, []string{"-n", host, "addr", "add", n.addr6(i) + "/64", "dev", "eth0", "nodad"})
		} else {
			steps = append(steps, []string{"netns", "exec", host, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"})
		}
	}
	for _, step := range steps {
		if err := ip(step...); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// start runs an agent on host i; the returned function kills it.
func (n *network) start(i int, p program, flags ...string) (kill func()) {
	n.t.Helper()
	need(n.t, p)
	name := filepath.Join(n.path, fmt.Sprintf("%d.log", i))
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer out.Close()
	args := append([]string{"netns", "exec", n.host(i), p.path, "agent", fmt.Sprintf("-node=n%d", i), "-profile=local",
		"-log-level=debug"}, flags...)
	cmd := exec.Command("ip", args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	kill = func() {
		_ = cmd.Process.Kill() // ip has become the agent
		<-gone
	}
	n.t.Cleanup(func() {
		kill()
		if n.t.Failed() {
			n.t.Logf("n%d (%s) printed last:\n%s", i, p.name, tail(name))
		}
	})
	return kill
}

// sees waits until host i lists exactly these members, all alive.
func (n *network) sees(i int, p program, within time.Duration, want ...string) {
	n.t.Helper()
	got := map[string]string{}
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command("ip", "netns", "exec", n.host(i), p.path, "members").Output()
		if err != nil {
			continue
		}
		clear(got)
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 2 {
				got[f[0]] = f[2]
			}
		}
		all := map[string]string{}
		for _, name := range want {
			all[name] = "alive"
		}
		if maps.Equal(got, all) {
			return
		}
	}
	n.t.Fatalf("n%d sees %v, want %v alive", i, got, want)
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	for _, other := range []*program{&newest, &old} {
		t.Run(other.name, func(t *testing.T) {
			t.Parallel()
			need(t, *other)
			n := newNetwork(t, 4, true)
			// Ours finds the real one.
			n.start(0, *other, "-iface=eth0", "-discover=cluster")
			n.sees(0, *other, patience, "n0")
			n.start(1, ours, "-iface=eth0", "-discover=cluster")
			n.sees(1, ours, patience, "n0", "n1")
			// The real one finds ours: it asks when it starts.
			n.start(2, *other, "-iface=eth0", "-discover=cluster")
			n.sees(2, *other, patience, "n0", "n1", "n2")
			// Of another cluster, and without -iface.
			n.start(3, ours, "-bind=0.0.0.0", "-discover=other")
			time.Sleep(3 * time.Second)
			n.sees(3, ours, patience, "n3")
			n.sees(1, ours, patience, "n0", "n1", "n2")
		})
	}
}

// A cluster over IPv6: ours takes the interface's address, the real one is told it.
func TestDiscoverOverIPv6(t *testing.T) {
	t.Parallel()
	need(t, newest)
	n := newNetwork(t, 3, true)
	n.start(0, newest, "-iface=eth0", "-bind=["+n.addr6(0)+"]:7946", "-discover=six")
	n.sees(0, newest, patience, "n0")
	n.start(1, ours, "-iface=eth0", "-bind=[::]:7946", "-discover=six")
	n.sees(1, ours, patience, "n0", "n1")
	n.start(2, ours, "-bind="+n.addr6(2), "-join=["+n.addr6(1)+"]")
	for i, p := range []program{newest, ours, ours} {
		n.sees(i, p, patience, "n0", "n1", "n2")
	}
	out, err := exec.Command("ip", "netns", "exec", n.host(1), ours.path, "members").CombinedOutput()
	if err != nil || strings.Count(string(out), "fd77::") != 3 {
		t.Errorf("addresses: %s, %v", out, err)
	}
}

// The real one finds ours, which has found nobody: the network was down to it.
func TestDiscoverFound(t *testing.T) {
	t.Parallel()
	need(t, newest)
	n := newNetwork(t, 2, false)
	n.start(0, ours, "-bind=0.0.0.0", "-discover=cluster")
	n.sees(0, ours, patience, "n0")
	n.start(1, newest, "-bind=0.0.0.0", "-discover=cluster")
	n.sees(1, newest, 3*time.Second, "n0", "n1")
}

// Ours goes on looking: a peer that it could not join is tried again. Serf does
// not look at an address twice. The peer can be found but does not look itself:
// without IPv6 in the network and with IPv4 off it cannot ask.
func TestDiscoverTriesAgain(t *testing.T) {
	t.Parallel()
	need(t, newest)
	n := newNetwork(t, 2, false)
	silent := []string{"-iface=eth0", "-discover=cluster", "-mdns-disable-ipv4"}
	kill := n.start(0, newest, append(silent, "-encrypt=AAAAAAAAAAAAAAAAAAAAAA==")...)
	n.sees(0, newest, patience, "n0")
	n.start(1, ours, "-iface=eth0", "-discover=cluster")
	await(t, "n1 tries", func() error {
		if text, _ := os.ReadFile(filepath.Join(n.path, "1.log")); !bytes.Contains(text, []byte("[ERR] agent.mdns: Failed to join: 1 error occurred:")) {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	kill()
	n.start(0, newest, silent...)
	n.sees(1, ours, 90*time.Second, "n0", "n1")
}
