package swim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// newBase is a base of "self" and n others, as a machine has learned of them.
func newBase(t *testing.T, n int) *Base {
	r := newRig(t, quiet)
	for i := range n {
		r.in(nativeAlive(nameOf(i), i+1, 1, 0))
	}
	return r.Machine.Base()
}

// frozen is a copy of what must not change.
func frozen(b *Base) []member { return slices.Clone(b.list) }

func sameMembers(a, b []member) bool {
	return slices.EqualFunc(a, b, func(x, y member) bool {
		return x.name == y.name && x.state == y.state && x.incarnation == y.incarnation && x.addr == y.addr &&
			x.changed == y.changed && x.native == y.native && x.shared && y.shared
	})
}

// A machine that starts from a base is one that has learned the same.
func TestBaseIsWhatWasLearned(t *testing.T) {
	b := newBase(t, 50)
	r := newRig(t, quiet, func(c *Config) { c.Base = b })
	if r.NumMembers() != 51 || r.NumAlive() != 51 || r.QueueLen() != 0 || len(r.layer.log) != 0 {
		t.Fatalf("%d members, %d alive, %d in the queue, told of %v", r.NumMembers(), r.NumAlive(), r.QueueLen(), r.layer.log)
	}
	var names []string
	r.Each(func(m *Member) bool {
		names = append(names, m.Name)
		return m.State == wire.StateAlive
	})
	if len(names) != 51 || names[0] != "self" || names[50] != nameOf(49) {
		t.Fatalf("it lists %q", names)
	}
	seen := map[string]bool{}
	for range 50 {
		seen[r.members.probeNext(r.local, r.rng, func() {}).name] = true
	}
	if len(seen) != 50 {
		t.Errorf("a pass probes %d of 50", len(seen))
	}
	if _, err := New(Config{Name: "who", Addr: addrOf(1), Base: b}, &recorder{}, rand.New(rand.NewPCG(1, 1)), epoch); !errors.Is(err, ErrBase) {
		t.Errorf("a node that is not in the base: %v", err)
	}
}

// What two machines do with a base changes neither it nor the other machine.
func TestBaseDoesNotChange(t *testing.T) {
	b := newBase(t, 50)
	before := frozen(b)
	r := newRig(t, quiet, func(c *Config) { c.Base = b })
	o := newRig(t, quiet, func(c *Config) { c.Base, c.Name = b, nameOf(7) })
	r.in((&wire.Suspect{Incarnation: 1, Node: nameOf(3), From: nameOf(4)}).AppendTo(nil))
	r.in((&wire.Dead{Incarnation: 1, Node: nameOf(5), From: nameOf(4)}).AppendTo(nil))
	r.in((&wire.Dead{Incarnation: 1, Node: nameOf(7), From: nameOf(7)}).AppendTo(nil))
	r.in(nativeAlive(nameOf(6), 7, 9, 1))
	r.in((&wire.Suspect{Incarnation: 1, Node: "self", From: nameOf(4)}).AppendTo(nil))
	r.run(time.Minute)
	for i, want := range map[int]wire.NodeState{3: wire.StateDead, 5: wire.StateDead, 7: wire.StateLeft, 6: wire.StateAlive} {
		if got := r.Member(nameOf(i)); got.State != want || o.Member(nameOf(i)).State != wire.StateAlive {
			t.Errorf("%s is %v, and %v at the other", got.Name, got.State, o.Member(nameOf(i)).State)
		}
	}
	if o.Member("self").Incarnation != 1 || r.Local().Incarnation != 2 || r.Member(nameOf(6)).Incarnation != 9 {
		t.Error("incarnations are wrong")
	}
	if !sameMembers(before, b.list) {
		t.Error("the base has changed")
	}

	// A member more ends the sharing, and nothing is lost by that.
	r.in(nativeAlive("new", 90, 1, 0))
	if r.members.base != nil || r.NumMembers() != 52 || r.Member(nameOf(5)).State != wire.StateDead {
		t.Errorf("%d members after one more", r.NumMembers())
	}
	if err := r.members.check(); err != nil {
		t.Error(err)
	}
	if !sameMembers(before, b.list) {
		t.Error("the base has changed")
	}
}

func TestPermutation(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var p permutation
	first := map[int]bool{}
	for n := range 300 {
		for range 3 {
			p.draw(n, rng)
			seen := make([]bool, n)
			for i := range n {
				x := p.at(i)
				if seen[x] {
					t.Fatalf("%d of %d comes twice", x, n)
				}
				seen[x] = true
			}
			if n == 200 {
				first[p.at(0)] = true
			}
		}
	}
	if len(first) < 2 {
		t.Error("every order begins with the same number")
	}
}
