package swim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// pairOf are two native rigs that know each other and n others.
func pairOf(t *testing.T, n int) (a, b *rig) {
	a = newNativeRig(t, quiet)
	b = newNativeRig(t, quiet, func(c *Config) { c.Name, c.Addr = "b", addrOf(1) })
	a.in(nativeAlive("b", 1, 1, wire.NativeVersion))
	b.in(nativeAlive("self", 0, 1, wire.NativeVersion))
	for i := range n {
		for _, r := range []*rig{a, b} {
			r.in(nativeAlive(fmt.Sprint("n", i), 10+i, 1, wire.NativeVersion))
		}
	}
	a.dials, b.dials = nil, nil
	return a, b
}

// exchange plays a comparison that a begins, and returns how many messages of what
// length together it took.
func exchange(t *testing.T, a, b *rig) (messages, size int) {
	t.Helper()
	a.begin(a.now)
	if err := a.compareWith(a.members.get("b")); err != nil {
		t.Fatal(err)
	}
	a.take()
	for {
		i := slices.IndexFunc(a.dials, func(d Dial) bool { return d.Data[0] == byte(wire.TypePushPull) })
		if i < 0 {
			return messages, size
		}
		d := a.dials[i]
		a.dials = slices.Delete(a.dials, i, i+1)
		reply := slices.Clone(b.HandleStream(b.now, addrOf(0), d.Data))
		b.take()
		messages, size = messages+2, size+len(d.Data)+len(reply)
		a.HandleDialed(a.now, d.ID, reply, nil)
		a.take()
	}
}

// P230: natives that know the same tell each other a fixed few bytes.
func TestP230_NothingDiffers(t *testing.T) {
	for _, n := range []int{3, 200} {
		a, b := pairOf(t, n)
		messages, size := exchange(t, a, b)
		if messages != 2 || size > 400 {
			t.Errorf("with %d members equal nodes exchanged %d messages, %d bytes", n, messages, size)
		}
	}
}

// P230: what only one of them knows both know after the exchange, and of
// the others little is said.
func TestP230_DifferencesAreFound(t *testing.T) {
	a, b := pairOf(t, 200)
	a.in(nativeAlive("only-a", 300, 1, 1))
	b.in(nativeAlive("only-b", 301, 1, 1))
	b.in(nativeAlive("n7", 17, 9, 1)) // a newer incarnation
	a.in((&wire.Dead{Incarnation: 1, Node: "n9", From: "n9"}).AppendTo(nil))
	messages, size := exchange(t, a, b)
	whole := len(a.appendState(nil, false))
	if messages != 4 || size > whole/2 {
		t.Errorf("%d messages, %d bytes; a whole state has %d", messages, size, whole)
	}
	for _, r := range []*rig{a, b} {
		for _, name := range []string{"only-a", "only-b"} {
			if e := r.members.get(name); e == nil || e.state != wire.StateAlive {
				t.Errorf("%s does not know %s", r.local.name, name)
			}
		}
		if e := r.members.get("n7"); e.incarnation != 9 {
			t.Errorf("%s has n7 at incarnation %d", r.local.name, e.incarnation)
		}
		if e := r.members.get("n9"); e.state != wire.StateLeft {
			t.Errorf("%s has n9 in state %d", r.local.name, e.state)
		}
	}
	if messages, _ := exchange(t, a, b); messages != 2 {
		t.Errorf("afterwards there are differences: %d messages", messages)
	}
}

// P231: the layer's own things come along when they differ, and only then.
func TestP231_LayersPart(t *testing.T) {
	a, b := pairOf(t, 3)
	b.layer.state = []byte("events")
	exchange(t, a, b)
	if !slices.Contains(a.layer.log, "state events true") {
		t.Errorf("told %q", a.layer.log)
	}
	a.layer.state, a.layer.log = b.layer.state, nil
	if exchange(t, a, b); len(a.layer.log) > 0 {
		t.Errorf("told again %q", a.layer.log)
	}
}

// P230: whom the asker holds for failed and the other side knows to have left is among what
// differs, however many have failed; who has failed for both, or is unknown there, is not.
func TestP230_TheLeftAmongTheFailed(t *testing.T) {
	a, b := pairOf(t, 3)
	a.layer.failed = []string{"both", "unknown"}
	b.layer.failed, b.layer.left = []string{"both"}, []string{"other"}
	if messages, _ := exchange(t, a, b); messages != 2 {
		t.Errorf("%d messages about what does not differ", messages)
	}
	for i := range 1000 {
		a.layer.failed = append(a.layer.failed, fmt.Sprint("gone", i))
	}
	b.layer.left = append(b.layer.left, "gone500")
	for asked := 1; ; asked++ {
		messages, size := exchange(t, a, b)
		if messages > 2 {
			break
		}
		if size > 400+4*maxFailedTold {
			t.Fatalf("%d bytes", size)
		}
		if asked == 1000 {
			t.Fatal("never told")
		}
	}
}

// P230: a digest that cannot be one is refused, and a plain node answers it as
// any push/pull.
func TestP230_BadDigests(t *testing.T) {
	for _, raw := range [][]byte{{1}, {1, 6}, {9, 6, 0}, {1, 31, 0}, {1, 2, 0}, {2, 6, 0, 1}, append([]byte{1, 6}, make([]byte, 301)...),
		append([]byte{1, 6}, make([]byte, 8+4*(64+maxFailedTold+1))...)} {
		r := newNativeRig(t, quiet)
		msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{Digest: raw})
		if reply := r.HandleStream(r.now, addrOf(1), msg); reply != nil {
			t.Errorf("%x was answered", raw)
		}
	}
	plain := newRig(t, quiet)
	d := digest{kind: digestSums, buckets: 64, sums: make([]uint32, 64)}
	msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{Digest: d.append(nil)})
	if h, nodes, _ := readState(t, plain.HandleStream(plain.now, addrOf(1), msg)); h.Nodes != 1 || len(nodes) != 1 {
		t.Errorf("a plain node answers %+v", h)
	}
}

// P235: who has joined compares with natives three times, soon; then as often as all.
func TestP235_SettlesAfterAJoin(t *testing.T) {
	plain := func(c *Config) { c.Plain = true }
	for _, c := range []struct {
		name  string
		rig   *rig
		other uint8
		want  []time.Duration
	}{
		{"natives", newNativeRig(t, quiet), wire.NativeVersion, []time.Duration{250 * time.Millisecond, 1250 * time.Millisecond, 5250 * time.Millisecond}},
		{"a native among plain ones", newNativeRig(t, quiet), 0, nil},
		{"a plain one", newNativeRig(t, quiet, plain), wire.NativeVersion, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := c.rig
			b := newNativeRig(t, quiet, func(b *Config) { b.Name, b.Addr, b.Plain = "b", addrOf(1), c.other == 0 })
			b.in(nativeAlive("c", 2, 1, c.other))
			a.dials = nil
			a.Join(a.now, addrOf(1), "b")
			a.take()
			join := a.dials[len(a.dials)-1]
			reply := slices.Clone(b.HandleStream(b.now, addrOf(0), join.Data))
			a.HandleDialed(a.now, join.ID, reply, nil)
			a.take()
			began, got := a.now, []time.Duration(nil)
			for i := uint32(2); a.now.Sub(began) < 10*time.Second; i++ {
				a.in(nativeAlive("c", 2, i, c.other)) // it lives
				a.dials = nil
				a.run(10 * time.Millisecond)
				for _, d := range a.dials {
					if d.Data[0] == byte(wire.TypePushPull) {
						got = append(got, a.now.Sub(began))
						a.HandleDialed(a.now, d.ID, nil, ErrConnect)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("compared after %v, want %v", got, c.want)
			}
		})
	}
}
