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

	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/wire"
)

// oneOfCluster are nodes with a handler that notes where it was run.
type oneOfCluster struct {
	net   *transporttest.MemNet
	nodes []*Agent
	mu    sync.Mutex
	ran   map[string][]string // event or member → nodes
	hang  map[string]bool     // events whose handlers do not end
	cut   atomic.Pointer[netip.AddrPort]
}

func newOneOfCluster(t *testing.T, n int) *oneOfCluster {
	c := &oneOfCluster{net: transporttest.NewMemNet(), ran: map[string][]string{}, hang: map[string]bool{}}
	c.net.Drop = func(from, to netip.AddrPort) bool {
		cut := c.cut.Load()
		return cut != nil && (from == *cut || to == *cut)
	}
	for i := range n {
		name := fmt.Sprint("n", i)
		a := memNode(t, c.net, name, byte(i+1), func(cfg *Config) { cfg.Tags = []wire.Tag{{Key: "role", Value: "x"}} })
		a.handlers.Run = func(_ *handler.Handler, j *handler.Job, kill <-chan struct{}) (handler.Output, error) {
			keys := []string{j.Event.Name}
			if j.Event.Members != nil {
				keys = nil
				for _, m := range j.Event.Members {
					keys = append(keys, j.Event.Type.String()+" "+m.Name)
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
			return handler.Output{}, nil
		}
		h := handler.Handler{Command: "x", OneOf: oneOf(t, map[string]string{"role": "x"}),
			Filters: []rpc.EventFilter{{Type: "user"}, {Type: "member-failed"}}}
		if err := a.handlers.Use(nil, h); err != nil {
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
		h := handler.Handler{Command: "x", OneOf: oneOf(t, map[string]string{"role": "nobody"}), Filters: []rpc.EventFilter{{Type: "user"}}}
		if err := c.nodes[0].handlers.Use(nil, h); err != nil {
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

func oneOf(t *testing.T, tags map[string]string) *handler.OneOf {
	t.Helper()
	o, err := handler.NewOneOf(tags, 0)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
