package interop

import (
	"fmt"
	"testing"
	"time"
)

// TestNewAddress: a node that was killed is started under its name at a new
// address. It takes the name over, in the lists of both programs, whether its
// end was noticed or not. (P108, P109)
func TestNewAddress(t *testing.T) {
	for _, noticed := range []bool{false, true} {
		t.Run(fmt.Sprintf("noticed=%v", noticed), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			stays := c.add(ours, "ours")
			theirs := c.add(newest, "real")
			moves := c.add(ours, "moves")
			moves.join(stays)
			theirs.join(stays)
			c.sees(c.agents, c.all("alive"))
			moves.kill()
			if noticed {
				c.sees(c.others(moves), c.all("alive", moves, "failed"))
			}
			moves.ip = c.net + "99"
			moves.start()
			moves.join(stays)
			joined := time.Now()
			for _, o := range c.agents {
				o.await("the new address", func() error {
					members, err := o.rpc.Members()
					if err != nil {
						return err
					}
					if m, ok := find(members, "moves"); !ok || m.Status != "alive" || m.Addr.String() != moves.ip {
						return fmt.Errorf("listed as %s at %s", m.Status, m.Addr)
					}
					return nil
				})
				t.Logf("%s lists it after %.1fs", o.name, time.Since(joined).Seconds())
			}
			select {
			case <-moves.gone:
				t.Error("the newcomer has given up its name")
			default:
			}
		})
	}
}
