package swim

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

// silent is a Layer that says and keeps nothing.
type silent struct{}

func (silent) Message(time.Time, netip.AddrPort, []byte)                   {}
func (silent) Fresh(dst [][]byte, _, _ int) [][]byte                       { return dst }
func (silent) Waiting(int) (fresh, all int)                                { return 0, 0 }
func (silent) AppendPart(dst []byte, _ func(string) bool, _ bool) []byte   { return dst }
func (silent) Stamp(string) uint64                                         { return 0 }
func (silent) Sum() uint64                                                 { return 0 }
func (silent) Departed(bool) iter.Seq[string]                              { return slices.Values([]string(nil)) }
func (silent) Broadcasts(dst [][]byte, _, _ int) [][]byte                  { return dst }
func (silent) AppendState(dst []byte, _ bool) []byte                       { return dst }
func (silent) MergeState(time.Time, netip.AddrPort, []byte, bool)          {}
func (silent) Cluster([]byte) string                                       { return "" }
func (silent) AppendAckPayload(dst []byte) []byte                          { return dst }
func (silent) PingDone(time.Time, string, time.Duration, []byte)           {}
func (silent) Joined(time.Time, *Member)                                   {}
func (silent) Gone(time.Time, *Member)                                     {}
func (silent) Ended(time.Time, *Member)                                    {}
func (silent) Doubted(time.Time, *Member)                                  {}
func (silent) Updated(time.Time, *Member)                                  {}
func (silent) Conflict(now time.Time, existing *Member, by netip.AddrPort) {}

// benchName is as long as real names are.
func benchName(i int) string { return fmt.Sprintf("node-%05d.example", i) }

var benchMeta = []byte("\xff\x81\xa4role\xa3web")

// large is a machine that knows n members, itself included.
func large(tb testing.TB, n int) *Machine {
	cfg := LAN()
	cfg.Plain = true
	cfg.Name, cfg.Addr, cfg.Meta = benchName(0), addrOf(0), benchMeta
	m, err := New(cfg, silent{}, rand.New(rand.NewPCG(1, 2)), epoch)
	if err != nil {
		tb.Fatal(err)
	}
	var msg []byte
	m.far.asked = true // as from an exchange of its own, which P277 does not bound
	defer func() { m.far.asked = false }()
	for i := 1; i < n; i++ {
		msg = (&wire.Alive{Incarnation: 1, Node: benchName(i), Addr: addrOf(i), Meta: benchMeta, Versions: DefaultVersions}).AppendTo(msg[:0])
		m.HandlePacket(epoch, other, msg)
		m.Output()
	}
	if m.NumAlive() != n {
		tb.Fatalf("%d members", m.NumAlive())
	}
	m.queue = broadcast.Queue{}
	m.Output()
	return m
}

// round is one gossip packet in and one out: what is new is queued, sent and forgotten.
func round(m *Machine) func() {
	u := (&wire.Ping{Seq: 1, Node: benchName(0), Source: addrOf(1), SourceNode: benchName(1)}).AppendTo(nil)
	known := wire.AppendCRC(nil, wire.AppendCompound(nil,
		(&wire.Suspect{Incarnation: 0, Node: benchName(1), From: benchName(2)}).AppendTo(nil),
		(&wire.Alive{Incarnation: 1, Node: benchName(3), Addr: addrOf(3), Meta: benchMeta, Versions: DefaultVersions}).AppendTo(nil),
		(&wire.Dead{Incarnation: 0, Node: benchName(4), From: benchName(5)}).AppendTo(nil), u))
	return func() {
		// Passed on with the ack that the ping in the packet asks for.
		m.announce()
		m.HandlePacket(epoch, other, known)
		m.Output()
		if m.queue.Len() > 0 {
			m.queue.Prune(0)
		}
	}
}

func BenchmarkGossipPacketInAndOut(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := round(large(b, n))
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

// merging is the answer of an exchange with nothing new in it.
func merging(tb testing.TB, n int) func() {
	m := large(tb, n)
	reply := m.appendState(nil, false)
	return func() {
		id, err := m.dials.add(openDial{kind: dialPushPull})
		if err != nil {
			tb.Fatal(err)
		}
		m.HandleDialed(epoch, id, reply, nil)
		if out := m.Output(); len(out.Trace) > 0 || m.queue.Len() > 0 {
			tb.Fatalf("something was new: %+v", out.Trace)
		}
	}
}

func BenchmarkMergeNothingNew(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := merging(b, n)
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

func BenchmarkAnswerPushPull(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := large(b, n)
			msg := m.appendState(nil, false)
			b.ReportAllocs()
			for b.Loop() {
				m.HandleStream(epoch, other, msg)
				m.Output()
			}
		})
	}
}

// idle lets n members be probed and answered for a second of their time.
func idle(m *Machine) func() {
	now := epoch
	var ack []byte
	return func() {
		for end := now.Add(time.Second); now.Before(end); {
			now = m.Deadline()
			m.HandleTimeout(now)
			out := m.Output()
			seq := uint32(0)
			if len(out.Packets) > 0 && m.probe.running() {
				seq = m.probe.seq
			}
			for _, d := range out.Dials {
				m.HandleDialed(now, d.ID, nil, ErrConnect)
			}
			if seq != 0 {
				ack = (&wire.Ack{Seq: seq}).AppendTo(ack[:0])
				m.HandlePacket(now, other, ack)
				m.Output()
			}
		}
	}
}

func BenchmarkIdleSecond(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := large(b, n)
			m.cfg.PushPullInterval = 1000 * time.Hour
			m.arm(&m.pushPullTimer, 1000*time.Hour)
			f := idle(m)
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	m := large(t, 1000)
	m.cfg.PushPullInterval = 1000 * time.Hour
	m.arm(&m.pushPullTimer, 1000*time.Hour)
	for name, f := range map[string]func(){
		"gossip packet":        round(large(t, 1000)),
		"merge without change": merging(t, 1000),
		"idle second":          idle(m),
	} {
		for range 20 {
			f()
		}
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// bytesPerMember measures the heap of a machine.
func bytesPerMember(tb testing.TB, n int) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := large(tb, n)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

// What a member costs: at most 136 bytes and its name (24 here); metadata that
// members share costs nothing.
func TestBytesPerMember(t *testing.T) {
	for _, n := range []int{1000, 10000} {
		got := bytesPerMember(t, n)
		t.Logf("%d members: %.0f bytes each, name included", n, got)
		if got > 160+20000/float64(n) { // and what a machine of any size has
			t.Errorf("%d members: %.0f bytes each", n, got)
		}
	}
}
