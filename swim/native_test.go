package swim

import (
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// newNativeRig is a rig of a machine that is not plain.
func newNativeRig(t testing.TB, change ...func(*Config)) *rig {
	return newRig(t, append([]func(*Config){func(c *Config) { c.Plain = false }}, change...)...)
}

func nativeAlive(name string, i int, incarnation uint32, native uint8) []byte {
	a := wire.Alive{Incarnation: incarnation, Node: name, Addr: addrOf(i), Versions: DefaultVersions, Native: native}
	return a.AppendTo(nil)
}

func (r *rig) nativeOf(name string) uint8 { return r.Member(name).Native }

// P190: a node says what it is in each of its messages, a plain one nothing.
func TestP190_SaysSo(t *testing.T) {
	for _, plain := range []bool{false, true} {
		want := uint8(wire.NativeVersion)
		if plain {
			want = 0
		}
		r := newRig(t, quiet, func(c *Config) { c.Plain = plain })
		r.in(nativeAlive("b", 1, 1, 0))
		p := wire.Ping{Seq: 5, Node: "self", Source: addrOf(1), SourceNode: "b"}
		r.in(p.AppendTo(nil))
		var ping wire.Ping
		var ack wire.Ack
		var alive wire.Alive
		for _, s := range r.sent {
			if s.typ() == wire.TypeAck {
				_ = ack.Decode(s.msg[1:], nil)
			}
		}
		r.run(r.cfg.ProbeInterval)
		seen := 0
		for _, s := range r.sent {
			switch s.typ() {
			case wire.TypePing:
				_ = ping.Decode(s.msg[1:], nil)
				seen |= 1
			case wire.TypeAlive:
				if _ = alive.Decode(s.msg[1:], nil); alive.Node == "self" && alive.Native != want {
					t.Errorf("plain %v: alive %+v", plain, alive)
				}
				seen |= 2
			}
		}
		if seen != 3 || ping.Native != want || ack.Native != want {
			t.Errorf("plain %v: %d, ping %+v, ack %+v", plain, seen, ping, ack)
		}
		if r.Local().Native != want {
			t.Errorf("plain %v: it lists itself with %d", plain, r.Local().Native)
		}
	}
}

// P191: who is heard to be native is, until it says nothing of it itself.
func TestP191_HowNativesAreKnown(t *testing.T) {
	ping := func(native uint8) []byte {
		p := wire.Ping{Seq: 5, Node: "self", Source: addrOf(1), SourceNode: "b", Native: native}
		return p.AppendTo(nil)
	}
	r := newNativeRig(t, quiet)
	for _, step := range []struct {
		what string
		msg  []byte
		want uint8
	}{
		{"an alive without the key", nativeAlive("b", 1, 1, 0), 0},
		{"the same with it", nativeAlive("b", 1, 1, 1), 1},
		{"a newer one by a plain relay", nativeAlive("b", 1, 2, 0), 1},
		{"a ping of a plain node", ping(0), 0},
		{"an old alive", nativeAlive("b", 1, 1, 1), 0},
		{"a ping of a native", ping(1), 1},
		{"a ping of a later version", ping(7), 7},
	} {
		if r.in(step.msg); r.nativeOf("b") != step.want {
			t.Errorf("after %s: %d, want %d", step.what, r.nativeOf("b"), step.want)
		}
	}

	plain := newRig(t, quiet)
	plain.in(nativeAlive("b", 1, 1, 1))
	plain.in(ping(1))
	if plain.nativeOf("b") != 0 {
		t.Error("a plain node knows a native")
	}
}
