package swim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

func table(n int) (*members, *rand.Rand) {
	t, rng := &members{}, rand.New(rand.NewPCG(3, 4))
	for i := range n {
		t.set(t.add(&Face{name: nameOf(i)}, rng), wire.StateAlive, 0)
	}
	return t, rng
}

// check verifies the invariant of members.
func (t *members) check() error {
	if t.index.used != len(t.all) || len(t.ring) != len(t.all) || len(t.suspects) != t.count[wire.StateSuspect] {
		return fmt.Errorf("%d named, %d listed, %d in the ring, %d suspicions", t.index.used, len(t.all), len(t.ring), len(t.suspects))
	}
	var count [4]int
	for _, e := range t.all {
		if t.get(e.name) != e || !slices.Contains(t.ring, e) {
			return fmt.Errorf("%q is not everywhere", e.name)
		}
		if (t.suspects[e] != nil) != (e.state == wire.StateSuspect) {
			return fmt.Errorf("%q: state %d, suspicion %v", e.name, e.state, t.suspects[e])
		}
		count[e.state]++
	}
	if count != t.count {
		return fmt.Errorf("counts %v, want %v", t.count, count)
	}
	return nil
}

func TestMembersProbeEveryoneOncePerPass(t *testing.T) {
	tab, rng := table(10)
	self := tab.get(nameOf(4))
	tab.set(tab.get(nameOf(5)), wire.StateDead, 0)
	tab.set(tab.get(nameOf(6)), wire.StateLeft, 0)
	tab.set(tab.get(nameOf(7)), wire.StateSuspect, 0)
	passes, orders := 0, map[string]bool{}
	tab.next = len(tab.ring)
	for range 20 {
		var names []string
		for range 7 {
			names = append(names, tab.probeNext(self, rng, func() { passes++ }).name)
		}
		orders[fmt.Sprint(names)] = true
		slices.Sort(names)
		if want := []string{"node0", "node1", "node2", "node3", "node7", "node8", "node9"}; !slices.Equal(names, want) {
			t.Fatalf("a pass probed %q", names)
		}
	}
	if passes != 20 {
		t.Errorf("%d passes, want 20", passes)
	}
	if len(orders) < 15 {
		t.Errorf("only %d different orders in 20 passes", len(orders))
	}
}

func TestMembersNobodyToProbe(t *testing.T) {
	tab, rng := table(1)
	calls := 0
	for range 3 {
		if e := tab.probeNext(tab.all[0], rng, func() { calls++ }); e != nil {
			t.Fatalf("probes %q", e.name)
		}
	}
	if calls == 0 {
		t.Error("a pass without anybody to probe never ends")
	}
}

func TestMembersForget(t *testing.T) {
	tab, _ := table(6)
	set := func(i int, s wire.NodeState, at time.Duration) { tab.set(tab.get(nameOf(i)), s, at) }
	set(0, wire.StateLeft, 0) // self
	set(1, wire.StateDead, 10)
	set(2, wire.StateDead, 11)
	set(3, wire.StateLeft, 10)
	set(4, wire.StateAlive, 0)
	tab.forget(tab.get(nameOf(0)), 41, 30)
	var names []string
	for _, e := range tab.all {
		names = append(names, e.name)
	}
	if want := []string{"node0", "node2", "node4", "node5"}; !slices.Equal(names, want) {
		t.Errorf("left over: %q, want %q", names, want)
	}
	if err := tab.check(); err != nil {
		t.Error(err)
	}
}

func TestMembersPick(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 8, 9, 30, 47, 48, 200} {
		tab, rng := table(n)
		odd := func(e *member) bool { return (e.name[len(e.name)-1]-'0')%2 == 1 }
		seen := map[string]int{}
		for range 500 {
			got := tab.pick(3, rng, odd)
			if want := min(3, n/2); len(got) != want {
				t.Fatalf("n=%d: picked %d, want %d", n, len(got), want)
			}
			for i, e := range got {
				if !odd(e) || slices.Contains(got[:i], e) {
					t.Fatalf("n=%d: picked %q wrongly", n, e.name)
				}
				seen[e.name]++
			}
		}
		if len(seen) != n/2 {
			t.Errorf("n=%d: only %d of %d were ever picked", n, len(seen), n/2)
		}
	}
}

func TestMembersShareMetadata(t *testing.T) {
	tab, _ := table(0)
	a := tab.keep([]byte("web"))
	source := []byte("web")
	b := tab.keep(source)
	source[0] = 'x'
	if string(a) != "web" || &a[0] != &b[0] {
		t.Errorf("kept %q and %q apart", a, b)
	}
	if tab.keep(nil) != nil || tab.keep([]byte{}) != nil {
		t.Error("nothing is kept as something")
	}
	// The cache is bounded, and what left it stays as it was.
	for i := range 2 * len(tab.metas) {
		if got := tab.keep([]byte{byte(i)}); len(got) != 1 || got[0] != byte(i) {
			t.Fatalf("kept %x", got)
		}
	}
	seen := map[byte]bool{}
	for _, m := range tab.metas {
		seen[m[0]] = true
	}
	if len(seen) != len(tab.metas) || string(a) != "web" {
		t.Errorf("cache holds %x", tab.metas)
	}
}

func TestEndpoint(t *testing.T) {
	for _, s := range []string{"10.1.2.3:4", "[2001:db8::1]:65535", "0.0.0.0:1", "[::]:9"} {
		a := netip.MustParseAddrPort(s)
		if got := pack(a).unpack(); got != a {
			t.Errorf("%v became %v", a, got)
		}
	}
}
