package serf

import (
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// P237: a query of a node that is alone waits in its queue for somebody to send it to,
// but not for longer than its own time; nor does one of somebody else, or one that the
// node asks by itself.
func TestP237_QueriesThatAreOverLeaveTheQueue(t *testing.T) {
	n := alone(t, nil)
	if _, err := n.Query(n.w.now, "q", nil, QueryParam{Timeout: 3 * time.Second}); err != nil {
		t.Fatal(err)
	}
	n.gets(&wire.Query{LTime: 9, ID: 7, Source: n.addr, SourceNode: "b", Timeout: 5 * time.Second, Name: "other"})
	n.gets(&wire.Query{LTime: 10, ID: 8, Source: n.addr, SourceNode: "b", Timeout: 5 * time.Second, Name: internalPrefix + "ping"})
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{2999 * time.Millisecond, 3}, {time.Millisecond, 2}, {1999 * time.Millisecond, 2}, {time.Millisecond, 0}} {
		n.wait(step.after)
		if got := n.queues.query.Len(); got != step.want {
			t.Errorf("%v later %d queries wait, want %d", step.after, got, step.want)
		}
	}
	if len(n.queues.times.order) != 0 {
		t.Errorf("%d are remembered", len(n.queues.times.order))
	}
}

// A node that joins after the end of a query is not asked.
func TestLateJoinerIsNotAsked(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", nil)
	if _, err := a.Query(w.now, "q", nil, QueryParam{Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	a.act()
	w.run(2 * time.Second)
	b := w.add("b", nil)
	b.join(a, false)
	w.run(time.Minute)
	for _, e := range b.events {
		if e.Type == EventQuery {
			t.Error("the one that joined late is asked")
		}
	}
}

// However many come, no more are remembered than the queue may have.
func TestQueuedQueriesAreBounded(t *testing.T) {
	var s queuedQueries
	now := time.Unix(0, 0)
	for i := range 100 {
		s.add(&wire.Query{ID: uint32(i), Timeout: time.Duration(100-i) * time.Second}, now, 10)
	}
	if len(s.order) != 10 {
		t.Errorf("%d are remembered", len(s.order))
	}
}
