package store

import (
	"errors"
	"os"
)

// Report is what Check finds.
type Report struct {
	Identity Identity
	Segments []SegmentReport
	Term     uint64 // of the newest hard state that can be read, as Vote and Commit
	Vote     uint64
	Commit   uint64
	Snapshot uint64   // the index of the newest snapshot that can be read; 0: none
	Entries  []Range  // that are intact, by index; of a whole log that is one, or none
	Torn     int64    // bytes of a write that was not finished, which Open cuts off
	Damage   *Damage  // what Open refuses; nil: nothing
	Places   []Damage // all places that cannot be read, if there is Damage
}

// SegmentReport is one file.
type SegmentReport struct {
	Name    string
	Size    int64
	Records int // that are intact
}

// Range is a range of indexes, with both ends.
type Range struct{ First, Last uint64 }

// Check reads a log that nobody uses, and changes nothing but the file lock. What Open
// would refuse is in the report and is no error.
func Check(dir string) (Report, error) {
	if _, err := os.Stat(dir); err != nil {
		return Report{}, err
	}
	return check(dir, dirFS(dir))
}

func check(dir string, fs FS) (r Report, err error) {
	lock, err := fs.Lock()
	if err != nil {
		return r, err
	}
	l := &Log{opt: Options{FS: fs}.withDefaults(dir), dir: dir, fs: fs, lock: lock, state: newState()}
	defer func() { err = errors.Join(err, l.closeFiles()) }()
	v := recovery{l: l, in: reader{ahead: scanAhead}}
	if err := v.read(); err != nil && !errors.As(err, &r.Damage) {
		return r, err
	}
	y := survey{r: &r, in: reader{ahead: scanAhead}, dir: dir}
	for _, n := range v.numbers {
		if err := y.segment(fs, n); err != nil {
			return r, err
		}
	}
	r.Torn = v.tail.torn
	if r.Damage == nil { // what the state does not have was never finished
		r.Places = nil
		r.Snapshot, r.Entries = l.state.snapIndex(), []Range{{1, l.state.last}}
		y.hard(l.state)
	}
	r.serve()
	return r, nil
}

// serve leaves those entries that a snapshot does not cover.
func (r *Report) serve() {
	var served []Range
	for _, e := range r.Entries {
		if e.First = max(e.First, r.Snapshot+1); e.First <= e.Last {
			served = append(served, e)
		}
	}
	r.Entries = served
}

// survey reads every record that is whole, also behind damage.
type survey struct {
	r   *Report
	in  reader
	dir string
}

func (y *survey) segment(fs FS, number uint64) (err error) {
	file, err := fs.Open(segmentName(number))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Size()
	if err != nil {
		return err
	}
	s := &segment{number: number, file: file, seed: seedOf(y.r.Identity, number)}
	y.r.Segments = append(y.r.Segments, SegmentReport{Name: segmentName(number), Size: size})
	for at := int64(0); at < size; {
		r, err := y.in.read(s, at, size)
		if err == nil {
			y.note(s, &r)
			at += r.size
			continue
		}
		if err := y.place(s, at, err); err != nil {
			return err
		}
		next := size
		err = findHeads(s, at+1, size, func(pos int64, _ record) bool { next = pos; return false })
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

func (y *survey) place(s *segment, at int64, err error) error {
	index := uint64(1)
	if n := len(y.r.Entries); n > 0 {
		index = y.r.Entries[n-1].Last + 1
	}
	var d *Damage
	err = damageOf(y.dir, s, at, index, err)
	if !errors.As(err, &d) {
		return err
	}
	y.r.Places = append(y.r.Places, *d)
	return nil
}

// note takes what one record says.
func (y *survey) note(s *segment, r *record) {
	y.r.Segments[len(y.r.Segments)-1].Records++
	one := newState()
	switch r.kind {
	case kindSegment:
		if h, err := decodeSegmentHead(r); err == nil {
			y.r.Identity, s.seed = h.id, seedOf(h.id, s.number)
			y.r.Snapshot = max(y.r.Snapshot, h.snap.GetMetadata().GetIndex())
			y.hard(&state{hard: h.hard})
		}
	case kindEntry:
		y.cut(r.index - 1)
		if n := len(y.r.Entries); n > 0 && y.r.Entries[n-1].Last+1 == r.index {
			y.r.Entries[n-1].Last = r.index
		} else {
			y.r.Entries = append(y.r.Entries, Range{r.index, r.index})
		}
	case kindTruncate:
		y.cut(r.index)
	case kindHardState:
		one.last = maxIndex
		if one.hardState(r) == nil {
			y.hard(one)
		}
	case kindCheckpoint, kindInstall:
		y.r.Snapshot = max(y.r.Snapshot, r.index)
		if r.kind == kindInstall {
			y.r.Entries = nil
		}
	}
}

func (y *survey) hard(s *state) {
	if s.hard != nil {
		y.r.Term, y.r.Vote, y.r.Commit = s.hard.GetTerm(), s.hard.GetVote(), s.hard.GetCommit()
	}
}

// cut forgets the entries behind index.
func (y *survey) cut(index uint64) {
	e := y.r.Entries
	for len(e) > 0 && e[len(e)-1].First > index {
		e = e[:len(e)-1]
	}
	if n := len(e); n > 0 {
		e[n-1].Last = min(e[n-1].Last, index)
	}
	y.r.Entries = e
}
