package serf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// numberEdges are the values at which a check of a number could be wrong, as msgpack has them.
var numberEdges = func() (all [][]byte) {
	for _, n := range []uint64{0, 1, 2, 127, 128, 254, 255, 256, math.MaxInt16, math.MaxUint16, math.MaxUint16 + 1, 1<<16 + 2, 1<<20 + 1,
		math.MaxInt32, math.MaxUint32 - 1, math.MaxUint32, math.MaxUint32 + 1, 1<<53 + 1, 1 << 62, math.MaxInt64, 1 << 63, math.MaxUint64} {
		all = append(all, binary.BigEndian.AppendUint64([]byte{0xcf}, n))
	}
	for _, n := range []int64{-1, math.MinInt32, math.MinInt64} {
		all = append(all, binary.BigEndian.AppendUint64([]byte{0xd3}, uint64(n)))
	}
	for _, f := range []float64{math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.NaN(), math.SmallestNonzeroFloat64} {
		all = append(all, binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(f)))
	}
	return all
}()

// number is where in a message one is, and how many bytes it has.
type number struct{ at, size int }

// numbers are all of a message: of the msgpack values that it is made of, and of what lies
// in them. It ends where there is no such value any more.
func numbers(msg []byte, from int) (all []number) {
	for i := from; i < len(msg); {
		b, rest := msg[i], len(msg)-i
		head, body := 1, 0 // bytes that are looked at and passed over
		switch {
		case b < 0x80, b >= 0xe0:
			all = append(all, number{i, 1})
		case b < 0xa0: // a map or a list: what is in it follows
		case b < 0xc0:
			body = int(b & 0x1f)
		case b == 0xc4 && rest > 1, b == 0xd9 && rest > 1:
			head, body = 2, int(msg[i+1])
		case b == 0xc5 && rest > 2, b == 0xda && rest > 2:
			head, body = 3, int(binary.BigEndian.Uint16(msg[i+1:]))
		case b >= 0xca && b <= 0xd3:
			size := 1 + []int{4, 8, 1, 2, 4, 8, 1, 2, 4, 8}[b-0xca]
			all, head = append(all, number{i, size}), size
		case b == 0xdc, b == 0xde:
			head = 3
		case b == 0xc0, b == 0xc2, b == 0xc3:
		default:
			return all
		}
		i += head + body
	}
	return all
}

// with is a message that has another number in that place.
func (n number) with(msg, value []byte) []byte {
	out := append([]byte(nil), msg[:n.at]...)
	out = append(out, value...)
	return append(out, msg[n.at+n.size:]...)
}

// kindOf is what kind of message one is, and where its values begin. Serf's are told apart.
func kindOf(msg []byte) (kind string, from int) {
	t := wire.Type(msg[0])
	if t == wire.TypeUser && len(msg) > 1 {
		return fmt.Sprintf("serf %d", msg[1]), 2
	}
	return fmt.Sprintf("memberlist %d", t), 1
}

// traffic is a message that a cluster has sent: in a packet or on a stream.
type traffic struct {
	msg    []byte
	stream bool
}

// memberNames are those of both clusters, so that what one sent is about members of the other.
var memberNames = []string{"n0", "n1", "n2", "n3", "n4", "n5"}

// liveTraffic are messages of each kind that a cluster sends by itself, which does all that
// it can: three of each.
func liveTraffic(t testing.TB) map[string][]traffic {
	all := make(map[string][]traffic)
	w := newWorld(t)
	keep := func(msg []byte, stream bool) {
		kind, _ := kindOf(msg)
		if stream {
			kind += " stream"
		}
		if len(all[kind]) < 3 && len(msg) < 4000 {
			all[kind] = append(all[kind], traffic{append([]byte(nil), msg...), stream})
		}
	}
	w.drop = func(_, _ *node, data []byte) bool {
		var u wire.Unpacker
		packed := 0
		if u.Unpack(data, func(msg []byte) { packed++; keep(msg, false) }) != nil || wire.Type(data[0]) == wire.TypePushPull {
			keep(data, true)
		}
		return false
	}
	ns := w.group(func(i int) bool { return i == 3 }, memberNames...)
	ns[1].fire("traffic", "payload")
	if _, err := ns[2].Query(w.now, "traffic", []byte("x"), QueryParam{Ack: true, RelayFactor: 2, Nodes: []string{"n1", "n4"}, Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	ns[2].act()
	w.run(40 * time.Second) // exchanges too
	ns[5].down = true
	w.run(10 * time.Second)
	if err := ns[4].Leave(w.now); err != nil {
		t.Fatal(err)
	}
	ns[4].act()
	w.run(5 * time.Second)
	return all
}

// edgesOf are all variants of a message in which one number is at an edge.
func edgesOf(m traffic) (all []traffic) {
	_, from := kindOf(m.msg)
	for _, n := range numbers(m.msg, from) {
		for _, value := range numberEdges {
			all = append(all, traffic{n.with(m.msg, value), m.stream})
		}
	}
	return all
}

// inject gives a node a message of somebody's.
func (n *node) inject(m traffic) {
	if m.stream {
		n.HandleStream(n.w.now, strangers, m.msg)
		n.act()
		return
	}
	n.packet(m.msg)
}

// settled: whatever was said before, the cluster does its work: within ten seconds all are
// alive, then events and queries reach all, a leave is a leave and a crash a crash.
func settled(w *world, ns []*node) {
	w.t.Helper()
	w.run(10 * time.Second)
	for _, n := range ns {
		for _, o := range ns {
			n.wantStatus(o, StatusAlive)
		}
	}
	wantAllHeard(w, ns)
	wantALeaveAndACrash(w, ns)
}

// TestEveryNumberAtItsEdges takes the messages of a live cluster, and gives another one each
// of them with each number in it at each edge. Who adds a number to a message needs no test
// for this.
func TestEveryNumberAtItsEdges(t *testing.T) {
	kinds := liveTraffic(t)
	if len(kinds) < 13 {
		t.Errorf("only %d kinds of messages", len(kinds))
	}
	for kind, messages := range kinds { // order-free: each by itself
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ns := w.group(func(int) bool { return false }, memberNames...)
			sent := 0
			for range 2 { // what the first round moved to its end is there in the second
				for _, m := range messages {
					for _, variant := range edgesOf(m) {
						ns[sent%2].inject(variant)
						sent++
						w.run(time.Millisecond)
					}
				}
			}
			t.Logf("%d messages", sent)
			settled(w, ns)
		})
	}
}

// FuzzEdges does the same with several numbers at a time, in an order that is chosen.
func FuzzEdges(f *testing.F) {
	var all []traffic
	kinds := liveTraffic(f)
	for _, kind := range sortedKinds(kinds) {
		all = append(all, kinds[kind]...)
	}
	f.Add([]byte{0, 0, 0, 1, 1, 5, 2, 0, 9, 3, 2, 14, 4, 1, 15, 5, 1, 21})
	f.Fuzz(func(t *testing.T, picks []byte) {
		w := newWorld(t)
		ns := w.group(func(int) bool { return false }, memberNames...)
		for ; len(picks) >= 3; picks = picks[3:] {
			m := all[int(picks[0])%len(all)]
			_, from := kindOf(m.msg)
			if places := numbers(m.msg, from); len(places) > 0 {
				m.msg = places[int(picks[1])%len(places)].with(m.msg, numberEdges[int(picks[2])%len(numberEdges)])
			}
			ns[int(picks[0])%2].inject(m)
			w.run(time.Millisecond)
		}
		settled(w, ns)
	})
}

func sortedKinds(kinds map[string][]traffic) []string { return slices.Sorted(maps.Keys(kinds)) }
