package interop

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// partition is long enough that gossip to the dead ends, which it does after 15 s in the profile local.
var partition = flag.Duration("partition", 30*time.Second, "TestDroongaPartition: how long the hosts are apart")

// TestDroongaPartition: two nodes with ':' and '/' in their names lose sight of each
// other for longer than gossip remembers the dead, and find each other again by
// themselves. P64
func TestDroongaPartition(t *testing.T) {
	t.Parallel()
	need(t, ours)
	n := newPair(t)
	var names [2]string
	for i := range 2 {
		addr := fmt.Sprintf("10.9.8.%d", 1+i)
		names[i] = addr + ":10031/droonga"
		args := []string{"agent", "-bind", addr + ":7946", "-rpc-addr", addr + ":7373", "-node", names[i], "-profile", "local"}
		if i == 1 {
			args = append(args, "-retry-join", "10.9.8.1")
		}
		n.start(i, args...)
	}
	n.lists(0, names[1], "alive")
	n.lists(1, names[0], "alive")
	n.ip("-n", n.host(1), "link", "set", "eth0", "down")
	n.lists(0, names[1], "failed")
	n.lists(1, names[0], "failed")
	time.Sleep(*partition) // gossip to the dead ends after 15 s in this profile
	n.ip("-n", n.host(1), "link", "set", "eth0", "up")
	healed := time.Now()
	n.lists(0, names[1], "alive")
	n.lists(1, names[0], "alive")
	t.Logf("healed after %.1fs", time.Since(healed).Seconds())
}

// pair is two hosts with a wire between them, each a network namespace.
type pair struct {
	t   *testing.T
	dir string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	n := &pair{t: t, dir: t.TempDir()}
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (iproute2) to make network namespaces")
	}
	if out, err := exec.Command("ip", "netns", "add", n.host(0)).CombinedOutput(); err != nil {
		t.Skipf("needs network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.host(0)).Run() })
	n.ip("netns", "add", n.host(1))
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.host(1)).Run() })
	n.ip("-n", n.host(0), "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", n.host(1))
	for i := range 2 {
		n.ip("-n", n.host(i), "addr", "add", fmt.Sprintf("10.9.8.%d/24", 1+i), "dev", "eth0")
		n.ip("-n", n.host(i), "link", "set", "eth0", "up")
		n.ip("-n", n.host(i), "link", "set", "lo", "up")
	}
	return n
}

func (n *pair) host(i int) string { return fmt.Sprintf("ibuki-pair-%d-%d", os.Getpid(), i) }

func (n *pair) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// command is a command of ours on a host.
func (n *pair) command(i int, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.host(i), ours.path}, args...)...)
}

func (n *pair) start(i int, args ...string) {
	n.t.Helper()
	cmd := n.command(i, args...)
	log := filepath.Join(n.dir, fmt.Sprint(i))
	out, err := os.Create(log)
	if err != nil {
		n.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, dieWithParent()
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if n.t.Failed() {
			n.t.Logf("host %d:\n%s", i, tail(log))
		}
	})
}

// lists waits until host i lists the member so.
func (n *pair) lists(i int, member, status string) {
	n.t.Helper()
	await(n.t, fmt.Sprintf("host %d lists %s as %s", i, member, status), func() error {
		out, err := n.command(i, "members", "-format", "json", "-rpc-addr", fmt.Sprintf("10.9.8.%d:7373", 1+i)).Output()
		var answer struct{ Members []listed }
		if err == nil {
			err = json.Unmarshal(out, &answer)
		}
		for _, m := range answer.Members {
			if m.Name == member && m.Status == status {
				return nil
			}
		}
		return fmt.Errorf("%v: %s", err, out)
	})
}
