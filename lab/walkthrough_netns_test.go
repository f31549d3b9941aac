//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/netns"
)

// TestWalkthroughNamespaces plays M2 to M11 on the document's three hosts by its
// own command lines: a program named serf on the PATH, no flag beyond the
// document's, Serf's own ports and timing.
func TestWalkthroughNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for Serf's own timing")
	}
	t.Parallel()
	network := netns.New(t, 3)
	bin := filepath.Join(t.TempDir(), "ibuki")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/ibuki").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	path := t.TempDir()
	if err := os.Symlink(bin, filepath.Join(path, "serf")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := &cluster{program: "serf", self: bin, env: []string{"PATH=" + path + ":" + os.Getenv("PATH")}, tell: func(n notice) { fmt.Fprintln(&out, "     ", n) }}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	for i := range 3 {
		addr := fmt.Sprintf("192.168.100.%d", 50+i)
		n := c.add(fmt.Sprintf("node%d", i), place{host: addr, port: gossipPort})
		n.prefix = []string{"ip", "netns", "exec", network.Host(i)}
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
		reset: func(n *node) error {
			if err := network.IP("-n", network.Name("switch"), "link", "set", "port1", "down"); err != nil {
				return err
			}
			return c.kill(n)
		},
		restore: func(*node) error {
			return network.IP("-n", network.Name("switch"), "link", "set", "port1", "up")
		},
	}
	err := p.walkthrough()
	t.Logf("%s", out.String())
	if err != nil {
		t.Fatal(err)
	}
}
