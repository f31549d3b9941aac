package swim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// ringCount is how many rings there are, and so how many members a node
	// passes news to. With p of the packets lost, p to the power of ringCount of
	// the members are left to the tick; each ring costs a copy for each member.
	ringCount = 3
	// maxPlainTargets bounds how many plain members are told beside the natives.
	maxPlainTargets = 8
	// maxDoubtedTargets bounds how many suspects are told beside those that come after them.
	maxDoubtedTargets = 8
)

// rings say whom this node passes news to. The native members stand in a few
// circles, each in another order, all of them decided by the members' names
// alone. Everybody passes on to the next in each: what one of them knows so
// reaches all, whatever the luck, each getting one copy from each circle; and
// since the circles have nothing to do with each other, in about log n steps.
// Plain members do not pass on at once. They are told by whoever stands before
// them in a circle.
//
// Rule: next[r] is the native that is alive and follows self closest in ring r, but
// for those that are so in a ring before: the first ring alone reaches
// everybody, and in a small cluster the copies are for different members; plain
// are the plain ones that are present and closer to self than that, in any ring, and
// doubted the natives there that are suspect: they may live, and pass on, or not. met are
// those that have become next since they were asked for last.
// Invariant: true unless stale is set. A change of a member that stands beyond
// next in all rings leaves it true, so that nearly all changes cost nothing.
type rings struct {
	self  *member
	stale bool
	next  [ringCount]*member
	plain []*member
	to    []*member // scratch of targets

	doubted, met []*member
}

// mix scatters: each bit of the result depends on each of h. It is one to one.
func mix(h uint32) uint32 {
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// spotIn is where a member stands in one ring, of which the first is that of watching.
func spotIn(place uint32, ring int) uint32 {
	if ring == 0 {
		return place
	}
	return mix(place + uint32(ring)*0x9e3779b9)
}

// ahead is how far e stands before a member in a ring: 0 is nearest. Of two at
// one place the name decides, so that a ring is the same for everybody.
func ahead(self, e *member, ring int) uint64 {
	d := uint64(spotIn(e.place, ring) - spotIn(self.place, ring))
	if d == 0 && e.name < self.name {
		d = 1 << 32
	}
	return d
}

// nearer reports whether a follows self more closely than b (nil: nobody).
func nearer(self, a, b *member, ring int) bool {
	if b == nil {
		return true
	}
	da, db := ahead(self, a, ring), ahead(self, b, ring)
	return da < db || da == db && a.name < b.name
}

// note takes that a member came, went, or turned out to be native.
func (r *rings) note(e *member) {
	if r.stale || e == r.self || r.self == nil {
		return
	}
	for i, next := range r.next {
		if next == e || nearer(r.self, e, next, i) {
			r.stale = true
			return
		}
	}
}

// replace puts d, which has become the entry of the same member, in the place of e.
func (r *rings) replace(e, d *member) {
	for _, list := range [...][]*member{r.next[:], r.plain, r.doubted, r.met} {
		for i := range list {
			if list[i] == e {
				list[i] = d
			}
		}
	}
}

// rebuildRings looks at everybody, or asks the base, which is in order, and notes who is new.
func (t *members) rebuildRings() {
	r := &t.rings
	r.stale = false
	old := r.next
	clear(r.next[:])
	clear(r.plain)
	clear(r.doubted)
	r.plain, r.doubted = r.plain[:0], r.doubted[:0]
	if t.base != nil {
		t.walkBase()
	} else {
		t.searchRings()
	}
	for _, e := range r.next {
		if old[0] != nil && e != nil && !slices.Contains(old[:], e) && !slices.Contains(r.met, e) {
			r.met = append(r.met, e)
		}
	}
}

// searchRings looks at everybody.
func (t *members) searchRings() {
	r := &t.rings
	for i := range r.next {
		for _, e := range t.all {
			if e != r.self && e.state == wire.StateAlive && e.native != 0 && !slices.Contains(r.next[:i], e) && nearer(r.self, e, r.next[i], i) {
				r.next[i] = e
			}
		}
	}
	for _, e := range t.all {
		if e == r.self || !e.present() || e.native != 0 && e.state == wire.StateAlive {
			continue
		}
		for i, next := range r.next {
			if nearer(r.self, e, next, i) {
				r.between(e)
				break
			}
		}
	}
}

// between adds one that stands before a next one.
func (r *rings) between(e *member) {
	list := &r.plain
	if e.native != 0 {
		list = &r.doubted
	}
	if !slices.Contains(*list, e) {
		*list = append(*list, e)
	}
}

// sortRings puts the members of a base in the order of each ring.
func (b *Base) sortRings() {
	for i := range b.rings {
		order := make([]*member, len(b.list))
		for j := range order {
			order[j] = &b.list[j]
		}
		slices.SortFunc(order, func(x, y *member) int { return inRing(x, y, i) })
		b.rings[i] = order
	}
}

// inRing compares where two members stand in a ring.
func inRing(x, y *member, ring int) int {
	return cmp.Or(cmp.Compare(spotIn(x.place, ring), spotIn(y.place, ring)), strings.Compare(x.name, y.name))
}

// walkBase does the same as searchRings along the orders of the base.
func (t *members) walkBase() {
	r := &t.rings
	for i, order := range t.base.rings {
		at, _ := slices.BinarySearchFunc(order, r.self, func(x, y *member) int { return inRing(x, y, i) })
		for j := 1; j < len(order) && r.next[i] == nil; j++ {
			switch e := t.mine(order[(at+j)%len(order)]); {
			case !e.present() || e == r.self:
			case e.native == 0 || e.state != wire.StateAlive:
				r.between(e)
			case !slices.Contains(r.next[:i], e):
				r.next[i] = e
			}
		}
	}
}

// targets are those whom news is passed to now, each once. If more plain
// members than a few depend on this node, some of them, at random. The slice is valid until
// the next call.
func (t *members) targets(rng *rand.Rand) []*member {
	r := &t.rings
	if r.stale {
		t.rebuildRings()
	}
	clear(r.to)
	r.to = r.to[:0]
	for _, e := range r.next {
		if e != nil {
			r.to = append(r.to, e)
		}
	}
	for i := range min(len(r.plain), maxPlainTargets) {
		if len(r.plain) > maxPlainTargets {
			j := i + rng.IntN(len(r.plain)-i)
			r.plain[i], r.plain[j] = r.plain[j], r.plain[i]
		}
		r.to = append(r.to, r.plain[i])
	}
	r.to = append(r.to, r.doubted[:min(len(r.doubted), maxDoubtedTargets)]...)
	return r.to
}
