package writelog

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Committed is an entry that is in the log for good.
type Committed struct {
	Index   uint64
	Term    uint64
	Entry   *Entry  // nil: of Raft's own
	Verdict Verdict // of a write, or of a catalog
	Of      uint64  // of a duplicate: where it was executed; 0 if it never was
}

// Outcome is how a write ended that this member proposed.
type Outcome struct {
	ID      WriteID
	Answers []Answer // of each share
	Err     error
}

// Output is what the driver has to do after a turn, in this order: send First; make
// Save, Entries and Snapshot durable, in one go; send Raft and Peer; carry out
// Committed; tell Outcomes; cut the log at Checkpoint; call Advance. Messages may be
// lost, the rest may not. If the disk fails, the member is at an end: nothing that comes
// after may be done. All of it is valid until Advance.
type Output struct {
	First      []*raftpb.Message
	Save       *raftpb.HardState // nil: unchanged
	Entries    []*raftpb.Entry
	Snapshot   *raftpb.Snapshot // replaces the whole log; nil: none
	Raft       []*raftpb.Message
	Peer       []*Message
	Committed  []Committed
	Outcomes   []Outcome
	Checkpoint *raftpb.Snapshot // entries up to its index need not be kept; nil: all have to be
}

// Empty reports whether there is nothing to do.
func (o *Output) Empty() bool {
	return len(o.First)+len(o.Entries)+len(o.Raft)+len(o.Peer)+len(o.Committed)+len(o.Outcomes) == 0 &&
		o.Save == nil && o.Snapshot == nil && o.Checkpoint == nil
}

// Output returns what is to be done. It is called until what it returns is empty, each
// time after Advance.
func (m *Machine) Output(now time.Duration) *Output {
	for {
		m.look(now)
		m.report(now)
		if m.raft.HasReady() {
			m.ready(now, m.raft.Ready())
		}
		m.look(now)
		if m.lead != nil {
			m.lead.settle(m, now)
		}
		m.cutLog()
		if !m.out.Empty() || !m.advance {
			return &m.out
		}
		m.Advance() // who leads has changed, and no more
	}
}

// Advance says that the last output was carried out.
func (m *Machine) Advance() {
	m.out = Output{}
	if m.advance {
		m.advance = false
		m.raft.Advance(raft.Ready{})
	}
}

func (m *Machine) ready(now time.Duration, rd raft.Ready) {
	m.advance = true
	o := &m.out
	if !raft.IsEmptyHardState(rd.HardState) {
		o.Save = rd.HardState
	}
	o.Entries = rd.Entries
	if !raft.IsEmptySnap(rd.Snapshot) {
		o.Snapshot = rd.Snapshot
		if err := m.restore(rd.Snapshot); err != nil {
			panic("writelog: " + err.Error())
		}
	}
	for _, msg := range rd.Messages {
		// A leader's entries may be on their way while it writes them itself: it counts
		// itself among those that have them only once they are written.
		if m.lead != nil && msg.GetType() == raftpb.MsgApp {
			o.First = append(o.First, msg)
		} else {
			o.Raft = append(o.Raft, msg)
		}
	}
	for _, e := range rd.CommittedEntries {
		o.Committed = append(o.Committed, m.commit(e))
	}
	if m.lead != nil {
		for _, rs := range rd.ReadStates {
			m.lead.round(m, now, rs)
		}
	}
}

// commit applies an entry to the state.
func (m *Machine) commit(e *raftpb.Entry) Committed {
	c := Committed{Index: e.GetIndex(), Term: e.GetTerm()}
	switch e.GetType() {
	case raftpb.EntryConfChange, raftpb.EntryConfChangeV2:
		m.changeMembers(e)
	case raftpb.EntryNormal:
		if len(e.GetData()) == 0 {
			break
		}
		entry, err := DecodeEntry(e.GetData())
		if err != nil {
			panic("writelog: " + err.Error()) // it was proposed by this program
		}
		c.Entry = entry
	}
	if c.Entry == nil {
		m.state.Index = c.Index
	} else {
		c.Verdict, c.Of = m.state.apply(c.Index, c.Entry)
		m.confirm = m.confirm || c.Entry.Op == OpReadSet || c.Entry.Op == OpCatalog || c.Entry.Op == OpDrain
		if c.Entry.Op == OpCatalog {
			m.cluster()
		}
	}
	if m.lead != nil {
		m.lead.committed(m, &c)
	}
	m.fresh++
	m.freshBytes += len(e.GetData())
	if m.fresh >= checkpointEvery || m.freshBytes >= m.cfg.CheckpointBytes {
		m.keep(e)
	}
	return c
}

// changeMembers carries out a change of the members.
func (m *Machine) changeMembers(e *raftpb.Entry) {
	var change raftpb.ConfChangeV2
	if e.GetType() == raftpb.EntryConfChange {
		var v1 raftpb.ConfChange
		if err := proto.Unmarshal(e.GetData(), &v1); err != nil {
			panic("writelog: " + err.Error())
		}
		change.Changes = v1.AsV2().Changes
		change.Context = v1.Context
	} else if err := proto.Unmarshal(e.GetData(), &change); err != nil {
		panic("writelog: " + err.Error())
	}
	for _, c := range change.Changes {
		id := c.GetNodeId()
		switch c.GetType() {
		case raftpb.ConfChangeRemoveNode:
			delete(m.state.Members, id)
			delete(m.state.Sessions, id)
		case raftpb.ConfChangeAddLearnerNode, raftpb.ConfChangeAddNode:
			if len(change.Context) > 0 {
				m.state.Members[id] = Member{Name: string(change.Context)}
			}
		}
	}
	m.conf = m.raft.ApplyConfChange(&change)
}

// keep keeps the state as one to which the log can be cut.
func (m *Machine) keep(e *raftpb.Entry) {
	if len(m.conf.VotersOutgoing) > 0 {
		return // in the middle of a change
	}
	m.fresh, m.freshBytes = 0, 0
	if len(m.checkpoints) >= maxCheckpoints {
		// Every other one goes: the log can then be cut less finely.
		kept := m.checkpoints[:0]
		for i := 0; i < len(m.checkpoints); i += 2 {
			kept = append(kept, m.checkpoints[i])
		}
		m.checkpoints = kept
	}
	m.checkpoints = append(m.checkpoints, checkpoint{
		index: e.GetIndex(), term: e.GetTerm(), conf: proto.Clone(m.conf).(*raftpb.ConfState), data: m.state.Encode(),
	})
}

// cutLog proposes the newest state that nobody needs the entries before.
func (m *Machine) cutLog() {
	i := len(m.checkpoints) - 1
	for i >= 0 && m.checkpoints[i].index > m.safe {
		i--
	}
	if i < 0 || m.out.Snapshot != nil {
		return
	}
	c := m.checkpoints[i]
	m.checkpoints = slices.Delete(m.checkpoints, 0, i+1)
	m.cut = c.index
	m.out.Checkpoint = &raftpb.Snapshot{Data: c.data, Metadata: &raftpb.SnapshotMetadata{
		Index: proto.Uint64(c.index), Term: proto.Uint64(c.term), ConfState: c.conf,
	}}
}
