package serf

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// natives are native nodes that have joined the first.
func (w *world) natives(names ...string) []*node {
	w.t.Helper()
	var ns []*node
	for _, name := range names {
		ns = append(ns, w.add(name, func(c *Config) {
			c.Swim.Plain = strings.HasPrefix(name, "plain")
			c.Tags = []wire.Tag{{Key: "name", Value: name}}
		}))
	}
	w.joinAll(ns)
	return ns
}

// ended is the end of a query and how long it took, zero if it runs.
func (n *node) ended(id QueryID) (u QueryUpdate, ok bool) {
	for _, u := range n.updates {
		if u.ID == id && u.Kind == QueryDone {
			return u, true
		}
	}
	return u, false
}

func (n *node) declinesLast() {
	e, ok := n.lastEvent(EventQuery)
	if !ok {
		n.w.t.Helper()
		n.w.t.Fatalf("%s was not asked", n.name())
	}
	n.Decline(n.w.now, e.Query)
	n.act()
}

// P227: a query ends with the last word of those who are expected.
func TestP227_QueryEnds(t *testing.T) {
	w := newWorld(t)
	ns := w.natives("a", "b", "c")
	id := ns[0].asks("q", "p", QueryParam{Ack: true})
	w.run(20 * time.Millisecond)
	for i, n := range ns {
		if u, ok := ns[0].ended(id); ok {
			t.Fatalf("ended after %d of 3: %+v", i, u)
		}
		if i == 1 {
			n.declinesLast()
		} else if err := n.answersLast("yes"); err != nil {
			t.Fatal(err)
		}
		w.run(5 * time.Millisecond)
	}
	u, ok := ns[0].ended(id)
	if !ok || u.Expected != 3 || len(u.Missing) != 0 {
		t.Errorf("ended %v: %+v", ok, u)
	}
	ns[0].wantNews(id, "a=yes", "ack a", "ack b", "ack c", "c=yes", "~done")

	// Those that the filters leave out are not waited for, nor those that are gone.
	id = ns[0].asks("q", "", QueryParam{Ack: true, Tags: []wire.Tag{{Key: "name", Value: "^[bc]$"}}})
	w.run(20 * time.Millisecond)
	if err := ns[1].answersLast("b"); err != nil {
		t.Fatal(err)
	}
	w.run(5 * time.Millisecond)
	ns[0].dead("c", ns[2].Swim().Local().Incarnation, "b")
	ns[0].act()
	if u, ok = ns[0].ended(id); !ok || u.Expected != 2 || !slices.Equal(u.Missing, []string{"c"}) {
		t.Errorf("ended %v: %+v", ok, u)
	}
	// Nobody is asked: it is over at once.
	id = ns[0].asks("q", "", QueryParam{Nodes: []string{"nobody"}})
	if _, ok = ns[0].ended(id); !ok {
		t.Error("a query of nobody runs")
	}
	// Serf's own ping is its ack.
	id = ns[0].asks("_serf_ping", "", QueryParam{Ack: true, Nodes: []string{"b"}})
	w.run(10 * time.Millisecond)
	if _, ok = ns[0].ended(id); !ok {
		t.Error("a ping that was acked runs")
	}
}

// P227: two queries at one time do not mix.
func TestP227_TwoAtOnce(t *testing.T) {
	w := newWorld(t)
	ns := w.natives("a", "b")
	one := ns[0].asks("one", "", QueryParam{Nodes: []string{"b"}})
	two := ns[0].asks("two", "", QueryParam{Nodes: []string{"b"}})
	w.run(20 * time.Millisecond)
	if err := ns[1].answersLast("to two"); err != nil {
		t.Fatal(err)
	}
	w.run(5 * time.Millisecond)
	_, first := ns[0].ended(one)
	_, second := ns[0].ended(two)
	if first || !second || ns[0].news(two)[0] != "b=to two" {
		t.Errorf("one ended: %v, two: %v with %q", first, second, ns[0].news(two))
	}
}

// P227: a plain member without an answer is waited for until the time-out, and named.
func TestP227_PlainMemberMissing(t *testing.T) {
	w := newWorld(t)
	ns := w.natives("a", "plain")
	id := ns[0].asks("q", "", QueryParam{Ack: true, Nodes: []string{"plain"}, Timeout: 3 * time.Second})
	w.run(2900 * time.Millisecond)
	if _, ok := ns[0].ended(id); ok {
		t.Fatal("ended early")
	}
	w.run(200 * time.Millisecond)
	if u, ok := ns[0].ended(id); !ok || !slices.Equal(u.Missing, []string{"plain"}) {
		t.Errorf("ended %v: %+v", ok, u)
	}
}

// P228: what was lost is asked for again, and comes over a stream.
func TestP228_AskedAgain(t *testing.T) {
	w := newWorld(t)
	ns := w.natives("a", "b")
	b := ns[1]
	lost := 0
	w.drop = func(from, to *node, msg []byte) bool {
		if from == b && lost == 0 && strings.Contains(string(msg), "the answer") {
			lost++
			return true
		}
		return false
	}
	id := ns[0].asks("q", "", QueryParam{Ack: true, Nodes: []string{"b"}})
	w.run(20 * time.Millisecond)
	if err := b.answersLast("the answer"); err != nil {
		t.Fatal(err)
	}
	w.run(400 * time.Millisecond)
	if _, ok := ns[0].ended(id); !ok || lost == 0 {
		t.Errorf("%d packets lost; news: %q", lost, ns[0].news(id))
	}
	ns[0].wantNews(id, "ack b", "b=the answer", "~done")
}

// P229: an answer too long for a packet comes over a stream, to plain askers too.
func TestP229_LongAnswer(t *testing.T) {
	for _, asker := range []string{"a", "plain"} {
		w := newWorld(t)
		ns := w.natives(asker, "b")
		long := strings.Repeat("long ", 10_000)
		id := ns[0].asks("q", "", QueryParam{Nodes: []string{"b"}})
		w.run(500 * time.Millisecond)
		if err := ns[1].answersLast(long); err != nil {
			t.Fatal(err)
		}
		w.run(20 * time.Millisecond)
		if got := ns[0].news(id); len(got) == 0 || got[0] != "b="+long {
			t.Errorf("asked by %s: %d pieces of news", asker, len(got))
		}
		if err := ns[1].answersLast(strings.Repeat("x", maxStreamAnswer)); err == nil {
			t.Error("an answer of any length is taken")
		}
	}
}
