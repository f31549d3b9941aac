package swim

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/ibuki-dev/ibuki/wire"
)

// ErrBase: a machine whose name is not in the Base that it is to start from.
var ErrBase = errors.New("swim: the node is not in the base")

// Base is a table of members that never changes. Any number of machines can
// start from it and share its memory: each keeps only its own entry and those
// that have become different to it. A cluster of n would otherwise cost n² entries,
// which ends simulations at a few thousand nodes.
//
// A machine behaves with it as one that has learned the same by messages, and that
// everybody knows already: it announces nothing at its start, and its layer is
// told of nobody. Once a machine learns of a member beyond the base, or forgets one
// of it, it takes a copy of the whole table.
type Base struct {
	list    []member             // in the order of arrival, all shared
	byName  map[string]int32     // indexes in list
	byPlace []int32              // indexes in list, in the order of the ring of watching
	rings   [ringCount][]*member // those along which news goes
}

// Base freezes the alive members that the machine knows at present.
func (m *Machine) Base() *Base {
	b := &Base{byName: make(map[string]int32, m.members.len())}
	for i := range m.members.len() {
		if e := m.members.at(i); e.state == wire.StateAlive {
			b.list = append(b.list, *e)
		}
	}
	for i := range b.list {
		e := &b.list[i]
		e.shared, e.changed = true, 0
		b.byName[e.name] = int32(i)
		b.byPlace = append(b.byPlace, int32(i))
	}
	slices.SortFunc(b.byPlace, func(i, j int32) int { return beforeOnRing(&b.list[i], &b.list[j]) })
	b.sortRings()
	return b
}

// Len is the number of members in the base.
func (b *Base) Len() int { return len(b.list) }

// share makes the empty table one of b's, and returns the entry of the local
// node; nil if it has none.
func (t *members) share(b *Base, local string, rng *rand.Rand) *member {
	i, ok := b.byName[local]
	if !ok {
		return nil
	}
	t.base, t.diff = b, make(map[*member]*member, 1)
	t.count[wire.StateAlive] = len(b.list)
	t.order.draw(len(b.list), rng)
	return t.own(&b.list[i])
}

// own returns the entry that may be changed in place of e, which may be shared.
// Who changes an entry calls it first.
func (t *members) own(e *member) *member {
	t.touch()
	if !e.shared {
		return e
	}
	d := t.diff[e]
	if d == nil {
		d = new(member)
		*d = *e
		d.shared = false
		t.diff[e] = d
		t.marks |= 1 << (e.place & 63)
		t.rings.replace(e, d)
	}
	return d
}

// mine is this machine's entry for one of the base. Nearly always it is that itself,
// and marks says so at less cost than diff.
func (t *members) mine(e *member) *member {
	if t.marks>>(e.place&63)&1 == 0 {
		return e
	}
	if d := t.diff[e]; d != nil {
		return d
	}
	return e
}

// inBase returns the entry of the base with this name, nil if it has none. States
// are exchanged in the order of the base: the one that was found last is asked for
// again, or the next.
func inBase[N string | []byte](t *members, name N) *member {
	list := t.base.list
	for i := t.hint; i < len(list) && i < t.hint+2; i++ {
		if list[i].name == string(name) {
			t.hint = i
			return &list[i]
		}
	}
	i, ok := t.base.byName[string(name)]
	if !ok {
		return nil
	}
	t.hint = int(i)
	return &list[i]
}

// detach ends the sharing: the table is this machine's alone from now on.
// Entries that were its own stay where they are.
func (t *members) detach() {
	if t.base == nil {
		return
	}
	n := len(t.base.list)
	t.all = make([]*member, n)
	t.ring = make([]*member, n)
	for i := range t.base.list {
		t.all[i] = t.own(&t.base.list[i])
	}
	t.index.fill(t.all)
	for i := range n {
		t.ring[i] = t.all[t.order.at(i)]
	}
	t.base, t.diff, t.byPlace = nil, nil, nil
}

// permutation is a random order of the numbers below n that takes no memory: a
// Feistel network over the next power of four, in which what is not below n is
// mapped again until it is.
type permutation struct {
	n    int
	half uint // bits of one half
	key  [4]uint32
}

// draw makes it an order of n numbers, drawn anew.
func (p *permutation) draw(n int, rng *rand.Rand) {
	p.n, p.half = n, max(1, uint(bits.Len(uint(max(n, 2)-1))+1)/2)
	for i := range p.key {
		p.key[i] = rng.Uint32()
	}
}

// at is the i-th number; i is below n.
func (p *permutation) at(i int) int {
	mask := uint32(1)<<p.half - 1
	for x := uint32(i); ; {
		l, r := x>>p.half, x&mask
		for _, k := range p.key {
			// Any good mixture will do: the multipliers are odd and of no meaning.
			h := (r + k) * 0x9e3779b1
			h ^= h >> 15
			h *= 0x85ebca6b
			l, r = r, l^(h>>13)&mask
		}
		if x = l<<p.half | r; int(x) < p.n {
			return int(x)
		}
	}
}
