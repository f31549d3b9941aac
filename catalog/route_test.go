package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// liveNames is the Live of a list of live nodes. Each name is a host, as Serf's
// names are here (M14), or a full node name "host:port/tag", as droonga-engine
// gives its own Serf.
func liveNames(names []string) Live {
	return func(a Address) bool { return slices.Contains(names, a.Host) || slices.Contains(names, a.Node()) }
}

// parse parses what has to be right.
func parse(t *testing.T, text string) *Catalog {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// replicated3 has three replicas of one volume each.
const replicated3 = `{"version": 2, "datasets": {"Default": {"replicas": [
	{"address": "node0:10041/droonga.000"}, {"address": "node1:10041/droonga.000"}, {"address": "node2:10041/droonga.000"}]}}}`

// sliced2x2 has two replicas of two slices, each on a node of its own. The labels
// are the other way round than the slices.
const sliced2x2 = `{"version": 2, "effectiveDate": "2014-02-28T00:00:00Z", "datasets": {"Default": {
	"nWorkers": 4, "plugins": ["groonga", "search"], "schema": {"Store": {}}, "fact": "Store",
	"replicas": [
	{"dimension": "_key", "slicer": "hash", "slices": [
		{"label": "b", "weight": 50, "volume": {"address": "node0:10041/droonga.000"}},
		{"label": "a", "weight": 50, "volume": {"address": "node1:10041/droonga.001"}}]},
	{"slices": [
		{"label": "d", "weight": 1, "volume": {"address": "node2:10041/droonga.010"}},
		{"label": "c", "weight": 1, "volume": {"address": "node3:10041/droonga.011"}}]}]}}}`

// nested has slices that are themselves replicated, and sliced again.
const nested = `{"version": 2, "datasets": {"Default": {"replicas": [{"slices": [
	{"label": "old", "volume": {"replicas": [{"address": "node0:10041/t.0"}, {"address": "node1:10041/t.0"}]}},
	{"label": "new", "volume": {"dimension": "city", "slices": [
		{"label": "x", "volume": {"address": "node2:10041/t.1"}},
		{"label": "y", "volume": {"address": "node3:10041/t.1"}}]}}]}]}}}`

func TestEverythingIsRead(t *testing.T) {
	c := parse(t, sliced2x2)
	d := c.Dataset("Default")
	if c.Version != 2 || c.Effective != "2014-02-28T00:00:00Z" || d.Workers != 4 || !slices.Equal(d.Plugins, []string{"groonga", "search"}) ||
		string(d.Schema) != `{"Store": {}}` || d.Fact != "Store" || c.Dataset("other") != nil || !d.Sliced() {
		t.Errorf("%+v %+v", c, d)
	}
	first := d.Volume.Replicas[0]
	if first.Dimension != "_key" || first.Slicer != "hash" || first.Slices[0].Label != "b" || first.Slices[0].Weight != 50 {
		t.Errorf("%+v", first)
	}
	if got := fmt.Sprint(c.Names(), c.Nodes()); got != "[node0 node1 node2 node3] [node0:10041/droonga node1:10041/droonga node2:10041/droonga node3:10041/droonga]" {
		t.Error(got)
	}
	// Both replicas are cut alike, though the weights are written differently.
	if len(d.Layouts) != 1 || len(d.Layouts[0].Parts) != 2 {
		t.Fatalf("%+v", d.Layouts)
	}
	if p := d.Layouts[0].Parts[0]; p.Label != "b" || joinAddresses(p.Addresses) != "node0:10041/droonga.000, node2:10041/droonga.010" {
		t.Errorf("%+v", p)
	}
}

// TestRoutes: who gets a message, by the original's rules.
func TestRoutes(t *testing.T) {
	for _, c := range []struct {
		catalog string
		message Message
		dead    string // node names
		want    string // the nodes, in order; or part of the error, after "!"
	}{
		{replicated3, Message{Type: Broadcast, Replica: All}, "", "node0 node1 node2"},
		{replicated3, Message{Type: Broadcast, Replica: Top}, "", "node0"},
		{replicated3, Message{Type: Broadcast, Replica: Top}, "node0", "node1"},
		{replicated3, Message{Type: Broadcast, Replica: All}, "node1", "node0 node2"},
		{replicated3, Message{Type: Broadcast, Replica: Random}, "node0 node2", "node1"},
		{replicated3, Message{Type: Broadcast, Replica: All}, "node0 node1 node2",
			"!dataset Default: datasets.Default: no complete replica is alive; not alive: node0:10041/droonga.000, node1:10041/droonga.000, node2:10041/droonga.000"},
		{replicated3, Message{Type: Scatter, Replica: All, Record: Key("a")}, "node2", "node0 node1"},
		// A replica counts only if it is complete; slices come by their labels.
		{sliced2x2, Message{Type: Broadcast, Replica: All}, "", "node1 node0 node3 node2"},
		{sliced2x2, Message{Type: Broadcast, Replica: Top}, "node1", "node3 node2"},
		{sliced2x2, Message{Type: Broadcast, Replica: Top}, "node1 node2", "!no complete replica is alive; not alive: node1:10041/droonga.001, node2:10041/droonga.010"},
		// key0 belongs to slice 1, key5 to slice 1, key3 to slice 0 (testdata/golden.txt).
		{sliced2x2, Message{Type: Scatter, Replica: All, Record: Key("key0")}, "", "node1 node3"},
		{sliced2x2, Message{Type: Scatter, Replica: All, Record: Key("key3")}, "", "node0 node2"},
		{sliced2x2, Message{Type: Scatter, Replica: Top, Record: Key("key3")}, "node1", "node2"},
		{sliced2x2, Message{Type: Scatter, Replica: All}, "", "node1 node0 node3 node2"},
		{sliced2x2, Message{Type: Scatter, Replica: All, Record: Record{"name": "a"}}, "", "!the record has no value to place it by: _key"},
		{sliced2x2, Message{Type: Broadcast, Replica: All, Record: Key("key0")}, "", "node1 node0 node3 node2"},
		{nested, Message{Type: Broadcast, Replica: Top}, "", "node2 node3 node0"},
		{nested, Message{Type: Scatter, Replica: All, Record: Record{"_key": "key3", "city": "-"}}, "", "node0 node1"},
		{nested, Message{Type: Scatter, Replica: All, Record: Record{"_key": "key0", "city": "key3"}}, "", "node2"},
		{nested, Message{Type: Scatter, Replica: All, Record: Record{"_key": "key0", "city": "key0"}}, "", "node3"},
		{replicated3, Message{Type: "other", Replica: All}, "", `!the type "other" of a message`},
		{replicated3, Message{Type: Broadcast}, "", `!the choice "" of replicas`},
		{replicated3, Message{Type: Broadcast, Replica: All, Slice: Top}, "", `!the choice "top" of slices`},
	} {
		d := parse(t, c.catalog).Dataset("Default")
		live := func(a Address) bool { return !slices.Contains(strings.Fields(c.dead), a.Name()) }
		routes, err := d.Route(c.message, live, rand.New(rand.NewPCG(1, 2)))
		if fault, ok := strings.CutPrefix(c.want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), fault) || strings.Contains(fault, "alive") != errors.Is(err, ErrNoReplica) {
				t.Errorf("%+v without %q: %v, want %s", c.message, c.dead, err, fault)
			}
			continue
		}
		var names []string
		for _, r := range routes {
			names = append(names, r.Name())
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%+v without %q: %q %v, want %q", c.message, c.dead, got, err, c.want)
		}
	}
}

func TestRandomChoosesAll(t *testing.T) {
	seen := map[string]int{}
	r := rand.New(rand.NewPCG(1, 2))
	three, four := parse(t, replicated3).Datasets[0], parse(t, sliced2x2).Datasets[0]
	for range 200 {
		for _, d := range []*Dataset{three, four} {
			routes, err := d.Route(Message{Type: Scatter, Replica: Random, Slice: Random}, nil, r)
			if err != nil || len(routes) != 1 {
				t.Fatal(routes, err)
			}
			seen[routes[0].String()]++
		}
	}
	for _, d := range []*Dataset{three, four} {
		for _, a := range d.Addresses() {
			if n := seen[a.String()]; n < 20 {
				t.Errorf("%s was chosen %d times of 400", a, n)
			}
		}
	}
}

// TestReadsUseTheLiveOnesOfEachSlice: other than Route, Read mixes replicas.
func TestReadsUseTheLiveOnesOfEachSlice(t *testing.T) {
	d := parse(t, sliced2x2).Datasets[0]
	c, err := d.Read(liveNames([]string{"node0", "node3:10041/droonga"}))
	if err != nil || joinAddresses(c.Live[0]) != "node0:10041/droonga.000" || joinAddresses(c.Live[1]) != "node3:10041/droonga.011" {
		t.Errorf("%v %v", c.Live, err)
	}
	_, err = d.Read(liveNames([]string{"node0", "node2"}))
	if want := "dataset Default: slice a: no complete replica is alive; not alive: node1:10041/droonga.001, node3:10041/droonga.011"; !errors.Is(err, ErrNoReplica) || err.Error() != want {
		t.Errorf("%v", err)
	}
	if c, err = d.Read(nil); err != nil || len(c.Live[0]) != 2 {
		t.Errorf("%v %v", c, err)
	}
}

func TestReplicasCutDifferentlyAreLayoutsOfTheirOwn(t *testing.T) {
	d := parse(t, `{"version": 2, "datasets": {"Default": {"replicas": [
		{"address": "node0:1/t.0"},
		{"slices": [{"volume": {"address": "node1:1/t.0"}}, {"volume": {"address": "node2:1/t.0"}}]},
		{"slices": [{"volume": {"address": "node3:1/t.0"}}, {"weight": 3, "volume": {"address": "node4:1/t.0"}}]},
		{"address": "node5:1/t.0"}]}}}`).Datasets[0]
	if len(d.Layouts) != 3 {
		t.Fatalf("%d layouts", len(d.Layouts))
	}
	if a := d.Layouts[0].Parts[0].Addresses; joinAddresses(a) != "node0:1/t.0, node5:1/t.0" {
		t.Error(a)
	}
	// Without node0 and node5 a read goes to the second, whole; a write to all that hold the record.
	c, err := d.Read(liveNames([]string{"node1", "node2", "node3"}))
	if err != nil || c.Layout != d.Layouts[1] {
		t.Error(c, err)
	}
	holders, err := d.Holders(Key("key0"))
	if err != nil || len(holders) != 4 {
		t.Error(holders, err)
	}
}

func TestVersion1IsRoutedLikeVersion2(t *testing.T) {
	data, err := os.ReadFile("testdata/version1.json")
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, string(data)).Datasets[0]
	routes, err := d.Route(Message{Type: Broadcast, Replica: Top}, liveNames([]string{"localhost:23004/test"}), nil)
	if err != nil || joinAddresses(routes) != "localhost:23004/test.001, localhost:23004/test.003" {
		t.Error(routes, err)
	}
	holders, err := d.Holders(Key("key1"))
	if err != nil || joinAddresses(holders) != "localhost:23003/test.002, localhost:23004/test.003" {
		t.Error(holders, err)
	}
}

func TestWarnings(t *testing.T) {
	c := parse(t, `{"version": 2, "datasets": {"D": {"replicas": [
		{"slicer": "ordinal", "slices": [{"label": "x", "volume": {"address": "a:1/t.0"}}, {"label": "x", "volume": {"address": "b:1/t.1"}}]},
		{"slices": [{"weight": 100000, "volume": {"address": "a:1/t.2"}}, {"volume": {"address": "c:1/t.3"}}]}]}}}`)
	want := []string{
		`datasets.D.replicas[0]: the slicer "ordinal" is none that places records: all go to the first slice, as with the original`,
		`datasets.D.replicas[0]: slices 0 and 1 have the same label "x"`,
		`datasets.D.replicas[1]: slice 1 gets no records: its share is less than one point of the continuum`,
		`datasets.D: there are replicas that are cut into slices differently: a search can be answered by 2 groups of replicas, each by itself`,
		`a:1 is the address of 2 volumes: droonga-engine has a database for each, but a Groonga server, as the gateway asks, only one`,
	}
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}

func TestFaultsAreBounded(t *testing.T) {
	_, err := Parse([]byte(`{"version": 2, "datasets": {"D": {"replicas": [` + strings.Repeat("{},", 149) + `{}]}}}`))
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Faults) != 100 || invalid.More != 50 || !strings.HasSuffix(err.Error(), "\nand 50 more") {
		t.Errorf("%.200v", err)
	}
	if _, err = Parse(make([]byte, maxBytes+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ text, host, hostPort, node, local string }{
		{"192.168.100.50:10031/droonga.000", "192.168.100.50", "192.168.100.50:10031", "192.168.100.50:10031/droonga", "000"},
		{"node29:2929/droonga", "node29", "node29:2929", "node29:2929/droonga", ""},
		{"node29:2929/droonga.#1", "node29", "node29:2929", "node29:2929/droonga", "#1"},
		{"n:1/t.a.b", "n", "n:1", "n:1/t", "a.b"},
		{"fe80::1:10041/t.0", "fe80::1", "[fe80::1]:10041", "fe80::1:10041/t", "0"},
		{"[fe80::1]:10041/t.0", "[fe80::1]", "[fe80::1]:10041", "[fe80::1]:10041/t", "0"},
	} {
		a, err := ParseAddress(c.text)
		if err != nil || a.Host != c.host || a.Name() != c.host || a.HostPort() != c.hostPort || a.Node() != c.node || a.Local != c.local || a.String() != c.text {
			t.Errorf("%s: %+v %s %s %v", c.text, a, a.HostPort(), a.Node(), err)
		}
	}
}
