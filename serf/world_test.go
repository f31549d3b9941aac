package serf

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

// world is a few machines on a virtual network with virtual time.
type world struct {
	t      testing.TB
	now    time.Time
	nodes  []*node
	queue  deliveries
	seq    int
	delay  time.Duration
	rng    *rand.Rand
	silent bool                                     // who is down has no host either
	echo   bool                                     // pings to those who exist only as messages are answered
	drop   func(from, to *node, packet []byte) bool // nil: nothing is lost
}

// node is a machine and what its driver has seen.
type node struct {
	*Machine
	w          *world
	addr       netip.AddrPort
	down       bool
	events     []Event
	updates    []QueryUpdate
	keyChanges []KeyChange // for the test to answer
	joins      []swim.JoinResult
	log        []string // rendered traces
	live       map[string]bool
}

type delivery struct {
	at  time.Time
	seq int
	do  func()
}

type deliveries []delivery

func (d deliveries) Len() int { return len(d) }
func (d deliveries) Less(i, j int) bool {
	if d[i].at.Equal(d[j].at) {
		return d[i].seq < d[j].seq
	}
	return d[i].at.Before(d[j].at)
}
func (d deliveries) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deliveries) Push(x any)   { *d = append(*d, x.(delivery)) }
func (d *deliveries) Pop() any {
	x := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return x
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		delay: time.Millisecond, rng: rand.New(rand.NewPCG(1, 2)),
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, delivery{w.now.Add(d), w.seq, do})
}

// add starts a machine. change may adjust its settings.
func (w *world) add(name string, change func(*Config)) *node {
	w.t.Helper()
	i := len(w.nodes) + 1
	cfg := Config{Swim: swim.LAN()}
	cfg.Swim.Plain = true
	cfg.Swim.Name = name
	cfg.Swim.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg, rand.New(rand.NewPCG(uint64(i), 7)), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{Machine: m, w: w, addr: cfg.Swim.Addr, live: map[string]bool{}}
	w.nodes = append(w.nodes, n)
	n.act()
	return n
}

// cluster starts nodes that have joined the first.
func (w *world) cluster(names ...string) []*node {
	w.t.Helper()
	var ns []*node
	for _, name := range names {
		ns = append(ns, w.add(name, nil))
	}
	w.joinAll(ns)
	return ns
}

func (w *world) joinAll(ns []*node) {
	w.t.Helper()
	for _, n := range ns[1:] {
		n.join(ns[0], true)
		w.run(100 * time.Millisecond)
	}
	w.run(3 * time.Second)
	for _, n := range ns {
		for _, o := range ns {
			n.wantStatus(o, StatusAlive)
		}
	}
}

func (n *node) name() string { return n.cfg.Swim.Name }

func (n *node) join(to *node, ignoreOld bool) swim.DialID {
	n.w.t.Helper()
	id, err := n.Join(n.w.now, to.addr, "", ignoreOld)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.act()
	return id
}

// at returns the running node with that address.
func (w *world) at(a netip.AddrPort) *node {
	for _, n := range w.nodes {
		if n.addr == a && !n.down {
			return n
		}
	}
	return nil
}

var (
	errRefused = fmt.Errorf("connect: %w, %w", swim.ErrConnect, swim.ErrRefused)
	errLost    = fmt.Errorf("connect: %w: nothing came back", swim.ErrConnect)
)

// act does what the node's Output asks for.
func (n *node) act() {
	out := n.Output()
	w := n.w
	for _, p := range out.Packets {
		to, data := p.To, append([]byte(nil), p.Data...)
		w.after(w.delay, func() {
			o := w.at(to)
			if o == nil && w.echo {
				n.answered(data)
			}
			if n.down || o == nil || w.lost(n, o, data) {
				return
			}
			o.HandlePacket(w.now, n.addr, data)
			o.act()
		})
	}
	for _, d := range out.Dials {
		id, to, data := d.ID, d.To, append([]byte(nil), d.Data...)
		w.after(w.delay, func() { n.dialed(id, w.at(to), data) })
	}
	for _, e := range out.Events {
		n.events = append(n.events, e)
		n.fold(e)
	}
	n.updates = append(n.updates, out.Queries...)
	n.keyChanges = append(n.keyChanges, out.KeyChanges...)
	n.joins = append(n.joins, out.Joins...)
	for _, t := range out.Trace {
		n.log = append(n.log, Render(t))
	}
}

// answered plays the acks of natives to the pings of a packet.
func (n *node) answered(data []byte) {
	var u wire.Unpacker
	var p wire.Ping
	_ = u.Unpack(data, func(msg []byte) {
		if wire.Type(msg[0]) == wire.TypePing && p.Decode(msg[1:], nil) == nil {
			n.packet((&wire.Ack{Seq: p.Seq, Native: 1}).AppendTo(nil))
		}
	})
}

func (w *world) lost(from, to *node, data []byte) bool {
	return w.drop != nil && w.drop(from, to, data)
}

// dialed plays a stream from its one end to the other and back.
func (n *node) dialed(id swim.DialID, o *node, data []byte) {
	if n.down {
		return
	}
	w := n.w
	if o == nil || w.lost(n, o, data) {
		err := errRefused
		if o != nil || w.silent {
			err = errLost
		}
		n.HandleDialed(w.now, id, nil, err)
		n.act()
		return
	}
	reply := append([]byte(nil), o.HandleStream(w.now, n.addr, data)...)
	o.act()
	w.after(w.delay, func() {
		if n.down {
			return
		}
		n.HandleDialed(w.now, id, reply, nil)
		n.act()
	})
}

// fold keeps the list that the events tell of.
func (n *node) fold(e Event) {
	for _, m := range e.Members {
		switch e.Type {
		case EventMemberJoin:
			n.live[m.Name] = true
		case EventMemberLeave, EventMemberFailed:
			n.live[m.Name] = false
		case EventMemberReap:
			delete(n.live, m.Name)
		case EventMemberUpdate:
			if !n.live[m.Name] {
				n.w.t.Errorf("%s: update of %s, which is not live", n.name(), m.Name)
			}
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		at, n := w.next()
		if at.After(end) {
			break
		}
		w.now = at
		if n != nil {
			n.HandleTimeout(w.now)
			n.act()
			continue
		}
		heap.Pop(&w.queue).(delivery).do()
	}
	w.now = end
}

// next is the next thing to happen: a node's deadline, or the first delivery.
func (w *world) next() (at time.Time, who *node) {
	at = w.now.Add(24 * time.Hour)
	if len(w.queue) > 0 {
		at = w.queue[0].at
	}
	for _, n := range w.nodes {
		if n.down {
			continue
		}
		if d := n.Deadline(); d.Before(at) {
			at, who = d, n
		}
	}
	if at.Before(w.now) {
		at = w.now
	}
	return at, who
}

func (n *node) status(o *node) Status {
	m, _ := n.Member(o.name())
	return m.Status
}

func (n *node) wantStatus(o *node, want Status) {
	n.w.t.Helper()
	if got := n.status(o); got != want {
		n.w.t.Errorf("%s sees %s as %v, want %v", n.name(), o.name(), got, want)
	}
}

// wantFold checks that the events told so far add up to the members.
func (n *node) wantFold() {
	n.w.t.Helper()
	n.coalescer.flushMembers(n.now)
	n.act()
	members := n.Members()
	if len(members) != len(n.live) {
		n.w.t.Errorf("%s: %d members, events tell of %d", n.name(), len(members), len(n.live))
	}
	for _, m := range members {
		alive := m.Status == StatusAlive || m.Status == StatusLeaving
		if n.live[m.Name] != alive {
			n.w.t.Errorf("%s: %s is %v, events say live=%v", n.name(), m.Name, m.Status, n.live[m.Name])
		}
	}
}

// take returns the events as lines and forgets them.
func (n *node) take() []string {
	out := make([]string, 0, len(n.events))
	for _, e := range n.events {
		out = append(out, eventLine(e))
	}
	n.events = nil
	return out
}

func eventLine(e Event) string {
	switch e.Type {
	case EventUser, EventQuery:
		return fmt.Sprintf("%v %s=%s", e.Type, e.Name, e.Payload)
	}
	var names []string
	for _, m := range e.Members {
		s := m.Name
		if e.Type == EventMemberUpdate || e.Type == EventMemberJoin && len(m.Tags) > 0 && m.Tags[0].Value != "" {
			s += fmt.Sprint(m.Tags)
		}
		names = append(names, s)
	}
	return e.Type.String() + " " + strings.Join(names, " ")
}

// logged reports whether a rendered trace contains the text.
func (n *node) logged(text string) bool {
	for _, l := range n.log {
		if strings.Contains(l, text) {
			return true
		}
	}
	return false
}

// find returns the last event of that type.
func (n *node) lastEvent(t EventType) (Event, bool) {
	for i := len(n.events) - 1; i >= 0; i-- {
		if n.events[i].Type == t {
			return n.events[i], true
		}
	}
	return Event{}, false
}

func tags(kv ...string) []wire.Tag {
	var out []wire.Tag
	for i := 0; i+1 < len(kv); i += 2 {
		out = append(out, wire.Tag{Key: kv[i], Value: kv[i+1]})
	}
	return out
}

// The rest feeds a single machine by hand.

// alone starts a machine in a world of its own.
func alone(t testing.TB, change func(*Config)) *node {
	return newWorld(t).add("self", change)
}

var strangers = netip.MustParseAddrPort("10.9.9.9:7946")

// packet feeds a plain message.
func (n *node) packet(msg []byte) {
	n.HandlePacket(n.w.now, strangers, msg)
	n.act()
}

type appender interface{ AppendTo([]byte) []byte }

// gets feeds a Serf message in a packet.
func (n *node) gets(m appender) {
	n.packet(m.AppendTo([]byte{byte(wire.TypeUser)}))
}

// hears feeds another node's part of a push/pull.
func (n *node) hears(s wire.SerfState) {
	n.hearsJoin(s, false)
}

func (n *node) hearsJoin(s wire.SerfState, join bool) {
	state := s.AppendTo(nil)
	msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{UserStateLen: len(state), Join: join})
	n.HandleStream(n.w.now, strangers, append(msg, state...))
	n.act()
}

func peerAddr(name string) netip.AddrPort {
	var h byte
	for _, c := range []byte(name) {
		h = h*31 + c
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, byte(len(name)), h}), 7946)
}

var fullVersions = wire.Versions{PMin: 1, PMax: 5, PCur: 2, DMin: 2, DMax: 5, DCur: 5}

// alive makes a member known as alive.
func (n *node) alive(name string, inc uint32, kv ...string) {
	n.packet((&wire.Alive{Incarnation: inc, Node: name, Addr: peerAddr(name),
		Meta: wire.AppendTags(nil, tags(kv...)), Versions: fullVersions}).AppendTo(nil))
}

// dead makes it dead; from itself: left.
func (n *node) dead(name string, inc uint32, from string) {
	n.packet((&wire.Dead{Incarnation: inc, Node: name, From: from}).AppendTo(nil))
}

// queued is what a queue would send, as types.
func (n *node) queued(q *broadcast.Queue) [][]byte {
	var out [][]byte
	for _, b := range q.Take(nil, 0, 1<<20, 1000) {
		out = append(out, append([]byte(nil), b...))
	}
	return out
}

// wait lets time pass for this node alone.
func (n *node) wait(d time.Duration) { n.w.run(d) }

func (n *node) want(name string, s Status, t wire.LTime) {
	n.w.t.Helper()
	m, ok := n.Member(name)
	if !ok && s == StatusNone {
		return
	}
	if !ok || m.Status != s || m.LTime != t {
		n.w.t.Errorf("%s is %v at %d, want %v at %d", name, m.Status, m.LTime, s, t)
	}
}

func (n *node) wantEvents(want ...string) {
	n.w.t.Helper()
	got := n.take()
	if len(got) != len(want) {
		n.w.t.Fatalf("events %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			n.w.t.Fatalf("events %q, want %q", got, want)
		}
	}
}
