package swim

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// rig drives one machine; the others exist only as messages.
type rig struct {
	*Machine
	t      testing.TB
	layer  *recorder
	now    time.Time
	sent   []sent
	dials  []Dial
	links  []LinkOrder
	joins  []JoinResult
	traces []Trace
	pkts   int
	// acks says whether a ping to this address is answered at once.
	acks func(to netip.AddrPort) bool
	// deafPort: streams to self cannot be connected; else they can.
	deafPort bool
}

// sent is one plain message that went out.
type sent struct {
	at   time.Duration // since epoch
	pkt  int           // which packet it was in
	to   netip.AddrPort
	node string
	crc  bool
	msg  []byte
}

func (s sent) typ() wire.Type { return wire.Type(s.msg[0]) }

// quiet makes gossip and push/pull so rare that tests do not see them.
func quiet(c *Config) { c.GossipInterval, c.PushPullInterval = 1000*time.Hour, 1000*time.Hour }

func newRig(t testing.TB, change ...func(*Config)) *rig {
	cfg := LAN()
	cfg.Plain = true
	cfg.Name, cfg.Addr = "self", addrOf(0)
	for _, f := range change {
		f(&cfg)
	}
	l := &recorder{}
	m, err := New(cfg, l, rand.New(rand.NewPCG(1, 2)), epoch)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Machine: m, t: t, layer: l, now: epoch}
	r.take()
	return r
}

// take acts on the output.
func (r *rig) take() {
	if img := r.members.image; len(img.data) > 0 { // what is kept is what would be told now
		r.members.touch()
		if !bytes.Equal(img.data, r.appendNodes(nil)) {
			r.t.Error("what is kept of the members is not what they are")
		}
		r.members.image = img
	}
	out := r.Output()
	r.traces = append(r.traces, out.Trace...)
	r.joins = append(r.joins, out.Joins...)
	r.links = append(r.links, out.Links...)
	var own []DialID
	for _, d := range out.Dials {
		d.Data = slices.Clone(d.Data)
		r.dials = append(r.dials, d)
		if d.To == r.local.at() {
			own = append(own, d.ID)
		}
	}
	var acks [][]byte
	for _, p := range out.Packets {
		r.pkts++
		for _, msg := range unpack(r.t, p.Data) {
			r.sent = append(r.sent, sent{r.now.Sub(epoch), r.pkts, p.To, p.Node, p.CRC, msg})
			if wire.Type(msg[0]) == wire.TypePing && r.acks != nil && r.acks(p.To) {
				acks = append(acks, (&wire.Ack{Seq: decodePing(r.t, msg).Seq, Native: r.cfg.native()}).AppendTo(nil))
			}
		}
	}
	for _, a := range acks {
		r.in(a)
	}
	for _, id := range own {
		err := ErrUnanswered
		if r.deafPort {
			err = errRefusedHere
		}
		r.HandleDialed(r.now, id, nil, err)
		r.take()
	}
}

func unpack(t testing.TB, data []byte) (msgs [][]byte) {
	var u wire.Unpacker
	if err := u.Unpack(data, func(m []byte) { msgs = append(msgs, slices.Clone(m)) }); err != nil {
		t.Fatalf("packet sent: %v", err)
	}
	return msgs
}

func decodePing(t testing.TB, msg []byte) (p wire.Ping) {
	if err := p.Decode(msg[1:], nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// other is where the rig's packets come from unless said otherwise.
var other = netip.MustParseAddrPort("10.9.9.9:4000")

// in gives the machine a packet.
func (r *rig) in(msgs ...[]byte) {
	msg := msgs[0]
	if len(msgs) > 1 {
		msg = wire.AppendCompound(nil, msgs...)
	}
	r.HandlePacket(r.now, other, msg)
	r.take()
}

// run lets time pass.
func (r *rig) run(d time.Duration) {
	until := r.now.Add(d)
	for !r.Deadline().After(until) {
		r.now = r.Deadline()
		r.HandleTimeout(r.now)
		r.take()
	}
	r.now = until
}

// until lets time pass until a message of this type is sent, and returns the last one.
func (r *rig) until(typ wire.Type) sent {
	n := len(r.of(typ))
	for i := 0; i < 10000; i++ {
		r.now = r.Deadline()
		r.HandleTimeout(r.now)
		r.take()
		if s := r.of(typ); len(s) > n {
			return s[len(s)-1]
		}
	}
	r.t.Fatalf("no message of type %d", typ)
	return sent{}
}

// of are the messages of a type that were sent.
func (r *rig) of(typ wire.Type) (out []sent) {
	for _, s := range r.sent {
		if s.typ() == typ {
			out = append(out, s)
		}
	}
	return out
}

// drain empties the broadcast queue and returns what was in it.
func (r *rig) drain() [][]byte {
	var all [][]byte
	for r.queue.Len() > 0 {
		for _, b := range r.queue.Take(r.queue.TakeFresh(nil, 2, 1<<20, 0), 2, 1<<20, 1) {
			all = append(all, slices.Clone(b))
		}
	}
	return all
}

// forgetSent drops what was collected.
func (r *rig) forgetSent() {
	r.sent, r.dials, r.traces, r.layer.log = nil, nil, nil, nil
}

func aliveOf(i int, incarnation uint32) *wire.Alive {
	return &wire.Alive{Incarnation: incarnation, Node: nameOf(i), Addr: addrOf(i), Meta: []byte("meta"), Versions: DefaultVersions}
}

// peers makes members 1 to n known.
func (r *rig) peers(n int) {
	for i := 1; i <= n; i++ {
		r.in(aliveOf(i, 1).AppendTo(nil))
	}
	r.drain()
	r.forgetSent()
}

func (r *rig) suspect(i int, incarnation uint32, from string) {
	r.in((&wire.Suspect{Incarnation: incarnation, Node: nameOf(i), From: from}).AppendTo(nil))
}

func (r *rig) dead(i int, incarnation uint32, from string) {
	r.in((&wire.Dead{Incarnation: incarnation, Node: nameOf(i), From: from}).AppendTo(nil))
}

func (r *rig) state(i int) wire.NodeState {
	m := r.Member(nameOf(i))
	if m == nil {
		return wire.NodeStateUnknown
	}
	return m.State
}

func (r *rig) wantState(i int, want wire.NodeState) {
	r.t.Helper()
	if got := r.state(i); got != want {
		r.t.Errorf("member %d: state %d, want %d", i, got, want)
	}
}

func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.layer.log, want) {
		r.t.Errorf("layer was told %q, want %q", r.layer.log, want)
	}
	r.layer.log = nil
}

func (r *rig) traced(k TraceKind) (found []Trace) {
	for _, t := range r.traces {
		if t.Kind == k {
			found = append(found, t)
		}
	}
	return found
}

// suspicionOf is the suspicion of the i-th member, nil if there is none.
func (r *rig) suspicionOf(i int) *suspicion {
	return r.members.suspects[r.members.get(nameOf(i))]
}
