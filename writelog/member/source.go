package member

import (
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/ibuki-dev/ibuki/writelog"
)

// ErrCompacted says that the log begins later.
var ErrCompacted = raft.ErrCompacted

// skips are the committed writes that are not to be carried out, because they were
// before, or were given up. There are few.
type skips struct {
	mu    sync.Mutex
	list  []uint64 // ascending
	known uint64   // what is up to here is known
}

func (s *skips) note(c *writelog.Committed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = max(s.known, c.Index)
	if c.Entry != nil && c.Entry.Op == writelog.OpWrite && c.Verdict != writelog.Execute {
		s.list = append(s.list, c.Index)
	}
}

func (s *skips) cut(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _ := slices.BinarySearch(s.list, index+1)
	s.list = slices.Delete(s.list, 0, at)
}

// has reports whether an index is to be left out, and whether that is known yet.
func (s *skips) has(index uint64) (skip, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, skip = slices.BinarySearch(s.list, index)
	return skip, index <= s.known
}

// foundedAt is the index of the snapshot that a log is founded with: writelog.Found.
const foundedAt = 1

// Stored is a write as it is read back from the log.
type Stored struct {
	Index, Term uint64
	Shares      []writelog.Share
}

// Stored returns the writes after an index that are to be carried out, about maxBytes of
// them, and up to which index these are all. ErrCompacted says that the log begins later.
func (m *Member) Stored(after uint64, maxBytes int) (list []Stored, upTo uint64, err error) {
	first, err := m.store.FirstIndex()
	if err != nil {
		return nil, 0, err
	}
	if first <= foundedAt+1 { // nobody needs what the log was founded with
		after = max(after, first-1)
	}
	if after+1 < first {
		return nil, 0, ErrCompacted
	}
	m.skipped.mu.Lock()
	known := m.skipped.known
	m.skipped.mu.Unlock()
	if known <= after {
		return nil, after, nil
	}
	entries, err := m.store.Entries(after+1, known+1, uint64(maxBytes))
	if err != nil {
		return nil, 0, err
	}
	upTo = after
	for _, e := range entries {
		upTo = e.GetIndex()
		if e.GetType() != raftpb.EntryNormal || len(e.GetData()) == 0 {
			continue
		}
		entry, err := writelog.DecodeEntry(e.GetData())
		if err != nil {
			return nil, 0, err
		}
		if skip, _ := m.skipped.has(upTo); skip || entry.Op != writelog.OpWrite {
			continue
		}
		list = append(list, Stored{Index: upTo, Term: e.GetTerm(), Shares: entry.Shares})
	}
	return list, upTo, nil
}

// First is the index of the first entry that the log has, and whether that is the very
// first that there was.
func (m *Member) First() (index uint64, begins bool) {
	index, _ = m.store.FirstIndex()
	return index, index <= foundedAt+1
}

// Last is the index of the last entry that the log has, committed or not.
func (m *Member) Last() uint64 {
	index, _ := m.store.LastIndex()
	return index
}

// TermOf returns the term of an entry, if it is known.
func (m *Member) TermOf(index uint64) (term uint64, known bool) {
	term, err := m.store.Term(index)
	return term, err == nil
}

// started is the zero of the clock where the host has no better one.
var started = time.Now()

func sinceStart() time.Duration { return time.Since(started) }
