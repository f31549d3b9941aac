package serf

import (
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// seeds are one of each message.
func seeds() [][]byte {
	relayed := (&wire.QueryResponse{LTime: 3, ID: 4, From: "b"}).AppendTo(nil)
	conflict := wire.ConflictResponse{Name: "self", Addr: strangers.Addr(), Port: 1, Status: 1}
	msgs := []appender{
		&wire.Join{LTime: 5, Node: "b"},
		&wire.Leave{LTime: 6, Node: "b", Prune: true},
		&wire.Leave{LTime: 6, Node: "self"},
		&wire.UserEvent{LTime: 7, Name: "ev", Payload: []byte("p"), Coalesce: true},
		&wire.Query{LTime: 8, ID: 9, Source: strangers, SourceNode: "b", Flags: 3, RelayFactor: 2, Timeout: time.Second,
			Name: "q", Payload: []byte("p"), Filters: [][]byte{wire.AppendNodeFilter(nil, []string{"self"}), wire.AppendTagFilter(nil, "role", "w(e|i)b{1,3}")}},
		&wire.Query{LTime: 8, ID: 9, Source: strangers, SourceNode: "self", Timeout: time.Second, Name: "_serf_conflict", Payload: []byte("b")},
		&wire.Query{LTime: 8, ID: 9, Name: "_serf_install-key", Payload: (&wire.KeyRequest{Key: []byte("k")}).AppendTo(nil)},
		&wire.QueryResponse{LTime: 1, ID: 2, From: "b", Payload: conflict.AppendTo(nil)},
		&wire.Relay{Dest: strangers, DestName: "b", Message: relayed},
		&wire.SerfState{LTime: 9, EventLTime: 9, QueryLTime: 9, Left: []string{"b", "self"},
			Status: []wire.StatusLTime{{Node: "b", LTime: 3}, {Node: "self", LTime: 99}},
			Events: []wire.EventsAt{{LTime: 5, Events: []wire.StateEvent{{Name: "e", Payload: []byte("x")}}}}},
	}
	var out [][]byte
	for _, m := range msgs {
		out = append(out, m.AppendTo(nil))
	}
	return out
}

// fuzzed is a machine in the middle of its life.
func fuzzed(t testing.TB) *node {
	n := alone(t, func(c *Config) {
		c.Tags = tags("role", "web")
		c.CoalescePeriod, c.QuiescentPeriod = time.Second, time.Second
	})
	for _, name := range []string{"b", "c", "d"} {
		n.alive(name, 1)
	}
	n.dead("c", 1, "x")
	n.claim("self") // a vote is running
	n.Query(n.w.now, "own", nil, QueryParam{Ack: true})
	n.act()
	return n
}

// sound checks what must hold after any input.
func (n *node) sound() {
	n.w.t.Helper()
	failed, left := 0, 0
	for i, mem := range n.members.list {
		if i > 0 && n.members.list[i-1].Name() >= mem.Name() {
			n.w.t.Fatalf("%q before %q", n.members.list[i-1].Name(), mem.Name())
		}
		sm := n.swim.Member(mem.Name())
		alive := sm != nil && (sm.State == wire.StateAlive || sm.State == wire.StateSuspect)
		if here := mem.status == StatusAlive || mem.status == StatusLeaving; here != alive {
			n.w.t.Fatalf("%s is %v, to swim alive=%v", mem.Name(), mem.status, alive)
		}
		if mem.ltime >= n.Machine.clock.time() {
			n.w.t.Fatalf("%s is at %d, the clock at %d", mem.Name(), mem.ltime, n.Machine.clock.time())
		}
		switch mem.status {
		case StatusFailed:
			failed++
		case StatusLeft:
			left++
		}
	}
	if failed != n.members.failed || left != n.members.left {
		n.w.t.Fatalf("%d failed, %d left, counted %d and %d", failed, left, n.members.failed, n.members.left)
	}
	if len(n.Machine.outgoing.order) != len(n.Machine.outgoing.byID) || len(n.incoming.order) != len(n.incoming.byID) {
		n.w.t.Fatal("queries are kept in one place only")
	}
}

// FuzzMessage: a Serf message of any bytes, in a packet and on a stream.
func FuzzMessage(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, []byte{})
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		n := fuzzed(t)
		n.packet(append([]byte{byte(wire.TypeUser)}, one...))
		n.sound()
		n.HandleStream(n.w.now, strangers, wire.AppendUserStream(nil, two))
		n.act()
		n.sound()
		n.wait(10 * time.Second)
		n.sound()
		n.wantFold()
		if n.State() == Alive && n.Local().Status != StatusAlive {
			t.Fatalf("this node is %v", n.Local().Status)
		}
	})
}

// FuzzState: Serf's part of a push/pull of any bytes.
func FuzzState(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, state []byte, join bool) {
		n := fuzzed(t)
		msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{UserStateLen: len(state), Join: join})
		n.HandleStream(n.w.now, strangers, append(msg, state...))
		n.act()
		n.sound()
		n.wait(10 * time.Second)
		n.sound()
		n.wantFold()
	})
}

// FuzzAnything: any packet and any stream.
func FuzzAnything(f *testing.F) {
	for _, s := range seeds() {
		f.Add(append([]byte{byte(wire.TypeUser)}, s...), s)
		f.Add(wire.AppendCompound(nil, append([]byte{byte(wire.TypeUser)}, s...)), wire.AppendUserStream(nil, s))
	}
	f.Fuzz(func(t *testing.T, packet, stream []byte) {
		n := fuzzed(t)
		n.packet(packet)
		n.sound()
		n.HandleStream(n.w.now, strangers, stream)
		n.act()
		n.sound()
		n.wait(3 * time.Second)
		n.sound()
		n.wantFold()
	})
}
