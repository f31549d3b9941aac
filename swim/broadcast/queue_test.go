package broadcast

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func taken(msgs [][]byte) (out []string) {
	for _, m := range msgs {
		out = append(out, string(m))
	}
	return out
}

func TestQueueOrder(t *testing.T) {
	var q Queue
	for _, s := range []string{"aa", "bbbb", "cc", "d"} {
		q.Push("", []byte(s), nil)
	}
	for i, step := range []struct {
		limit int
		want  []string
	}{
		{9, []string{"bbbb", "cc"}},    // the largest, then what still fits, the newer first
		{8, []string{"aa", "d", "cc"}}, // the least sent first
		{100, []string{"bbbb", "aa", "d", "cc"}},
		{1, nil},
		{3, []string{"aa"}}, // "bbbb" does not fit and stops nobody
	} {
		if got := taken(q.Take(nil, 1, step.limit, 10)); !slices.Equal(got, step.want) {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

func TestQueueEnds(t *testing.T) {
	var q Queue
	var log []string
	push := func(name, msg string) { q.Push(name, []byte(msg), func() { log = append(log, msg) }) }
	push("n", "one")
	push("n", "two") // replaces
	push("", "three")
	push("", "four")
	q.Take(nil, 0, 3, 2) // "two"
	q.Take(nil, 0, 9, 2) // "four"[4] "three"[5]
	if n := q.Prune(2); n != 1 {
		t.Errorf("pruned %d", n)
	}
	q.Take(nil, 0, 100, 2)
	if want := []string{"one", "two", "four", "three"}; q.Len() != 0 || len(log) != 4 {
		t.Errorf("%d left, ended %q, want %q in some order", q.Len(), log, want)
	}
	if log[0] != "one" {
		t.Errorf("replaced one ended as %q", log)
	}
}

func TestTransmitLimit(t *testing.T) {
	for _, c := range []struct{ mult, n, want int }{
		{4, 0, 0}, {4, 1, 4}, {4, 9, 4}, {4, 10, 8}, {4, 99, 8}, {4, 100, 12}, {2, 10000, 10},
	} {
		if got := TransmitLimit(c.mult, c.n); got != c.want {
			t.Errorf("mult %d, n %d: %d, want %d", c.mult, c.n, got, c.want)
		}
	}
}

// naiveQueue is the queue's specification, written as one scan.
type naiveQueue struct {
	items []naiveItem
	id    int
	ended []int
}

type naiveItem struct {
	id, sent int
	name     string
	msg      []byte
}

func (q *naiveQueue) push(name string, msg []byte) int {
	q.items = slices.DeleteFunc(q.items, func(x naiveItem) bool {
		if x.name != "" && x.name == name {
			q.ended = append(q.ended, x.id)
			return true
		}
		return false
	})
	q.id++
	q.items = append(q.items, naiveItem{q.id, 0, name, msg})
	return q.id
}

func (q *naiveQueue) sort() {
	slices.SortFunc(q.items, func(a, b naiveItem) int {
		switch {
		case a.sent != b.sent:
			return a.sent - b.sent
		case len(a.msg) != len(b.msg):
			return len(b.msg) - len(a.msg)
		}
		return b.id - a.id
	})
}

func (q *naiveQueue) take(overhead, limit, transmits int) (out [][]byte) {
	q.sort()
	var kept []naiveItem
	for _, x := range q.items {
		if overhead+len(x.msg) <= limit && limit > overhead {
			limit -= overhead + len(x.msg)
			out = append(out, x.msg)
			if x.sent++; x.sent >= transmits {
				q.ended = append(q.ended, x.id)
				continue
			}
		}
		kept = append(kept, x)
	}
	q.items = kept
	return out
}

func (q *naiveQueue) prune(max int) {
	q.sort()
	for len(q.items) > max {
		q.ended = append(q.ended, q.items[len(q.items)-1].id)
		q.items = q.items[:len(q.items)-1]
	}
}

func TestQueueAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		var naive naiveQueue
		var ended []int
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"push", "push", "take", "prune"}).Draw(t, "what") {
			case "push":
				name := rapid.SampledFrom([]string{"", "", "a", "b", "c"}).Draw(t, "name")
				msg := bytes.Repeat([]byte{byte(i)}, rapid.IntRange(0, 12).Draw(t, "size"))
				id := naive.push(name, msg)
				q.Push(name, msg, func() { ended = append(ended, id) })
			case "take":
				o, l, x := rapid.IntRange(0, 3).Draw(t, "overhead"), rapid.IntRange(-2, 40).Draw(t, "limit"), rapid.IntRange(1, 4).Draw(t, "transmits")
				got, want := q.Take(nil, o, l, x), naive.take(o, l, x)
				if !slices.EqualFunc(got, want, bytes.Equal) {
					t.Fatalf("take %d %d %d: %v, want %v", o, l, x, got, want)
				}
			case "prune":
				n := rapid.IntRange(0, 8).Draw(t, "max")
				q.Prune(n)
				naive.prune(n)
			}
			if q.Len() != len(naive.items) {
				t.Fatalf("%d queued, want %d", q.Len(), len(naive.items))
			}
			slices.Sort(ended)
			slices.Sort(naive.ended)
			if !slices.Equal(ended, naive.ended) {
				t.Fatalf("ended %v, want %v", ended, naive.ended)
			}
		}
	})
}

func TestQueueReusesMemory(t *testing.T) {
	var q Queue
	msg := make([]byte, 100)
	dst := make([][]byte, 0, 8)
	names := []string{"a", "b", "c"}
	run := func() {
		for _, n := range names {
			q.Push(n, msg, nil)
		}
		for q.Len() > 0 {
			dst = q.Take(dst[:0], 2, 1400, 4)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleQueue() {
	var q Queue
	q.Push("node1", []byte("node1 is suspect"), nil)
	q.Push("node1", []byte("node1 is alive"), nil)
	for q.Len() > 0 {
		for _, msg := range q.Take(nil, 2, 1400, 2) {
			fmt.Println(string(msg))
		}
	}
	// Output:
	// node1 is alive
	// node1 is alive
}
