//go:build unix

package interop

import (
	"fmt"
	"testing"
	"time"
)

// TestNativeRestarts: a crashed one of three that is started again is alive in all lists, and
// all are in its own, within 1.5 s: without a flag, since the others try it; sooner
// with a snapshot or -retry-join, by which it looks for them itself. (P200)
func TestNativeRestarts(t *testing.T) {
	for _, with := range []string{"nothing", "snapshot", "retry-join"} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.write("agent.json", `{}`)
			all := []*agent{c.add(ours, "n0"), c.add(ours, "n1")}
			var flags []string
			switch with {
			case "snapshot":
				flags = []string{"-snapshot=" + c.file("snapshot")}
			case "retry-join":
				flags = []string{"-retry-join=" + all[0].addr(), "-retry-interval=1s"}
			}
			victim := c.add(ours, "n2", flags...)
			all[1].join(all[0])
			if with != "retry-join" {
				victim.join(all[0])
			}
			c.sees(c.agents, c.all("alive"))
			median(t, fmt.Sprintf("restart with %s", with), 1500*time.Millisecond, func() time.Duration {
				time.Sleep(2 * time.Second) // until links are up
				victim.kill()
				c.lastOf(victim, time.Now(), "failed")
				began := time.Now()
				victim.start()
				d := c.lastOf(victim, began, "alive")
				for _, o := range c.others(victim) {
					d = max(d, victim.listedIn(began, o.name, "alive"))
				}
				return d
			})
		})
	}
}
