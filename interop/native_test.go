//go:build unix

package interop

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// listedIn polls a list until a member has the status, and returns how long after began
// that was seen.
func (a *agent) listedIn(began time.Time, name, status string) time.Duration {
	a.c.t.Helper()
	for time.Since(began) < patience {
		members, err := a.rpc.Members()
		if err != nil {
			a.c.t.Fatalf("%s: %v", a.name, err)
		}
		if m, ok := find(members, name); ok && m.Status == status {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	a.c.t.Fatalf("%s: %s is not %s within %v", a.name, name, status, patience)
	return 0
}

// lastOf is when all of the others list a member so.
func (c *cluster) lastOf(about *agent, began time.Time, status string) (last time.Duration) {
	c.t.Helper()
	for _, o := range c.others(about) {
		last = max(last, o.listedIn(began, about.name, status))
	}
	return last
}

// median measures something a few times: other tests run beside this one.
func median(t *testing.T, what string, bound time.Duration, measure func() time.Duration) {
	t.Helper()
	var all []time.Duration
	for range 3 {
		all = append(all, measure().Round(100*time.Microsecond))
	}
	slices.Sort(all)
	t.Logf("%s: %v", what, all)
	if all[1] > bound {
		t.Errorf("%s: %v (median of %v), want %v", what, all[1], all, bound)
	}
}

// TestNativesAmongSerfs: in a mixed cluster the real agents list a crashed member of
// either program as failed within half a second, and as alive again soon after
// it is back without being told to join. They log nothing that they do not log
// among themselves. (P190, P192, P194, P195, P200)
func TestNativesAmongSerfs(t *testing.T) {
	need(t, newest)
	c := newCluster(t)
	// Lost members are to be found by what is tested only.
	c.write("agent.json", `{}`)
	var all []*agent
	for i := range 2 {
		all = append(all, c.add(ours, fmt.Sprintf("ours-%d", i)), c.add(newest, fmt.Sprintf("real-%d", i)))
	}
	for _, a := range all[1:] {
		a.join(all[0])
	}
	c.sees(c.agents, c.all("alive"))
	time.Sleep(3 * time.Second) // until all know who is native
	for _, victim := range []*agent{all[2], all[3]} {
		var back []time.Duration
		median(t, "crash of "+victim.name, 500*time.Millisecond, func() time.Duration {
			victim.kill()
			d := c.lastOf(victim, time.Now(), "failed")
			victim.start()
			back = append(back, c.lastOf(victim, time.Now(), "alive").Round(time.Millisecond))
			time.Sleep(3 * time.Second)
			return d
		})
		if slices.Sort(back); back[1] > 1500*time.Millisecond {
			t.Errorf("%s is back after %v", victim.name, back)
		}
		t.Logf("%s is back after %v", victim.name, back)
	}
	for _, a := range []*agent{all[1], all[3]} {
		a.logsNothingNew()
	}
}

// known are the lines of a real agent among its like.
var known = regexp.MustCompile(`\[(INFO|DEBUG)\]|Refuting a (suspect|dead) message|memberlist: Failed fallback TCP ping` +
	`|Failed to send UDP ping|Marking .* as failed|Was able to connect|Push/Pull with|Failed to send gossip|Failed to send ping`)

func (a *agent) logsNothingNew() {
	a.c.t.Helper()
	b, err := os.ReadFile(a.log())
	if err != nil {
		a.c.t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(line, "[") && strings.Contains(line, "] ") && regexp.MustCompile(`\[(TRACE|DEBUG|INFO|WARN|ERR)\]`).MatchString(line) && !known.MatchString(line) {
			a.c.t.Errorf("%s logs %q", a.name, line)
		}
	}
}

// TestNativeTimes: three of ours. A crash, a hang and a leave of one are in the lists
// of the others as soon as is promised. (P195, P197, P198)
func TestNativeTimes(t *testing.T) {
	c := newCluster(t)
	c.write("agent.json", `{}`)
	var all []*agent
	for i := range 3 {
		all = append(all, c.add(ours, fmt.Sprintf("n%d", i)))
	}
	all[1].join(all[0])
	all[2].join(all[0])
	c.sees(c.agents, c.all("alive"))
	time.Sleep(3 * time.Second)
	victim := all[2]
	median(t, "crash", 50*time.Millisecond, func() time.Duration {
		began := time.Now()
		victim.kill()
		d := c.lastOf(victim, began, "failed")
		victim.start()
		c.lastOf(victim, time.Now(), "alive")
		time.Sleep(2 * time.Second)
		return d
	})
	var failed []time.Duration
	// Each time in a process that never stood still: answers that came late lengthen the time-out of later pings (P193).
	median(t, "degraded", 500*time.Millisecond, func() time.Duration {
		began := time.Now()
		victim.signal(syscall.SIGSTOP)
		d := all[0].degradedIn(began, victim.name)
		failed = append(failed, c.lastOf(victim, began, "failed").Round(time.Millisecond))
		victim.kill()
		victim.start()
		c.lastOf(victim, time.Now(), "alive")
		time.Sleep(2 * time.Second)
		return d
	})
	if slices.Sort(failed); failed[1] > 3500*time.Millisecond {
		t.Errorf("hung ones are failed after %v", failed)
	}
	t.Logf("hung ones are failed after %v", failed)
}

func (a *agent) signal(s syscall.Signal) {
	a.c.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.c.t.Fatal(err)
	}
}

// degradedIn polls until a member is degraded, and hung.
func (a *agent) degradedIn(began time.Time, name string) time.Duration {
	a.c.t.Helper()
	c, err := rpc.Dial(a.c.t.Context(), rpc.ClientConfig{Addr: a.rpcAddr()})
	if err != nil {
		a.c.t.Fatal(err)
	}
	defer c.Close()
	for time.Since(began) < patience {
		members, err := c.Members(a.c.t.Context())
		if err != nil {
			a.c.t.Fatal(err)
		}
		for _, m := range members {
			if m.Name == name && m.Degraded && m.Verdict == "hung" {
				return time.Since(began)
			}
		}
		time.Sleep(time.Millisecond)
	}
	a.c.t.Fatalf("%s is not degraded within %v", name, patience)
	return 0
}
