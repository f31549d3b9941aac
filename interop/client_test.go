package interop

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/logutils"
	"github.com/hashicorp/serf/client"
)

// rpcAt connects with Serf's own client.
func rpcAt(t *testing.T, a *agent, key string) *client.RPCClient {
	t.Helper()
	c, err := client.ClientFromConfig(&client.Config{Addr: a.rpcAddr(), AuthKey: key, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestClient makes every call of Serf's public Go client at our agent: at two of
// them, in a cluster with a real one, so that there is somebody to answer.
func TestClient(t *testing.T) {
	t.Parallel()
	need(t, newest)
	c := newCluster(t)
	a := c.add(ours, "a", "-tag=role=web")
	b := c.add(ours, "b", "-tag=role=db")
	r := c.add(newest, "r")
	rpc := rpcAt(t, a, "")

	clientJoin(t, c, rpc, a, b, r)
	clientMembers(t, rpc, a, b)
	clientTags(t, c, rpc, a)
	clientEvents(t, rpc, b)
	clientStreamFilters(t, a)
	clientQueries(t, c, rpc, a, b)
	clientMonitor(t, rpc, a)
	clientStats(t, rpc)
	clientCoordinate(t, rpc)
	clientKeysOff(t, rpc)
	clientForceLeave(t, c, rpc, a, b, r)
	clientLeave(t, c, rpc, a, b)
}

func clientJoin(t *testing.T, c *cluster, rpc *client.RPCClient, a, b, r *agent) {
	t.Helper()
	if n, err := rpc.Join([]string{"127.0.0.1:1"}, false); err == nil || n != 0 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Join nobody: %d, %v", n, err)
	}
	if n, err := rpc.Join([]string{b.addr(), "127.0.0.1:1", r.addr()}, true); err != nil || n != 2 {
		t.Errorf("Join: %d, %v", n, err)
	}
	if n, err := rpc.Join([]string{"b/" + b.addr(), b.ip}, false); err != nil || n != 2 {
		t.Errorf("Join again, by name/address and without a port: %d, %v", n, err)
	}
	c.sees(c.agents, c.all("alive"))
}

func clientMembers(t *testing.T, rpc *client.RPCClient, a, b *agent) {
	t.Helper()
	members, err := rpc.Members()
	if err != nil || len(members) != 3 {
		t.Fatalf("Members: %v, %v", members, err)
	}
	m, _ := find(members, "b")
	if !m.Addr.Equal(net.ParseIP(b.ip)) || m.Port != 7946 || m.Status != "alive" || m.Tags["role"] != "db" ||
		m.ProtocolMin != 1 || m.ProtocolMax != 5 || m.ProtocolCur == 0 || m.DelegateMin != 2 || m.DelegateMax != 5 || m.DelegateCur != 5 {
		t.Errorf("%+v", m)
	}
	if m, _ := find(members, "r"); m.Tags == nil {
		t.Errorf("tags are nil: %+v", m)
	}
	for _, f := range []struct {
		tags         map[string]string
		status, name string
		want         string
	}{
		{nil, "", "", "a b r"},
		{map[string]string{"role": "w.b|db"}, "", "", "a b"},
		{map[string]string{"role": ".*"}, "alive", "b", "b"},
		{nil, "failed", "", ""},
		{nil, "", "[ar]", "a r"},
		{nil, "ali", "", ""}, // the whole word has to match
	} {
		members, err := rpc.MembersFiltered(f.tags, f.status, f.name)
		var names []string
		for _, m := range members {
			names = append(names, m.Name)
		}
		slices.Sort(names)
		if err != nil || strings.Join(names, " ") != f.want {
			t.Errorf("MembersFiltered %+v: %v, %v", f, names, err)
		}
	}
	if _, err := rpc.MembersFiltered(nil, "(", ""); err == nil {
		t.Error("MembersFiltered takes a bad regular expression")
	}
}

func clientTags(t *testing.T, c *cluster, rpc *client.RPCClient, a *agent) {
	t.Helper()
	if err := rpc.UpdateTags(map[string]string{"x:y/z": "1=2", "gone": "1"}, []string{"gone"}); err != nil {
		t.Errorf("UpdateTags: %v", err)
	}
	members, err := rpc.Members() // at once
	m, _ := find(members, "a")
	// What is set and deleted at once is set, as with the real one.
	if err != nil || fmt.Sprint(m.Tags) != "map[gone:1 role:web x:y/z:1=2]" {
		t.Errorf("tags after UpdateTags: %v, %v", m.Tags, err)
	}
	if err := rpc.UpdateTags(map[string]string{"big": strings.Repeat("x", 600)}, nil); err == nil {
		t.Error("tags beyond 512 bytes are taken")
	}
	if err := rpc.UpdateTags(nil, []string{"x:y/z", "gone", "not there"}); err != nil {
		t.Errorf("UpdateTags: %v", err)
	}
}

func clientEvents(t *testing.T, rpc *client.RPCClient, b *agent) {
	t.Helper()
	for i, coalesce := range []bool{false, true} {
		h := happening{kind: "user", name: fmt.Sprintf("e%d", i), payload: "\x00payload"}
		from := b.seenSoFar()
		if err := rpc.UserEvent(h.name, []byte(h.payload), coalesce); err != nil {
			t.Errorf("UserEvent: %v", err)
		}
		b.await("the event", func() error {
			if n := count(b.events(from), h); n != 1 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	}
	if err := rpc.UserEvent("big", make([]byte, 600), false); err == nil {
		t.Error("an event beyond 512 bytes is taken")
	}
}

// clientStreamFilters: each filter lets through what it names, Stop ends it.
func clientStreamFilters(t *testing.T, a *agent) {
	t.Helper()
	rpc := rpcAt(t, a, "")
	streams := map[string]chan map[string]any{}
	for _, filter := range []string{"*", "user", "user:yes", "query", "query:yes", "member-join", "user:yes,query:yes"} {
		streams[filter] = make(chan map[string]any, 64)
		handle, err := rpc.Stream(filter, streams[filter])
		if err != nil {
			t.Fatalf("Stream %s: %v", filter, err)
		}
		defer func() {
			if err := rpc.Stop(handle); err != nil {
				t.Errorf("Stop: %v", err)
			}
		}()
	}
	if _, err := rpc.Stream("nonsense", make(chan map[string]any, 1)); err != nil {
		t.Logf("Stream nonsense: %v", err) // the real one takes it for a filter that matches nothing
	}
	asker := rpcAt(t, a, "")
	for _, name := range []string{"no", "yes"} {
		if err := asker.UserEvent(name, nil, false); err != nil {
			t.Fatal(err)
		}
		if err := asker.Query(&client.QueryParam{Name: name, Timeout: 200 * time.Millisecond, FilterNodes: []string{a.name}}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"*": "query no, query yes, user no, user yes", "user": "user no, user yes", "user:yes": "user yes",
		"query": "query no, query yes", "query:yes": "query yes", "member-join": "", "user:yes,query:yes": "query yes, user yes",
	}
	got := map[string][]string{}
	await(t, "the streams", func() error {
		for filter, ch := range streams {
			for len(ch) > 0 {
				record := <-ch
				got[filter] = append(got[filter], text(record["Event"])+" "+text(record["Name"]))
			}
			slices.Sort(got[filter])
			if list := strings.Join(got[filter], ", "); list != want[filter] {
				return fmt.Errorf("%s: %s, not %s", filter, list, want[filter])
			}
		}
		return nil
	})
}

func clientQueries(t *testing.T, c *cluster, rpc *client.RPCClient, a, b *agent) {
	t.Helper()
	stopA, stopB := a.answer(), b.answer()
	defer stopA()
	defer stopB()
	c.ask(a, "all-of-ours", client.QueryParam{FilterNodes: []string{"a", "b"}}, []*agent{a, b})
	c.ask(a, "by-tag", client.QueryParam{FilterTags: map[string]string{"role": "^db$"}}, []*agent{b})
	c.ask(b, "relayed", client.QueryParam{FilterNodes: []string{"a", "b"}, RelayFactor: 2}, []*agent{a, b})
	if err := rpc.Query(&client.QueryParam{Name: "big", Payload: make([]byte, 2000)}); err == nil {
		t.Error("a query beyond 1024 bytes is taken")
	}
	if err := rpc.Respond(1<<60, nil); err == nil {
		t.Error("Respond takes an ID that there is not")
	}
}

func clientMonitor(t *testing.T, rpc *client.RPCClient, a *agent) {
	t.Helper()
	// A connection of its own that is not stopped while lines come: Serf's client
	// panics when a line arrives between Stop and the agent's answer to it.
	lines := make(chan string, 4096)
	busy, err := client.ClientFromConfig(&client.Config{Addr: a.rpcAddr(), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Monitor(logutils.LogLevel("DEBUG"), lines); err != nil {
		t.Fatalf("Monitor: %v", err)
	}
	if _, err := busy.Monitor(logutils.LogLevel("DEBUG"), make(chan string, 1)); err == nil {
		t.Error("a second Monitor of one connection is taken")
	}
	if _, err := rpcAt(t, a, "").Monitor(logutils.LogLevel("LOUD"), make(chan string, 1)); err == nil {
		t.Error("Monitor takes an unknown level")
	}
	await(t, "log lines", func() error {
		if len(lines) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	if line := <-lines; !strings.Contains(line, "[") {
		t.Errorf("a log line without a level: %q", line)
	}
	quiet := make(chan string, 4096)
	handle, err := rpc.Monitor(logutils.LogLevel("ERR"), quiet)
	if err != nil {
		t.Fatalf("Monitor: %v", err)
	}
	if err := rpc.Stop(handle); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func clientStats(t *testing.T, rpc *client.RPCClient) {
	t.Helper()
	stats, err := rpc.Stats()
	if err != nil || stats["agent"]["name"] != "a" || stats["serf"]["members"] != "3" || stats["tags"]["role"] != "web" ||
		stats["runtime"]["os"] == "" || stats["event_handlers"] == nil {
		t.Errorf("Stats: %v, %v", stats, err)
	}
}

func clientCoordinate(t *testing.T, rpc *client.RPCClient) {
	t.Helper()
	await(t, "coordinates", func() error {
		for _, name := range []string{"a", "b", "r"} {
			coord, err := rpc.GetCoordinate(name)
			if err != nil {
				t.Fatalf("GetCoordinate: %v", err)
			}
			if coord == nil || !coord.IsValid() {
				return fmt.Errorf("%s: %v", name, coord)
			}
		}
		return nil
	})
	if coord, err := rpc.GetCoordinate("nobody"); coord != nil || err != nil {
		t.Errorf("GetCoordinate of nobody: %v, %v", coord, err)
	}
}

// clientKeysOff: without encryption every key call is refused.
func clientKeysOff(t *testing.T, rpc *client.RPCClient) {
	t.Helper()
	const key = "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="
	if _, err := rpc.InstallKey(key); err == nil {
		t.Error("InstallKey without encryption is taken")
	}
	if _, err := rpc.UseKey(key); err == nil {
		t.Error("UseKey without encryption is taken")
	}
	if _, err := rpc.RemoveKey(key); err == nil {
		t.Error("RemoveKey without encryption is taken")
	}
	if _, _, _, err := rpc.ListKeys(); err == nil {
		t.Error("ListKeys without encryption is taken")
	}
}

func clientForceLeave(t *testing.T, c *cluster, rpc *client.RPCClient, a, b, r *agent) {
	t.Helper()
	r.kill()
	c.sees([]*agent{a, b}, c.all("alive", r, "failed"))
	if err := rpc.ForceLeave("r"); err != nil {
		t.Errorf("ForceLeave: %v", err)
	}
	c.sees([]*agent{a, b}, c.all("alive", r, "left"))
	if err := rpc.ForceLeavePrune("r"); err != nil {
		t.Errorf("ForceLeavePrune: %v", err)
	}
	c.sees([]*agent{a, b}, map[*agent]string{a: "alive", b: "alive"})
}

func clientLeave(t *testing.T, c *cluster, rpc *client.RPCClient, a, b *agent) {
	t.Helper()
	if rpc.IsClosed() {
		t.Error("closed before its time")
	}
	if err := rpc.Leave(); err != nil {
		t.Errorf("Leave: %v", err)
	}
	a.wait()
	c.sees([]*agent{b}, map[*agent]string{a: "left", b: "alive"})
	if err := rpc.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
		t.Errorf("Close: %v", err)
	}
	if _, err := rpc.Members(); err == nil {
		t.Error("a closed client answers")
	}
}

// TestClientAuth: with rpc_auth set nothing is answered without the key.
func TestClientAuth(t *testing.T) {
	t.Parallel()
	for _, p := range []program{ours, newest} { // the real one shows that the test is right
		t.Run(p.name, func(t *testing.T) {
			need(t, p)
			c := newCluster(t)
			c.write("agent.json", `{"rpc_auth": "secret"}`)
			a := &agent{c: c, prog: p, name: "a", ip: c.net + "10"}
			c.agents = append(c.agents, a)
			t.Cleanup(a.end)
			a.begin()
			a.await("RPC answers", func() error {
				conn, err := net.Dial("tcp", a.rpcAddr())
				if err == nil {
					conn.Close()
				}
				return err
			})
			if _, err := rpcAt(t, a, "secret").Members(); err != nil {
				t.Errorf("with the key: %v", err)
			}
			if _, err := rpcAt(t, a, "").Members(); err == nil || !strings.Contains(err.Error(), "uthentication") {
				t.Errorf("without a key: %v", err)
			}
			if _, err := client.ClientFromConfig(&client.Config{Addr: a.rpcAddr(), AuthKey: "guess", Timeout: patience}); err == nil {
				t.Error("a wrong key is taken")
			}
		})
	}
}
