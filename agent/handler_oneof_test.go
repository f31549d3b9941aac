package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/wire"
)

func oneOf(t *testing.T, tags map[string]string) *OneOf {
	t.Helper()
	o, err := NewOneOf(tags, 0)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func viewOf(n int, dead ...int) *live.View {
	var entries []live.Entry
	for i := range n {
		status := live.Alive
		if slices.Contains(dead, i) {
			status = live.Failed
		}
		entries = append(entries, live.Entry{Name: fmt.Sprintf("node%02d", i), Status: status,
			Tags: []live.Tag{{Key: "role", Value: []string{"db", "web"}[i%2]}}})
	}
	var l live.List
	return l.Publish(time.Time{}, entries)
}

// P168: the events spread evenly; who is gone takes nothing from the others; and
// only those whose tags match are meant.
func TestOneOfRanks(t *testing.T) {
	o := oneOf(t, nil)
	got := map[string]int{}
	for i := range 10000 {
		event := fmt.Sprint("event", i)
		before, after := o.rank(viewOf(10), event), o.rank(viewOf(10, 3), event)
		got[before[0]]++
		if want := slices.DeleteFunc(slices.Clone(before), func(s string) bool { return s == "node03" }); after[0] != want[0] {
			t.Fatalf("%s was for %v, and is for %v without node03", event, before, after)
		}
		if len(before) != ranked {
			t.Fatalf("%d are remembered", len(before))
		}
	}
	for name, n := range got {
		if n < 850 || n > 1150 {
			t.Errorf("%s has %d of 10000 events", name, n)
		}
	}
	for i := range 100 {
		for _, name := range oneOf(t, map[string]string{"role": "d."}).rank(viewOf(10), fmt.Sprint(i)) {
			if (name[5]-'0')%2 != 0 {
				t.Fatalf("%s is no database", name)
			}
		}
	}
	if got := oneOf(t, map[string]string{"role": "d"}).rank(viewOf(10), "e"); len(got) != 0 {
		t.Errorf("an expression that matches a part: %v", got)
	}
}

// oneOfCluster are nodes with a handler that notes where it was run.
type oneOfCluster struct {
	net   *transport.MemNet
	nodes []*Agent
	mu    sync.Mutex
	ran   map[string][]string // event or member → nodes
	hang  map[string]bool     // events whose handlers do not end
	cut   atomic.Pointer[netip.AddrPort]
}

func newOneOfCluster(t *testing.T, n int) *oneOfCluster {
	c := &oneOfCluster{net: transport.NewMemNet(), ran: map[string][]string{}, hang: map[string]bool{}}
	c.net.Drop = func(from, to netip.AddrPort) bool {
		cut := c.cut.Load()
		return cut != nil && (from == *cut || to == *cut)
	}
	for i := range n {
		name := fmt.Sprint("n", i)
		a := memNode(t, c.net, name, byte(i+1), func(cfg *Config) { cfg.Tags = []wire.Tag{{Key: "role", Value: "x"}} })
		a.handlers.run = func(_ *Handler, j *job, kill <-chan struct{}) (output, error) {
			keys := []string{j.event.Name}
			if j.event.Members != nil {
				keys = nil
				for _, m := range j.event.Members {
					keys = append(keys, j.event.Type.String()+" "+m.Name)
				}
			}
			c.mu.Lock()
			hang := false
			for _, k := range keys {
				c.ran[k] = append(c.ran[k], name)
				hang = hang || c.hang[k]
			}
			c.mu.Unlock()
			if hang {
				<-kill
			}
			return output{}, nil
		}
		h := Handler{Command: "x", OneOf: oneOf(t, map[string]string{"role": "x"}),
			Filters: []rpc.EventFilter{{Type: "user"}, {Type: "member-failed"}}}
		if err := a.handlers.set(nil, h); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, a)
		if _, err := a.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *oneOfCluster) runs(key string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ran[key])
}

func (c *oneOfCluster) stop() {
	for _, a := range c.nodes {
		a.Stop()
	}
}

// P168: each event is run on one node, and all nodes have some.
func TestOneOfRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newOneOfCluster(t, 4)
		defer c.stop()
		for _, a := range c.nodes {
			wantStatuses(t, a, time.Minute, "n0 alive, n1 alive, n2 alive, n3 alive")
		}
		const events = 40
		for i := range events {
			if err := c.nodes[i%4].UserEvent(fmt.Sprint("e", i), nil, false); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		where := map[string]int{}
		for i := range events {
			ran := c.runs(fmt.Sprint("e", i))
			if len(ran) != 1 {
				t.Errorf("event %d was run at %v", i, ran)
			}
			where[strings.Join(ran, ",")]++
		}
		if len(where) != 4 {
			t.Errorf("run at %v", where)
		}
	})
}

// P168: a node that fails while it runs something is stood in for, once. And the
// failure itself is an event that one of the others handles.
func TestOneOfIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newOneOfCluster(t, 4)
		defer c.stop()
		for _, a := range c.nodes {
			wantStatuses(t, a, time.Minute, "n0 alive, n1 alive, n2 alive, n3 alive")
		}
		c.hang["e"] = true
		if err := c.nodes[0].UserEvent("e", nil, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		first := c.runs("e")
		if len(first) != 1 {
			t.Fatalf("run at %v", first)
		}
		victim := c.nodes[first[0][1]-'0']
		addr := victim.Addr()
		c.cut.Store(&addr)
		time.Sleep(20 * time.Second)
		second := c.runs("e")
		if len(second) != 2 || second[1] == first[0] {
			t.Errorf("run at %v, then at %v", first, second)
		}
		failed := c.runs("member-failed " + first[0])
		if len(failed) != 1 || failed[0] == first[0] {
			t.Errorf("the failure of %v was handled at %v", first, failed)
		}
	})
}

// If no node matches, nothing is run.
func TestOneOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newOneOfCluster(t, 1)
		defer c.stop()
		h := Handler{Command: "x", OneOf: oneOf(t, map[string]string{"role": "nobody"}), Filters: []rpc.EventFilter{{Type: "user"}}}
		if err := c.nodes[0].handlers.set(nil, h); err != nil {
			t.Fatal(err)
		}
		if err := c.nodes[0].UserEvent("e", nil, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if ran := c.runs("e"); len(ran) != 0 {
			t.Errorf("run at %v", ran)
		}
	})
}
