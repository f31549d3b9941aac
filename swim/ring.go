package swim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// maxPlainWatched bounds how many plain members one native watches: a single one
// in a large plain cluster must not have to ping everybody.
const maxPlainWatched = 24

// place is where a member stands on the ring that says who watches whom: a hash
// of its name, the same at every node.
func place(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	// Names differ in their last letters, which alone do not reach the high bits.
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// beforeOnRing orders members by place, and by name where two have the same.
func beforeOnRing(a, b *member) int {
	if c := cmp.Compare(a.place, b.place); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// maxUnsorted is how many members are put into the ring's order one by one;
// beyond it everything is sorted.
const maxUnsorted = 32

// onRing is the i-th member in the order of the ring; sortRing comes before it.
func (t *members) onRing(i int) *member {
	if t.base != nil {
		return t.mine(&t.base.list[t.base.byPlace[i]])
	}
	return t.byPlace[i]
}

// sortRing brings byPlace up to date with all, and returns where e is in it.
func (t *members) sortRing(e *member) int {
	if t.base != nil {
		i, _ := slices.BinarySearchFunc(t.base.byPlace, e, func(i int32, e *member) int { return beforeOnRing(&t.base.list[i], e) })
		return i
	}
	if fresh := t.all[len(t.byPlace):]; len(fresh) > maxUnsorted {
		t.byPlace = append(t.byPlace, fresh...)
		slices.SortFunc(t.byPlace, beforeOnRing)
	} else {
		for _, e := range fresh {
			i, _ := slices.BinarySearchFunc(t.byPlace, e, beforeOnRing)
			t.byPlace = slices.Insert(t.byPlace, i, e)
		}
	}
	i, _ := slices.BinarySearchFunc(t.byPlace, e, beforeOnRing)
	return i
}

// maxPassed bounds how many natives watching goes past.
const maxPassed = 64

// watched appends whom self is to watch: everybody present behind it on the ring up
// to the k-th native that passed does not hold for. natives is how many those are, full whether the
// ring was gone round without meeting k of them. (P192)
func (t *members) watched(dst []*member, self *member, passed func(*member) bool) (who []*member, natives int, full bool) {
	at, n, plain, past := t.sortRing(self), t.len(), 0, 0
	for step := 1; step < n; step++ {
		e := t.onRing((at + step) % n)
		switch {
		case !e.present():
			continue
		case e.native > 0 && past < maxPassed && passed(e):
			past++
		case e.native > 0:
			natives++
		case plain == maxPlainWatched:
			continue
		default:
			plain++
		}
		dst = append(dst, e)
		if natives == watchersEach {
			return dst, natives, false
		}
	}
	return dst, natives, true
}

// watchersOf calls f for the natives, self excepted, that watch e, as far as passed does not
// hold for them. (P192)
func (t *members) watchersOf(e, self *member, passed func(*member) bool, f func(*member)) {
	at, n, found := t.sortRing(e), t.len(), 0
	for step := 1; step < n && found < watchersEach; step++ {
		w := t.onRing((at + n - step) % n)
		if w.native == 0 || w.state != wire.StateAlive || w != self && passed(w) {
			continue
		}
		found++
		if w != self {
			f(w)
		}
	}
}

// Owns reports whether self is the one that looks after a member of that name
// that is gone: the native next before it on the ring. Of several natives whose
// views agree exactly one does.
func (m *Machine) Owns(name string) bool {
	if m.cfg.Plain {
		return false
	}
	return m.watches.nearestNative == 0 || place(name)-m.local.place < m.watches.nearestNative
}

// ringSoon is how long after a change the ring is looked at again: changes come together.
const ringSoon = 10 * time.Millisecond

// ringChanged notes that e came, went or became native: it may change whom self watches.
func (m *Machine) ringChanged(e *member) {
	if m.cfg.Plain || e.place-m.local.place > m.watches.horizon {
		return
	}
	if m.watches.look.pos == 0 {
		m.arm(&m.watches.look, m.clock.awake()+ringSoon)
	}
}
