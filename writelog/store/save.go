package store

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// batch is what one Save or Checkpoint writes.
type batch struct {
	install    *pb.Snapshot // replaces the log
	checkpoint *pb.Snapshot
	cut        bool // the entries behind cutIndex are void
	cutIndex   uint64
	cutTerm    uint64
	entries    []*pb.Entry
	hard       *pb.HardState
	size       int64 // about
}

func (b *batch) records() int {
	n := len(b.entries)
	for _, is := range []bool{b.install != nil, b.checkpoint != nil, b.cut, b.hard != nil} {
		if is {
			n++
		}
	}
	return n
}

// Save makes what a raft.Ready has durable, by one write and one fsync: nil, or empty, is
// what there is none of. Entries replace those from their first index on; those that a
// snapshot covers are left out. A snapshot replaces the whole log.
//
// ErrFull, ErrTooLarge, ErrOrder, ErrNoIdentity and raft.ErrSnapOutOfDate leave the log as
// it was, and it goes on; after any other error it is dead. The entries are kept in memory
// for a while and must not be changed any more.
func (l *Log) Save(hard *pb.HardState, entries []*pb.Entry, snap *pb.Snapshot) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	b, err := l.plan(hard, entries, snap)
	if err != nil || b.records() == 0 {
		return err
	}
	return l.write(&b)
}

// Checkpoint makes a snapshot of the state machine durable, with its ConfState, the index
// and the term of the last entry that is in it, and then removes the segments that hold
// only older entries. FirstIndex becomes that index plus one. An index that is not above
// the last snapshot's is raft.ErrSnapOutOfDate.
func (l *Log) Checkpoint(snap *pb.Snapshot) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.id == (Identity{}) {
		return ErrNoIdentity
	}
	index := snap.GetMetadata().GetIndex()
	if err := l.fits(snap); err != nil {
		return err
	}
	term, err := l.state.term(index)
	if err != nil || term != snap.GetMetadata().GetTerm() {
		return fmt.Errorf("%w: a snapshot of entry %d of term %d, where the last entry is %d, and that one is of term %d",
			ErrOrder, index, snap.GetMetadata().GetTerm(), l.state.last, term)
	}
	if c := l.state.commit(); index > c {
		return fmt.Errorf("%w: a snapshot of entry %d, where %d are committed", ErrOrder, index, c)
	}
	return l.write(&batch{checkpoint: snap, size: int64(len(snap.GetData()))})
}

// fits reports an error for a snapshot that is too old or too large.
func (l *Log) fits(snap *pb.Snapshot) error {
	if snap.GetMetadata().GetIndex() <= l.state.snapIndex() {
		return raft.ErrSnapOutOfDate
	}
	if n := proto.Size(snap); n > maxSnapshot || snap.GetMetadata().GetIndex() > maxIndex {
		return fmt.Errorf("%w: a snapshot of %d bytes, at most %d", ErrTooLarge, n, maxSnapshot)
	}
	return nil
}

// maxSnapshot leaves room for the rest of a segment's head.
const maxSnapshot = maxBody - 1<<10

// plan checks what is to be saved against what there is.
func (l *Log) plan(hard *pb.HardState, entries []*pb.Entry, snap *pb.Snapshot) (b batch, err error) {
	if l.id == (Identity{}) {
		return b, ErrNoIdentity
	}
	s := l.state
	last, covered, commit := s.last, s.snapIndex(), s.commit()
	term := func(i uint64) uint64 { t, _ := s.term(i); return t }
	if !raft.IsEmptySnap(snap) {
		if err := l.fits(snap); err != nil {
			return b, err
		}
		b.install = snap
		b.size += int64(len(snap.GetData()))
		last, covered = snap.GetMetadata().GetIndex(), snap.GetMetadata().GetIndex()
		commit = max(commit, covered)
		term = func(uint64) uint64 { return snap.GetMetadata().GetTerm() }
	}
	for len(entries) > 0 && entries[0].GetIndex() <= covered {
		entries = entries[1:]
	}
	if len(entries) > 0 {
		before := entries[0].GetIndex() - 1
		if before > last || before < last && before < commit {
			return b, fmt.Errorf("%w: entries from %d on, where the last is %d and %d are committed", ErrOrder, before+1, last, commit)
		}
		b.cut, b.cutIndex, b.cutTerm = before < last, before, term(before)
		if err := b.add(entries); err != nil {
			return b, err
		}
		last = before + uint64(len(entries))
		if l.total+b.size > l.opt.MaxBytes {
			return b, fmt.Errorf("%w: %d of %d bytes", ErrFull, l.total, l.opt.MaxBytes)
		}
	}
	if !raft.IsEmptyHardState(hard) {
		b.hard = hard
		if err := s.allows(hard, last); err != nil {
			return b, fmt.Errorf("%w: %w", ErrOrder, err)
		}
	}
	return b, nil
}

// add takes entries that follow cutIndex.
func (b *batch) add(entries []*pb.Entry) error {
	index, term := b.cutIndex, b.cutTerm
	for _, e := range entries {
		if index++; e.GetIndex() != index || e.GetTerm() < term || index > maxIndex {
			return fmt.Errorf("%w: entry %d of term %d where %d of term %d or more is due", ErrOrder, e.GetIndex(), e.GetTerm(), index, term)
		}
		term = e.GetTerm()
		b.size += int64(len(e.GetData())) + headSize + 2*maxVarint
		if len(e.GetData()) > maxEntry || b.size > maxBatch-maxSnapshot {
			return fmt.Errorf("%w: entry %d with %d bytes, after %d others", ErrTooLarge, index, len(e.GetData()), b.size)
		}
	}
	b.entries = entries
	return nil
}

const (
	maxVarint = 11           // a tag and a number
	maxEntry  = maxBody - 64 // leaves room for the rest of an entry
	keptBuf   = 4 << 20      // what l.buf may have between two batches
)

// write appends a batch, makes it durable, and then lets it be seen.
func (l *Log) write(b *batch) error {
	if s := l.newest(); s.end-s.head >= l.opt.SegmentSize {
		if err := l.rotate(); err != nil {
			return l.fail(err)
		}
	}
	seg := l.newest()
	e := encoder{buf: l.buf[:0], seed: seg.seed, base: seg.end, prev: l.prev, left: b.records()}
	places, err := b.encode(&e)
	if err != nil {
		return err
	}
	if l.buf = e.buf; cap(l.buf) > keptBuf {
		l.buf = nil
	}
	if _, err := seg.file.WriteAt(e.buf, seg.end); err != nil {
		return l.fail(err)
	}
	if err := seg.file.Sync(); err != nil {
		return l.fail(err)
	}
	if err := l.applied(seg, b, &e, places); err != nil {
		return l.fail(err)
	}
	if b.install == nil && b.checkpoint == nil {
		return nil
	}
	if err := l.reclaim(); err != nil {
		return l.fail(err)
	}
	return nil
}

// encode writes the records in the order in which they are applied.
func (b *batch) encode(e *encoder) (places []int64, err error) {
	message := func(k kind, index, term uint64, m proto.Message) {
		if err != nil {
			return
		}
		places = append(places, e.base+int64(len(e.buf)))
		e.begin()
		if e.buf, err = (proto.MarshalOptions{}).MarshalAppend(e.buf, m); err != nil {
			return
		}
		if n := len(e.buf) - e.start - headSize; n > maxBody {
			err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, maxBody)
			return
		}
		e.end(k, index, term)
	}
	if m := b.install.GetMetadata(); b.install != nil {
		message(kindInstall, m.GetIndex(), m.GetTerm(), b.install)
	}
	if m := b.checkpoint.GetMetadata(); b.checkpoint != nil {
		message(kindCheckpoint, m.GetIndex(), m.GetTerm(), b.checkpoint)
	}
	if b.cut {
		places = append(places, e.base+int64(len(e.buf)))
		e.add(kindTruncate, b.cutIndex, b.cutTerm, nil)
	}
	for _, entry := range b.entries {
		message(kindEntry, entry.GetIndex(), entry.GetTerm(), entry)
	}
	if b.hard != nil {
		message(kindHardState, b.hard.GetCommit(), b.hard.GetTerm(), b.hard)
	}
	return places, err
}

// applied takes a batch that is durable over into the state, from its own bytes, as
// opening the log again would.
func (l *Log) applied(seg *segment, b *batch, e *encoder, places []int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := b.entries
	for _, at := range places {
		head := e.buf[at-e.base:]
		r, err := decodeHead(head[:headSize], placed(seg.seed, at))
		if err != nil {
			return err
		}
		r.body = head[headSize:r.size]
		if err := l.state.apply(seg, at, &r); err != nil {
			return err
		}
		switch r.kind {
		case kindInstall:
			l.cache.clear()
		case kindTruncate:
			l.cache.truncate(r.index)
		case kindEntry:
			l.cache.add(entries[0], len(r.body))
			entries = entries[1:]
		}
	}
	l.prev = e.prev
	seg.end += int64(len(e.buf))
	l.total += int64(len(e.buf))
	return nil
}
