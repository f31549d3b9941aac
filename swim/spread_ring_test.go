package swim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// ringTable is a table of n present members, each with its view of the rings.
func ringTable(n int, native func(i int) bool) (all []*member) {
	for i := range n {
		e := &member{Face: &Face{name: fmt.Sprintf("node%d", i)}, state: wire.StateAlive}
		e.place = place(e.name)
		if native(i) {
			e.native = wire.NativeVersion
		}
		all = append(all, e)
	}
	return all
}

// flood passes news on from the first native as the rings say, and returns how
// often each member got it and after how many steps the last did.
func flood(all []*member, rng *rand.Rand) (copies map[*member]int, steps int) {
	copies = map[*member]int{}
	told := map[*member]bool{}
	var wave []*member
	for _, e := range all {
		if e.native > 0 {
			wave = []*member{e}
			break
		}
	}
	told[wave[0]] = true
	for len(wave) > 0 {
		var next []*member
		for _, self := range wave {
			if self.native == 0 {
				continue // it waits for its own round of gossip
			}
			r := members{all: all, rings: rings{self: self, stale: true}}
			for _, e := range r.targets(rng) {
				copies[e]++
				if !told[e] {
					told[e] = true
					next = append(next, e)
				}
			}
		}
		if wave = next; len(next) > 0 {
			steps++
		}
	}
	return copies, steps
}

// P220: what one native passes on reaches everybody, in few steps and with one
// copy for each ring.
func TestP220_RingsReachEverybody(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 3, 4, 8, 64, 500} {
		all := ringTable(n, func(int) bool { return true })
		copies, steps := flood(all, rng)
		sum := 0
		for _, e := range all {
			sum += copies[e]
			if copies[e] == 0 {
				t.Errorf("of %d, %s was not told", n, e.name)
			}
		}
		if sum > n*ringCount {
			t.Errorf("%d were sent %d copies", n, sum)
		}
		if limit := 12; steps > limit {
			t.Errorf("of %d the last was told after %d steps", n, steps)
		}
	}
	for _, n := range []int{3, 8, 64} {
		all := ringTable(n, func(i int) bool { return i%2 == 0 })
		copies, _ := flood(all, rng)
		for _, e := range all {
			if copies[e] == 0 && e != all[0] {
				t.Errorf("of %d, half of them plain, %s was not told", n, e.name)
			}
		}
	}
}

// P220: what is kept of the rings over changes is what looking at everybody finds.
func TestP220_RingsAreKept(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	all := ringTable(40, func(i int) bool { return i%3 > 0 })
	kept := members{all: all, rings: rings{self: all[1], stale: true}}
	rebuilds := 0
	for range 2000 {
		e := all[2+rng.IntN(38)]
		switch rng.IntN(3) {
		case 0:
			e.state = wire.StateDead
		case 1:
			e.state = wire.StateAlive
		case 2:
			e.native ^= wire.NativeVersion
		}
		kept.rings.note(e)
		if kept.rings.stale {
			rebuilds++
		}
		got := fmt.Sprint(names(kept.targets(rng)))
		fresh := members{all: all, rings: rings{self: all[1], stale: true}}
		if want := fmt.Sprint(names(fresh.targets(rng))); len(kept.rings.plain) <= maxPlainTargets && got != want {
			t.Fatalf("kept %s, want %s", got, want)
		}
	}
	if rebuilds > 1500 {
		t.Errorf("%d of 2000 changes made it look at everybody", rebuilds)
	}
}

func names(list []*member) (out []string) {
	for _, e := range list {
		out = append(out, e.name)
	}
	return out
}

// Two names at one place of a ring follow each other in the same order for everybody.
func TestRingPlaceTakenTwice(t *testing.T) {
	all := ringTable(3, func(int) bool { return true })
	all[1].place = all[0].place
	for i, want := range []*member{all[1], nil, nil} {
		r := members{all: all, rings: rings{self: all[i], stale: true}}
		r.rebuildRings()
		if want != nil && r.rings.next[0] != want {
			t.Errorf("after %s comes %s", all[i].name, r.rings.next[0].name)
		}
	}
	r := members{all: all, rings: rings{self: all[1], stale: true}}
	if r.rebuildRings(); r.rings.next[0] != all[2] {
		t.Errorf("after the second at the place comes %s", r.rings.next[0].name)
	}
}

// What a machine finds in a base, which is in order, is what looking at everybody finds.
func TestRingsOfABase(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	b := &Base{byName: map[string]int32{}}
	for _, e := range ringTable(60, func(i int) bool { return i%3 > 0 }) {
		e.shared = true
		b.list = append(b.list, *e)
	}
	for i := range b.list {
		b.byName[b.list[i].name] = int32(i)
	}
	b.sortRings()
	for i := range 60 {
		var shared, alone members
		self := shared.share(b, b.list[i].name, rng)
		for range 10 {
			shared.own(&b.list[rng.IntN(60)]).state = wire.StateDead
		}
		self.state = wire.StateAlive
		shared.rings = rings{self: self, stale: true}
		for j := range shared.len() {
			alone.all = append(alone.all, shared.at(j))
		}
		alone.rings = rings{self: self, stale: true}
		shared.rebuildRings()
		alone.rebuildRings()
		byName := func(a, b *member) int { return strings.Compare(a.name, b.name) }
		slices.SortFunc(shared.rings.plain, byName)
		slices.SortFunc(alone.rings.plain, byName)
		if shared.rings.next != alone.rings.next || !slices.Equal(shared.rings.plain, alone.rings.plain) {
			t.Fatalf("node %d: %v %v in the base, %v %v", i, names(shared.rings.next[:]), names(shared.rings.plain),
				names(alone.rings.next[:]), names(alone.rings.plain))
		}
	}
}
