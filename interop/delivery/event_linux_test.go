package delivery

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/serf/client"
)

// eventBound is what may be between an agent's member event and the new list in the
// memory of the gateway beside it.
const eventBound = 20 * time.Millisecond

// An agent's own writer, the file, its watcher and the gateway: from the moment when a
// client of the agent is told of the event to the moment when the gateway routes by it.
func TestFromAMemberEventToTheGateway(t *testing.T) {
	need(t, "groonga")
	build(t)
	w := newWorld(t, placing{{0}, {1}, {2}})
	rpc, err := client.NewRPCClient(w.host(0) + ":7373")
	if err != nil {
		t.Fatal(err)
	}
	defer rpc.Close()
	events := make(chan map[string]interface{}, 64)
	if _, err := rpc.Stream("member-failed,member-join", events); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range 5 {
		took = append(took, w.followed(events, func() { w.agents[2].kill() }, "dead"))
		took = append(took, w.followed(events, func() { w.agents[2].start() }, "active"))
		w.settle()
	}
	slices.Sort(took)
	t.Logf("from the event to the gateway's memory: %v", took)
	// A machine that runs other tests may stall any one of them.
	if median := took[len(took)/2]; median > eventBound {
		t.Errorf("the median is %v", median)
	}
}

// followed tells how long after the event of node 2 gateway 0 has it in that state.
func (w *world) followed(events chan map[string]interface{}, cause func(), state string) time.Duration {
	w.t.Helper()
	for len(events) > 0 {
		<-events
	}
	seen := make(chan time.Time, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			time.Sleep(500 * time.Microsecond)
			if s, err := w.standing(0); err == nil && (s.Cluster.Volumes[2].State == "dead") == (state == "dead") {
				seen <- time.Now()
				return
			}
		}
	}()
	cause()
	for {
		select {
		case e := <-events:
			told := time.Now()
			if e["Event"] != "member-failed" && e["Event"] != "member-join" {
				continue
			}
			return max((<-seen).Sub(told), 0)
		case <-time.After(patience):
			w.t.Fatalf("no event, waiting for %s", state)
		}
	}
}
