package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/rpc"
)

// TestLiveNodesFile: the agent keeps the file in step, by itself, from the list of
// itself alone (M18) on; orders come by user event and by query.
func TestLiveNodesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.json")
	a := realNode(t, "a", func(c *Config) {
		c.LiveNodes = []livefile.Target{{Path: path, Rendering: live.Rendering{Format: live.FormatAllNodes}}}
		c.CoalescePeriod = -1
	})
	defer a.Stop()
	list, err := livefile.Watch(t.Context(), path, livefile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-list.Done() })
	status := func(name string) string {
		if e := list.Current().Get(name); e != nil {
			return e.Status.String()
		}
		return "none"
	}
	eventually(t, "the list of itself alone", func() bool { return status("a") == "alive" && list.Health().Alone })
	b := realNode(t, "b", nil)
	joinTo(t, b, a)
	eventually(t, "b is alive", func() bool { return status("b") == "alive" })
	if err := a.UserEvent("live-nodes:exclude", []byte("b"), false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is excluded", func() bool { return status("b") == "excluded" })

	answers := make(chan rpc.QueryRecord, 100)
	req := rpc.QueryRequest{Name: "live-nodes:include", Payload: []byte("b"), Timeout: 5 * time.Second}
	if err := b.Backend().Query(req, func(r rpc.QueryRecord) { answers <- r }); err != nil {
		t.Fatal(err)
	}
	for r := range answers {
		if r.Type == rpc.QueryRecordDone {
			t.Fatal("no answer")
		}
		if r.Type == rpc.QueryRecordResponse {
			if got := string(r.Payload); got != `{"nodes":2,"num_alive":2,"alive":["a","b"],"excluded":[]}` {
				t.Errorf("answer %s", got)
			}
			break
		}
	}
	eventually(t, "b is back", func() bool { return status("b") == "alive" })
	b.Stop()
	eventually(t, "b has failed", func() bool { return status("b") == "failed" })
}

// TestLiveNodesOfDiskThatHangs: while the list cannot be written, the loop goes on.
func TestLiveNodesOfDiskThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.json")
	// A lock that never comes is what a disk is that does not answer.
	free, hold := make(chan struct{}), make(chan struct{})
	go func() {
		t := livefile.Target{Path: path}
		_, _ = t.Update(context.Background(), livefile.Order{}, func(context.Context) (livefile.Cluster, error) {
			close(hold)
			<-free
			return livefile.Cluster{}, os.ErrInvalid
		})
	}()
	<-hold
	defer close(free)
	a := realNode(t, "a", func(c *Config) { c.LiveNodes = []livefile.Target{{Path: path}} })
	defer a.Stop()
	for range 200 {
		begun := time.Now()
		if err := a.UserEvent("live-nodes:refresh", nil, false); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Fatalf("an event took %v", took)
		}
	}
}
