//go:build unix

package interop

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// TestAnnouncedRestartBesideSerf: an announced restart is a failure to a real Serf, as
// ever, and an update to ours. A Serf can announce one by a tag. (P240, P241, P242)
func TestAnnouncedRestartBesideSerf(t *testing.T) {
	need(t, newest)
	c := newCluster(t)
	ours0, ours1, real0 := c.add(ours, "ours-0"), c.add(ours, "ours-1"), c.add(newest, "real-0")
	ours1.join(ours0)
	real0.join(ours0)
	c.sees(c.agents, c.all("alive"))

	restart := func(a *agent) {
		t.Helper()
		from, realFrom := ours0.seenSoFar(), real0.seenSoFar()
		a.kill()
		ours0.await("the restarting one is away", func() error {
			members, err := ours0.rpc.Members()
			if m, _ := find(members, a.name); err != nil || m.Status != "failed" {
				return errors.Join(err, errors.New(m.Status))
			}
			return nil
		})
		if a != real0 {
			real0.await("its failure is told", func() error {
				if told(real0.events(realFrom), "member-failed", a.name) != 1 {
					return errors.New("not yet")
				}
				return nil
			})
		}
		a.start()
		a.join(ours0)
		c.sees(c.agents, c.all("alive"))
		ours0.await("its return is told as an update", func() error {
			if told(ours0.events(from), "member-update", a.name) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		if saw := ours0.events(from); told(saw, "member-failed", a.name)+told(saw, "member-join", a.name) > 0 {
			t.Errorf("%s: ours is told %v", a.name, saw)
		}
	}
	for _, a := range c.others(ours0) { // a join and an update in one window are a join
		ours0.await("the join is told", func() error {
			if told(ours0.events(0), "member-join", a.name) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	if err := rpcOf(t, ours1).RestartWindow(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	announced := func(a *agent) {
		t.Helper()
		for _, o := range c.others(a) {
			o.await("the announcement is there", func() error {
				members, err := o.rpc.Members()
				if m, _ := find(members, a.name); m.Tags["ibuki-restart"] == "" {
					return errors.Join(err, errors.New("no tag"))
				}
				return nil
			})
		}
		// Else the return may come in the same window as it, and both together are nothing.
		ours0.await("the announcement is told", func() error {
			if told(ours0.events(0), "member-update", a.name) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	announced(ours1)
	restart(ours1)
	if out, _, code := command(t, newest, "tags", "-rpc-addr="+real0.rpcAddr(), "-set", "ibuki-restart=2m"); code != 0 {
		t.Fatal(out)
	}
	announced(real0)
	restart(real0)
	real0.logsNothingNew()
}

// TestClusterNamesBesideSerf: a real Serf joins either of two clusters with names. Who has
// a name keeps out the other cluster's, also when a Serf has let both in; Serf shows the
// refusal as that of its join. (P245, P246, P247)
func TestClusterNamesBesideSerf(t *testing.T) {
	need(t, newest)
	c := newCluster(t)
	east, west := c.add(ours, "east", "-cluster-name=east"), c.add(ours, "west", "-cluster-name=west")
	real0, real1 := c.add(newest, "real-0"), c.add(newest, "real-1", "-tag", "ibuki-cluster=east")
	real0.join(east)
	real1.join(east)
	c.sees([]*agent{east, real0, real1}, map[*agent]string{east: "alive", real0: "alive", real1: "alive"})
	for _, a := range []*agent{real1, east} {
		_, err := rpcOf(t, a).Join(t.Context(), []string{west.addr()}, false)
		if err == nil || !strings.Contains(err.Error(), "not the same cluster") {
			t.Errorf("%s joins the other cluster: %v", a.name, err)
		}
	}
	west.rpc.Join([]string{real0.addr()}, false) // refused by west, taken by the Serf, who has no name
	east.await("it is told of a stranger", func() error {
		b, err := os.ReadFile(east.log())
		if !strings.Contains(string(b), "Refused west") {
			return errors.Join(err, errors.New("not yet"))
		}
		return nil
	})
	for a, stranger := range map[*agent]string{east: "west", west: "east"} {
		members, err := a.rpc.Members()
		if _, there := find(members, stranger); err != nil || there {
			t.Errorf("%s lists %s: %v", a.name, stranger, err)
		}
	}
}

func rpcOf(t *testing.T, a *agent) *rpc.Client {
	t.Helper()
	c, err := rpc.Dial(t.Context(), rpc.ClientConfig{Addr: a.rpcAddr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
