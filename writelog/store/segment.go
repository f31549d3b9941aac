package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// segmentHead is the body of a segment's first record: what makes the segments before it
// dispensable. The record's own index and term are those of the last entry before.
type segmentHead struct {
	id      Identity
	prevEnd int64 // how long the segment before was
	hard    *pb.HardState
	snap    *pb.Snapshot
}

const (
	formatVersion = 1
	fixedHead     = 4 + 8 + 8 + 8 + 4
)

// append encodes it. The hard state is preceded by its length, the snapshot ends it.
func (h *segmentHead) append(buf []byte) ([]byte, error) {
	buf = binary.LittleEndian.AppendUint32(buf, formatVersion)
	buf = binary.LittleEndian.AppendUint64(buf, h.id.Cluster)
	buf = binary.LittleEndian.AppendUint64(buf, h.id.Member)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(h.prevEnd))
	hard, err := proto.Marshal(h.hard)
	if err != nil {
		return nil, err
	}
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(hard)))
	buf = append(buf, hard...)
	return proto.MarshalOptions{}.MarshalAppend(buf, h.snap)
}

func decodeSegmentHead(r *record) (h segmentHead, err error) {
	b := r.body
	if r.kind != kindSegment || len(b) < fixedHead {
		return h, bad("the first record is not a segment's head")
	}
	if v := binary.LittleEndian.Uint32(b); v != formatVersion {
		return h, bad("it has format %d, and this program knows format %d", v, formatVersion)
	}
	h.id = Identity{binary.LittleEndian.Uint64(b[4:]), binary.LittleEndian.Uint64(b[12:])}
	h.prevEnd = int64(binary.LittleEndian.Uint64(b[20:]))
	n := binary.LittleEndian.Uint32(b[28:])
	b = b[fixedHead:]
	if h.id.Cluster == 0 || h.id.Member == 0 || h.prevEnd < 0 || uint64(n) > uint64(len(b)) {
		return h, bad("the head of the segment is out of bounds")
	}
	if n > 0 {
		h.hard = &pb.HardState{}
		if err := proto.Unmarshal(b[:n], h.hard); err != nil {
			return h, bad("the hard state of the segment's head cannot be read: %v", err)
		}
	}
	h.snap = &pb.Snapshot{}
	if err := proto.Unmarshal(b[n:], h.snap); err != nil {
		return h, bad("the snapshot of the segment's head cannot be read: %v", err)
	}
	m := h.snap.GetMetadata()
	if m.GetIndex() > r.index || m.GetIndex() == r.index && m.GetTerm() != r.term && r.index != 0 {
		return h, bad("the segment's head has a snapshot of entry %d after entry %d", m.GetIndex(), r.index)
	}
	if c := h.hard.GetCommit(); c > r.index {
		return h, bad("the segment's head has a commit index of %d after entry %d", c, r.index)
	}
	return h, nil
}

// create makes a segment and its head durable, which repeats the state as it is. A file
// has a segment's name only when that is done. It returns the head's checksum too.
func (l *Log) create(number uint64, id Identity) (*segment, uint32, error) {
	head := segmentHead{id: id, hard: l.state.hard, snap: l.state.snap}
	if n := len(l.segments); n > 0 {
		head.prevEnd = l.segments[n-1].end
	}
	e := encoder{seed: seedOf(Identity{}, number), prev: l.prev, left: 1}
	e.begin()
	buf, err := head.append(e.buf)
	if err != nil {
		return nil, 0, err
	}
	e.buf = buf
	e.end(kindSegment, l.state.last, l.state.lastTerm)
	s := &segment{number: number, seed: seedOf(id, number), head: int64(len(e.buf)), end: int64(len(e.buf))}
	if s.file, err = l.place(segmentName(number), e.buf); err != nil {
		return nil, 0, fmt.Errorf("a new segment: %w", err)
	}
	return s, e.prev, nil
}

// place makes a file with the bytes durable, under its name or not at all, and opens it.
// It is closed meanwhile: not every system renames an open file.
func (l *Log) place(name string, b []byte) (File, error) {
	file, err := l.fs.Create(name + newSuffix)
	if err != nil {
		return nil, err
	}
	if _, err = file.WriteAt(b, 0); err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if err := l.fs.Rename(name+newSuffix, name); err != nil {
		return nil, err
	}
	if err := l.fs.SyncDir(); err != nil {
		return nil, err
	}
	return l.fs.Open(name)
}

// rotate begins a new segment. The one before is sealed, so that the new one is missed
// if it is gone. l.writing is held.
func (l *Log) rotate() error {
	old := l.newest()
	s, sum, err := l.create(old.number+1, l.id)
	if err != nil {
		return err
	}
	e := encoder{seed: old.seed, base: old.end, prev: l.prev, left: 1}
	e.add(kindSeal, l.state.last, l.state.lastTerm, nil)
	if _, err = old.file.WriteAt(e.buf, old.end); err == nil {
		err = old.file.Sync()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, s)
	l.total += s.end
	l.prev = sum
	return err
}

// reclaim removes the segments that hold nothing that is served. l.writing is held.
func (l *Log) reclaim() error {
	oldest := l.state.needed()
	if oldest == nil {
		oldest = l.newest()
	}
	var gone []*segment
	l.mu.Lock()
	for l.segments[0] != oldest {
		gone = append(gone, l.segments[0])
		l.total -= l.segments[0].end
		l.segments[0] = nil
		l.segments = l.segments[1:]
	}
	l.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	var errs []error
	for _, s := range gone {
		errs = append(errs, s.file.Close())
	}
	for _, s := range gone {
		errs = append(errs, l.fs.Remove(segmentName(s.number)))
	}
	return errors.Join(append(errs, l.fs.SyncDir())...)
}
