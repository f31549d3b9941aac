package serf

import (
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// tried counts the attempts of all to reach somebody.
func (w *world) tried(name string) (n int) {
	for _, o := range w.nodes {
		for _, l := range o.log {
			if strings.HasPrefix(l, Render(swim.Trace{Kind: TraceReconnect, Node: name})[:len("serf: attempting reconnect to ")+len(name)]) {
				n++
			}
		}
	}
	return n
}

func natives(t *testing.T, names ...string) (*world, []*node) {
	w := newWorld(t)
	var ns []*node
	for _, name := range names {
		ns = append(ns, w.add(name, func(c *Config) { c.Swim.Plain = false }))
	}
	w.joinAll(ns)
	return w, ns
}

// P200: the cluster as a whole tries a crashed member about once a second, and one
// that is silent ever more rarely; and finds both when they are back.
func TestP200_Tries(t *testing.T) {
	for _, c := range []struct {
		silent      bool
		least, most int // in 20 s
	}{{false, 19, 23}, {true, 4, 6}} {
		w, ns := natives(t, "a", "b", "c", "d", "e", "f")
		w.silent = c.silent
		ns[3].down = true
		w.run(5 * time.Second)
		for i, n := range ns {
			if i != 3 {
				n.wantStatus(ns[3], StatusFailed)
			}
		}
		m, _ := ns[0].Member("d")
		if want := map[bool]wire.Verdict{false: wire.VerdictCrashed, true: wire.VerdictSilent}[c.silent]; m.Verdict != want {
			t.Errorf("the verdict is %v, want %v", m.Verdict, want)
		}
		w.run(15 * time.Second)
		if n := w.tried("d"); n < c.least || n > c.most {
			t.Errorf("silent %v: %d tries in 20 s, want %d to %d", c.silent, n, c.least, c.most)
		}
		ns[3].down = false
		again := time.Second
		if c.silent {
			again = reconnectMost
		}
		w.run(again + 500*time.Millisecond)
		for _, n := range ns {
			n.wantStatus(ns[3], StatusAlive)
		}
	}
}

// A plain node has nothing of it.
func TestPlainDoesNotTry(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	ns[2].down = true
	w.run(20 * time.Second)
	if w.tried("c") > 1 || !ns[0].timers[timerReconnects].IsZero() {
		t.Errorf("tried %d times", w.tried("c"))
	}
}

// P202: who heard by an exchange that somebody left tells the others, who thought that
// it failed.
func TestP202_LeftIsPassedOn(t *testing.T) {
	w, ns := natives(t, "a", "b", "c", "d", "e", "f")
	apart := func(n *node) bool { return n == ns[4] || n == ns[5] }
	w.drop = func(from, to *node, _ []byte) bool { return apart(from) != apart(to) }
	w.run(5 * time.Second)
	if err := ns[5].Leave(w.now); err != nil {
		t.Fatal(err)
	}
	ns[5].act()
	w.run(3 * time.Second)
	ns[5].down = true
	ns[0].wantStatus(ns[5], StatusFailed)
	ns[4].wantStatus(ns[5], StatusLeft)
	w.drop = nil
	w.run(35 * time.Second)
	for _, n := range ns[:5] {
		n.wantStatus(ns[5], StatusLeft)
		n.wantStatus(ns[4], StatusAlive)
	}
}
