package writelog

import (
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

const (
	// maxPending bounds the writes that wait for an answer.
	maxPending = 8192
	// forgetAfter is after how long a write is not waited for any more.
	forgetAfter = 2 * time.Minute
	// changeEvery is the least time between two changes of the members.
	changeEvery = 500 * time.Millisecond
	// nearly is how many entries a server may lack for writes to wait for it again.
	nearly = 256
)

// lead is what a leader knows beside the state; it is lost with its term.
type lead struct {
	ready  bool          // all that earlier leaders committed is applied
	safeAt time.Duration // leases that an earlier leader granted are over

	pending map[WriteID]*pending
	byIndex map[uint64][]*pending
	servers map[string]*remote
	members map[uint64]*follower

	asks    map[uint64]uint64 // leases asked for, by member: the reports
	inRound map[uint64]uint64 // those of the round under way
	rounds  uint64
	roundAt time.Duration

	recheck bool // what writes wait for has changed
	changed time.Duration

	adopting bool   // a catalog is proposed for a log that has none
	settled  uint64 // nobody answers searches by a catalog before that of this entry
}

// pending is a write that waits to be acknowledged.
type pending struct {
	id     WriteID
	shares []Share
	index  uint64 // 0: not committed yet
	since  time.Duration
	first  []time.Duration // by share: when the first of its servers had it
}

// follower is what is known of a member.
type follower struct {
	boot, seq uint64        // of its last report
	confirmed uint64        // it goes by the read set as of this index
	until     time.Duration // it may hold a lease until then
	gone      bool          // it cannot be reached
	catalogs  bool          // it knows what a catalog in the log is
	got       []uint64      // its reports with answers, which it does not yet know to have arrived
}

func newLead(m *Machine, now time.Duration) *lead {
	l := &lead{
		safeAt:  now + m.cfg.Lease + m.cfg.Lease/drift,
		pending: make(map[WriteID]*pending), byIndex: make(map[uint64][]*pending),
		servers: make(map[string]*remote), members: make(map[uint64]*follower),
		asks: make(map[uint64]uint64), inRound: make(map[uint64]uint64),
	}
	for server := range m.reporters { // order-free: into another map
		l.server(server)
	}
	return l
}

func (l *lead) member(id uint64) *follower {
	f := l.members[id]
	if f == nil {
		f = &follower{until: l.safeAt}
		l.members[id] = f
	}
	return f
}

// Propose puts a write into the log. Its outcome comes with an Output; a write that was
// proposed before under the same name is not done again. ErrNotLeader and ErrBusy say
// that nothing was proposed.
func (m *Machine) Propose(now time.Duration, e *Entry) error {
	m.look(now)
	if m.lead == nil || !m.lead.ready {
		return ErrNotLeader
	}
	if e.Op != OpWrite {
		return m.append(e)
	}
	l := m.lead
	if l.pending[e.ID] != nil {
		return nil // it waits
	}
	if len(l.pending) >= maxPending {
		return ErrBusy
	}
	p := &pending{id: e.ID, shares: e.Shares, since: now, first: make([]time.Duration, len(e.Shares))}
	switch v, of := m.state.look(e.ID, e.Request); {
	case v == Dropped:
		return ErrDropped
	case v == Duplicate:
		l.pending[e.ID] = p
		l.place(p, of)
		return nil
	case e.Catalog > m.state.CatalogAt:
		return ErrBusy
	case e.Catalog < m.state.CatalogAt:
		return ErrOtherCatalog
	}
	if err := m.append(e); err != nil {
		return err
	}
	l.pending[e.ID] = p
	return nil
}

func (m *Machine) append(e *Entry) error {
	if err := m.raft.Propose(e.Encode()); err != nil {
		return ErrBusy // the engine has appended nothing
	}
	return nil
}

// place notes at which index a write was executed.
func (l *lead) place(p *pending, index uint64) {
	p.index = index
	l.byIndex[index] = append(l.byIndex[index], p)
	l.recheck = true
}

// committed takes an entry that was applied to the state.
func (l *lead) committed(m *Machine, c *Committed) {
	if c.Term == m.term && !l.ready {
		l.ready = true
		for _, r := range l.servers { // order-free: each by itself
			r.over = max(r.over, c.Index) // who knows what an earlier leader acknowledged without it
		}
	}
	if c.Entry == nil {
		return
	}
	switch c.Entry.Op {
	case OpReadSet:
		r := l.server(c.Entry.Server)
		r.leaving, r.entering = false, false
		if c.Entry.Out {
			r.returning = false
		}
		l.recheck = true
	case OpDrain:
		r := l.server(c.Entry.Server)
		r.returning, r.entering = false, false // if it is proposed that it enters, that is for nothing
		l.recheck = true
	case OpCatalog:
		if l.adopting = false; c.Verdict == Execute {
			l.switched(m, c.Index)
		}
	case OpWrite:
		p := l.pending[c.Entry.ID]
		if p == nil || p.index != 0 {
			return
		}
		if c.Verdict == Outdated {
			l.finish(m, p, nil, ErrOtherCatalog)
			return
		}
		if c.Verdict == Dropped {
			l.finish(m, p, nil, ErrDropped)
			return
		}
		l.place(p, c.Of)
	}
}

// hear takes the report of a member.
func (l *lead) hear(m *Machine, now time.Duration, from uint64, rep *Report) {
	if _, ok := m.state.Members[from]; !ok {
		return
	}
	f := l.member(from)
	if rep.Boot < f.boot || rep.Boot == f.boot && rep.Seq <= f.seq {
		return // overtaken
	}
	// What an earlier process had applied says nothing about this one.
	l.recheck = l.recheck || f.gone || rep.Confirmed > f.confirmed
	if f.boot != rep.Boot {
		f.got = nil
	}
	f.boot, f.seq, f.gone, f.confirmed, f.catalogs = rep.Boot, rep.Seq, false, rep.Confirmed, rep.Catalogs
	answers := false
	for i := range rep.Servers {
		answers = answers || len(rep.Servers[i].Answers) > 0
		if rep.Confirmed < m.state.Since[rep.Servers[i].Server] {
			continue // of the time before it was added
		}
		l.takeReport(m, from, &rep.Servers[i])
	}
	if rep.Ask && rep.Confirmed >= m.lastSwitch() {
		l.asks[from] = rep.Seq
		l.ask(m, now)
	}
	if !answers {
		return
	}
	if from == m.cfg.Self {
		m.hearReply(&Reply{Got: []uint64{rep.Seq}})
		return
	}
	f.got = append(f.got, rep.Seq)
}

// reply answers a member: seq is the report with which it asked for a lease that it is
// granted, or 0.
func (l *lead) reply(m *Machine, id, seq uint64) {
	f := l.member(id)
	r := &Reply{Term: m.term, Boot: f.boot, Got: f.got, Granted: seq, Safe: m.safe}
	f.got = nil
	if id == m.cfg.Self {
		m.hearReply(r)
		return
	}
	m.out.Peer = append(m.out.Peer, &Message{To: id, From: m.cfg.Self, Reply: r})
}

// ask begins a round in which a majority says that this member leads, so that leases can
// be granted: whoever leads next was elected by one of those who said so, later, and
// waits as long as a lease lasts.
func (l *lead) ask(m *Machine, now time.Duration) {
	if len(l.asks) == 0 || len(l.inRound) > 0 && now-l.roundAt < m.cfg.Lease/reportEvery {
		return
	}
	l.rounds++
	l.inRound, l.asks = l.asks, make(map[uint64]uint64)
	l.roundAt = now
	m.raft.ReadIndex(binary.AppendUvarint(nil, l.rounds))
}

// round grants the leases of a round.
func (l *lead) round(m *Machine, now time.Duration, rs raft.ReadState) {
	n, _ := binary.Uvarint(rs.RequestCtx)
	if n != l.rounds {
		return
	}
	for _, id := range sortedKeys(l.inRound) {
		seq := l.inRound[id]
		f := l.member(id)
		if seq > f.seq {
			continue // of an earlier process
		}
		if f.confirmed < m.lastSwitch() {
			continue // it may answer from a server that writes are acknowledged without
		}
		f.until = max(f.until, now+m.cfg.Lease+m.cfg.Lease/drift)
		l.reply(m, id, seq)
	}
	l.inRound = make(map[uint64]uint64)
	l.ask(m, now)
}

// lastOut is the newest entry by which a server that is out has left the read set: who
// does not know it must not have a lease.
func (m *Machine) lastOut() (index uint64) {
	for _, at := range m.state.Out { // order-free: the greatest
		index = max(index, at)
	}
	return index
}

// everybodyKnows reports whether nobody answers searches by a read set that is older than
// an index.
func (l *lead) everybodyKnows(m *Machine, now time.Duration, index uint64) bool {
	for id := range m.state.Members { // order-free: all are asked
		if f := l.member(id); f.confirmed < index && now < f.until {
			return false
		}
	}
	return true
}

func (l *lead) unreachable(id uint64) {
	f := l.member(id)
	if !f.gone {
		f.gone = true
		l.recheck = true
	}
}

// tick does what time brings about.
func (l *lead) tick(m *Machine, now time.Duration) {
	l.recheck = true
	for _, id := range sortedKeys(l.members) {
		if len(l.members[id].got) > 0 {
			l.reply(m, id, 0)
		}
	}
	for _, p := range l.sorted() {
		if now-p.since > forgetAfter {
			l.finish(m, p, nil, ErrUnconfirmed)
		}
	}
	if l.ready {
		l.manage(m, now)
		l.promote(m, now)
		l.adopt(m, now)
		l.retire(m, now)
		l.findSafe(m)
	}
}

// settle acknowledges what can be.
func (l *lead) settle(m *Machine, now time.Duration) {
	if !l.recheck || !l.ready {
		return
	}
	if !l.everybodySwitched(m, now) {
		return
	}
	l.recheck = false
	for _, p := range l.sorted() {
		if p.index != 0 {
			l.check(m, now, p)
		}
	}
}

// sorted are the writes that wait, in the order of their names.
func (l *lead) sorted() []*pending {
	list := make([]*pending, 0, len(l.pending))
	for _, p := range l.pending { // order-free: sorted below
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pending) int {
		switch {
		case a.index != b.index && a.index < b.index:
			return -1
		case a.index != b.index:
			return 1
		}
		return compareIDs(a.id, b.id)
	})
	return list
}

// check acknowledges a write if of each share one server has it, and each other one has
// it too or is known by everybody to be out of the read set.
func (l *lead) check(m *Machine, now time.Duration, p *pending) {
	answers := make([]Answer, len(p.shares))
	gone := false
	var over []*remote
	done := true
	for i, s := range p.shares {
		answer, known, got := l.answer(s, p.index)
		if got && p.first[i] == 0 {
			p.first[i] = max(now, 1)
		}
		if !got {
			done = false
			continue
		}
		answers[i], gone = answer, gone || !known
		for _, server := range s.Servers {
			r := l.server(server)
			if r.has(p.index) || m.removed(server) {
				continue
			}
			at, out := m.state.Out[server]
			if out && !r.returning && !r.entering && l.everybodyKnows(m, now, at) {
				over = append(over, r)
				continue
			}
			done = false
			if !out && (l.absent(server) || now-p.first[i] >= m.cfg.WriteWait) {
				l.putOut(m, server, s.Servers, p.index)
			}
		}
	}
	if !done {
		return
	}
	for _, r := range over {
		r.over = max(r.over, p.index)
	}
	var err error
	if gone {
		answers, err = nil, ErrAnswerGone
	}
	l.finish(m, p, answers, err)
}

// answer is what the servers of a share say to the entry at an index: of those that have
// it the first that took it, else the first. known is false if one has it and none
// remembers what it said.
func (l *lead) answer(s Share, index uint64) (answer Answer, known, got bool) {
	for _, server := range s.Servers {
		r := l.server(server)
		if !r.has(index) {
			continue
		}
		got = true
		a, ok := r.answers[index]
		if !ok {
			a, ok = r.earlier[index]
		}
		if ok && (!known || a.Code == 0 && answer.Code != 0) {
			answer, known = a, true
		}
	}
	return answer, known, got
}

// finish ends the wait for a write.
func (l *lead) finish(m *Machine, p *pending, answers []Answer, err error) {
	delete(l.pending, p.id)
	if p.index != 0 {
		rest := slices.DeleteFunc(l.byIndex[p.index], func(o *pending) bool { return o == p })
		l.byIndex[p.index] = rest
		if len(rest) == 0 {
			delete(l.byIndex, p.index)
		}
	}
	m.out.Outcomes = append(m.out.Outcomes, Outcome{ID: p.id, Answers: answers, Err: err})
}

// end is called when the term is over.
func (l *lead) end(m *Machine) {
	for _, p := range l.sorted() {
		l.finish(m, p, nil, ErrUnconfirmed)
	}
}

// findSafe finds up to where every server and every member has the entries on its disk.
func (l *lead) findSafe(m *Machine) {
	safe := m.state.Index
	for server := range m.reporters { // order-free: the least of all
		safe = min(safe, l.server(server).durable)
	}
	m.raft.WithProgress(func(_ uint64, _ raft.ProgressType, pr tracker.Progress) { safe = min(safe, pr.Match) })
	m.safe = max(m.safe, safe)
}

// best is the member that leadership is best handed to; 0 is none.
func (l *lead) best(m *Machine) (id uint64) {
	var most uint64
	m.raft.WithProgress(func(of uint64, typ raft.ProgressType, pr tracker.Progress) {
		if of != m.cfg.Self && typ == raft.ProgressTypePeer && pr.RecentActive && pr.Match >= most {
			id, most = of, pr.Match
		}
	})
	return id
}

// Join proposes a member that has no vote yet. It takes the place of an earlier one of
// the same name, whose log is lost.
func (m *Machine) Join(now time.Duration, id uint64, name string) error {
	if m.lead == nil || !m.lead.ready {
		return ErrNotLeader
	}
	if _, ok := m.state.Members[id]; ok {
		return nil
	}
	change := &raftpb.ConfChangeV2{Context: []byte(name)}
	if old := m.state.member(name); old != 0 {
		change.Changes = append(change.Changes, single(raftpb.ConfChangeRemoveNode, old))
	}
	change.Changes = append(change.Changes, single(raftpb.ConfChangeAddLearnerNode, id))
	return m.change(now, change)
}

// Remove proposes to take a member out.
func (m *Machine) Remove(now time.Duration, id uint64) error {
	if m.lead == nil || !m.lead.ready {
		return ErrNotLeader
	}
	return m.change(now, &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{single(raftpb.ConfChangeRemoveNode, id)}})
}

func (m *Machine) change(now time.Duration, c *raftpb.ConfChangeV2) error {
	if now-m.lead.changed < changeEvery && m.lead.changed != 0 || len(m.conf.VotersOutgoing) > 0 {
		return ErrBusy
	}
	m.lead.changed = now
	if err := m.raft.ProposeConfChange(c); err != nil {
		return ErrBusy
	}
	return nil
}

func single(t raftpb.ConfChangeType, id uint64) *raftpb.ConfChangeSingle {
	return &raftpb.ConfChangeSingle{Type: t.Enum(), NodeId: proto.Uint64(id)}
}

// promote gives a vote to a member that has caught up.
func (l *lead) promote(m *Machine, now time.Duration) {
	if len(m.conf.Learners) == 0 {
		return
	}
	ready := uint64(0)
	m.raft.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if typ == raft.ProgressTypeLearner && pr.RecentActive && pr.Match+nearly >= m.state.Index {
			ready = id
		}
	})
	if ready != 0 {
		_ = m.change(now, &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{single(raftpb.ConfChangeAddNode, ready)}})
	}
}
