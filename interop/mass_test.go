//go:build unix

package interop

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestManyCrash: most of a cluster, or all but one, are killed at the same moment, the one
// that all have joined among them. Whoever is left lists all of them as failed. (P192, P290–P292)
func TestManyCrash(t *testing.T) {
	for _, x := range []struct {
		agents, killed int
		bound          time.Duration
	}{{10, 7, time.Second}, {6, 5, 1500 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%d of %d", x.killed, x.agents), func(t *testing.T) {
			c := newCluster(t)
			c.write("agent.json", `{}`)
			var all []*agent
			for i := range x.agents {
				all = append(all, c.add(ours, fmt.Sprintf("n%d", i)))
			}
			for _, a := range all[1:] {
				a.join(all[0])
			}
			c.sees(c.agents, c.all("alive"))
			time.Sleep(2 * time.Second) // until links are up
			victims, left := all[:x.killed], all[x.killed:]
			for _, v := range victims {
				v.signal(syscall.SIGKILL)
			}
			for _, v := range victims {
				v.wait()
			}
			began := time.Now()
			var last time.Duration
			for _, o := range left {
				for _, v := range victims {
					last = max(last, o.listedIn(began, v.name, "failed"))
				}
				for _, other := range left {
					o.listedIn(began, other.name, "alive")
				}
			}
			t.Logf("%v", last.Round(time.Millisecond))
			if last > x.bound {
				t.Errorf("it took %v, want %v", last, x.bound)
			}
		})
	}
}
