package swim

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// natives starts n natives that have joined each other.
func (w *world) natives(n int) []*node {
	for range n {
		w.add(native)
	}
	for _, x := range w.nodes[1:] {
		x.Join(w.now, w.nodes[0].addr, "")
		w.settle(x)
		w.run(50 * hop)
	}
	w.run(3 * time.Second)
	w.wantAlive(n, "at the start")
	return w.nodes
}

func native(c *Config) { c.Plain = false }

func (w *world) wantAlive(n int, when string) {
	w.t.Helper()
	for _, x := range w.nodes {
		if !x.down && x.NumAlive() != n {
			w.t.Errorf("%s: %s lists %d of %d", when, x.Local().Name, x.NumAlive(), n)
		}
	}
}

// forge has a node hear what nobody has said.
func (w *world) forge(to *node, msg []byte) {
	to.HandlePacket(w.now, addrOf(99), msg)
	w.settle(to)
}

// claims are what can be said of a member at an incarnation.
func claims(name string, i int, incarnation uint32) map[string][]byte {
	return map[string][]byte{
		"alive":   nativeAlive(name, i, incarnation, wire.NativeVersion),
		"suspect": (&wire.Suspect{Incarnation: incarnation, Node: name, From: nameOf(1)}).AppendTo(nil),
		"dead":    (&wire.Dead{Incarnation: incarnation, Node: name, From: nameOf(1)}).AppendTo(nil),
		"left":    (&wire.Dead{Incarnation: incarnation, Node: name, From: name}).AppendTo(nil),
	}
}

// incarnations is at what incarnation each node knows one.
func (w *world) incarnations(of *node) (all []uint32) {
	for _, x := range w.nodes {
		if !x.down {
			all = append(all, x.Member(of.Local().Name).Incarnation)
		}
	}
	return all
}

// P275: an incarnation at any edge, said by anybody of anybody to anybody, changes
// nothing for longer than a refutation takes: the member stays, its crash is one, and
// what it says afterwards is heard.
func TestP275_EdgesOfIncarnations(t *testing.T) {
	for _, incarnation := range []uint32{0, 1, 1 << 16, 1<<16 + 1, 1<<16 + 2, 1<<16 + 3, math.MaxUint32 - 1<<16, math.MaxUint32 - 1, math.MaxUint32} {
		for _, kind := range []string{"alive", "suspect", "dead", "left"} {
			for _, to := range []int{0, 1} { // another member, and the one that it is about
				t.Run(fmt.Sprint(kind, incarnation, "to", to), func(t *testing.T) {
					w := newWorld(t)
					nodes := w.natives(4)
					about := nodes[1]
					for range 3 {
						w.forge(nodes[to], claims(about.Local().Name, 2, incarnation)[kind])
						w.run(300 * time.Millisecond)
					}
					w.run(time.Second)
					w.wantAlive(4, "a second later")
					for i, inc := range w.incarnations(about) {
						if inc > 4<<16 || inc != about.Local().Incarnation {
							t.Errorf("%s knows it at %d, it is at %d", nameOf(i+1), inc, about.Local().Incarnation)
						}
					}
					if err := about.SetMeta(w.now, []byte("new")); err != nil {
						t.Fatal(err)
					}
					w.run(time.Second)
					for _, x := range nodes {
						if got := x.Member(about.Local().Name).Meta; string(got) != "new" {
							t.Errorf("%s has the metadata %q", x.Local().Name, got)
						}
					}
					about.down = true
					w.run(15 * time.Second)
					w.wantAlive(3, "after its crash")
				})
			}
		}
	}
}

// P275: what a member says of itself is taken however far it is, and P276: at the end a
// member begins anew, whether it is accused there, or starts again.
func TestP276_TheLastIncarnation(t *testing.T) {
	drive := func(t *testing.T) (*world, *node) {
		w := newWorld(t)
		n := w.natives(4)[1]
		n.local.incarnation = math.MaxUint32
		n.announce()
		w.run(time.Second)
		for _, inc := range w.incarnations(n) {
			if inc != math.MaxUint32 {
				t.Fatalf("it is known at %d", inc)
			}
		}
		w.wantAlive(4, "at the end")
		return w, n
	}
	for kind := range claims("", 0, 0) { // order-free: each by itself
		t.Run(kind, func(t *testing.T) {
			w, n := drive(t)
			if kind == "alive" { // with other metadata, or it is nothing new
				a := wire.Alive{Incarnation: math.MaxUint32, Node: n.Local().Name, Addr: n.addr, Meta: []byte("x"), Versions: DefaultVersions, Native: 1}
				w.forge(n, a.AppendTo(nil))
			} else {
				w.forge(w.nodes[0], claims(n.Local().Name, 2, math.MaxUint32)[kind])
			}
			w.run(2 * time.Second)
			w.wantAlive(4, "after the accusation")
			for _, inc := range w.incarnations(n) {
				if inc > 3 {
					t.Errorf("it is known at %d", inc)
				}
			}
		})
	}
	t.Run("restart", func(t *testing.T) {
		w, n := drive(t)
		n.down = true
		w.run(15 * time.Second)
		w.wantAlive(3, "while it is away")
		again := w.add(native, func(c *Config) {
			c.Name, c.Addr, c.Incarnation = n.Local().Name, n.addr, math.MaxUint32
		})
		again.Join(w.now, w.nodes[0].addr, "")
		w.run(2 * time.Second)
		w.wantAlive(4, "after its restart")
		if inc := again.Local().Incarnation; inc > 3 {
			t.Errorf("it is at %d", inc)
		}
	})
}

// P276: beside a plain member a native follows, as it does: it would not be seen there.
func TestP276_BesidePlain(t *testing.T) {
	r := newNativeRig(t, quiet)
	r.in(nativeAlive("native", 1, 1, 1), aliveOf(2, 1).AppendTo(nil))
	r.in((&wire.Suspect{Incarnation: 1 << 20, Node: "self", From: "native"}).AppendTo(nil))
	if got := r.Local().Incarnation; got != 1<<20+1 {
		t.Errorf("self is at %d", got)
	}
}

// P275: whom others name far away is asked once a second, and no more than 16 exchanges are open.
func TestP275_AsksAreBounded(t *testing.T) {
	r := newNativeRig(t, quiet)
	r.natives(40)
	count := func() int { n := len(r.dials); r.dials = nil; return n }
	count()
	for range 100 {
		r.suspect(1, 1<<20, "node2")
	}
	if n := count(); n != 1 {
		t.Errorf("one member is asked %d times", n)
	}
	for i := range 40 {
		r.suspect(i+1, 1<<20, "node2")
	}
	if n := count(); n > 15 || n < 10 {
		t.Errorf("%d are asked at once", n)
	}
	r.run(farPause)
	for i := range 40 {
		r.wantState(i+1, wire.StateAlive)
	}
}

// P275 from both sides: 2^16 above what is known is believed.
func TestP275_TheBound(t *testing.T) {
	for incarnation, want := range map[uint32]wire.NodeState{1<<16 + 1: wire.StateSuspect, 1<<16 + 2: wire.StateAlive} { // order-free: each by itself
		r := newNativeRig(t, quiet)
		r.natives(3)
		r.suspect(1, incarnation, "node2")
		r.wantState(1, want)
	}
	for incarnation, asked := range map[uint32]int{1 << 16: 0, 1<<16 - 1: 1} { // order-free: each by itself
		r := newNativeRig(t, quiet)
		r.in(nativeAlive("node1", 1, 1<<17, 1))
		r.dials = nil
		r.in(nativeAlive("node1", 1, incarnation, 1))
		if len(r.dials) != asked {
			t.Errorf("at %d: %d are asked, want %d", incarnation, len(r.dials), asked)
		}
	}
}

// P276: from 2^16 before the end on, a native starts at 1.
func TestP276_Starts(t *testing.T) {
	for _, c := range []struct {
		before, native, plain uint32
	}{
		{0, 1, 1}, {1, 2, 2}, {math.MaxUint32 - 1<<16 - 1, math.MaxUint32 - 1<<16, math.MaxUint32 - 1<<16},
		{math.MaxUint32 - 1<<16, 1, math.MaxUint32 - 1<<16 + 1}, {math.MaxUint32, 1, math.MaxUint32},
	} {
		for _, plain := range []bool{false, true} {
			want := c.native
			if plain {
				want = c.plain
			}
			r := newRig(t, quiet, func(cfg *Config) { cfg.Plain, cfg.Incarnation = plain, c.before })
			if got := r.Local().Incarnation; got != want {
				t.Errorf("after %d, plain %v: it starts at %d, want %d", c.before, plain, got, want)
			}
		}
	}
}
