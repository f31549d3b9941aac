package writelog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// What a write may be refused with.
var (
	// ErrNotLeader says that another member has to be asked; nothing was proposed.
	ErrNotLeader = errors.New("this gateway does not lead the log")
	// ErrDropped says that the write is over without having been done, and will not be.
	ErrDropped = errors.New("the write was given up before it was done")
	// ErrAnswerGone says that the write was done, and that what the servers answered is
	// not known any more.
	ErrAnswerGone = errors.New("the write was done; its answer is not kept any more")
	// ErrUnconfirmed says that the write is in the log, perhaps, and that nobody knows
	// whether it will be done.
	ErrUnconfirmed = errors.New("whether the write is done is not known")
	// ErrOtherCatalog says that the write was made for another catalog than the one that holds.
	// It was not done and will not be; made anew it may be.
	ErrOtherCatalog = errors.New("the catalog has changed")
	// ErrBusy says that too much is under way; nothing was proposed.
	ErrBusy = errors.New("too many writes are under way")
)

// The defaults of Config.
const (
	DefaultTick         = 15 * time.Millisecond
	DefaultElectionTick = 16 // 240 to 480 ms
	DefaultLease        = 150 * time.Millisecond
	DefaultWriteWait    = 300 * time.Millisecond
)

const (
	// drift is by how much more the leader counts a lease than its holder does: clocks
	// that differ by one in ten.
	drift = 10
	// checkpointEvery is after so many entries a state is kept to which the log can be cut.
	checkpointEvery = 1024
	// DefaultCheckpointBytes is after how many bytes of entries one is.
	DefaultCheckpointBytes = 16 << 20
	maxCheckpoints         = 64
	maxCommitted           = 4 << 20
	maxUncommitted         = 64 << 20
	maxAppend              = 1 << 20
	maxInflight            = 256
	// standAgain is after how many ticks who stood for election on evidence stands again: the
	// others may not have had it.
	standAgain = 8
	// restTicks is how many ticks pass as one while nothing waits for any of them, and how many
	// lie between two heartbeats.
	restTicks = 4
)

// Config is what a Machine is made of.
type Config struct {
	Self    uint64       // this member's id
	Boot    uint64       // names this process: greater than those of earlier ones
	Storage raft.Storage // its log; the state of its snapshot is where the Machine begins
	// Slices are the servers of each slice: of those of one, one at least stays in the
	// read set.
	Slices [][]string
	// Reporters names, for a server, the member that applies entries to it: its name in
	// State.Members.
	Reporters map[string]string
	// Catalog is what a log begins with that has no catalog yet, for these gateways; nil: it gets
	// none. Then Slices and Reporters say no more.
	Catalog func(gateways []string) *Catalog

	Tick         time.Duration // how often Tick is called; 0 is the default, as below
	ElectionTick int           // ticks without a leader before an election
	Lease        time.Duration // how long a lease lasts
	WriteWait    time.Duration // how long a write waits for a slow server of its slice
	// CheckpointBytes is after so many bytes of entries the log can be cut: a small part of
	// what it may have, or it would be full for good; 0 is DefaultCheckpointBytes.
	CheckpointBytes int
	Logger          raft.Logger // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	if c.Tick == 0 {
		c.Tick = DefaultTick
	}
	if c.ElectionTick == 0 {
		c.ElectionTick = DefaultElectionTick
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.WriteWait == 0 {
		c.WriteWait = DefaultWriteWait
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = DefaultCheckpointBytes
	}
	if c.Logger == nil {
		c.Logger = silent{}
	}
	return c
}

// checkpoint is a state to which the log can be cut.
type checkpoint struct {
	index, term uint64
	conf        *raftpb.ConfState
	data        []byte
}

// Machine is a member of the log. It is not safe for concurrent use.
type Machine struct {
	cfg         Config
	raft        *raft.RawNode
	state       *State
	conf        *raftpb.ConfState
	slices      [][]string        // as the catalog has them
	reporters   map[string]string // as the catalog has them
	checkpoints []checkpoint
	fresh       int    // entries applied since the last checkpoint
	freshBytes  int    // their bytes
	cut         uint64 // the log was cut here

	leader   uint64
	term     uint64
	lost     time.Duration // since when a broken link speaks against the leader; 0: none does
	holder   holder
	local    map[string]*localServer
	lead     *lead // nil: another member leads
	out      Output
	advance  bool
	safe     uint64
	reported time.Duration
	confirm  bool // the read set has changed: the leader is to hear of it now
}

// New makes a Machine of what the storage holds.
func New(cfg Config) (*Machine, error) {
	cfg = cfg.withDefaults()
	snap, err := cfg.Storage.Snapshot()
	if err != nil {
		return nil, err
	}
	m := &Machine{cfg: cfg, local: make(map[string]*localServer)}
	m.holder.init(cfg.Lease)
	if err := m.restore(snap); err != nil {
		return nil, err
	}
	m.raft, err = raft.NewRawNode(&raft.Config{
		ID: cfg.Self, ElectionTick: cfg.ElectionTick, HeartbeatTick: restTicks,
		Storage: joinable{cfg.Storage, m}, Applied: m.state.Index,
		MaxSizePerMsg: maxAppend, MaxCommittedSizePerReady: maxCommitted,
		MaxUncommittedEntriesSize: maxUncommitted, MaxInflightMsgs: maxInflight,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if c := m.conf; len(c.Voters) == 1 && c.Voters[0] == cfg.Self && len(c.VotersOutgoing) == 0 {
		return m, m.raft.Campaign() // it need not wait for anybody
	}
	return m, nil
}

// joinable is the storage as the engine sees it. A member takes a snapshot only if its
// configuration names it, and one that has joined since the snapshot was made is not in it:
// so it is put there, without a vote. The entry by which it joined follows, and finds it
// there.
type joinable struct {
	raft.Storage
	m *Machine
}

func (s joinable) Snapshot() (*raftpb.Snapshot, error) {
	snap, err := s.Storage.Snapshot()
	if err != nil || s.m.conf == nil {
		return snap, err
	}
	old := snap.GetMetadata().GetConfState()
	known := slices.Concat(old.GetVoters(), old.GetLearners(), old.GetVotersOutgoing(), old.GetLearnersNext())
	var missing []uint64
	for _, id := range slices.Concat(s.m.conf.GetLearners(), s.m.conf.GetVoters()) {
		if !slices.Contains(known, id) && !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return snap, nil
	}
	snap = proto.Clone(snap).(*raftpb.Snapshot)
	conf := snap.GetMetadata().GetConfState()
	conf.Learners = append(conf.Learners, missing...)
	return snap, nil
}

// Found is the snapshot that a new log begins with: the same at all of its first members.
// Without a catalog the log has none.
func Found(cluster uint64, members map[uint64]Member, voters []uint64, c *Catalog) *raftpb.Snapshot {
	s := NewState(cluster, members)
	s.Index = 1
	if c != nil {
		s.Catalog, s.CatalogAt, s.Settled = *c, 1, true
	}
	return &raftpb.Snapshot{
		Data: s.Encode(),
		Metadata: &raftpb.SnapshotMetadata{
			Index: proto.Uint64(1), Term: proto.Uint64(1), ConfState: &raftpb.ConfState{Voters: voters},
		},
	}
}

func (m *Machine) restore(snap *raftpb.Snapshot) error {
	if raft.IsEmptySnap(snap) { // it has joined, and the leader will send it one
		m.state, m.conf = NewState(0, make(map[uint64]Member)), &raftpb.ConfState{}
		m.cluster()
		return nil
	}
	s, err := DecodeState(snap.GetData())
	if err != nil {
		return err
	}
	if s.Index != snap.GetMetadata().GetIndex() {
		return fmt.Errorf("state of the log: of entry %d, in a snapshot of entry %d", s.Index, snap.GetMetadata().GetIndex())
	}
	m.state, m.cut = s, s.Index
	m.conf = snap.GetMetadata().GetConfState()
	m.checkpoints, m.fresh, m.freshBytes = nil, 0, 0
	m.cluster()
	return nil
}

// State is the state as of the last entry applied. It is only to be read, and only until
// the next call.
func (m *Machine) State() *State { return m.state }

// Leader is the id of the member that leads, 0 if none is known.
func (m *Machine) Leader() uint64 { return m.leader }

// Leads reports whether this member leads and has applied all that earlier leaders did.
func (m *Machine) Leads() bool { return m.lead != nil && m.lead.ready }

// Term is Raft's.
func (m *Machine) Term() uint64 { return m.term }

// Safe is the index up to which entries are on the disk of every server and member, as
// the leader said last.
func (m *Machine) Safe() uint64 { return m.safe }

// Rest is after how many times Config.Tick Tick has to be called next, as many times: one, unless there is a
// leader and neither a write, nor a search, nor an election waits for time to pass.
func (m *Machine) Rest(now time.Duration) int {
	if m.leader == 0 || m.lost != 0 || now < m.holder.read {
		return 1
	}
	if l := m.lead; l != nil && (!l.ready || now < l.safeAt || len(l.pending) > 0) {
		return 1
	}
	return restTicks
}

// Tick is called every Config.Tick, or as Rest says.
func (m *Machine) Tick(now time.Duration) {
	m.raft.Tick()
	if m.lost != 0 && now >= m.lost {
		m.lost = now + standAgain*m.cfg.Tick
		if m.leader == 0 || m.lead == nil {
			_ = m.raft.Campaign()
		}
	}
	if m.lead != nil {
		m.lead.tick(m, now)
	}
	m.report(now)
}

// Step takes a message of Raft's. It takes over the message.
func (m *Machine) Step(now time.Duration, msg *raftpb.Message) {
	if msg.GetTo() != m.cfg.Self {
		return // for the member that this gateway was before it lost its log
	}
	// What the engine refuses is a message of a member that is none, or one that makes no
	// sense: nothing is changed by it.
	_ = m.raft.Step(msg)
	m.look(now)
}

// Hear takes a message of another member.
func (m *Machine) Hear(now time.Duration, msg *Message) {
	if msg.To != m.cfg.Self {
		return
	}
	switch {
	case msg.Report != nil && m.lead != nil && msg.Report.Term == m.term:
		m.lead.hear(m, now, msg.From, msg.Report)
	case msg.Reply != nil && msg.From == m.leader && msg.Reply.Term == m.term && msg.Reply.Boot == m.cfg.Boot:
		m.hearReply(msg.Reply)
	}
}

// LeaderLost takes evidence that the leader is gone: its link broke, the list of live
// nodes has it dead. wait keeps those that hear of it at once from all standing for
// election at once.
func (m *Machine) LeaderLost(now, wait time.Duration) {
	if m.lead != nil || m.leader == 0 || m.lost != 0 {
		return
	}
	_ = m.raft.ForgetLeader()
	m.lost = now + max(wait, 1)
	m.look(now)
}

// Unreachable takes evidence that a member cannot be reached: a leader stops sending it
// more than it can take, and its servers are not waited for.
func (m *Machine) Unreachable(id uint64) {
	m.raft.ReportUnreachable(id)
	if m.lead != nil {
		m.lead.unreachable(id)
	}
}

// SnapshotSent tells what became of a snapshot that was sent to a member.
func (m *Machine) SnapshotSent(id uint64, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	m.raft.ReportSnapshot(id, status)
}

// Transfer hands leadership to another member, if this one has it.
func (m *Machine) Transfer() {
	if m.lead == nil {
		return
	}
	if to := m.lead.best(m); to != 0 {
		m.raft.TransferLeader(to)
	}
}

// look takes over who leads.
func (m *Machine) look(now time.Duration) {
	s := m.raft.BasicStatus()
	leads := s.RaftState == raft.StateLeader
	term := s.HardState.GetTerm()
	if s.Lead == m.leader && term == m.term && leads == (m.lead != nil) {
		return
	}
	if m.lead != nil && (!leads || term != m.term) {
		m.lead.end(m)
		m.lead = nil
	}
	m.leader, m.term = s.Lead, term
	if s.Lead != 0 {
		m.lost = 0
	}
	for _, l := range m.local { // order-free: each by itself
		l.resend()
	}
	if leads && m.lead == nil {
		m.lead = newLead(m, now)
	}
	m.confirm = true
}

// silent is a logger that says nothing.
type silent struct{}

func (silent) Debug(...any)              {}
func (silent) Debugf(string, ...any)     {}
func (silent) Error(...any)              {}
func (silent) Errorf(string, ...any)     {}
func (silent) Info(...any)               {}
func (silent) Infof(string, ...any)      {}
func (silent) Warning(...any)            {}
func (silent) Warningf(string, ...any)   {}
func (silent) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (silent) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (silent) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (silent) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
