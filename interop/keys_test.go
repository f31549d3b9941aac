package interop

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	secTook = regexp.MustCompile(`\d+\.\d+ sec`)
	rttOwn  = regexp.MustCompile(`<-> node-[ab] rtt`)
)

// newKey is a key of n bytes in base64.
func newKey(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

// keyTries is how often a key command is given before missing answers count. On
// the local profile Serf sends a query in two packets a node, to any of those that
// were there lately: with two of five others asleep, one in three times or so somebody
// awake is missed.
const keyTries = 15

// keys runs keys of a program at an agent, as often as an operator would: one query
// goes out by gossip alone and may miss a node.
func (c *cluster) keys(p program, at *agent, args ...string) {
	c.t.Helper()
	line := append([]string{"keys", "-rpc-addr=" + at.rpcAddr()}, args...)
	for try := 1; ; try++ {
		stdout, _, code := command(c.t, p, line...)
		if code == 0 {
			return
		}
		if try == keyTries {
			c.t.Fatalf("%s keys %v at %s:\n%s", p.name, args, at.name, stdout)
		}
		c.t.Logf("try %d: keys %v at %s:\n%s", try, args, at.name, stdout)
	}
}

// ringIs waits until every agent of the cluster has exactly these keys.
func (c *cluster) ringIs(at *agent, keys ...string) {
	c.t.Helper()
	at.await("the keys of all", func() error {
		got, nodes, _, err := at.rpc.ListKeys()
		if err != nil {
			return err
		}
		for _, key := range keys {
			if got[key] != nodes || nodes != len(c.agents) {
				return fmt.Errorf("%v of %d nodes", got, nodes)
			}
		}
		if len(got) != len(keys) {
			return fmt.Errorf("%d keys, not %d", len(got), len(keys))
		}
		return nil
	})
}

// traffic sends a user event every few milliseconds, each from another agent, until
// stop; then it demands that every agent got each event exactly once.
func (c *cluster) traffic() (stop func()) {
	marks := c.marks()
	end, done := make(chan struct{}), make(chan struct{})
	var sent []happening
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			from := c.agents[i%len(c.agents)]
			h := happening{kind: "user", name: fmt.Sprintf("tick-%d", i), payload: from.name}
			if err := from.rpc.UserEvent(h.name, []byte(h.payload), false); err != nil {
				c.t.Errorf("%s: event: %v", from.name, err)
				return
			}
			sent = append(sent, h)
		}
	}()
	return sync.OnceFunc(func() {
		c.t.Helper()
		close(end)
		<-done
		for _, a := range c.agents {
			a.await("every event", func() error {
				saw := map[[2]string]int{}
				for _, h := range a.events(marks[a]) {
					if h.kind == "user" {
						saw[[2]string{h.name, h.payload}]++
					}
				}
				for _, h := range sent {
					if n := saw[[2]string{h.name, h.payload}]; n != 1 {
						return fmt.Errorf("%s came %d times", h.name, n)
					}
				}
				return nil
			})
			for _, h := range a.events(marks[a]) {
				if h.kind == "member-failed" || h.kind == "member-leave" {
					c.t.Errorf("%s was told %s of %v", a.name, h.kind, h.members)
				}
			}
		}
		c.t.Logf("%d events, each seen once by %d agents", len(sent), len(c.agents))
	})
}

// six starts three of ours and three real ones that know each other.
func six(t *testing.T, key string) *cluster {
	t.Helper()
	need(t, newest)
	c := newCluster(t)
	third := newest
	if old.path != "" {
		third = old
	}
	for i, p := range []program{ours, newest, ours, newest, ours, third} {
		a := c.add(p, fmt.Sprintf("node-%d", i), "-encrypt="+key)
		if i > 0 {
			a.join(c.agents[0])
		}
	}
	c.sees(c.agents, c.all("alive"))
	return c
}

// Keys are changed twice, by either program at either agent, while events flow.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	one, two, three := newKey(16), newKey(32), newKey(24)
	c := six(t, one)
	stop := c.traffic()
	c.keys(ours, c.agents[1], "-install="+two)
	c.keys(newest, c.agents[0], "-use="+two)
	c.keys(ours, c.agents[2], "-remove="+one)
	c.ringIs(c.agents[0], two)
	c.keys(newest, c.agents[3], "-install="+three)
	c.keys(ours, c.agents[4], "-use="+three)
	c.keys(newest, c.agents[5], "-remove="+two)
	c.ringIs(c.agents[1], three)
	time.Sleep(2 * time.Second) // that nobody fails takes time to see
	stop()
	c.sees(c.agents, c.all("alive"))
}

// Two nodes are stopped while the others change the key: they come back by themselves
// and are given the new one, be they ours or real.
func TestKeyRotationMissed(t *testing.T) {
	t.Parallel()
	one, two := newKey(32), newKey(16)
	c := six(t, one)
	asleep := []*agent{c.agents[2], c.agents[3]}
	for _, a := range asleep {
		signal(t, a, syscall.SIGSTOP)
	}
	awake := []*agent{c.agents[0], c.agents[1], c.agents[4], c.agents[5]}
	c.sees(awake, c.all("alive", asleep[0], "failed", asleep[1], "failed"))
	c.keys(ours, c.agents[0], "-install="+two)
	c.keys(newest, c.agents[1], "-use="+two)
	for _, a := range asleep {
		signal(t, a, syscall.SIGCONT)
	}
	c.sees(c.agents, c.all("alive"))
	c.ringIs(c.agents[0], one, two)
	c.uses(two)
	c.keys(newest, c.agents[1], "-remove="+one)
	c.ringIs(c.agents[0], two)
	stop := c.traffic()
	time.Sleep(2 * time.Second)
	stop()
	c.sees(c.agents, c.all("alive"))
}

func signal(t *testing.T, a *agent, s syscall.Signal) {
	t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	if s == syscall.SIGSTOP { // so that it can be ended
		t.Cleanup(func() { _ = a.cmd.Process.Signal(syscall.SIGCONT) })
	}
}

// uses waits until every agent seals with key: until that can be removed from none.
func (c *cluster) uses(key string) {
	c.t.Helper()
	c.agents[0].await("all use the key", func() error {
		failures, _ := c.agents[0].rpc.RemoveKey(key)
		if len(failures) != len(c.agents) {
			return fmt.Errorf("%d of %d refuse to remove it: %v", len(failures), len(c.agents), failures)
		}
		return nil
	})
}

// A node was killed before a rotation and is started after it, with the key it had:
// once it has joined by one of ours it is given the new one.
func TestKeyRotationMissedByRestart(t *testing.T) {
	t.Parallel()
	one, two := newKey(32), newKey(16)
	c := six(t, one)
	down := []*agent{c.agents[2], c.agents[3]}
	for _, a := range down {
		a.kill()
	}
	c.sees([]*agent{c.agents[0], c.agents[1]}, c.all("alive", down[0], "failed", down[1], "failed"))
	c.keys(newest, c.agents[1], "-install="+two)
	c.keys(ours, c.agents[0], "-use="+two)
	for _, a := range down {
		a.start()
		a.await("joins", func() error {
			_, err := a.rpc.Join([]string{c.agents[0].addr()}, false)
			return err
		})
	}
	c.sees(c.agents, c.all("alive"))
	c.ringIs(c.agents[0], one, two)
	c.keys(ours, c.agents[4], "-remove="+one)
	c.ringIs(c.agents[1], two)
}

// A keyring file is made by ours, changed by the real one, and read by ours again.
func TestKeyringFileIsShared(t *testing.T) {
	t.Parallel()
	need(t, newest)
	one, two := newKey(16), newKey(32)
	c := newCluster(t)
	file := c.file("keyring.json")
	a := c.add(ours, "node-0", "-encrypt="+one, "-keyring-file="+file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	a.kill()
	a.prog, a.flags = newest, []string{"-keyring-file=" + file}
	a.start()
	c.keys(ours, a, "-install="+two)
	c.keys(newest, a, "-use="+two)
	c.ringIs(a, one, two)
	a.kill()
	a.prog = ours
	a.start()
	c.keys(newest, a, "-remove="+one) // it is not the one in use
	c.ringIs(a, two)
	if text, err := os.ReadFile(file); err != nil || strings.Join(strings.Fields(string(text)), "") != `["`+two+`"]` {
		t.Errorf("%s, %v", text, err)
	}
}

// Encryption is turned on in a running cluster: first all get the key and go on
// plainly, then all encrypt, then all demand it. Events flow all the while but for
// the restarts of the first step.
func TestTurningEncryptionOn(t *testing.T) {
	t.Parallel()
	key := newKey(32)
	c := newCluster(t)
	c.write("verify.json", `{"encrypt_verify_incoming": false, "encrypt_verify_outgoing": false}`)
	for i := range 3 {
		a := c.add(ours, fmt.Sprintf("node-%d", i))
		if i > 0 {
			a.join(c.agents[0])
		}
	}
	c.sees(c.agents, c.all("alive"))
	for _, a := range c.agents {
		if err := a.rpc.Leave(); err != nil {
			t.Fatal(err)
		}
		a.wait()
		a.flags = []string{"-encrypt=" + key, "-config-file=" + c.file("verify.json")}
		a.start()
		a.join(c.others(a)...)
		c.sees(c.agents, c.all("alive"))
	}
	stop := c.traffic()
	for _, step := range []string{
		`{"encrypt_verify_incoming": false}`,
		`{}`,
	} {
		c.write("verify.json", step)
		for _, a := range c.agents {
			signal(t, a, syscall.SIGHUP)
			time.Sleep(time.Second) // the steps are a minute's work of an operator
		}
	}
	stop()
	c.sees(c.agents, c.all("alive"))
	if newest.path == "" {
		return
	}
	// The proof: whoever speaks plainly is out, a real agent with the key is in.
	plain := newCluster(t).add(newest, "plain")
	if n, err := plain.rpc.Join([]string{c.agents[0].addr()}, false); n != 0 || err == nil {
		t.Errorf("a plain node joined: %d, %v", n, err)
	}
	c.add(newest, "real", "-encrypt="+key).join(c.agents[1])
	c.sees(c.agents, c.all("alive"))
}

// Commands about keys, times and reachability: ours and the real ones at agents of
// either kind show the same.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	need(t, newest)
	one, two := newKey(16), newKey(32)
	for _, encrypted := range []bool{true, false} {
		c := newCluster(t)
		if encrypted {
			c.common = []string{"-encrypt=" + one}
		}
		a, b := c.add(ours, "node-a"), c.add(newest, "node-b")
		a.join(b)
		c.sees(c.agents, c.all("alive"))
		for _, line := range []string{
			"keys -list", "keys -install=" + two, "keys -list", "keys -use=" + two, "keys -remove=" + two, "keys -remove=" + one,
			"keys -list", "keys -install=AAAA", "keys -install=x", "keys -use=AAAA", "keys -remove=AAAA", "keys", "keys extra",
			"keys -list -use=x", "keys -install=x -remove=y", "keys -nonsense",
			"rtt node-a node-b", "rtt node-b", "rtt nobody", "rtt node-a nobody", "rtt", "rtt a b c", "rtt -nonsense",
			"reachability", "reachability -verbose", "reachability extra", "reachability -nonsense",
		} {
			for _, run := range []struct {
				p  program
				at *agent
			}{{newest, a}, {ours, a}, {ours, b}} {
				sameWithin(t, line, run.p, run.at, b)
			}
		}
	}
}

// sameWithin is sameCommand, several times if needed: an answer may be lost, and a
// coordinate takes a ping to be known.
func sameWithin(t *testing.T, line string, p program, at, real *agent) {
	t.Helper()
	var got, want cliRun
	for range asks {
		want, got = untimed(cli(t, newest, real, line)), untimed(cli(t, p, at, line))
		if got == want {
			return
		}
		time.Sleep(time.Second)
	}
	t.Errorf("%s: %s at %s's agent:\n%+v\nthe real one at the real one:\n%+v", line, p.name, at.prog.name, got, want)
}

// untimed takes out what cli leaves of times, and which node a time is from when the command
// does not say.
func untimed(r cliRun) cliRun {
	r.Stdout = secTook.ReplaceAllString(r.Stdout, "TIME")
	r.Stdout = rttOwn.ReplaceAllString(r.Stdout, "SELF rtt")
	return r
}
