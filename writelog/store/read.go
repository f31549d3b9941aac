package store

import (
	"sync"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var _ raft.Storage = (*Log)(nil)

// InitialState implements raft.Storage: the hard state, nil if none was saved, and the
// members at the last snapshot. The commit index is at least the snapshot's.
func (l *Log) InitialState() (*pb.HardState, *pb.ConfState, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(); err != nil {
		return nil, nil, err
	}
	members := pb.EnsureConfState(proto.CloneOf(l.state.snap.GetMetadata().GetConfState()))
	if l.state.hard == nil {
		return nil, members, nil
	}
	hard := proto.CloneOf(l.state.hard)
	if c := l.state.commit(); c > hard.GetCommit() {
		hard.Commit = &c
	}
	return hard, members, nil
}

// FirstIndex implements raft.Storage.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.state.snapIndex() + 1, l.usable()
}

// LastIndex implements raft.Storage.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.state.last, l.usable()
}

// Term implements raft.Storage.
func (l *Log) Term(index uint64) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	return l.state.term(index)
}

// Snapshot implements raft.Storage: the last one of Checkpoint or Save.
func (l *Log) Snapshot() (*pb.Snapshot, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return pb.EnsureSnapshot(proto.CloneOf(l.state.snap)), l.usable()
}

// Entries implements raft.Storage. What is not in memory is read from the disk, and its
// checksums are looked at again: an error that is neither raft.ErrCompacted nor
// raft.ErrUnavailable ends the log.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	s := l.state
	switch {
	case lo <= s.snapIndex():
		return nil, raft.ErrCompacted
	case hi > s.last+1 || s.last == s.snapIndex():
		return nil, raft.ErrUnavailable
	}
	var c collector
	c.most = maxSize
	held := max(lo, min(l.cache.first(), hi))
	if lo < held {
		if err := l.load(lo, held, &c); err != nil {
			return nil, l.fail(err)
		}
	}
	for i := held; i < hi && !c.full; i++ {
		k := i - l.cache.first()
		c.add(l.cache.entries[k], l.cache.sizes[k])
	}
	return c.entries, nil
}

// collector takes entries up to a size; the first in any case.
type collector struct {
	most, size uint64
	entries    []*pb.Entry
	full       bool
}

// fits reports whether an entry of a size is to be taken.
func (c *collector) fits(size int) bool {
	c.full = c.full || len(c.entries) > 0 && c.size+uint64(size) > c.most
	return !c.full
}

func (c *collector) add(e *pb.Entry, size int) {
	if c.fits(size) {
		c.size += uint64(size)
		c.entries = append(c.entries, e)
	}
}

var readers = sync.Pool{New: func() any { return &reader{ahead: readAhead} }}

// load reads the entries from lo to hi, without hi, from the disk. l.mu is held.
func (l *Log) load(lo, hi uint64, c *collector) error {
	in := readers.Get().(*reader)
	defer func() {
		in.seg = nil
		readers.Put(in)
	}()
	k, p := l.state.locate(lo)
	for ; lo < hi && !c.full; k++ {
		r := &l.state.runs[k]
		if lo == r.first {
			p = r.points[0]
		}
		end := min(hi, r.first+r.count)
		at := int64(p.offset)
		for i := r.first + uint64(p.rel); i < end && !c.full; {
			rec, err := in.read(r.seg, at, r.seg.end)
			if err == nil && rec.kind == kindEntry {
				if i >= lo {
					err = take(c, &rec, i)
					lo = i + 1
				}
				i++
			}
			if err != nil {
				return l.damage(r.seg, at, i, err)
			}
			at += rec.size
		}
	}
	return nil
}

// take decodes the entry of a record, which has to be the one with an index.
func take(c *collector, r *record, index uint64) error {
	if !c.fits(len(r.body)) {
		return nil
	}
	e := &pb.Entry{}
	if err := proto.Unmarshal(r.body, e); err != nil {
		return bad("an entry that cannot be read: %v", err)
	}
	if r.index != index || e.GetIndex() != index || e.GetTerm() != r.term {
		return bad("entry %d of term %d where %d of term %d is due", e.GetIndex(), e.GetTerm(), index, r.term)
	}
	c.add(e, len(r.body))
	return nil
}

// damage makes a badRecord a Damage; another error is the disk's and stays.
func (l *Log) damage(s *segment, offset int64, index uint64, err error) error {
	return damageOf(l.dir, s, offset, index, err)
}
