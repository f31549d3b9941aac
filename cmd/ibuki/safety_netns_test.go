//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/netns"
)

// safetyNode is an agent on a host of its own.
type safetyNode struct {
	t       *testing.T
	n       *netns.Network
	bin     string
	i       int
	cmd     *exec.Cmd
	logFile string
}

func (s *safetyNode) name() string { return fmt.Sprintf("node%d", s.i) }
func (s *safetyNode) addr() string { return fmt.Sprintf("192.168.100.%d", 50+s.i) }

func (s *safetyNode) start() {
	s.t.Helper()
	out, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = s.inside("agent", "-node="+s.name(), "-bind="+s.addr(), "-retry-join=192.168.100.50", "-retry-interval=1s", "-log-level=debug")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *safetyNode) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *safetyNode) inside(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", s.n.Host(s.i), s.bin}, args...)...)
}

// statuses are those of all members, as this node lists them.
func (s *safetyNode) statuses() string {
	out, err := s.inside("members", "-format=json").Output()
	var answer struct {
		Members []struct{ Name, Status string }
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, m := range answer.Members {
		all = append(all, m.Name+"="+m.Status)
	}
	return strings.Join(all, " ")
}

func (s *safetyNode) log() string {
	b, _ := os.ReadFile(s.logFile)
	return string(b)
}

// safety is a cluster of agents on hosts of their own, in which nobody is to fail.
type safety struct {
	t     *testing.T
	n     *netns.Network
	nodes []*safetyNode
}

func newSafety(t *testing.T, hosts int) *safety {
	c := &safety{t: t, n: netns.New(t, hosts)}
	bin, dir := buildIbuki(t), t.TempDir()
	for i := range hosts {
		s := &safetyNode{t: t, n: c.n, bin: bin, i: i, logFile: filepath.Join(dir, fmt.Sprint(i))}
		c.nodes = append(c.nodes, s)
		t.Cleanup(func() {
			s.kill()
			if t.Failed() {
				lines := strings.Split(s.log(), "\n")
				t.Logf("%s:\n%s", s.name(), strings.Join(lines[max(0, len(lines)-60):], "\n"))
			}
		})
	}
	return c
}

// divert leads what node i sends to node j over TCP to a port of the switch of its own, where
// nothing goes on. Everything else keeps its way.
func (c *safety) divert(i, j int) {
	c.t.Helper()
	host, dst := c.n.Host(i), c.nodes[j].addr()
	for _, step := range [][]string{
		{"-n", c.n.Name("switch"), "link", "add", "wall", "type", "veth", "peer", "name", "eth1", "netns", host},
		{"-n", c.n.Name("switch"), "link", "set", "wall", "up"},
		{"netns", "exec", host, "sh", "-c", "for f in all eth1; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done"},
		{"-n", host, "link", "set", "eth1", "up"},
		{"-n", host, "neigh", "add", dst, "lladdr", "02:00:00:00:00:01", "dev", "eth1", "nud", "permanent"},
		{"-n", host, "route", "add", dst, "dev", "eth1", "src", c.nodes[i].addr(), "table", "77"},
		{"-n", host, "rule", "add", "pref", "7", "to", dst, "ipproto", "tcp", "table", "77"},
	} {
		if err := c.n.IP(step...); err != nil {
			c.t.Skipf("needs rules of routing by protocol: %v", err)
		}
	}
}

func (c *safety) undivert(i int) {
	c.t.Helper()
	if err := c.n.IP("-n", c.n.Host(i), "link", "del", "eth1"); err != nil {
		c.t.Error(err)
	}
}

// allAlive waits until everybody lists everybody as alive.
func (c *safety) allAlive(within time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	for _, s := range c.nodes {
		for {
			got := s.statuses()
			if strings.Count(got, "=alive") == len(c.nodes) {
				break
			}
			if time.Since(began) > within {
				c.t.Fatalf("%s lists %s", s.name(), got)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return time.Since(began)
}

var (
	failedLine  = regexp.MustCompile(`EventMemberFailed: \S+`)
	suspectLine = regexp.MustCompile(`Suspect \S+ has failed`)
)

// count is how often the logs of all but that node have such a line.
func (c *safety) count(line *regexp.Regexp, but int) (n int) {
	for _, s := range c.nodes {
		if s.i != but {
			n += len(line.FindAllString(s.log(), -1))
		}
	}
	return n
}

// nobodyFails has something done for a while, during and after which nobody may be said
// to have failed.
func (c *safety) nobodyFails(d time.Duration, do func(stop *atomic.Bool) (what string)) {
	c.t.Helper()
	failed, suspected := c.count(failedLine, -1), c.count(suspectLine, -1)
	var stop atomic.Bool
	over := time.AfterFunc(d, func() { stop.Store(true) })
	defer over.Stop()
	what := do(&stop)
	c.allAlive(0)
	time.Sleep(time.Second) // for what was begun to come to an end
	c.allAlive(0)
	c.t.Logf("%s; suspected %d times", what, c.count(suspectLine, -1)-suspected)
	if n := c.count(failedLine, -1) - failed; n != 0 {
		c.t.Errorf("%d events of a failure", n)
	}
}

// TestSafetyNamespaces: what is forged, or over in a moment, makes no live node dead. (P194, P195, P199)
func TestSafetyNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real agents for some seconds")
	}
	t.Parallel()
	c := newSafety(t, 4)
	wire := newForger(t, c.n.Name("switch"), "port1", "192.168.100.51", "192.168.100.50")
	defer wire.close()
	for _, s := range c.nodes { // their links are opened before our eyes
		s.start()
	}
	var settled atomic.Bool
	found := make(chan map[string][]byte)
	go func() { found <- wire.collect(&settled) }()
	c.allAlive(time.Minute)
	time.Sleep(2 * time.Second) // until links are up and round trips known
	settled.Store(true)
	links := <-found

	t.Run("forged RST", func(t *testing.T) {
		c.t = t
		c.nobodyFails(4*time.Second, func(stop *atomic.Bool) string {
			c.divert(1, 0)
			wall := newForger(t, c.n.Name("switch"), "wall", "192.168.100.51", "192.168.100.50")
			defer wall.close()
			mac := c.macOf(1)
			for _, seg := range links {
				wire.resetTo(t, mac, seg)
			}
			resets := 0
			for !stop.Load() {
				if seg, ok := wall.segment(); ok {
					wall.resetTo(t, seg[6:12], seg)
					resets++
				}
			}
			c.undivert(1)
			if len(links) == 0 || resets == 0 {
				t.Errorf("%d links were reset, %d segments refused", len(links), resets)
			}
			return fmt.Sprintf("%d links reset, %d segments refused", len(links), resets)
		})
	})
	t.Run("ICMP storm", func(t *testing.T) {
		c.t = t
		c.nobodyFails(3*time.Second, func(stop *atomic.Bool) string {
			mac := c.macOf(1)
			n := 0
			for !stop.Load() {
				wire.unreachable(t, mac)
				if n++; n%20 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			return fmt.Sprintf("%d times unreachable", n)
		})
	})
	t.Run("restart at once", func(t *testing.T) {
		c.t = t
		for range 3 {
			c.nodes[2].kill()
			began := time.Now()
			c.nodes[2].start()
			gap := time.Since(began)
			t.Logf("started again after %v, alive everywhere after %v", gap, c.allAlive(10*time.Second))
			time.Sleep(500 * time.Millisecond)
			c.allAlive(0)
		}
		for _, s := range c.nodes {
			for _, line := range failedLine.FindAllString(s.log(), -1) {
				if !strings.HasSuffix(line, " node2") {
					t.Errorf("%s: %s", s.name(), line)
				}
			}
		}
	})
}
