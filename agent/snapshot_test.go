package agent

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/swim"
)

// keeping is a modification for memNode.
func keeping(path string, mods ...func(*Config)) func(*Config) {
	return func(c *Config) {
		c.SnapshotPath = path
		c.CoalescePeriod = -1
		for _, m := range mods {
			m(c)
		}
	}
}

func incarnation(t *testing.T, a *Agent) (n uint32) {
	t.Helper()
	if err := a.doErr(func(time.Time) error { n = a.machine.Swim().Local().Incarnation; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestP163_RestartFromASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, path := transporttest.NewMemNet(), filepath.Join(t.TempDir(), "b")
		names := []string{"10.0.0.1:10031/droonga", "10.0.0.2:10031/droonga"}
		a, b := memNode(t, net, names[0], 1, nil), memNode(t, net, names[1], 2, keeping(path))
		defer a.Stop()
		both := names[0] + " alive, " + names[1] + " alive"
		if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		wantStatuses(t, a, time.Second, both)
		fire := func(name string) {
			if err := a.UserEvent(name, nil, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		fire("one")
		if err := b.SetTags(map[string]string{"k": "v"}, nil); err != nil {
			t.Fatal(err)
		}
		before := incarnation(t, b)
		b.Stop()
		fire("two")

		b = memNode(t, net, names[1], 2, keeping(path))
		defer b.Stop()
		events := collect(t, b)
		wantStatuses(t, b, 5*time.Second, both)
		if now := incarnation(t, b); now <= before {
			t.Errorf("incarnation %d, and %d in the former life", now, before)
		}
		fire("three")
		time.Sleep(2 * time.Minute)
		var users []string
		for _, e := range events() {
			if strings.HasPrefix(e, "user ") {
				users = append(users, e)
			}
		}
		if !slices.Equal(users, []string{"user two", "user three"}) {
			t.Errorf("told: %q, want what came after the crash", users)
		}
		wantStatuses(t, a, 0, both)
	})
}

// TestP163_JoinWithoutReplay: who restarts with -join and without -replay does
// not want what was sent before, snapshot or not.
func TestP163_JoinWithoutReplay(t *testing.T) {
	for _, replay := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			net, path := transporttest.NewMemNet(), filepath.Join(t.TempDir(), "b")
			join := func(c *Config) { c.Join, c.Replay = []string{"10.0.0.1"}, replay }
			a, b := memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, keeping(path, join))
			defer a.Stop()
			time.Sleep(time.Second)
			if err := a.UserEvent("one", nil, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			b.Stop()
			if err := a.UserEvent("two", nil, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
			var log logtest.Buffer
			b = memNode(t, net, "b", 2, keeping(path, join, func(c *Config) { c.LogOutput = &log }))
			defer b.Stop()
			b.Log().Open()
			time.Sleep(time.Minute)
			if got := strings.Contains(log.String(), "user-event: two"); got != replay {
				t.Errorf("replay %v: the event of the time between was told: %v", replay, got)
			}
			if strings.Contains(log.String(), "user-event: one") {
				t.Errorf("replay %v: an event was told again", replay)
			}
		})
	}
}

func TestP163_AfterALeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, path := transporttest.NewMemNet(), filepath.Join(t.TempDir(), "b")
		seeds := func(c *Config) { c.Seeds = []string{"10.0.0.1"} }
		a, b := memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, keeping(path, seeds))
		defer a.Stop()
		if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		leave := func() {
			if err := b.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.Stop()
		}
		before := incarnation(t, b)
		leave()
		if text, _ := os.ReadFile(path); !strings.HasSuffix(string(text), "\nleave\n") {
			t.Errorf("the file ends with %q", text)
		}

		rejoin := func(c *Config) { c.RejoinAfterLeave = true }
		b = memNode(t, net, "b", 2, keeping(path, rejoin))
		wantStatuses(t, b, 5*time.Second, "a alive, b alive")
		wantStatuses(t, a, 5*time.Second, "a alive, b alive")
		if n := incarnation(t, b); n <= before {
			t.Errorf("incarnation %d after %d", n, before)
		}
		before = incarnation(t, b)
		leave()
		wantStatuses(t, a, 5*time.Second, "a alive, b left")

		b = memNode(t, net, "b", 2, keeping(path))
		time.Sleep(5 * time.Minute)
		wantStatuses(t, b, 0, "b alive")
		wantStatuses(t, a, 0, "a alive, b left")
		if n := incarnation(t, b); n <= before {
			t.Errorf("incarnation %d after %d", n, before)
		}
		b.Stop()
	})
}

// TestSnapshotRemembersTheFailed: who had failed before this node crashed is
// found when it is back, though nobody else is left to say so.
func TestSnapshotRemembersTheFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, path := transporttest.NewMemNet(), filepath.Join(t.TempDir(), "b")
		a, b := memNode(t, net, "a", 1, slow), memNode(t, net, "b", 2, keeping(path, slow))
		if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		a.Stop()
		wantStatuses(t, b, 10*time.Minute, "a failed, b alive")
		time.Sleep(25 * time.Hour) // and reaped
		wantStatuses(t, b, 0, "b alive")
		b.Stop()
		b = memNode(t, net, "b", 2, keeping(path))
		defer b.Stop()
		time.Sleep(10 * time.Minute)
		a = memNode(t, net, "a", 1, nil)
		defer a.Stop()
		wantStatuses(t, b, time.Minute, "a alive, b alive")
	})
}

// TestSnapshotRemembersSeeds: a restart without -join finds the way by itself,
// though the seed was away when it happened.
func TestSnapshotRemembersSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, path := transporttest.NewMemNet(), filepath.Join(t.TempDir(), "b")
		b := memNode(t, net, "b", 2, keeping(path, func(c *Config) { c.RetryJoin = []string{"10.0.0.1"} }))
		time.Sleep(time.Second)
		b.Stop()
		b = memNode(t, net, "b", 2, keeping(path))
		defer b.Stop()
		time.Sleep(time.Hour)
		a := memNode(t, net, "a", 1, nil)
		defer a.Stop()
		wantStatuses(t, b, time.Minute, "a alive, b alive")
	})
}

func TestSnapshotThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"a directory":  dir,
		"no directory": filepath.Join(dir, "nosuch", "file"),
		"a device":     "/dev/null",
	} {
		a, err := New(Config{Name: "a", Bind: netip.MustParseAddrPort("10.0.0.1:1"), Listen: transporttest.NewMemNet().Listen, SnapshotPath: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "Failed to setup snapshot: ") {
			t.Errorf("%s: %v", name, err)
		}
		a.Stop()
	}
}

// slow is a profile for long times.
func slow(c *Config) {
	c.Swim = swim.LAN()
	c.Swim.ProbeInterval, c.Swim.ProbeTimeout = 60*time.Second, 5*time.Second
	c.Swim.GossipInterval, c.Swim.PushPullInterval = 10*time.Second, 10*time.Minute
}

// slowPlain leaves the natives' watch out too, of which a million pings a day come:
// minutes of a test that say nothing about what finds the others again.
func slowPlain(c *Config) {
	slow(c)
	c.Swim.Plain = true
}

// TestP164_PartitionsHeal: however long it lasted, without anybody's help.
func TestP164_PartitionsHeal(t *testing.T) {
	for _, c := range []struct {
		name  string
		lasts time.Duration
		heals time.Duration
		mod   func(*Config)
	}{
		{"30 s", 30 * time.Second, time.Minute, nil},
		{"5 min", 5 * time.Minute, time.Minute, nil},
		{"1 h", time.Hour, 2 * time.Minute, nil},
		{"3 days", 72 * time.Hour, 5 * time.Minute, slowPlain},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cut atomic.Bool
				net := transporttest.NewMemNet()
				net.Drop = func(from, to netip.AddrPort) bool {
					side := func(a netip.AddrPort) bool { return a.Addr().As4()[3] > 2 }
					return cut.Load() && side(from) != side(to)
				}
				var nodes []*Agent
				names := []string{"10.0.0.1:10031/a", "b", "c", "d"}
				for i, name := range names {
					nodes = append(nodes, memNode(t, net, name, byte(i+1), c.mod))
					defer nodes[i].Stop()
					if _, err := nodes[i].Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
						t.Fatal(err)
					}
				}
				all := "10.0.0.1:10031/a alive, b alive, c alive, d alive"
				for _, n := range nodes {
					wantStatuses(t, n, time.Minute, all)
				}
				cut.Store(true)
				time.Sleep(c.lasts)
				left := "10.0.0.1:10031/a alive, b alive"
				if c.lasts > 24*time.Hour { // reaped
					wantStatuses(t, nodes[0], 0, left)
				} else {
					wantStatuses(t, nodes[0], 30*time.Second, left+", c failed, d failed")
				}
				cut.Store(false)
				for _, n := range nodes {
					wantStatuses(t, n, c.heals, all)
				}
			})
		})
	}
}

// TestP164_SeedsForLife: the only node that this one knows of comes back at its
// old address under another name, long after everybody has forgotten it.
func TestP164_SeedsForLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		resolve := func(c *Config) {
			slow(c)
			c.Resolve = names{"seed": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}}
			c.ReconnectTimeout = time.Hour
			c.Join = []string{"seed"}
		}
		a := memNode(t, net, "a", 1, slow)
		b := memNode(t, net, "b", 2, resolve)
		defer b.Stop()
		if err := a.Leave(t.Context()); err != nil { // it leaves: nobody looks for it by name
			t.Fatal(err)
		}
		a.Stop()
		time.Sleep(30 * time.Hour)
		other := memNode(t, net, "other", 1, slow)
		defer other.Stop()
		wantStatuses(t, b, 2*time.Minute, "b alive, other alive")
	})
}

// TestP164_AnsweredUnderAnotherAddress: a seed that leads to a member by another
// address is no reason to bother it, or the log's reader, every half minute.
func TestP164_AnsweredUnderAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		var log logtest.Buffer
		a := memNode(t, net, "a", 1, func(c *Config) {
			slowPlain(c)
			c.Advertise = netip.MustParseAddrPort("10.0.0.2:7946")
		})
		defer a.Stop()
		var dials atomic.Int32
		listen := func(addr netip.AddrPort) (transport.Transport, error) {
			tr, err := net.Listen(addr)
			return countingDials{tr, &dials}, err
		}
		b := memNode(t, net, "b", 3, func(c *Config) {
			slowPlain(c)
			c.Seeds, c.Listen, c.LogOutput = []string{"10.0.0.1"}, listen, &log
		})
		defer b.Stop()
		b.Log().Open()
		time.Sleep(2 * time.Hour)
		if n := dials.Load(); n < 12 || n > 25 {
			t.Errorf("%d streams in two hours", n)
		}
		if n := strings.Count(log.String(), "Re-joined to previously known node: 10.0.0.1\n"); n != 1 {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
	})
}

type countingDials struct {
	transport.Transport
	n *atomic.Int32
}

func (c countingDials) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if to.Addr() == netip.MustParseAddr("10.0.0.1") {
		c.n.Add(1)
	}
	return c.Transport.Dial(ctx, to)
}
