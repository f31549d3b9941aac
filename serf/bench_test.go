package serf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// aState is a push/pull from a node that knows n members with three tags each, one
// of which no other member has.
func aState(n int) []byte { return aStateOf(0, n, ownID) }

func ownID(i int) string { return fmt.Sprintf("%08d", i) }

// aStateOf is one of the members from to to; id is their third tag.
func aStateOf(from, to int, id func(int) string) []byte {
	var state wire.SerfState
	state.LTime = wire.LTime(to + 2)
	var nodes []byte
	for i := from; i < to; i++ {
		name := fmt.Sprintf("node-%05d", i)
		meta := wire.AppendTags(nil, tags("dc", fmt.Sprintf("tokyo-%d", i%8), "role", "search", "id", id(i)))
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7946)
		nodes = wire.AppendPushNodeState(nodes, &wire.PushNodeState{Name: name, Addr: addr, Meta: meta, Incarnation: 1, Versions: fullVersions})
		state.Status = append(state.Status, wire.StatusLTime{Node: name, LTime: wire.LTime(i + 1)})
	}
	user := state.AppendTo(nil)
	msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: to - from, UserStateLen: len(user)})
	return append(append(msg, nodes...), user...)
}

// large is a machine that has merged such a state.
func large(t testing.TB, state []byte) *Machine {
	cfg := Config{Swim: swim.LAN()}
	cfg.Swim.Plain = true
	cfg.Swim.Name, cfg.Swim.Addr = "self", netip.MustParseAddrPort("10.0.0.1:7946")
	// Nobody is there to answer.
	cfg.Swim.ProbeInterval, cfg.Swim.PushPullInterval = 1000*time.Hour, 1000*time.Hour
	now := time.Unix(1e9, 0)
	m, err := New(cfg, rand.New(rand.NewPCG(1, 2)), now)
	if err != nil {
		t.Fatal(err)
	}
	m.HandleStream(now, strangers, state)
	m.Output()
	return m
}

func heap0() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestMemoryPerMember: what a member costs, name and three tags and swim's part included, when
// the gossip about 10,000 joins is over; they come a few at a time or all at once, and have tags
// that others have too, or one of their own. Serf needs about 850 bytes.
func TestMemoryPerMember(t *testing.T) {
	const n = 10_000
	for _, c := range []struct {
		name string
		id   func(int) string
		most float64
	}{
		{"tags that others have", func(int) string { return "00000000" }, 200},
		{"one tag of its own", ownID, 260},
	} {
		for _, step := range []int{100, n} {
			t.Run(fmt.Sprintf("%s, by %d", c.name, step), func(t *testing.T) {
				before := heap0()
				m := large(t, aState(0))
				for i := 0; i < n; i += step {
					id, err := m.Join(m.now, strangers, "", true) // what was asked for comes whole (P277)
					if err != nil {
						t.Fatal(err)
					}
					m.Output()
					m.HandleDialed(m.now, id, aStateOf(i, i+step, c.id), nil)
					m.Output()
					settle0(m)
				}
				per := float64(heap0()-before) / n
				t.Logf("%.0f bytes per member", per)
				if got := m.members.len(); got != n+1 {
					t.Fatalf("%d members", got)
				}
				if per > c.most {
					t.Errorf("%.0f bytes per member, more than %.0f", per, c.most)
				}
				runtime.KeepAlive(m)
			})
		}
	}
}

// settle0 lets time pass until the gossip about the joins is over.
func settle0(m *Machine) {
	for now, quiet := m.now, 0; quiet < 10; quiet++ {
		now = now.Add(m.cfg.Swim.GossipInterval)
		m.HandleTimeout(now)
		if len(m.Output().Packets) > 0 {
			quiet = 0
		}
	}
}

func BenchmarkMergeUnchanged(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			state := aState(n)
			m := large(b, state)
			b.ReportAllocs()
			for b.Loop() {
				m.HandleStream(m.now, strangers, state)
				m.Output()
			}
		})
	}
}

func BenchmarkSeenEvent(b *testing.B) {
	m := large(b, aState(1000))
	msg := (&wire.UserEvent{LTime: 5, Name: "deploy", Payload: make([]byte, 200)}).AppendTo([]byte{byte(wire.TypeUser)})
	m.HandlePacket(m.now, strangers, msg)
	b.ReportAllocs()
	for b.Loop() {
		m.HandlePacket(m.now, strangers, msg)
		m.Output()
	}
}

func BenchmarkSeenIntent(b *testing.B) {
	m := large(b, aState(1000))
	msg := (&wire.Join{LTime: 5, Node: "node-00500"}).AppendTo([]byte{byte(wire.TypeUser)})
	b.ReportAllocs()
	for b.Loop() {
		m.HandlePacket(m.now, strangers, msg)
		m.Output()
	}
}

func BenchmarkSeenQuery(b *testing.B) {
	m := large(b, aState(1000))
	msg := (&wire.Query{LTime: 5, ID: 6, Source: strangers, SourceNode: "node-00001", Name: "status", Timeout: time.Second,
		Filters: [][]byte{wire.AppendNodeFilter(nil, []string{"x"})}}).AppendTo([]byte{byte(wire.TypeUser)})
	m.HandlePacket(m.now, strangers, msg)
	b.ReportAllocs()
	for b.Loop() {
		m.HandlePacket(m.now, strangers, msg)
		m.Output()
	}
}

// TestSeenMessagesAllocateNothing: most of what gossip brings was here before.
func TestSeenMessagesAllocateNothing(t *testing.T) {
	m := large(t, aState(100))
	for name, msg := range map[string]appender{
		"event":  &wire.UserEvent{LTime: 5, Name: "deploy", Payload: make([]byte, 200)},
		"intent": &wire.Join{LTime: 5, Node: "node-00050"},
		"query": &wire.Query{LTime: 5, ID: 6, Source: strangers, SourceNode: "node-00001", Name: "status", Timeout: time.Second,
			Filters: [][]byte{wire.AppendNodeFilter(nil, []string{"x"})}},
	} {
		raw := msg.AppendTo([]byte{byte(wire.TypeUser)})
		m.HandlePacket(m.now, strangers, raw)
		m.Output()
		if got := testing.AllocsPerRun(100, func() {
			m.HandlePacket(m.now, strangers, raw)
			m.Output()
		}); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
