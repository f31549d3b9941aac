package swim

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// member is what the machine knows of one member, kept small: a cluster of n
// has n of them on each of n nodes.
type member struct {
	*Face
	changed     time.Duration // on the real clock: when state became what it is
	incarnation uint32
	state       wire.NodeState
	native      uint8        // the native version that it speaks, 0: plain, or not known
	verdict     wire.Verdict // why it is dead
	shared      bool         // in a Base: own says what to change in its place
	place       uint32       // on the ring of watching
}

// at is the member's address.
func (e *member) at() netip.AddrPort { return e.addr.unpack() }

// gone reports whether the member is dead or left.
func (e *member) gone() bool { return e.state == wire.StateDead || e.state == wire.StateLeft }

// present is the opposite: alive or suspect.
func (e *member) present() bool { return !e.gone() }

// members is the table of all known members.
//
// Rule: everything visible goes through the slices, not the index. all
// keeps the order of arrival; ring is the order of probing, into which new
// members are inserted at random so that the time to a first probe does not
// depend on when one joined. While the table is shared, base takes the place of
// index and all, order that of ring, and diff has this machine's own entries by
// those of the base that they replace. Invariant: index, all and ring hold the same
// members; count[s] is the number of those in state s; suspects has the suspicion of each
// suspect, and no other.
type members struct {
	base    *Base // nil: not shared
	diff    map[*member]*member
	marks   uint64 // a bit for each in diff, by its place
	hint    int    // in base: which was found last
	order   permutation
	index   index // of all
	all     []*member
	ring    []*member
	byPlace []*member // all but the last that were added, in the order of the ring of watching
	next    int       // index in ring of whom to probe next
	count   [4]int
	rings   rings
	image   image
	picks   []*member  // scratch of pick
	metas   [16][]byte // metadata of the last members that had another one than those before
	metaAt  int        // where in metas the next goes

	suspects map[*member]*suspicion
}

// get returns a member, nil if it is not known. It may be shared: see own.
func (t *members) get(name string) *member {
	if t.base != nil {
		e := inBase(t, name)
		if e == nil {
			return nil
		}
		return t.mine(e)
	}
	return findIn(&t.index, t.all, name)
}

func (t *members) len() int {
	if t.base != nil {
		return len(t.base.list)
	}
	return len(t.all)
}

// at is the i-th member in the order of arrival.
func (t *members) at(i int) *member {
	if t.base != nil {
		return t.mine(&t.base.list[i])
	}
	return t.all[i]
}

// draw is the i-th member in some other order, which is never seen.
func (t *members) draw(i int) *member {
	if t.base != nil {
		return t.mine(&t.base.list[i])
	}
	return t.ring[i]
}

// numPresent is the number of members alive or suspect.
func (t *members) numPresent() int { return t.count[wire.StateAlive] + t.count[wire.StateSuspect] }

// add makes an entry in state dead: an alive message is about to revive it.
func (t *members) add(face *Face, rng *rand.Rand) *member {
	t.touch()
	t.detach()
	e := &member{Face: face, state: wire.StateDead, place: place(face.name)}
	t.all = append(t.all, e)
	t.index.add(t.all)
	t.count[wire.StateDead]++
	// P2
	n := len(t.ring)
	t.ring = append(t.ring, e)
	if n > 0 {
		i := rng.IntN(n)
		t.ring[i], t.ring[n] = t.ring[n], t.ring[i]
	}
	return e
}

// keep returns a copy of meta that does not change. Members of one role have
// the same metadata, and share the bytes.
func (t *members) keep(meta []byte) []byte {
	if len(meta) == 0 {
		return nil
	}
	for _, known := range t.metas {
		if bytes.Equal(known, meta) {
			return known
		}
	}
	own := bytes.Clone(meta)
	t.metas[t.metaAt] = own
	t.metaAt = (t.metaAt + 1) % len(t.metas)
	return own
}

// set moves e, which is the machine's own, to another state.
func (t *members) set(e *member, s wire.NodeState, now time.Duration) {
	if e.shared {
		panic("swim: a shared entry is to be changed: " + e.name)
	}
	t.count[e.state]--
	t.count[s]++
	was := e.state
	t.touch()
	e.state, e.changed = s, now
	if s != was {
		t.rings.note(e)
	}
}

// probeNext returns the next member to probe: present and not local. At the end
// of each pass through the ring it calls forget, then shuffles. It returns nil
// if there is nobody.
func (t *members) probeNext(local *member, rng *rand.Rand, forget func()) *member {
	for passes := 0; ; {
		if t.next < t.len() {
			e := t.inOrder(t.next)
			t.next++
			if e != local && e.present() {
				return e
			}
			continue
		}
		// What was left of the old pass and one whole new one are enough.
		if passes++; passes > 1 {
			return nil
		}
		forget()
		if t.base != nil {
			t.order.draw(t.len(), rng)
		} else {
			rng.Shuffle(len(t.ring), func(i, j int) { t.ring[i], t.ring[j] = t.ring[j], t.ring[i] })
		}
		t.next = 0
	}
}

// inOrder is the i-th member in the order of probing.
func (t *members) inOrder(i int) *member {
	if t.base != nil {
		return t.mine(&t.base.list[t.order.at(i)])
	}
	return t.ring[i]
}

// forget removes the gone whose state is older than age, except local. (P69)
func (t *members) forget(local *member, now, age time.Duration) {
	if t.count[wire.StateDead]+t.count[wire.StateLeft] == 0 {
		return
	}
	old := func(e *member) bool { return e.gone() && e != local && now-e.changed > age }
	if t.base != nil {
		// Those of the base are alive.
		if !t.anyOwn(old) {
			return
		}
		t.detach()
	}
	for _, e := range t.all {
		if old(e) {
			t.count[e.state]--
		}
	}
	n := len(t.all)
	if t.all = slices.DeleteFunc(t.all, old); len(t.all) == n {
		return
	}
	t.touch()
	t.index.fill(t.all)
	t.ring = slices.DeleteFunc(t.ring, old)
	t.byPlace = slices.DeleteFunc(t.byPlace, old)
}

// anyOwn reports whether ok holds for one of the entries that are not the base's.
func (t *members) anyOwn(ok func(*member) bool) bool {
	for _, e := range t.diff { // order-free: whether there is one
		if ok(e) {
			return true
		}
	}
	return false
}

// pick returns up to k different members for which ok holds, at random. The
// slice is valid until the next pick.
func (t *members) pick(k int, rng *rand.Rand, ok func(*member) bool) []*member {
	t.picks = t.picks[:0]
	n := t.len()
	if n < 16*k {
		// So few that random draws could miss somebody: look at everyone, in random order.
		for i := range n {
			t.picks = append(t.picks, t.draw(i))
		}
		kept := 0
		for i := 0; i < n && kept < k; i++ {
			j := i + rng.IntN(n-i)
			t.picks[i], t.picks[j] = t.picks[j], t.picks[i]
			if ok(t.picks[i]) {
				t.picks[i], t.picks[kept] = t.picks[kept], t.picks[i]
				kept++
			}
		}
		return t.picks[:kept]
	}
	for i := 0; i < 3*n && len(t.picks) < k; i++ {
		e := t.draw(rng.IntN(n))
		if ok(e) && !slices.Contains(t.picks, e) {
			t.picks = append(t.picks, e)
		}
	}
	return t.picks
}
