package swim

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// ringOf is a table of n alive members of whom the first are native, and its
// entry of the first.
func ringOf(n, natives int) (*members, []*member) {
	t := &members{}
	rng := rand.New(rand.NewPCG(1, 2))
	var all []*member
	for i := range n {
		e := t.add(&Face{name: fmt.Sprintf("node%d", i)}, rng)
		if i < natives {
			e.native = 1
		}
		t.set(e, wire.StateAlive, 0)
		all = append(all, e)
	}
	return t, all
}

// P192: everybody is watched by three natives or all there are, who know it of
// each other.
func TestP192_WhoWatchesWhom(t *testing.T) {
	for _, c := range []struct{ n, natives int }{{1, 1}, {2, 2}, {2, 1}, {3, 3}, {4, 4}, {5, 5}, {32, 32}, {32, 16}, {20, 1}, {500, 500}, {100, 50}} {
		tab, all := ringOf(c.n, c.natives)
		watchers := map[*member][]*member{}
		for _, self := range all[:c.natives] {
			who, _, _ := tab.watched(nil, self, nobody)
			for _, e := range who {
				watchers[e] = append(watchers[e], self)
			}
		}
		for _, e := range all {
			want := c.natives
			if e.native > 0 {
				want--
			}
			want = min(want, watchersEach)
			got := watchers[e]
			if len(got) != want {
				t.Fatalf("%d of %d native: %s has %d watchers, want %d", c.natives, c.n, e.name, len(got), want)
			}
			n := 0
			tab.watchersOf(e, nil, nobody, func(w *member) {
				n++
				found := false
				for _, g := range got {
					found = found || g == w
				}
				if !found {
					t.Fatalf("%s is said to watch %s", w.name, e.name)
				}
			})
			if n != want {
				t.Fatalf("%s is said to have %d watchers, want %d", e.name, n, want)
			}
		}
	}
}

// P192: a single native does not watch more plain members than it can ping.
func TestP192_FewPlain(t *testing.T) {
	tab, all := ringOf(500, 1)
	if who, natives, full := tab.watched(nil, all[0], nobody); len(who) != maxPlainWatched || natives != 0 || !full {
		t.Errorf("%d, %d, %v", len(who), natives, full)
	}
}

// The ring is the same however the members became known, and whoever is gone is not on it.
func TestRingOrder(t *testing.T) {
	tab, all := ringOf(300, 300)
	before, _, _ := tab.watched(nil, all[7], nobody)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 300; i < 310; i++ { // one by one
		e := tab.add(&Face{name: fmt.Sprintf("node%d", i)}, rng)
		e.native = 1
		tab.set(e, wire.StateAlive, 0)
		tab.watched(nil, all[7], nobody)
	}
	other, others := ringOf(310, 310)
	a, _, _ := tab.watched(nil, all[7], nobody)
	b, _, _ := other.watched(nil, others[7], nobody)
	for i := range a {
		if a[i].name != b[i].name {
			t.Errorf("%d: %s and %s", i, a[i].name, b[i].name)
		}
	}
	tab.set(before[0], wire.StateDead, 0)
	tab.forget(nil, 10, 1)
	after, _, _ := tab.watched(nil, all[7], nobody)
	for _, e := range after {
		if e == before[0] {
			t.Error("who is gone is watched")
		}
	}
	if len(after) != watchersEach || len(tab.byPlace) != len(tab.all) {
		t.Errorf("%d watched, %d of %d on the ring", len(after), len(tab.byPlace), len(tab.all))
	}
}

// nobody is passed by.
func nobody(*member) bool { return false }
