package member

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/store"
)

// Faults that a write may end with, beside those of package writelog.
var (
	// ErrNoMajority says that no majority of the gateways can be reached. The write was
	// proposed nowhere: it is certainly not done, and will not be.
	ErrNoMajority = errors.New("no majority of the gateways can be reached; the write was not done")
	// ErrFull says that the log has as many bytes as it may. The write was not done.
	ErrFull = errors.New("the log is full: a server or a gateway is away, and no more can be kept for it; the write was not done")
	// ErrStopped says that the member is being closed.
	ErrStopped = errors.New("the gateway is stopping")
	// ErrRemoved says that the other gateways go on without this one.
	ErrRemoved = errors.New("this gateway was removed from the cluster: it answers nothing and has no vote; " +
		"to take it in again, stop it, move the directory of its log away, ibuki cluster add its node, and start it")
	// ErrLeftBehind says that the others have a later epoch of the log, without this one.
	ErrLeftBehind = errors.New("the other gateways have a later epoch of the log, without this gateway: it answers nothing and has no vote; " +
		"stop it, move the directory of its log away, and start it: it joins the others anew")
	// ErrOtherCluster says that a gateway belongs to another log.
	ErrOtherCluster = errors.New("the gateway belongs to another cluster")
)

// Transport carries what members say to each other.
type Transport interface {
	// Ask sends a request to a gateway and returns what its Handle returns. It may be
	// called concurrently. refused tells that the gateway's host says that it is not there.
	Ask(ctx context.Context, addr string, request []byte) (reply []byte, refused bool, err error)
	// Stream opens a stream to a gateway, once its Handle can be reached. ctx bounds the
	// opening. It may be called concurrently.
	Stream(ctx context.Context, addr string) (s Stream, refused bool, err error)
}

// Stream brings requests to a gateway's Handle, one after the other, without waiting for what
// that returns.
type Stream interface {
	// Send sends a request. Only one may be sent at a time. It may be lost if the stream breaks.
	Send(request []byte) error
	// Done is closed when the stream is broken: the other process or the path to it is gone,
	// or what was sent was not taken in time.
	Done() <-chan struct{}
	Close()
}

// Config is what a Member is made of. Zero means the default where one is given.
type Config struct {
	Dir   string   // where the log is; needed
	Name  string   // host:port of this gateway's front; needed
	Peers []string // those of the other gateways of the catalog

	// Slices are the servers of each slice, and Appliers the gateway that applies to each
	// server.
	Slices   [][]string
	Appliers map[string]string
	// Catalog is what a log begins with, for the gateways of it; nil: a log that has none. Sum names
	// it: gateways with different ones begin no log together.
	Catalog func(gateways []string) *writelog.Catalog
	Sum     string

	Transport Transport // needed if there are Peers
	// Committed is handed the entries that are committed, in order; upTo is the index of
	// the last. It must not wait.
	Committed func(upTo uint64, entries []writelog.Committed)
	// Changed is called when the View has changed. It must not wait.
	Changed func(*View)
	// Asked answers what another gateway of the log asks by Ask; nil: nothing.
	Asked func(ctx context.Context, question []byte) ([]byte, error)

	MaxBytes  int64                // of the log on disk; default 1 GiB
	Lease     time.Duration        // see writelog.Config
	WriteWait time.Duration        // see writelog.Config
	Tick      time.Duration        // see writelog.Config
	Now       func() time.Duration // default: the host's clock since its boot
	Log       *slog.Logger         // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.Tick == 0 {
		c.Tick = writelog.DefaultTick
	}
	if c.Now == nil {
		c.Now = sinceBoot
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Committed == nil {
		c.Committed = func(uint64, []writelog.Committed) {}
	}
	if c.Changed == nil {
		c.Changed = func(*View) {}
	}
	return c
}

// Validate returns all faults of a configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("member: no directory for the log"))
	}
	if c.Name == "" {
		errs = append(errs, errors.New("member: no name"))
	}
	if len(c.Peers) > 0 && c.Transport == nil {
		errs = append(errs, errors.New("member: no way to the other gateways"))
	}
	if c.MaxBytes < 0 || c.Lease < 0 || c.WriteWait < 0 || c.Tick < 0 {
		errs = append(errs, errors.New("member: a bound is negative"))
	}
	return errors.Join(errs...)
}

// View is what a gateway goes by. It does not change.
type View struct {
	Formed  bool   // there is a log, and this gateway belongs to it
	Cluster uint64 // names the log
	Epoch   uint64
	Self    uint64 // this member's id
	Founder bool   // it is one of those that the log began with
	Leader  string // the gateway that leads; "" if none is known
	Term    uint64
	Index   uint64 // of the last entry taken over
	// Out are the servers outside of the read set, with the index of the entry that said so.
	Out     map[string]uint64
	Members []string // the gateways of the log
	Fault   string   // why nothing goes on; "" if it does
	// Catalog holds since entry CatalogAt; 0: the log has none. Earlier are the names of those before.
	Catalog   *writelog.Catalog
	CatalogAt uint64
	Earlier   []string
	// Since are the servers that a catalog has added, with its index.
	Since map[string]uint64
	// Drained are the servers that somebody wants out of the read set.
	Drained map[string]uint64
	ids     map[uint64]bool // of the members

	leader  uint64
	changed chan struct{} // closed when another view has taken its place
}

// Member is one gateway's part of the log. Its methods may be called concurrently.
type Member struct {
	cfg   Config
	log   *slog.Logger
	store *store.Log
	id    uint64 // random, of the directory: a log that is lost comes back under another
	boot  uint64 // of this process

	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	inbox   chan func(now time.Duration)
	opening chan struct{} // holds one: a write opens the session
	view    atomic.Pointer[View]
	lease   lease
	said    said
	peers   senders
	others  others
	asked   asking

	// Owned by the loop.
	machine *writelog.Machine
	waiters map[writelog.WriteID][]waiter
	skipped skips
	failure error             // why the loop ends
	hard    *raftpb.HardState // the newest
	unsaved bool              // and it is not on the disk

	mu       sync.Mutex
	number   uint64
	waiting  map[uint64]bool // numbers of writes that clients wait for
	founders map[uint64]string
	beyond   map[string]bool   // gateways that this one does not reach now
	heard    map[uint64]string // the names of members that have sent something
	isOpen   atomic.Bool
}

// Open opens the log and starts the member. It has no part in any log before it has
// formed a group with the others or has been let into theirs, by itself.
func Open(cfg Config) (*Member, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l, err := store.Open(cfg.Dir, store.Options{MaxBytes: 2 * cfg.MaxBytes, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	m := &Member{
		cfg: cfg, log: cfg.Log, store: l, inbox: make(chan func(time.Duration), 4096), opening: make(chan struct{}, 1),
		waiters: make(map[writelog.WriteID][]waiter),
		peers:   senders{list: make(map[uint64]*sender)}, asked: asking{list: make(map[writelog.WriteID]*asked)},
		waiting: make(map[uint64]bool), heard: make(map[uint64]string), beyond: make(map[string]bool), boot: uint64(time.Now().UnixNano()),
	}
	m.others.m, m.others.met = m, make(chan struct{})
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	m.view.Store(&View{changed: make(chan struct{})})
	saved, err := loadIdentity(cfg.Dir)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	m.id, m.founders = saved.Member, saved.Founders
	m.start(m.run)
	m.start(m.others.watch)
	return m, nil
}

func (m *Member) start(f func()) {
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		f()
	}()
}

// Close ends the member. Writes under way end with ErrStopped.
func (m *Member) Close() error {
	m.cancel(ErrStopped)
	m.wg.Wait()
	return m.store.Close()
}

// View returns what holds now.
func (m *Member) View() *View { return m.view.Load() }

// Size is how many bytes the log has, and how many it may have.
func (m *Member) Size() (size, most int64) { return m.store.Size(), m.cfg.MaxBytes }

// do has the loop call a function. There is no machine while the member has formed no group,
// and when it has failed; the function is called then too, since somebody may wait for it.
func (m *Member) do(f func(now time.Duration)) bool {
	select {
	case m.inbox <- f:
		return true
	case <-m.ctx.Done():
		return false
	}
}

// Applied says what a server answered to the entry at an index.
func (m *Member) Applied(server string, index uint64, a writelog.Answer) {
	m.said.by(m, func() { m.machine.Applied(server, index, a) })
}

// Progress says how far a server is: see writelog.Machine.Progress.
func (m *Member) Progress(server string, prefix, durable uint64, down bool) {
	m.said.by(m, func() { m.machine.Progress(server, prefix, durable, down) })
}

// Exchanged says that a server gets another database: see writelog.Machine.Exchanged.
func (m *Member) Exchanged(server string) {
	m.do(func(time.Duration) { m.machine.Exchanged(server) })
}

// Freeze has the loop stand still until a channel is closed, as that of a process that was
// stopped does. It is for tests.
func (m *Member) Freeze(until <-chan struct{}) {
	m.do(func(time.Duration) { <-until })
}

// Gone takes evidence that a gateway is not there: the list of live nodes says so.
func (m *Member) Gone(name string) {
	m.do(func(now time.Duration) { m.gone(now, name) })
}

func (m *Member) gone(now time.Duration, name string) {
	if m.machine == nil {
		return
	}
	for id, member := range m.machine.State().Members { // order-free: at most one
		if member.Name != name || id == m.id {
			continue
		}
		m.machine.Unreachable(id)
		if m.machine.Leader() == id {
			m.machine.LeaderLost(now, m.turn())
		}
	}
}

// checkpoints is how many places a full log can be cut at, at least.
const checkpoints = 16

// turn keeps the gateways apart that hear at about the same time that the leader is gone,
// and gives all of them time to hear it: who has not still votes for nobody.
func (m *Member) turn() time.Duration {
	names := append(slices.Clone(m.cfg.Peers), m.cfg.Name)
	slices.Sort(names)
	return time.Duration(3+2*slices.Index(names, m.cfg.Name)) * m.cfg.Tick
}

// run forms a group or finds the one that there is, and goes on as its member.
func (m *Member) run() {
	if err := m.form(); err != nil {
		m.fail(err)
		return
	}
	machine, err := writelog.New(writelog.Config{
		Self: m.id, Boot: m.boot, Storage: m.store, Slices: m.cfg.Slices, Reporters: m.cfg.Appliers,
		Catalog: m.cfg.Catalog, Tick: m.cfg.Tick, Lease: m.cfg.Lease, WriteWait: m.cfg.WriteWait,
		CheckpointBytes: int(min(writelog.DefaultCheckpointBytes, m.cfg.MaxBytes/checkpoints)),
	})
	if err != nil {
		m.fail(err)
		return
	}
	m.machine = machine
	m.look()
	m.others.judge(m.View(), m.others.greetAll(m.others.known())) // before it takes part in anything
	m.others.meet()
	if err := m.loop(); err != nil {
		m.fail(err)
	}
}

// fail says why the member does nothing any more. It goes on to answer that.
func (m *Member) fail(err error) {
	if m.ctx.Err() != nil {
		return
	}
	m.log.Error("log of writes", "error", err)
	v := *m.View()
	v.Fault, v.Leader, v.leader, v.Formed = err.Error(), "", 0, false
	m.publish(&v)
	m.lease.set(0)
	if errors.Is(err, ErrRemoved) || errors.Is(err, ErrLeftBehind) {
		m.others.barForGood(err.Error())
	}
	for id := range m.waiters { // order-free: each by itself
		m.tell(&writelog.Outcome{ID: id, Err: writelog.ErrUnconfirmed})
	}
	m.machine = nil
	for {
		select {
		case f := <-m.inbox:
			f(m.cfg.Now())
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *Member) publish(v *View) {
	old := m.View()
	v.changed = make(chan struct{})
	m.view.Store(v)
	close(old.changed)
	m.cfg.Changed(v)
}

// loop ends with the member, or when its log cannot be trusted any more: with the disk's
// fault, or with the engine's, which panics when its storage does.
func (m *Member) loop() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the log cannot be gone on with: %v", p)
		}
	}()
	ticks := newTicker(m.cfg.Tick)
	defer ticks.timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return nil
		case f := <-m.inbox:
			f(m.cfg.Now())
			m.drain()
		case <-ticks.timer.C:
			for range ticks.fired(time.Now()) {
				m.machine.Tick(m.cfg.Now())
			}
			m.peers.hurry()
		}
		if m.failure != nil {
			return m.failure
		}
		if err := m.turnOver(); err != nil {
			return fmt.Errorf("the disk of the log: %w; mend it, and start the gateway again", err)
		}
		ticks.next(time.Now(), m.machine.Rest(m.cfg.Now()))
	}
}

// drain takes what else is there, so that one write to the disk serves all of it.
func (m *Member) drain() {
	for range cap(m.inbox) {
		select {
		case f := <-m.inbox:
			f(m.cfg.Now())
		default:
			return
		}
	}
}

// turnOver carries out what the machine wants done.
func (m *Member) turnOver() error {
	for {
		o := m.machine.Output(m.cfg.Now())
		if o.Empty() {
			m.look()
			return nil
		}
		if err := m.carryOut(o); err != nil {
			return err
		}
		m.machine.Advance()
	}
}

func (m *Member) carryOut(o *writelog.Output) error {
	m.send(o.First)
	if err := m.save(o); err != nil {
		return err
	}
	m.send(o.Raft)
	for _, msg := range o.Peer {
		if s := m.sender(msg.To); s != nil {
			s.push(queued{peer: msg.Encode()})
		}
	}
	if len(o.Committed) > 0 || o.Snapshot != nil {
		// Before the leader hears that this member goes by it, and before appliers see the entries:
		// those after a change of the catalog are not for the appliers of before.
		m.look()
	}
	for i := range o.Committed {
		m.skipped.note(&o.Committed[i])
	}
	if n := len(o.Committed); n > 0 {
		m.cfg.Committed(o.Committed[n-1].Index, o.Committed)
	}
	for i := range o.Outcomes {
		m.tell(&o.Outcomes[i])
	}
	if o.Checkpoint != nil {
		m.skipped.cut(o.Checkpoint.GetMetadata().GetIndex())
		if err := m.flush(nil, nil); err != nil { // the log is cut at what it knows to be committed
			return err
		}
		return m.store.Checkpoint(o.Checkpoint)
	}
	return nil
}

// save makes durable what has to be. How far the log is committed need not be: it is learned
// anew, and goes with the next entries, so that a write costs one fsync and not two.
func (m *Member) save(o *writelog.Output) error {
	old, next := m.hard, o.Save
	if next != nil {
		m.hard = next
		m.unsaved = true
	}
	voted := next != nil && (old == nil || old.GetTerm() != next.GetTerm() || old.GetVote() != next.GetVote())
	if !voted && len(o.Entries) == 0 && o.Snapshot == nil {
		return nil
	}
	return m.flush(o.Entries, o.Snapshot)
}

func (m *Member) flush(entries []*raftpb.Entry, snap *raftpb.Snapshot) error {
	var hard *raftpb.HardState
	if m.unsaved {
		hard = m.hard
	}
	if hard == nil && len(entries) == 0 && snap == nil {
		return nil
	}
	m.unsaved = false
	return m.store.Save(hard, entries, snap)
}

func (m *Member) send(list []*raftpb.Message) {
	for _, msg := range list {
		s := m.sender(msg.GetTo())
		if s == nil {
			continue
		}
		q := queued{raft: marshal(msg), snapshot: msg.GetType() == raftpb.MsgSnap}
		if s.canWait(msg) {
			s.put(q)
		} else {
			s.push(q)
		}
	}
}

// look publishes what has changed.
func (m *Member) look() {
	m.lease.set(m.machine.LeaseUntil())
	s, old := m.machine.State(), m.View()
	leader := m.machine.Leader()
	if old.Formed && old.Term == m.machine.Term() && old.leader == leader && !changedState(old, s) {
		return
	}
	v := &View{
		Formed: true, Founder: m.founder(), Cluster: s.Cluster, Epoch: s.Epoch, Self: m.id, Term: m.machine.Term(), Index: s.Index,
		Out: maps.Clone(s.Out), leader: leader, Leader: s.Members[leader].Name,
	}
	if v.Catalog = old.Catalog; s.CatalogAt != old.CatalogAt {
		c := s.Catalog
		v.Catalog = &c
	}
	v.CatalogAt, v.Earlier, v.Since, v.ids = s.CatalogAt, slices.Clone(s.Earlier), maps.Clone(s.Since), make(map[uint64]bool)
	for id, of := range s.Members { // order-free: sorted below
		v.Members = append(v.Members, of.Name)
		v.ids[id] = true
	}
	slices.Sort(v.Members)
	v.Drained = maps.Clone(s.Drained)
	if old.ids[m.id] && !v.ids[m.id] {
		m.failure = ErrRemoved
	}
	m.publish(v)
}

func (m *Member) founder() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.founders[m.id] != ""
}

func changedState(old *View, s *writelog.State) bool {
	if len(old.Members) != len(s.Members) || old.Cluster != s.Cluster || old.CatalogAt != s.CatalogAt {
		return true
	}
	if !maps.Equal(s.Out, old.Out) || !maps.Equal(s.Drained, old.Drained) {
		return true
	}
	for _, of := range s.Members { // order-free: any will do
		if _, ok := slices.BinarySearchFunc(old.Members, of.Name, strings.Compare); !ok {
			return true
		}
	}
	return false
}

func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])>>1 | 1
}
