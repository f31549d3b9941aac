package broadcast

import (
	"bytes"
	"testing"
)

// Fresh broadcasts go out once, then they are ordinary ones; a newer one of the
// same name takes their place at any time.
func TestQueueFresh(t *testing.T) {
	var q Queue
	ended := 0
	end := func() { ended++ }
	q.PushFresh("a", []byte("first"), false, end)
	q.PushFresh("b", []byte("other"), false, end)
	q.PushFresh("a", []byte("newer"), true, end)
	if ended != 1 || q.Len() != 2 || q.Fresh() != 2 || q.Cost(2) != 14 || q.FreshCost(2) != 14 {
		t.Fatalf("ended %d, %d queued, %d fresh, cost %d", ended, q.Len(), q.Fresh(), q.Cost(2))
	}
	if got := q.Take(nil, 2, 100, 3); got != nil {
		t.Fatalf("a repair gave out %q, which nobody was sent", got)
	}
	if got := string(bytes.Join(q.TakeFresh(nil, 2, 7, 2), nil)); got != "newer" {
		t.Fatalf("first went %q", got)
	}
	if got := string(bytes.Join(q.TakeFresh(nil, 2, 100, 2), nil)); got != "other" {
		t.Fatalf("then went %q", got)
	}
	for range 2 {
		if got := q.Take(nil, 2, 100, 2); len(got) != 2 {
			t.Fatalf("a repair gave out %q", got)
		}
	}
	if ended != 3 || q.Len() != 0 || q.Cost(2) != 0 {
		t.Errorf("ended %d, %d queued, cost %d", ended, q.Len(), q.Cost(2))
	}
	for range 10 {
		q.PushFresh("", []byte("x"), false, nil)
	}
	if q.Prune(4); q.Len() != 4 || q.Fresh() != 4 {
		t.Errorf("pruned to %d, %d fresh", q.Len(), q.Fresh())
	}
}
