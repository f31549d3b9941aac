package swim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// What is told of the members from what is kept is what is known of them, whatever happens
// between. (P51)
func TestImageFollows(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := newNativeRig(t, quiet)
		kept := 0
		for range 400 {
			i := 1 + rng.IntN(6)
			inc := uint32(rng.IntN(4))
			switch rng.IntN(12) {
			case 0:
				a := wire.Alive{Incarnation: inc, Node: nameOf(i), Addr: addrOf(i + rng.IntN(2)), Meta: []byte{byte(rng.IntN(3))}, Versions: DefaultVersions, Native: uint8(rng.IntN(2))}
				r.in(a.AppendTo(nil))
			case 1:
				r.suspect(i, inc, nameOf(1+rng.IntN(6)))
			case 2:
				r.dead(i, inc, nameOf(1+rng.IntN(6)))
			case 3:
				r.in((&wire.Ping{Seq: 1, Node: "self", SourceNode: nameOf(i), Source: addrOf(i), Native: uint8(rng.IntN(2))}).AppendTo(nil))
			case 4:
				_ = r.SetMeta(r.now, []byte{byte(rng.IntN(3))})
			case 5:
				r.in((&wire.Suspect{Incarnation: r.Local().Incarnation, Node: "self", From: nameOf(i)}).AppendTo(nil))
			case 6:
				r.run(time.Duration(rng.IntN(40)) * time.Second)
			default: // everybody asks often
			}
			got := bytes.Clone(r.appendNodes(nil))
			if len(r.members.image.data) > 0 {
				kept++
			}
			r.members.touch()
			if want := r.appendNodes(nil); !bytes.Equal(got, want) {
				t.Fatalf("seed %d: told\n%q\nwant\n%q", seed, got, want)
			}
			r.appendNodes(nil)
		}
		if kept < 100 {
			t.Errorf("seed %d: kept %d times only", seed, kept)
		}
	}
}

// Who is asked once keeps nothing, who is asked again answers without encoding anybody.
func TestImageIsKeptForTheSecond(t *testing.T) {
	m := large(t, 100)
	m.members.touch()
	for i, want := range []bool{false, true, true} {
		m.appendState(nil, false)
		if got := len(m.members.image.data) > 0; got != want {
			t.Errorf("after %d: kept %v", i+1, got)
		}
	}
	buf := m.appendState(nil, false)
	if n := testing.AllocsPerRun(100, func() { buf = m.appendState(buf[:0], false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTellAll(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, kept := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/kept=%v", n, kept), func(b *testing.B) {
				m := large(b, n)
				var buf []byte
				b.ReportAllocs()
				for b.Loop() {
					if !kept {
						m.members.touch()
					}
					buf = m.appendState(buf[:0], false)
				}
			})
		}
	}
}
