package writelog

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var (
	seeds = flag.Int("seeds", 10, "random runs of the log")
	from  = flag.Uint64("from", 1, "the first seed")
)

// The virtual cluster: gateways with a server each, clients, and a network with faults.
// Time goes by in steps of a millisecond.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Duration
	nodes []*node
	queue []delivery
	cut   map[[2]uint64]bool
	loss  float64

	acked    map[string]uint64 // by key: the index of the newest acknowledged write
	executed map[WriteID]uint64
	order    map[uint64]WriteID // by index
	answered map[WriteID]bool
	writes   int
	acks     int
	reads    int
	refused  int
	switches int
}

type delivery struct {
	at       time.Duration
	from, to uint64
	raft     *raftpb.Message
	peer     *Message
	propose  *Entry
	result   *Outcome
}

// node is a gateway's process and the Groonga server beside it.
type node struct {
	w       *world
	id      uint64
	name    string
	server  string
	slice   int
	storage *raft.MemoryStorage
	m       *Machine
	paused  time.Duration // until then it does nothing
	down    time.Duration // until then it does not run
	tick    time.Duration
	ticks   int // that are due then
	inbox   []delivery

	boot     uint64
	opened   bool
	number   uint64
	waiting  map[uint64]*clientWrite
	db       database
	filled   uint64 // the catalog that it was filled for
	applying []Committed
	nextAt   time.Duration
	frozen   time.Duration // its server does nothing until then
	slow     time.Duration // its server takes long for each write until then
	rests    time.Duration // no searches come until then
	rate     float64       // of its clock
}

// clock is the time as the node's clock has it: clocks differ, and drift by up to one in 25 to
// either side.
func (n *node) clock() time.Duration {
	return time.Duration(n.id)*time.Hour + time.Duration(float64(n.w.now)*n.rate)
}

// database is what the server has; it outlives the node's process.
type database struct {
	prefix uint64
	values map[string]uint64 // by key: the index that wrote it
	log    []WriteID
}

type clientWrite struct {
	e        *Entry
	key      string
	begun    time.Duration
	sent     time.Duration
	deadline time.Duration
}

func newWorld(t *testing.T, seed uint64, gateways, slices int) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), cut: make(map[[2]uint64]bool),
		acked: make(map[string]uint64), executed: make(map[WriteID]uint64), order: make(map[uint64]WriteID), answered: make(map[WriteID]bool),
	}
	members := make(map[uint64]Member)
	var voters []uint64
	for i := range gateways {
		id := uint64(i + 1)
		members[id] = Member{Name: fmt.Sprint("gw", id)}
		voters = append(voters, id)
	}
	catalog := &Catalog{Sum: "0", Slices: make([][]string, slices)}
	for i := range gateways {
		name, server := fmt.Sprint("gw", i+1), fmt.Sprint("s", i+1)
		catalog.Gateways = append(catalog.Gateways, name)
		catalog.Slices[i%slices] = append(catalog.Slices[i%slices], server)
		catalog.Appliers = append(catalog.Appliers, Served{server, name})
	}
	if seed%3 == 0 {
		catalog = nil // a log of before there were catalogs in it
	}
	for i := range gateways {
		n := &node{w: w, id: uint64(i + 1), name: fmt.Sprint("gw", i+1), server: fmt.Sprint("s", i+1), slice: i % slices, storage: raft.NewMemoryStorage()}
		if err := n.storage.ApplySnapshot(Found(7, members, voters, catalog)); err != nil {
			t.Fatal(err)
		}
		n.rate = 0.96 + w.rng.Float64()*0.08
		n.db = database{prefix: 1, values: make(map[string]uint64)}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		n.start(slices)
	}
	return w
}

func (w *world) config(n *node, slices int) Config {
	c := Config{Self: n.id, Storage: n.storage, Slices: make([][]string, slices), Reporters: make(map[string]string)}
	for _, o := range w.nodes {
		c.Slices[o.slice] = append(c.Slices[o.slice], o.server)
		c.Reporters[o.server] = o.name
	}
	return c
}

func (n *node) start(slices int) {
	if snap, _ := n.storage.Snapshot(); snap.GetMetadata().GetIndex() > 1 {
		n.w.t.Logf("node %d starts from a snapshot at %d", n.id, snap.GetMetadata().GetIndex())
	}
	n.boot++
	cfg := n.w.config(n, slices)
	cfg.Boot = n.boot
	m, err := New(cfg)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.m = m
	n.opened, n.number = false, 0
	n.waiting = make(map[uint64]*clientWrite)
	n.applying, n.inbox = nil, nil
	m.Progress(n.server, n.db.prefix, n.db.prefix, false)
}

func (w *world) send(d delivery) {
	if w.cut[[2]uint64{d.from, d.to}] || w.rng.Float64() < w.loss {
		return
	}
	if d.raft != nil {
		d.raft = proto.Clone(d.raft).(*raftpb.Message)
	}
	d.at = w.now + time.Duration(200+w.rng.IntN(1500))*time.Microsecond
	w.queue = append(w.queue, d)
	if d.propose != nil && w.rng.IntN(20) == 0 { // it was in a socket, and comes once more, late
		d.at += time.Duration(w.rng.IntN(5000)) * time.Millisecond
		w.queue = append(w.queue, d)
	}
}

// step lets a millisecond pass.
func (w *world) step() {
	w.now += time.Millisecond
	due := w.queue[:0:0]
	rest := w.queue[:0]
	for _, d := range w.queue {
		if d.at <= w.now {
			due = append(due, d)
		} else {
			rest = append(rest, d)
		}
	}
	w.queue = rest
	for _, d := range due {
		n := w.nodes[d.to-1]
		if n.m != nil { // what arrives at a stopped process waits in its sockets
			n.inbox = append(n.inbox, d)
		}
	}
	for _, n := range w.nodes {
		n.turn()
	}
}

func (n *node) turn() {
	w := n.w
	if n.m == nil || w.now < n.paused {
		return
	}
	for _, d := range n.inbox {
		switch {
		case d.raft != nil:
			n.m.Step(n.clock(), d.raft)
		case d.peer != nil:
			n.m.Hear(n.clock(), d.peer)
		case d.propose != nil:
			n.propose(d.propose, d.from)
		case d.result != nil:
			n.outcome(d.result)
		}
	}
	n.inbox = n.inbox[:0]
	n.ticking()
	n.serve()
	n.clients()
	for range 100 {
		o := n.m.Output(n.clock())
		if o.Empty() {
			return
		}
		n.carryOut(o)
		n.m.Advance()
	}
}

// ticking has the machine tick as its driver does: several times at once while it says that it rests.
func (n *node) ticking() {
	due := n.w.now >= n.tick
	if due {
		for range max(1, n.ticks) {
			n.m.Tick(n.clock())
		}
	}
	if rest := n.m.Rest(n.clock()); due || rest < n.ticks {
		n.ticks, n.tick = rest, n.w.now+time.Duration(rest)*DefaultTick
	}
}

func (n *node) carryOut(o *Output) {
	w := n.w
	if o.Snapshot != nil {
		if err := n.storage.ApplySnapshot(o.Snapshot); err != nil {
			w.t.Fatal(err)
		}
	}
	if o.Save != nil {
		_ = n.storage.SetHardState(proto.Clone(o.Save).(*raftpb.HardState))
	}
	if err := n.storage.Append(o.Entries); err != nil {
		w.t.Fatal(err)
	}
	for _, msg := range slices.Concat(o.First, o.Raft) {
		w.send(delivery{from: n.id, to: msg.GetTo(), raft: msg})
		if msg.GetType() == raftpb.MsgSnap {
			n.m.SnapshotSent(msg.GetTo(), true)
		}
	}
	for _, msg := range o.Peer {
		w.send(delivery{from: n.id, to: msg.To, peer: msg})
	}
	for _, c := range o.Committed {
		n.committed(c)
	}
	for _, r := range o.Outcomes {
		w.send(delivery{from: n.id, to: r.ID.Member, result: &r})
	}
	if o.Checkpoint != nil {
		index := o.Checkpoint.GetMetadata().GetIndex()
		for _, of := range w.nodes {
			if of.db.prefix < index && of.listed() {
				w.t.Fatalf("the log is cut at %d, the server of node %d is at %d", index, of.id, of.db.prefix)
			}
		}
		n.cut(o.Checkpoint)
	}
}

// cut replaces the storage by one that begins at a snapshot.
func (n *node) cut(snap *raftpb.Snapshot) {
	if _, err := n.storage.CreateSnapshot(snap.GetMetadata().GetIndex(), snap.GetMetadata().GetConfState(), snap.GetData()); err != nil {
		n.w.t.Fatal(err)
	}
	if err := n.storage.Compact(snap.GetMetadata().GetIndex()); err != nil {
		n.w.t.Fatal(err)
	}
}

// committed checks that a write is executed once, and the same one at an index everywhere.
func (n *node) committed(c Committed) {
	w := n.w
	if c.Verdict == Execute && c.Entry.Op == OpCatalog {
		w.switches++
	}
	if c.Verdict == Execute && c.Entry.Op == OpWrite {
		if at, ok := w.executed[c.Entry.ID]; ok && at != c.Index {
			w.t.Fatalf("write %v is executed at %d and at %d", c.Entry.ID, at, c.Index)
		}
		if id, ok := w.order[c.Index]; ok && id != c.Entry.ID {
			w.t.Fatalf("at %d there are %v and %v", c.Index, id, c.Entry.ID)
		}
		w.executed[c.Entry.ID], w.order[c.Index] = c.Index, c.Entry.ID
	}
	if c.Index > n.db.prefix {
		n.applying = append(n.applying, c)
	}
}

// serve lets the server apply what is next.
func (n *node) serve() {
	w := n.w
	if !n.complete() {
		return
	}
	if w.now < n.frozen {
		n.m.Progress(n.server, n.db.prefix, n.db.prefix, w.rng.IntN(2) == 0)
		return
	}
	for len(n.applying) > 0 && w.now >= n.nextAt {
		c := n.applying[0]
		n.applying = n.applying[1:]
		if c.Verdict == Execute && c.Entry.Op == OpWrite {
			for _, s := range c.Entry.Shares {
				if slices.Contains(s.Servers, n.server) {
					n.db.values[string(s.Command)] = c.Index
					n.db.log = append(n.db.log, c.Entry.ID)
					n.m.Applied(n.server, c.Index, Answer{Body: []byte("true")})
					n.nextAt = w.now + time.Duration(w.rng.IntN(3))*time.Millisecond
					if w.now < n.slow {
						n.nextAt += time.Duration(w.rng.IntN(400)) * time.Millisecond
					}
				}
			}
		}
		n.db.prefix = c.Index
	}
	n.m.Progress(n.server, n.db.prefix, n.db.prefix, false)
}

func (n *node) propose(e *Entry, from uint64) {
	if err := n.m.Propose(n.clock(), e); err != nil && e.Op == OpWrite {
		n.w.send(delivery{from: n.id, to: from, result: &Outcome{ID: e.ID, Err: err}})
	}
}

// clients begins writes and reads, and repeats the writes that nobody has answered.
func (n *node) clients() {
	w := n.w
	leader := n.m.Leader()
	if !n.opened {
		s, ok := n.m.State().Sessions[n.id]
		n.opened = ok && s.Boot == n.boot
		if !n.opened && leader != 0 && w.rng.IntN(20) == 0 {
			w.send(delivery{from: n.id, to: leader, propose: &Entry{Op: OpOpen, ID: WriteID{Member: n.id, Boot: n.boot}}})
		}
		return
	}
	if w.rng.IntN(12) == 0 && len(n.waiting) < 20 {
		n.begin()
	}
	for _, number := range sortedKeys(n.waiting) {
		c := n.waiting[number]
		switch {
		case w.now > c.deadline: // given up: the client hears that nobody knows
			delete(n.waiting, number)
			w.refused++
			w.answer(c.e.ID)
		case leader != 0 && w.now-c.sent > 250*time.Millisecond:
			c.sent = w.now
			w.send(delivery{from: n.id, to: leader, propose: c.e})
		}
	}
	if w.rng.IntN(2000) == 0 {
		n.rests = w.now + time.Duration(w.rng.IntN(2500))*time.Millisecond
	}
	if w.now >= n.rests && w.rng.IntN(4) == 0 {
		n.read()
	}
}

func (n *node) begin() {
	w := n.w
	n.number++
	floor := n.number
	for waits := range n.waiting {
		floor = min(floor, waits)
	}
	key := fmt.Sprint("k", w.rng.IntN(8))
	e := &Entry{Op: OpWrite, ID: WriteID{n.id, n.boot, n.number}, Floor: floor}
	slice := w.rng.IntN(w.slices())
	s := Share{Command: []byte(fmt.Sprint(key, "-", slice))}
	for _, o := range w.nodes {
		if o.slice == slice && n.lists(o.server) {
			s.Servers = append(s.Servers, o.server)
		}
	}
	e.Catalog = n.m.State().CatalogAt
	e.Shares = []Share{s}
	n.waiting[n.number] = &clientWrite{e: e, key: string(s.Command), begun: w.now, sent: -time.Second, deadline: w.now + 2*time.Second}
	w.writes++
}

func (w *world) slices() int {
	most := 0
	for _, n := range w.nodes {
		most = max(most, n.slice+1)
	}
	return most
}

func (w *world) answer(id WriteID) {
	if w.answered[id] {
		w.t.Fatalf("write %v is answered twice", id)
	}
	w.answered[id] = true
}

// outcome takes the end of a write at the gateway that its client asked.
func (n *node) outcome(r *Outcome) {
	c := n.waiting[r.ID.Number]
	if c == nil || r.ID.Boot != n.boot {
		return
	}
	w := n.w
	switch {
	case r.Err == nil || errors.Is(r.Err, ErrAnswerGone):
		at, ok := w.executed[r.ID]
		if !ok {
			w.t.Fatalf("write %v is acknowledged and was not executed", r.ID)
		}
		w.acked[c.key] = max(w.acked[c.key], at)
		w.acks++
	case errors.Is(r.Err, ErrDropped), errors.Is(r.Err, ErrOtherCatalog):
		if _, ok := w.executed[r.ID]; ok {
			w.t.Fatalf("write %v was executed, and its client hears that it was not", r.ID)
		}
		w.refused++
	default:
		return // asked again
	}
	delete(n.waiting, r.ID.Number)
	w.answer(r.ID)
}

// read answers a search as a gateway does that holds a lease, and checks that it sees all
// that was acknowledged before.
func (n *node) read() {
	w := n.w
	n.m.Want(n.clock())
	if ok, _ := n.m.Leased(n.clock()); !ok {
		return
	}
	var able []*node
	for _, o := range w.nodes {
		if _, out := n.m.State().Out[o.server]; !out && n.lists(o.server) && w.now >= o.frozen {
			able = append(able, o)
		}
	}
	if len(able) == 0 {
		return
	}
	o := able[w.rng.IntN(len(able))]
	for _, key := range sortedKeys(w.acked) {
		if key[len(key)-1:] != fmt.Sprint(o.slice) {
			continue
		}
		if got, want := o.db.values[key], w.acked[key]; got < want {
			w.t.Fatalf("at %v node %d reads %s of server %s as of %d; %d was acknowledged", w.now, n.id, key, o.server, got, want)
		}
	}
	w.reads++
}

// disturb draws faults, often two at a time.
func (w *world) disturb() {
	if w.rng.IntN(400) != 0 {
		return
	}
	w.fault()
	if w.rng.IntN(2) == 0 {
		w.fault()
	}
}

// fault draws one fault.
func (w *world) fault() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	o := w.nodes[w.rng.IntN(len(w.nodes))]
	span := time.Duration(20+w.rng.IntN(1500)) * time.Millisecond
	switch w.rng.IntN(12) {
	case 0, 1:
		n.paused = w.now + span
	case 2:
		n.m, n.down = nil, w.now+span
	case 3:
		n.frozen = w.now + span
	case 4:
		w.cutOff(n)
	case 5: // one way
		w.cut[[2]uint64{n.id, o.id}] = true
	case 6:
		w.loss = w.rng.Float64() / 4
	case 7:
		w.evidence(n)
	case 8:
		n.slow = w.now + 2*span
	case 9: // they reach each other through the third only
		w.cut[[2]uint64{n.id, o.id}], w.cut[[2]uint64{o.id, n.id}] = true, true
	case 10:
		w.leaderGone(o, span)
	case 11:
		if w.rng.IntN(2) == 0 {
			w.switchCatalog(o)
		} else {
			w.drain(o, w.rng.IntN(2) == 0)
		}
	}
}

// cutOff has nobody reach a node, nor it anybody.
func (w *world) cutOff(n *node) {
	for _, o := range w.nodes {
		if o != n {
			w.cut[[2]uint64{n.id, o.id}], w.cut[[2]uint64{o.id, n.id}] = true, true
		}
	}
}

// evidence has all nodes hear that one is gone, those that it leads.
func (w *world) evidence(n *node) {
	for _, o := range w.nodes {
		if o.m != nil && o != n && o.m.Leader() == n.id {
			o.m.LeaderLost(o.clock(), time.Duration(w.rng.IntN(50))*time.Millisecond)
		}
	}
}

// leaderGone stops the leader and cuts another node off, and all others hear of it: they elect
// one while that node still holds a lease of the old leader.
func (w *world) leaderGone(other *node, span time.Duration) {
	for _, n := range w.nodes {
		if n.m != nil && n.m.Leads() && n != other {
			n.paused = w.now + span
			w.cutOff(other)
			w.evidence(n)
			return
		}
	}
}

// mend starts again the nodes whose time has come, and now and then heals the network. all: everything
// is well at once.
func (w *world) mend(slices int, all bool) {
	for _, n := range w.nodes {
		if n.m == nil && (all || w.now >= n.down) {
			n.start(slices)
		}
		if all {
			n.paused, n.frozen, n.slow = 0, 0, 0
		}
	}
	if all {
		for _, n := range w.nodes {
			w.drain(n, false)
		}
	}
	if all || w.rng.IntN(700) == 0 {
		clear(w.cut)
		w.loss = 0
	}
}

// settled reports whether every server has the whole log and is in the read set.
func (w *world) settled() bool {
	last := uint64(0)
	for _, n := range w.nodes {
		last = max(last, n.m.State().Index)
	}
	for _, n := range w.nodes {
		if n.listed() && n.db.prefix != last || n.m.State().Index != last || len(n.m.State().Out) != 0 || len(n.waiting) != 0 {
			return false
		}
	}
	return true
}

func run(t *testing.T, seed uint64) *world {
	old := crand.Reader
	crand.Reader = &seeded{rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})}
	defer func() { crand.Reader = old }()
	gateways, slices := 3+2*int(seed%2), 1+int(seed/2%2)
	if seed%7 == 0 {
		gateways, slices = 1, 1
	}
	if gateways == 3 {
		slices = 1
	}
	w := newWorld(t, seed, gateways, slices)
	for w.now < 12*time.Second {
		w.disturb()
		w.mend(slices, false)
		w.step()
	}
	for end := w.now + 12*time.Second; w.now < end; {
		w.mend(slices, true)
		w.step()
		quiet := w.now > end-8*time.Second
		if quiet {
			for _, n := range w.nodes {
				n.opened = false // no new writes
				if len(n.waiting) > 0 {
					n.opened = true
				}
			}
			if w.settled() {
				break
			}
		}
	}
	return w
}

// seeded is a source of random bytes that is the same in each run.
type seeded struct{ r *rand.ChaCha8 }

func (s *seeded) Read(p []byte) (int, error) { return s.r.Read(p) }

var _ io.Reader = (*seeded)(nil)

func TestSeeds(t *testing.T) {
	var writes, acks, reads, refused, switches int
	for seed := *from; seed < *from+uint64(*seeds); seed++ {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := run(t, seed)
			w.equal()
			writes, acks, reads, refused = writes+w.writes, acks+w.acks, reads+w.reads, refused+w.refused
			switches += w.switches
		}) {
			break
		}
	}
	t.Logf("%d writes, %d acknowledged, %d given up, %d reads under a lease, %d catalogs taken over", writes, acks, refused, reads, switches)
	if acks < writes/2 || reads < writes || switches == 0 {
		t.Errorf("too little is done to show anything: %d writes, %d acknowledged, %d reads", writes, acks, reads)
	}
}

// equal checks that servers of one slice have the same data, from the same history.
func (w *world) equal() {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a.slice == b.slice && a.listed() && b.listed() && a.db.prefix == b.db.prefix && (!maps.Equal(a.db.values, b.db.values) || !slices.Equal(a.db.log, b.db.log)) {
				w.t.Errorf("servers %s and %s differ at %d", a.server, b.server, a.db.prefix)
			}
			if a.m != nil && b.m != nil && a.m.State().Index == b.m.State().Index && !bytes.Equal(a.m.State().Encode(), b.m.State().Encode()) {
				w.t.Errorf("states of nodes %d and %d differ", a.id, b.id)
			}
		}
	}
	if !w.settled() {
		for _, n := range w.nodes {
			w.t.Logf("node %d: leader %d term %d index %d prefix %d out %v waiting %d", n.id, n.m.Leader(), n.m.Term(), n.m.State().Index, n.db.prefix, n.m.State().Out, len(n.waiting))
		}
		w.t.Errorf("not settled after the last fault")
	}
}
