package store

import (
	"slices"
	"sort"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// state is what the records of a log say, and where its entries are. Entries from
// first to last are in the runs; those up to the snapshot's index are not served.
type state struct {
	hard     *pb.HardState // nil: none yet
	snap     *pb.Snapshot  // never nil; index 0: none yet
	last     uint64
	lastTerm uint64
	runs     []run
	broken   bool // the next entry does not continue the newest run
	terms    []termStart
}

// run is a sequence of entries in one segment without a gap in their indexes and with
// nothing void between them.
type run struct {
	seg    *segment
	first  uint64
	count  uint64
	points []point
}

// point is where an entry of a run is. There is one for each pointEvery entries or
// pointBytes bytes: from there on a reader goes from record to record.
type point struct{ rel, offset uint32 }

const (
	pointEvery = 16
	pointBytes = 32 << 10
)

// termStart is the first entry of a term.
type termStart struct{ index, term uint64 }

func newState() *state { return &state{snap: &pb.Snapshot{}} }

func (s *state) snapIndex() uint64 { return s.snap.GetMetadata().GetIndex() }
func (s *state) snapTerm() uint64  { return s.snap.GetMetadata().GetTerm() }
func (s *state) commit() uint64    { return max(s.hard.GetCommit(), s.snapIndex()) }

// first returns the index of the oldest entry that is there, or would be.
func (s *state) first() uint64 {
	if len(s.runs) > 0 {
		return s.runs[0].first
	}
	return s.last + 1
}

// apply takes over one record of a segment.
func (s *state) apply(seg *segment, offset int64, r *record) error {
	switch r.kind {
	case kindEntry:
		return s.entry(seg, offset, r.index, r.term)
	case kindTruncate:
		return s.truncate(r.index, r.term)
	case kindHardState:
		return s.hardState(r)
	case kindCheckpoint:
		return s.checkpoint(r)
	case kindInstall:
		return s.install(r)
	default:
		return bad("a record of kind %d where none can be", r.kind)
	}
}

func (s *state) entry(seg *segment, offset int64, index, term uint64) error {
	if index != s.last+1 || term < s.lastTerm {
		return bad("entry %d of term %d after entry %d of term %d", index, term, s.last, s.lastTerm)
	}
	s.addTerm(index, term)
	s.last, s.lastTerm = index, term
	var r *run
	if n := len(s.runs); n > 0 && !s.broken && s.runs[n-1].seg == seg {
		r = &s.runs[n-1]
	} else {
		s.runs = append(s.runs, run{seg: seg, first: index})
		r, s.broken = &s.runs[n], false
	}
	at := point{uint32(r.count), uint32(offset)}
	if n := len(r.points); n == 0 || at.rel-r.points[n-1].rel >= pointEvery || at.offset-r.points[n-1].offset >= pointBytes {
		r.points = append(r.points, at)
	}
	r.count++
	return nil
}

func (s *state) addTerm(index, term uint64) {
	if n := len(s.terms); n == 0 || s.terms[n-1].term != term {
		s.terms = append(s.terms, termStart{index, term})
	}
}

// truncate makes the entries behind index void.
func (s *state) truncate(index, term uint64) error {
	if index >= s.last || index < s.commit() {
		return bad("a cut behind entry %d, where the last is %d and %d are committed", index, s.last, s.commit())
	}
	for n := len(s.runs); n > 0 && s.runs[n-1].first > index; n-- {
		s.runs = slices.Delete(s.runs, n-1, n)
	}
	if n := len(s.runs); n > 0 {
		r := &s.runs[n-1]
		r.count = min(r.count, index+1-r.first)
		keep := sort.Search(len(r.points), func(i int) bool { return uint64(r.points[i].rel) >= r.count })
		r.points = r.points[:keep]
	}
	keep := sort.Search(len(s.terms), func(i int) bool { return s.terms[i].index > index })
	s.terms = s.terms[:keep]
	s.last, s.lastTerm, s.broken = index, term, true
	return nil
}

func (s *state) hardState(r *record) error {
	h := &pb.HardState{}
	if err := proto.Unmarshal(r.body, h); err != nil {
		return bad("a hard state that cannot be read: %v", err)
	}
	if err := s.allows(h, s.last); err != nil {
		return err
	}
	s.hard = h
	return nil
}

// allows reports an error for a hard state that forgets a term or a vote, or commits what
// is not there.
func (s *state) allows(h *pb.HardState, last uint64) error {
	o := s.hard
	switch {
	case h.GetTerm() < o.GetTerm(), h.GetTerm() == o.GetTerm() && o.GetVote() != 0 && h.GetVote() != o.GetVote():
		return bad("term %d with a vote for %d after term %d with a vote for %d", h.GetTerm(), h.GetVote(), o.GetTerm(), o.GetVote())
	case h.GetCommit() < o.GetCommit():
		return bad("a commit index of %d after %d", h.GetCommit(), o.GetCommit())
	case h.GetCommit() > last:
		return bad("a commit index of %d, where the last entry is %d", h.GetCommit(), last)
	}
	return nil
}

func (s *state) checkpoint(r *record) error {
	snap, err := s.newer(r)
	if err != nil {
		return err
	}
	if r.index > s.last {
		return bad("a snapshot of entry %d, where the last is %d", r.index, s.last)
	}
	if r.index >= s.first() || r.index == s.last {
		if term := s.termOf(r.index); term != r.term {
			return bad("a snapshot of entry %d in term %d, which has term %d", r.index, r.term, term)
		}
	}
	s.snap = snap
	s.drop(r.index)
	return nil
}

func (s *state) install(r *record) error {
	snap, err := s.newer(r)
	if err == nil {
		s.snap, s.runs, s.terms, s.broken = snap, nil, nil, false
		s.last, s.lastTerm = r.index, r.term
	}
	return err
}

// newer reads a snapshot that has to be newer than the one before.
func (s *state) newer(r *record) (*pb.Snapshot, error) {
	snap := &pb.Snapshot{}
	if err := proto.Unmarshal(r.body, snap); err != nil {
		return nil, bad("a snapshot that cannot be read: %v", err)
	}
	m := snap.GetMetadata()
	if m.GetIndex() != r.index || m.GetTerm() != r.term || r.index <= s.snapIndex() {
		return nil, bad("a snapshot of entry %d of term %d in a record for %d of term %d, after one of %d",
			m.GetIndex(), m.GetTerm(), r.index, r.term, s.snapIndex())
	}
	return snap, nil
}

// drop forgets entries up to index, by whole runs.
func (s *state) drop(index uint64) {
	n := 0
	for n < len(s.runs) && s.runs[n].first+s.runs[n].count <= index+1 {
		n++
	}
	s.runs = slices.Delete(s.runs, 0, n)
	n = sort.Search(len(s.terms), func(i int) bool { return s.terms[i].index > index+1 })
	s.terms = slices.Delete(s.terms, 0, max(0, n-1))
}

// termOf returns the term of an entry from first to last; 0 for another.
func (s *state) termOf(index uint64) uint64 {
	if index == s.last {
		return s.lastTerm
	}
	n := sort.Search(len(s.terms), func(i int) bool { return s.terms[i].index > index })
	if n == 0 || index > s.last {
		return 0
	}
	return s.terms[n-1].term
}

// Term implements raft.Storage for a state.
func (s *state) term(index uint64) (uint64, error) {
	switch {
	case index < s.snapIndex():
		return 0, raft.ErrCompacted
	case index == s.snapIndex():
		return s.snapTerm(), nil
	case index > s.last:
		return 0, raft.ErrUnavailable
	}
	return s.termOf(index), nil
}

// needed returns the oldest segment that holds an entry that is served; nil if none does.
func (s *state) needed() *segment {
	for i := range s.runs {
		if s.runs[i].first+s.runs[i].count > s.snapIndex()+1 {
			return s.runs[i].seg
		}
	}
	return nil
}

// locate returns the run of an entry that is there, and the nearest point before it.
func (s *state) locate(index uint64) (run int, p point) {
	run = sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first > index }) - 1
	r := &s.runs[run]
	i := sort.Search(len(r.points), func(i int) bool { return uint64(r.points[i].rel) > index-r.first }) - 1
	return run, r.points[i]
}
