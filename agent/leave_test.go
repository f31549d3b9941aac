package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/logtest"
)

// A node that leaves does not look for its seeds any more: neither those that it tries
// until they are there, nor those that it keeps.
func TestLeaveEndsTheSearchForSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Buffer
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

// leaveCluster is n natives on a network in memory that know each other.
func leaveCluster(t *testing.T, net *transporttest.MemNet, n int) []*Agent {
	t.Helper()
	var as []*Agent
	for i := range n {
		a := memNode(t, net, fmt.Sprintf("n%02d", i), byte(i+1), nil)
		t.Cleanup(a.Stop)
		as = append(as, a)
		if i > 0 {
			if _, err := a.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(10 * time.Second)
	for _, a := range as {
		if alive := a.Live().Current().NumAlive(); alive != n {
			t.Fatalf("%s lists %d of %d", a.cfg.Name, alive, n)
		}
	}
	return as
}

// A leave returns when the others have it: after a round trip where all answer, and after
// the time for which plain members are told where one does not.
func TestP238_LeaveReturnsWhenItIsKnown(t *testing.T) {
	for _, n := range []int{1, 3, 32, 64} {
		for _, stopped := range []bool{false, true} {
			if stopped && n == 1 {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				net := transporttest.NewMemNet()
				net.Delay = time.Millisecond
				var deaf atomic.Bool
				last := addr4(byte(n))
				net.Drop = func(from, to netip.AddrPort) bool { return deaf.Load() && (from == last || to == last) }
				as := leaveCluster(t, net, n)
				deaf.Store(stopped)
				began := time.Now()
				if err := as[0].Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				synctest.Wait()
				for i, a := range as[1:] {
					if e := a.Live().Current().Get(as[0].cfg.Name); e.Status != live.Left && !(stopped && i == n-2) {
						t.Errorf("of %d, %s lists it as %v", n, a.cfg.Name, e.Status)
					}
				}
				most := 100 * time.Millisecond
				if stopped {
					most = 1100 * time.Millisecond
				}
				if took > most {
					t.Errorf("of %d, one stopped %v: it took %v", n, stopped, took)
				}
			})
		}
	}
}

// A service closes its port when its agent has ended, and stops when its peers have hung up.
// Peers connect to all services anew when an event tells that one has left, as those of the
// original droonga-engine do. So the event must not come while the port is open. (P239)
func TestP239_ServiceOfALeaverStops(t *testing.T) {
	for i := range 20 {
		synctest.Test(t, func(t *testing.T) {
			net := transporttest.NewMemNet()
			net.Delay = time.Millisecond
			as := leaveCluster(t, net, 3)
			time.Sleep(time.Duration(i) * 37 * time.Millisecond)
			var open, told, ended atomic.Int64
			for _, a := range as[1:] {
				events, _, cancel := backend{a}.Subscribe(false) // as Serf's clients
				t.Cleanup(cancel)
				go func() {
					for e := range events {
						if e.Type == "member-leave" {
							told.Add(1)
							if at := ended.Load(); at == 0 {
								open.Add(1)
							} else if late := time.Now().UnixNano() - at; late < 9e8 || late > 11e8 {
								t.Errorf("it is told %v after the end", time.Duration(late))
							}
						}
					}
				}()
			}
			began := time.Now()
			if err := as[0].Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			as[0].Stop()
			ended.Store(time.Now().UnixNano())
			if took := time.Since(began); took > time.Second {
				t.Errorf("the service stops after %v", took)
			}
			time.Sleep(5 * time.Second)
			if n := told.Load(); n != 2 {
				t.Errorf("%d peers heard of it", n)
			}
			if n := open.Load(); n > 0 {
				t.Errorf("%d peers are connected to a service that waits for them", n)
			}
		})
	}
}
