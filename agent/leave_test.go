package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
)

// A node that leaves does not look for its seeds any more: neither those that it tries
// until they are there, nor those that it keeps.
func TestLeaveEndsTheSearchForSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		a := memNode(t, transporttest.NewMemNet(), "a", 1, func(c *Config) {
			c.RetryJoin, c.RetryInterval = []string{"10.0.0.2"}, 5*time.Second
			c.LogOutput = &log
		})
		defer a.Stop()
		a.Log().Open()
		time.Sleep(12 * time.Second)
		if err := a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !a.HasLeft() {
			t.Error("it has not left")
		}
		synctest.Wait()
		before := strings.Count(log.String(), "Joining cluster")
		if before < 3 {
			t.Errorf("%d tries before the leave", before)
		}
		time.Sleep(time.Minute)
		if after := strings.Count(log.String(), "Joining cluster"); after != before {
			t.Errorf("%d tries after the leave", after-before)
		}
	})
}
