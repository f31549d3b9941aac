package swim

import (
	"math"
	"testing"
	"time"
)

func TestRelays(t *testing.T) {
	var r relays
	// Numbers wrap around; some are used up by our own probes in between.
	first := uint32(math.MaxUint32 - 2)
	for i := range uint32(6) {
		r.add(relay{seq: first + 2*i, asked: 100 + i, ends: time.Duration(i)})
	}
	if x := r.ack(first + 1); x != nil {
		t.Errorf("a number between matches %+v", x)
	}
	if x := r.ack(first - 1); x != nil {
		t.Errorf("a number before matches %+v", x)
	}
	if x := r.ack(first + 12); x != nil {
		t.Errorf("a number after matches %+v", x)
	}
	for _, i := range []uint32{0, 3, 1} {
		if x := r.ack(first + 2*i); x == nil || x.asked != 100+i {
			t.Errorf("relay %d: %+v", i, x)
		}
		if x := r.ack(first + 2*i); x != nil {
			t.Errorf("relay %d is acked twice", i)
		}
	}
	r.trim()
	if x := r.first(); x == nil || x.asked != 102 {
		t.Errorf("first is %+v, want 102", x)
	}
	for r.first() != nil {
		r.first().closed = true
		r.trim()
	}
	if len(r.list) != 0 || r.head != 0 {
		t.Errorf("%d left from %d", len(r.list), r.head)
	}
}

// The queue of relays does not grow while it is used steadily.
func TestRelaysReuseMemory(t *testing.T) {
	var r relays
	seq := uint32(0)
	step := func() {
		seq++
		r.add(relay{seq: seq})
		if seq > 5 {
			r.ack(seq - 5)
			r.trim()
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if cap(r.list) > 64 {
		t.Errorf("grew to %d", cap(r.list))
	}
}

func TestRelaysFull(t *testing.T) {
	var r relays
	for i := range uint32(MaxRelays) {
		if r.full() {
			t.Fatalf("full at %d", i)
		}
		r.add(relay{seq: i})
	}
	if !r.full() {
		t.Error("not full")
	}
	r.ack(0)
	r.trim()
	if r.full() {
		t.Error("still full after one ended")
	}
}
