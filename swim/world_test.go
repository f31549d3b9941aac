package swim

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

// epoch is when the tests' clocks start.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// recorder is a Layer that writes down what it is told.
type recorder struct {
	log      []string
	casts    broadcast.Queue
	state    []byte
	ack      []byte
	pings    []string
	messages int

	failed, left []string // for Departed
}

func (r *recorder) Message(_ time.Time, _ netip.AddrPort, msg []byte) {
	r.messages++
	r.log = append(r.log, "message "+string(msg))
}
func (r *recorder) Broadcasts(dst [][]byte, overhead, limit int) [][]byte {
	return r.casts.Take(dst, overhead, limit, 4)
}
func (r *recorder) Fresh(dst [][]byte, overhead, limit int) [][]byte {
	return r.casts.TakeFresh(dst, overhead, limit, 4)
}
func (r *recorder) Waiting(overhead int) (fresh, all int) {
	return r.casts.FreshCost(overhead), r.casts.Cost(overhead)
}
func (r *recorder) AppendPart(dst []byte, _ func(string) bool, all bool) []byte {
	if all {
		return append(dst, r.state...)
	}
	return dst
}
func (r *recorder) Cluster(meta []byte) string { return string(meta) }
func (r *recorder) Stamp(string) uint64        { return 0 }
func (r *recorder) Sum() uint64                { return uint64(len(r.state)) }
func (r *recorder) Departed(left bool) iter.Seq[string] {
	if left {
		return slices.Values(r.left)
	}
	return slices.Values(r.failed)
}
func (r *recorder) AppendState(dst []byte, _ bool) []byte { return append(dst, r.state...) }
func (r *recorder) MergeState(_ time.Time, _ netip.AddrPort, s []byte, asked bool) {
	r.log = append(r.log, fmt.Sprintf("state %s %v", s, asked))
}
func (r *recorder) AppendAckPayload(dst []byte) []byte { return append(dst, r.ack...) }
func (r *recorder) PingDone(_ time.Time, name string, rtt time.Duration, p []byte) {
	r.pings = append(r.pings, fmt.Sprintf("%s %v %s", name, rtt, p))
}
func (r *recorder) Joined(_ time.Time, m *Member)  { r.log = append(r.log, "joined "+m.Name) }
func (r *recorder) Updated(_ time.Time, m *Member) { r.log = append(r.log, "updated "+m.Name) }
func (r *recorder) Ended(_ time.Time, m *Member)   { r.log = append(r.log, "ended "+m.Name) }
func (r *recorder) Doubted(_ time.Time, m *Member) {
	r.log = append(r.log, fmt.Sprintf("doubted %s %v %s", m.Name, m.Degraded, m.Verdict))
}
func (r *recorder) Gone(_ time.Time, m *Member) {
	what := "dead "
	if m.State == wire.StateLeft {
		what = "left "
	}
	r.log = append(r.log, what+m.Name)
}
func (r *recorder) Conflict(_ time.Time, m *Member, other netip.AddrPort) {
	r.log = append(r.log, fmt.Sprintf("conflict %s %v", m.Name, other))
}

// node is a machine in a world.
type node struct {
	*Machine
	layer  *recorder
	addr   netip.AddrPort
	down   bool
	frozen bool
	traces []Trace
	joins  []JoinResult
}

// world is a driver for a few machines: a virtual clock and a network without
// loss, of 1 ms one way, that tests can break with the two functions.
type world struct {
	t       testing.TB
	now     time.Time
	nodes   []*node
	events  []event
	seq     int
	drop    func(from, to *node, msg []byte) bool // packets
	noDial  func(from, to *node) bool
	packets int
	seen    func(from, to *node, data []byte)
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

const hop = time.Millisecond

func newWorld(t testing.TB) *world { return &world{t: t, now: epoch} }

func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
}

func nameOf(i int) string { return fmt.Sprintf("node%d", i) }

// add starts a node.
func (w *world) add(change ...func(*Config)) *node {
	i := len(w.nodes) + 1
	cfg := LAN()
	cfg.Plain = true
	cfg.Name, cfg.Addr = nameOf(i), addrOf(i)
	for _, f := range change {
		f(&cfg)
	}
	l := &recorder{}
	m, err := New(cfg, l, rand.New(rand.NewPCG(uint64(i), 7)), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{Machine: m, layer: l, addr: cfg.Addr}
	w.nodes = append(w.nodes, n)
	return n
}

// cluster starts n nodes that have joined each other.
func (w *world) cluster(n int) []*node {
	for i := 0; i < n; i++ {
		w.add()
	}
	for _, x := range w.nodes[1:] {
		x.Join(w.now, w.nodes[0].addr, "")
		w.settle(x)
		w.run(50 * hop)
	}
	w.run(3 * time.Second)
	for _, x := range w.nodes {
		if x.NumAlive() != n {
			w.t.Fatalf("%s knows %d of %d", x.Local().Name, x.NumAlive(), n)
		}
		x.layer.log, x.traces = nil, nil
	}
	return w.nodes
}

func (w *world) at(a netip.AddrPort) *node {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.addr == a && !n.down })
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	w.events = append(w.events, event{w.now.Add(d), w.seq, do})
}

// settle acts on a node's output.
func (w *world) settle(n *node) {
	out := n.Output()
	n.traces = append(n.traces, out.Trace...)
	n.joins = append(n.joins, out.Joins...)
	for _, p := range out.Packets {
		w.packets++
		to, data := w.at(p.To), slices.Clone(p.Data)
		if len(p.Data) > MaxPacketSize {
			w.t.Errorf("packet of %d bytes", len(p.Data))
		}
		if w.seen != nil {
			w.seen(n, to, data)
		}
		if to == nil || w.drop != nil && w.drop(n, to, data) {
			continue
		}
		w.after(hop, func() { w.deliver(n, to, data) })
	}
	for _, d := range out.Dials {
		w.dial(n, d)
	}
}

func (w *world) deliver(from, to *node, data []byte) {
	switch {
	case to.down:
	case to.frozen:
		w.after(100*hop, func() { w.deliver(from, to, data) })
	default:
		to.HandlePacket(w.now, from.addr, data)
		w.settle(to)
	}
}

func (w *world) dial(n *node, d Dial) {
	data := slices.Clone(d.Data)
	to := w.at(d.To)
	end := func(reply []byte, err error) {
		if !n.down {
			n.HandleDialed(w.now, d.ID, reply, err)
			w.settle(n)
		}
	}
	if to == nil || w.noDial != nil && w.noDial(n, to) {
		w.after(d.Timeout, func() { end(nil, fmt.Errorf("%w: time-out", ErrConnect)) })
		return
	}
	w.after(hop, func() {
		if to.down || to.frozen {
			w.after(d.Timeout-hop, func() { end(nil, errors.New("time-out")) })
			return
		}
		reply := slices.Clone(to.HandleStream(w.now, n.addr, data))
		w.settle(to)
		w.after(hop, func() { end(reply, nil) })
	})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	until := w.now.Add(d)
	for _, n := range w.nodes {
		w.settle(n)
	}
	for {
		// The earliest of the events and of the deadlines.
		best, who := -1, (*node)(nil)
		next := until
		for i, e := range w.events {
			if e.at.Before(next) || e.at.Equal(next) && (best < 0 || e.seq < w.events[best].seq) {
				best, next = i, e.at
			}
		}
		for _, n := range w.nodes {
			if !n.down && !n.frozen && n.Deadline().Before(next) {
				best, who, next = -1, n, n.Deadline()
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		switch {
		case who != nil:
			who.HandleTimeout(w.now)
			w.settle(who)
		case best >= 0:
			e := w.events[best]
			w.events = slices.Delete(w.events, best, best+1)
			e.do()
		default:
			return
		}
	}
}

// state is what n thinks of other.
func (n *node) state(other *node) wire.NodeState {
	m := n.Member(other.Local().Name)
	if m == nil {
		return wire.NodeStateUnknown
	}
	return m.State
}

func (n *node) count(k TraceKind) int {
	c := 0
	for _, t := range n.traces {
		if t.Kind == k {
			c++
		}
	}
	return c
}
