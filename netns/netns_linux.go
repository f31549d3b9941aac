package netns

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
)

// Network is the mission's network: three hosts with its addresses and a switch,
// each a network namespace.
type Network struct {
	id string
}

// count tells apart the networks of tests that run at the same time.
var count atomic.Int32

// Name is the namespace of a host or the "switch".
func (n *Network) Name(who string) string { return "ibuki-" + n.id + "-" + who }

// Host is the namespace of a host, whose address is 192.168.100.50 and its number more.
func (n *Network) Host(i int) string { return n.Name(fmt.Sprint(i)) }

// IP runs one ip command; the first that fails because this machine does not let
// us make namespaces skips the test.
func (n *Network) IP(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

// New makes a network of so many hosts, which goes with the test. It skips the test
// where the machine does not let it.
func New(t *testing.T, hosts int) *Network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (iproute2) to make network namespaces")
	}
	n := &Network{id: fmt.Sprintf("%d-%d", os.Getpid(), count.Add(1))}
	if err := n.IP("netns", "add", n.Name("switch")); err != nil {
		t.Skipf("needs network namespaces: %v", err)
	}
	t.Cleanup(func() { _ = n.IP("netns", "del", n.Name("switch")) })
	steps := [][]string{
		{"-n", n.Name("switch"), "link", "add", "bridge", "type", "bridge"},
		{"-n", n.Name("switch"), "link", "set", "bridge", "up"},
	}
	for i := range hosts {
		port, host := fmt.Sprintf("port%d", i), n.Host(i)
		t.Cleanup(func() { _ = n.IP("netns", "del", host) })
		steps = append(steps,
			[]string{"netns", "add", host},
			[]string{"-n", n.Name("switch"), "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host},
			[]string{"-n", n.Name("switch"), "link", "set", port, "master", "bridge", "up"},
			[]string{"-n", host, "addr", "add", fmt.Sprintf("192.168.100.%d/24", 50+i), "dev", "eth0"},
			[]string{"-n", host, "link", "set", "eth0", "up"},
			[]string{"-n", host, "link", "set", "lo", "up"})
	}
	for i, step := range steps {
		if err := n.IP(step...); err != nil && i == 0 {
			t.Skipf("needs a bridge: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return n
}
