//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/netns"
)

// whyNet is a cluster of real agents, each on a host of its own. Nothing is needed of the
// kernel but namespaces: what is to get lost on the way is sent to a hardware address that nobody has.
type whyNet struct {
	*netns.Network
	bin    string
	agents []*agentProcess
	fault  string // the first thing that did not come; after it nothing is waited for
}

func newWhyNet(t *testing.T, bin string) *whyNet {
	t.Helper()
	w := &whyNet{Network: netns.New(t, 4), bin: bin, agents: make([]*agentProcess, 4)}
	var wg sync.WaitGroup
	for i := range w.agents {
		wg.Go(func() { w.start(t, i, "-retry-join="+w.addr((i+1)%4), "-retry-interval=1s") })
	}
	wg.Wait()
	w.all("node0 alive, node1 alive, node2 alive, node3 alive")
	return w
}

func (w *whyNet) addr(i int) string { return fmt.Sprintf("192.168.100.%d", 50+i) }

// run runs the program on a host.
func (w *whyNet) run(i int, args ...string) string {
	out, _ := exec.Command("ip", append([]string{"netns", "exec", w.Host(i), w.bin}, args...)...).CombinedOutput()
	return string(out)
}

func (w *whyNet) start(t *testing.T, i int, args ...string) {
	p := &agentProcess{}
	// nsenter-like: ip netns exec becomes the program, so that signals reach it.
	p.Cmd = exec.Command("ip", append([]string{"netns", "exec", w.Host(i), w.bin, "agent", fmt.Sprintf("-node=node%d", i), "-bind=" + w.addr(i)}, args...)...)
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		t.Error(err)
		return
	}
	w.agents[i] = p
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGCONT)
		_ = p.Process.Kill()
		_ = p.Wait()
		if t.Failed() && os.Getenv("IBUKI_TEST_LOGS") != "" {
			t.Logf("node%d:\n%s", i, p.output())
		}
	})
}

// until asks again and again until the answer is right.
func (w *whyNet) until(what string, ask func() string, right func(string) bool) {
	got := ""
	for end := time.Now().Add(40 * time.Second); w.fault == ""; time.Sleep(100 * time.Millisecond) {
		if got = ask(); right(got) {
			return
		}
		if time.Now().After(end) {
			w.fault = fmt.Sprintf("%s: at last\n%s", what, got)
		}
	}
}

// sees waits until the agent of host i lists the members so.
func (w *whyNet) sees(i int, want string) {
	w.until(fmt.Sprintf("node%d should list %s", i, want), func() string {
		var list []string
		for line := range strings.Lines(w.run(i, "members")) {
			if f := strings.Fields(line); len(f) > 2 {
				list = append(list, f[0]+" "+f[2])
			}
		}
		return strings.Join(list, ", ")
	}, func(got string) bool { return got == want })
}

func (w *whyNet) all(want string) {
	for i := range w.agents {
		w.sees(i, want)
	}
}

// why waits until host i's agent gives that as the cause.
func (w *whyNet) why(i int, node, cause string) {
	w.until(fmt.Sprintf("why %s should say %q", node, cause), func() string { return w.run(i, "why", node) },
		func(got string) bool { return strings.Contains(got, "Most likely: "+cause) })
}

// lose loses everything that host from sends to host to, and nothing that comes back.
func (w *whyNet) lose(t *testing.T, from, to int, on bool) {
	t.Helper()
	args := []string{"-n", w.Host(from), "neigh", "replace", w.addr(to), "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent"}
	if !on {
		args = []string{"-n", w.Host(from), "neigh", "del", w.addr(to), "dev", "eth0"}
	}
	if err := w.IP(args...); err != nil {
		t.Fatal(err)
	}
}

func (w *whyNet) signal(t *testing.T, i int, sig os.Signal) {
	t.Helper()
	if err := w.agents[i].Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// jitter measures how late a sleep of 10 ms ends at most, until stop is closed: what a
// busy machine does to every process on it.
func jitter(stop <-chan struct{}) (most time.Duration) {
	for {
		begun := time.Now()
		select {
		case <-stop:
			return most
		case <-time.After(10 * time.Millisecond):
			most = max(most, time.Since(begun)-10*time.Millisecond)
		}
	}
}

// A machine that lets a process wait for longer than that is not quiet: agents of a
// test accuse each other then, rightly, of what the test did not do.
const quiet = 50 * time.Millisecond

// again holds the cases back that are played again, so that they are alone.
var again sync.Mutex

// onQuietMachine plays a case, which returns what did not come, if anything. If the machine
// was not quiet meanwhile, that says nothing, and the case is played again, alone.
func onQuietMachine(t *testing.T, play func(t *testing.T) (fault string)) {
	t.Helper()
	for tries := 1; ; tries++ {
		stop, late, fault := make(chan struct{}), make(chan time.Duration, 1), ""
		go func() { late <- jitter(stop) }()
		done := t.Run(fmt.Sprint(tries), func(t *testing.T) { fault = play(t) })
		close(stop)
		most := <-late
		switch {
		case fault == "" || !done:
			return
		case most < quiet || tries == 5:
			t.Errorf("try %d, processes waited for at most %v: %s", tries, most, fault)
			return
		}
		t.Logf("played again, for processes waited for %v: %s", most, fault)
		if tries == 1 {
			again.Lock()
			defer again.Unlock()
		}
	}
}

// Real agents on hosts of their own: why names the true cause of what was done to one.
func TestWhyInNamespaces(t *testing.T) {
	t.Parallel()
	bin := buildIbuki(t)
	for _, c := range []struct {
		name string
		play func(t *testing.T, w *whyNet)
	}{
		{"cut link", func(t *testing.T, w *whyNet) {
			port := func(state string) {
				if err := w.IP("-n", w.Name("switch"), "link", "set", "port1", state); err != nil {
					t.Fatal(err)
				}
			}
			port("down")
			w.sees(3, "node0 alive, node1 failed, node2 alive, node3 alive")
			w.why(3, "node1", "cut off, or its host is down")
			w.sees(1, "node0 failed, node1 alive, node2 failed, node3 failed")
			port("up")
			w.until("why should blame the link", func() string { return w.run(3, "why", "node1") }, func(out string) bool {
				return strings.Contains(out, "Most likely: cut off, or its host is down") && strings.Contains(out, "so the link is to blame")
			})
			w.all("node0 alive, node1 alive, node2 alive, node3 alive")
		}},
		{"one-way loss", func(t *testing.T, w *whyNet) {
			w.lose(t, 1, 0, true)
			w.why(3, "node1", "lost packets on some ways: node0 reached it through others only")
			w.sees(3, "node0 alive, node1 alive, node2 alive, node3 alive")
		}},
		{"starved accuser", func(t *testing.T, w *whyNet) {
			// Its machine stands still, and loses what comes for two seconds after it runs again.
			w.signal(t, 0, syscall.SIGSTOP)
			for i := 1; i < 4; i++ {
				w.lose(t, i, 0, true)
			}
			time.Sleep(700 * time.Millisecond)
			w.signal(t, 0, syscall.SIGCONT)
			w.until("node0 should accuse", w.agents[0].output, func(s string) bool { return strings.Contains(s, "Suspect node1 has failed") })
			for i := 1; i < 4; i++ {
				w.lose(t, i, 0, false)
			}
			w.why(3, "node1", "a starved accuser: node0 did not run itself for")
			w.all("node0 alive, node1 alive, node2 alive, node3 alive")
		}},
		{"restarted too fast", func(t *testing.T, w *whyNet) {
			_ = w.agents[1].Process.Kill()
			_ = w.agents[1].Wait()
			w.start(t, 1, "-retry-join="+w.addr(2))
			w.why(3, "node1", "restarted: its process ended")
			w.all("node0 alive, node1 alive, node2 alive, node3 alive")
		}},
		{"frozen", func(t *testing.T, w *whyNet) {
			w.signal(t, 1, syscall.SIGSTOP)
			w.sees(3, "node0 alive, node1 failed, node2 alive, node3 alive")
			w.why(3, "node1", "frozen or hung: its host answers")
			w.signal(t, 1, syscall.SIGCONT)
			w.why(3, "node1", "frozen: its process did not run")
			w.all("node0 alive, node1 alive, node2 alive, node3 alive")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onQuietMachine(t, func(t *testing.T) string {
				begun := time.Now()
				w := newWhyNet(t, bin)
				c.play(t, w)
				t.Logf("%v; %s", time.Since(begun).Round(time.Millisecond), bytes.TrimSpace([]byte(w.run(3, "why", "node1"))))
				return w.fault
			})
		})
	}
}
