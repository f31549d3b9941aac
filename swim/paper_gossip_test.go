package swim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

// One test per statement of docs/protocol.md that is about this package; here: dissemination.

func TestP40_TransmitLimit(t *testing.T) {
	for _, c := range []struct{ n, want int }{{5, 4}, {9, 4}, {10, 8}, {100, 12}} {
		r := newRig(t, func(cfg *Config) { cfg.PushPullInterval = 1000 * time.Hour })
		r.peers(c.n - 1)
		r.acks = everybody
		r.suspect(1, 1, "x")
		r.run(2 * time.Second)
		n := 0
		for _, s := range r.of(wire.TypeSuspect) {
			var x wire.Suspect
			if err := x.Decode(s.msg[1:], nil); err != nil {
				t.Fatal(err)
			}
			if x.From == "x" { // not those that ride with pings to the suspect
				n++
			}
		}
		if n != c.want {
			t.Errorf("%d members: sent %d times, want %d", c.n, n, c.want)
		}
	}
}

func TestP41_OneBroadcastPerMember(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(2)
	r.suspect(1, 1, "x")
	r.suspect(2, 1, "x")
	r.dead(1, 1, "x")
	r.in(aliveOf(1, 2).AppendTo(nil))
	if r.queue.Len() != 2 {
		t.Errorf("%d queued, want 2", r.queue.Len())
	}
	for _, b := range r.drain() {
		var a wire.Alive
		if wire.Type(b[0]) == wire.TypeAlive && (a.Decode(b[1:], nil) != nil || a.Node != nameOf(1) || a.Incarnation != 2) {
			t.Errorf("queued %+v", a)
		}
	}
}

// texts are messages as strings.
func texts(msgs [][]byte) (out []string) {
	for _, m := range msgs {
		out = append(out, string(m))
	}
	return out
}

func TestP42_LeastSentLargestNewestFirst(t *testing.T) {
	var q broadcast.Queue
	push := func(s string) { q.Push("", []byte(s), nil) }
	push("old")
	q.Take(nil, 0, 3, 9)
	push("aa")
	push("bb")
	push("c")
	if got, want := texts(q.Take(nil, 0, 100, 9)), []string{"bb", "aa", "c", "old"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestP43_RoomIsNeverExceeded(t *testing.T) {
	var q broadcast.Queue
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		q.Push("", make([]byte, 1+rng.IntN(300)), nil)
	}
	for q.Len() > 0 {
		limit := 50 + rng.IntN(500)
		used := 0
		for _, b := range q.Take(nil, 2, limit, 2) {
			used += 2 + len(b)
		}
		if used > limit {
			t.Fatalf("used %d of %d", used, limit)
		}
	}
	q.Push("", make([]byte, 100), nil)
	q.Push("", []byte("small"), nil)
	if got := texts(q.Take(nil, 2, 50, 9)); !slices.Equal(got, []string{"small"}) || q.Len() != 2 {
		t.Errorf("one that does not fit: %q, %d left", got, q.Len())
	}
	// And in whole packets.
	w := newWorld(t)
	w.cluster(30)
	for _, n := range w.nodes {
		for i := range 200 {
			n.layer.casts.Push("", []byte{byte(wire.TypeUser), byte(i)}, nil)
		}
	}
	largest := 0
	w.seen = func(from, to *node, data []byte) { largest = max(largest, len(data)) }
	w.run(3 * time.Second)
	if largest > 1400 || largest < 700 {
		t.Errorf("largest packet has %d bytes, of 1400", largest)
	}
}

func TestP44_EverythingCarriesBroadcasts(t *testing.T) {
	carried := func(name string, typ wire.Type, do func(r *rig)) {
		r := newRig(t, quiet)
		r.peers(4)
		r.layer.casts.Push("", append([]byte{byte(wire.TypeUser)}, "from the layer"...), nil)
		r.in(aliveOf(5, 1).AppendTo(nil))
		r.forgetSent()
		do(r)
		main := r.of(typ)
		if len(main) == 0 {
			t.Fatalf("%s: nothing sent", name)
		}
		order := []wire.Type{}
		for _, s := range r.sent {
			if s.pkt == main[0].pkt {
				order = append(order, s.typ())
			}
		}
		if want := []wire.Type{typ, wire.TypeAlive, wire.TypeUser}; !slices.Equal(order, want) {
			t.Errorf("%s: packet of %v, want %v", name, order, want)
		}
	}
	carried("ping", wire.TypePing, func(r *rig) { r.until(wire.TypePing) })
	carried("ack", wire.TypeAck, func(r *rig) { r.in((&wire.Ping{Seq: 1, Node: "self"}).AppendTo(nil)) })
	x := &wire.IndirectPing{Seq: 1, Target: addrOf(1), Node: nameOf(1), Nack: true}
	carried("relayed ping", wire.TypePing, func(r *rig) { r.in(x.AppendTo(nil)) })
	carried("nack", wire.TypeNack, func(r *rig) {
		late := func(c *Config) { c.ProbeInterval = 1000 * time.Hour }
		q := newRig(t, quiet, late)
		*r = *q
		r.in(x.AppendTo(nil))
		r.peers(4)
		r.layer.casts.Push("", append([]byte{byte(wire.TypeUser)}, "from the layer"...), nil)
		r.in(aliveOf(5, 1).AppendTo(nil))
		r.until(wire.TypeNack)
	})
	carried("indirect ping", wire.TypeIndirectPing, func(r *rig) {
		r.until(wire.TypePing)
		r.queue.Prune(0)
		r.layer.casts.Prune(0)
		r.in(aliveOf(6, 1).AppendTo(nil))
		r.layer.casts.Push("", append([]byte{byte(wire.TypeUser)}, "from the layer"...), nil)
		r.until(wire.TypeIndirectPing)
	})
}

func TestP45_Gossip(t *testing.T) {
	rare := func(c *Config) { c.ProbeInterval, c.PushPullInterval = 1000*time.Hour, 1000*time.Hour }
	r := newRig(t, rare)
	r.peers(8)
	r.suspect(1, 1, "x")
	r.dead(2, 1, "x")
	r.dead(3, 1, nameOf(3))
	told := map[netip.AddrPort]int{}
	rounds := func(d time.Duration) {
		clear(told)
		for end := r.now.Add(d); r.now.Before(end); {
			r.sent = nil
			r.layer.casts.Push("", append([]byte{byte(wire.TypeUser)}, make([]byte, 900)...), nil)
			r.run(200 * time.Millisecond)
			pkts := map[int]bool{}
			for _, s := range r.sent {
				pkts[s.pkt] = true
				told[s.to]++
			}
			if len(pkts) > 3 {
				t.Fatalf("%d packets in a round", len(pkts))
			}
		}
	}
	rounds(20 * time.Second)
	for i := 1; i <= 8; i++ {
		if got, want := told[addrOf(i)] > 0, i != 3; got != want {
			t.Errorf("member %d in state %d: told %v", i, r.state(i), got)
		}
	}
	if told[addrOf(0)] > 0 {
		t.Error("gossips to itself")
	}
	r.run(11 * time.Second)
	rounds(20 * time.Second)
	if told[addrOf(2)] > 0 {
		t.Error("gossips to one dead for long")
	}
	r.layer.casts.Prune(0)
	r.drain()
	r.sent = nil
	r.run(10 * time.Second)
	if len(r.sent) != 0 {
		t.Errorf("nothing queued, but %d messages", len(r.sent))
	}
}

func TestP47_EndIsToldOnce(t *testing.T) {
	ends := map[string]int{}
	var q broadcast.Queue
	push := func(name, what string) { q.Push(name, []byte(what), func() { ends[what]++ }) }
	push("n", "replaced")
	push("n", "sent")
	push("", "pruned first")
	q.Take(nil, 0, 12, 2)
	q.Prune(1)
	for q.Len() > 0 {
		q.Take(nil, 0, 100, 2)
	}
	q.Take(nil, 0, 100, 2)
	q.Prune(0)
	for _, what := range []string{"replaced", "sent", "pruned first"} {
		if ends[what] != 1 {
			t.Errorf("%s: ended %d times", what, ends[what])
		}
	}
}

func TestP49_CompoundsHaveAtMost255Parts(t *testing.T) {
	for _, n := range []int{1, 2, 255, 256, 400} {
		r := newRig(t, func(c *Config) {
			c.PacketSize = 9000
			c.ProbeInterval, c.PushPullInterval = 1000*time.Hour, 1000*time.Hour
			c.GossipNodes = 1
		})
		r.peers(1)
		for range n {
			r.layer.casts.Push("", []byte{byte(wire.TypeUser), 1}, nil)
		}
		r.run(200 * time.Millisecond)
		pkts := map[int]int{}
		for _, s := range r.sent {
			pkts[s.pkt]++
		}
		if want := (n + 254) / 255; len(r.sent) != n || len(pkts) != want {
			t.Errorf("%d messages: %d in %d packets, want %d packets", n, len(r.sent), len(pkts), want)
		}
	}
}
