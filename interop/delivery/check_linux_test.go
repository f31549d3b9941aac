package delivery

import (
	"testing"
	"time"
)

// A check that nothing fails checks nothing: each history is one that it has to tell from
// its neighbour.
func TestHistoriesAreToldApart(t *testing.T) {
	const ms = time.Millisecond
	write := func(value string, o outcome, from, to time.Duration) operation {
		return operation{key: "r", value: value, outcome: o, call: from * ms, ret: to * ms}
	}
	read := func(value string, from, to time.Duration) operation {
		return operation{key: "r", read: true, value: value, call: from * ms, ret: to * ms}
	}
	for _, c := range []struct {
		name string
		bad  bool
		list []operation
	}{
		{"read of the last write", false, []operation{write("a", done, 0, 1), read("a", 2, 3)}},
		{"stale read", true, []operation{write("a", done, 0, 1), write("b", done, 2, 3), read("a", 4, 5)}},
		{"read beside a write", false, []operation{write("a", done, 0, 1), write("b", done, 2, 5), read("a", 3, 4)}},
		{"a write is lost", true, []operation{write("a", done, 0, 1), read("", 2, 3)}},
		{"back and forth", true, []operation{write("a", done, 0, 9), write("b", done, 0, 9), read("a", 10, 11), read("b", 12, 13)}},
		{"an unconfirmed write is done late", false, []operation{write("a", open, 0, 1), read("", 2, 3), read("a", 4, 5)}},
		{"an unconfirmed write is never done", false, []operation{write("a", open, 0, 1), read("", 2, 3)}},
		{"an unconfirmed write is undone", true, []operation{write("a", open, 0, 1), read("a", 2, 3), read("", 4, 5)}},
		{"an unconfirmed write is seen before it was asked for", true, []operation{read("a", 0, 1), write("a", open, 2, 3)}},
		{"a refused write is done", true, []operation{write("a", refused, 0, 1), read("a", 2, 3)}},
	} {
		if bad, undecided := violations(c.list); len(bad) > 0 != c.bad || undecided > 0 {
			t.Errorf("%s: found %q, undecided %d", c.name, bad, undecided)
		}
	}
}

// A truncate is a write to each register.
func TestATruncateIsAWriteToAll(t *testing.T) {
	h := newHistory()
	for _, o := range []operation{{key: "w0-0", value: "a"}, {key: "w0-1", value: "b"}, {key: everything}, {key: "w0-1", read: true, value: "b"}} {
		time.Sleep(time.Millisecond) // its time is that of its end
		o.call = h.now()
		h.add(o)
	}
	bad, _ := violations(h.all())
	if len(bad) != 1 {
		t.Errorf("a record that was truncated and is there: found %q", bad)
	}
}
