//go:build unix

package interop

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// A difference is a row of "Different on purpose" in docs/serf-compat.md that no other test
// runs beside the real program: what is to be seen of each.
type difference struct {
	name      string
	see       func(t *testing.T, p program) string
	serf, our string
}

var differences = []difference{
	{"tag filters", tagFilters, "chef chefs", "chef"},
	{"a broken filter", brokenFilter, "hung up", "Failed to compile regex"},
	{"key and keyring file", keyAndKeyring, "refused", "in use"},
	{"a seed that is the node itself", seedItself, "alone", "joined"},
	{"IPv6 without brackets", bareIPv6, "refused", "runs"},
	{"force-leave of a pair", forceLeaveOfAPair, "leaving, then left", "alive, then failed"},
	{"a name that is not valid", invalidName, "runs", "refused"},
	{"the exit code of a lost name", lostName, "exit 0", "exit 1"},
	{"a plain memberlist node", plainNodeLeaves, "failed", "left"},
	{"the log at the start", logAtTheStart, "", "A node whose host answers may pause"},
}

// TestDifferences sees each on the real program and on ours.
func TestDifferences(t *testing.T) {
	need(t, newest)
	t.Parallel()
	for _, d := range differences {
		for _, p := range []program{newest, ours} {
			t.Run(d.name+" by "+p.name, func(t *testing.T) {
				t.Parallel()
				want := d.our
				if p.name == newest.name {
					want = d.serf
				}
				if got := d.see(t, p); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		}
	}
}

// tagFilters is who matches a filter with a choice: Serf anchors its two ends only.
func tagFilters(t *testing.T, p program) string {
	c := newCluster(t)
	a := c.add(p, "chef", "-tag=mode=chef")
	c.add(p, "chefs", "-tag=mode=chefs").join(a)
	c.sees(c.agents, c.all("alive"))
	members, err := a.rpc.MembersFiltered(map[string]string{"mode": "chef|full"}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func brokenFilter(t *testing.T, p program) string {
	a := newCluster(t).add(p, "a")
	switch _, err := a.rpc.MembersFiltered(nil, "", "("); {
	case err == nil:
		return "answered"
	case strings.Contains(err.Error(), "Failed to compile regex"):
		return "Failed to compile regex"
	default:
		return "hung up"
	}
}

// refusal starts an agent that may refuse its settings.
func refusal(t *testing.T, c *cluster, p program, flags ...string) (a *agent, refused bool) {
	a = &agent{c: c, prog: p, name: "a", ip: c.net + "10", flags: flags}
	t.Cleanup(a.end)
	a.begin()
	awaitFor(t, patience, "it runs or has ended", func() error {
		select {
		case <-a.gone:
			refused = true
			return nil
		default:
		}
		conn, err := net.Dial("tcp", a.rpcAddr())
		if err == nil {
			conn.Close()
		}
		return err
	})
	return a, refused
}

func keyAndKeyring(t *testing.T, p program) string {
	c := newCluster(t)
	c.write("ring", `["`+aKey+`"]`)
	if _, refused := refusal(t, c, p, "-encrypt="+aKey, "-keyring-file="+c.file("ring")); refused {
		return "refused"
	}
	return "in use"
}

// seedItself is an agent whose seeds are itself and one that comes later.
func seedItself(t *testing.T, p program) string {
	c := newCluster(t)
	a := c.add(p, "a", "-retry-join="+c.net+"10", "-retry-join="+c.net+"11", "-retry-interval=1s")
	time.Sleep(500 * time.Millisecond) // so that it has joined itself, if that counts
	c.add(p, "b")
	tries := 50 // Serf does not try any more
	if p.name == ours.name {
		tries = 300
	}
	for range tries {
		if members, err := a.rpc.Members(); err == nil && len(members) == 2 {
			return "joined"
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "alone"
}

func bareIPv6(t *testing.T, p program) string {
	if conn, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6")
	} else {
		conn.Close()
	}
	if _, refused := refusal(t, newCluster(t), p, "-bind=::1"); refused {
		return "refused"
	}
	return "runs"
}

// forceLeaveOfAPair is what becomes of a live member that the only other one tells to leave,
// and how its crash is told after that.
func forceLeaveOfAPair(t *testing.T, p program) string {
	c := newCluster(t)
	a, b := c.add(p, "a"), c.add(p, "b")
	b.join(a)
	c.sees(c.agents, c.all("alive"))
	status := func() string {
		members, err := a.rpc.MembersFiltered(nil, "", "b")
		if err != nil || len(members) != 1 {
			t.Fatal(members, err)
		}
		return members[0].Status
	}
	if err := a.rpc.ForceLeave("b"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(6 * time.Second) // after which a failure is one again
	got := status()
	b.kill()
	a.await("b is gone", func() error {
		if s := status(); s != "left" && s != "failed" {
			return fmt.Errorf("b is %s", s)
		}
		return nil
	})
	return got + ", then " + status()
}

// invalidName is an agent that is to validate names, and whose own is not valid: Serf's agent
// reads the key and does not heed it.
func invalidName(t *testing.T, p program) string {
	c := newCluster(t)
	c.write("strict.json", `{"validate_node_names": true}`)
	if _, refused := refusal(t, c, p, "-node=a_b", "-config-file="+c.file("strict.json")); refused {
		return "refused"
	}
	return "runs"
}

// delegate has a plain memberlist node say what Serf's nodes say of themselves.
type delegate struct{ memberlist.Delegate }

func (delegate) NodeMeta(int) []byte               { return nil }
func (delegate) NotifyMsg([]byte)                  {}
func (delegate) GetBroadcasts(int, int) [][]byte   { return nil }
func (delegate) LocalState(bool) []byte            { return nil }
func (delegate) MergeRemoteState(b []byte, _ bool) { _ = b }

// plainNodeLeaves is how the leave of a node is listed that knows memberlist only.
func plainNodeLeaves(t *testing.T, p program) string {
	c := newCluster(t)
	a := c.add(p, "a")
	cfg := memberlist.DefaultLocalConfig()
	cfg.Name, cfg.BindAddr, cfg.AdvertiseAddr = "plain", c.net+"99", c.net+"99"
	cfg.BindPort, cfg.AdvertisePort, cfg.Delegate = 7946, 7946, delegate{}
	cfg.DelegateProtocolMin, cfg.DelegateProtocolMax, cfg.DelegateProtocolVersion = 2, 5, 5
	cfg.Logger = log.New(io.Discard, "", 0)
	m, err := memberlist.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown()
	if _, err := m.Join([]string{a.addr()}); err != nil {
		t.Fatal(err)
	}
	status := func() string {
		members, err := a.rpc.MembersFiltered(nil, "", "plain")
		if err != nil || len(members) != 1 {
			return ""
		}
		return members[0].Status
	}
	a.await("it is listed", func() error {
		if s := status(); s != "alive" {
			return fmt.Errorf("it is %q", s)
		}
		return nil
	})
	if err := m.Leave(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	a.await("it has gone", func() error {
		if s := status(); s != "left" && s != "failed" {
			return fmt.Errorf("it is %q", s)
		}
		return nil
	})
	return status()
}

func logAtTheStart(t *testing.T, p program) string {
	a := newCluster(t).add(p, "a")
	const line = "A node whose host answers may pause"
	b, err := os.ReadFile(a.log())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), line) {
		return line
	}
	return ""
}

// lostName is how the agent ends that loses its name to another live one.
func lostName(t *testing.T, p program) string {
	c := newCluster(t)
	a, voter := c.add(p, "a"), c.add(p, "voter")
	voter.join(a)
	c.sees(c.agents, c.all("alive"))
	twin := c.add(p, "twin", "-node=a")
	_, _ = twin.rpc.Join([]string{voter.addr()}, false)
	select {
	case <-a.gone:
		twin = a
	case <-twin.gone:
	case <-time.After(patience):
		t.Fatal("both live on")
	}
	return fmt.Sprint("exit ", twin.cmd.ProcessState.ExitCode())
}
