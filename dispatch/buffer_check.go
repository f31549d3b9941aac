package dispatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// BufferReport is what is found in a write buffer, whole or damaged.
type BufferReport struct {
	Files   int
	Writes  int // those that can be read, the delivered ones included
	Waiting map[string]int
	Kept    int // writes that wait for anybody
	Damage  []BufferLoss
	// Torn is how many bytes at the end were never finished. Nobody was told that
	// they were kept.
	Torn int64
	// Nameless is how many writes are for a replica whose name is lost.
	Nameless int
}

// BufferLoss is a part of a buffer that cannot be read.
type BufferLoss struct {
	BufferDamage
	Bytes int64 // as many; 0: not known
	// First and Last are the numbers of the writes that may have been in it. Last is
	// before First if there was none: then only marks are lost, and a write that
	// was delivered is delivered again. Open: there may be more, of later numbers.
	First, Last uint64
	Open        bool
	// Lacking are the replicas for which such a write may have waited, as far as their
	// names are known.
	Lacking []string
}

// CheckBuffer reads the buffer in a directory that nobody uses, and changes nothing.
func CheckBuffer(dir string) (*BufferReport, error) {
	lock, err := lockBufferDir(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	v, err := survey(dir)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return v.report(), nil
}

// surveyor reads all of a log that can be read. Where a record is bad it goes on with
// the next one: a record's checksum takes in its place, so that nothing else is taken for one.
type surveyor struct {
	dir      string
	segments []*segment
	in       recordReader

	writes []foundWrite
	names  map[uint64]string // by id
	ids    map[string]uint64 // by name: the newest
	done   map[uint64]uint64 // by id: all up to this one are delivered
	marks  map[mark]bool     // delivered beyond that
	newest uint64            // the greatest number of a write that anything speaks of
	losses []BufferLoss
	// unfinished is how many bytes at the end never were.
	unfinished int64
}

// foundWrite is a write that can be read.
type foundWrite struct {
	segment *segment
	at      int64
	next    int64
	seq     uint64
	ids     []uint64
}

type mark struct{ id, seq uint64 }

// survey reads the log in a directory. Its files are open then.
func survey(dir string) (*surveyor, error) {
	v := &surveyor{
		dir: dir, names: make(map[uint64]string), ids: make(map[string]uint64),
		done: make(map[uint64]uint64), marks: make(map[mark]bool),
	}
	files := dirFiles(dir)
	numbers, err := files.list()
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		file, err := files.open(n)
		if err != nil {
			v.close()
			return nil, err
		}
		info, err := file.Stat()
		if err != nil {
			file.Close()
			v.close()
			return nil, err
		}
		v.segments = append(v.segments, &segment{number: n, file: file, size: info.Size()})
	}
	for i := range v.segments {
		if err := v.segment(i); err != nil {
			v.close()
			return nil, err
		}
	}
	return v, nil
}

func (v *surveyor) close() {
	for _, s := range v.segments {
		s.file.Close()
	}
}

// segment reads what there is of the i-th.
func (v *surveyor) segment(i int) error {
	s, limit := v.segments[i], v.segments[i].size
	if i > 0 && s.number != v.segments[i-1].number+1 {
		v.lose(v.segments[i-1].number+1, 0, 0, errors.New("the file is missing"))
	}
	last := i+1 == len(v.segments)
	if !last && v.segments[i+1].number == s.number+1 {
		if head, err := readHead(v.segments[i+1]); err == nil && head.prevEnd <= limit {
			limit = head.prevEnd // what is behind was given up
		} else if err == nil {
			defer v.lose(s.number, limit, head.prevEnd-limit, errors.New("the end of the file is missing"))
		}
	}
	for at := int64(0); at < limit; {
		r, next, err := v.in.read(s.file, s.number, at, limit)
		if err == nil {
			v.take(s, at, next, &r)
			at = next
			continue
		}
		if !errors.Is(err, errBadRecord) {
			return fmt.Errorf("the write buffer: %w", err)
		}
		torn, errTorn := v.torn(s, at, limit, last)
		found, errNext := nextRecord(s.file, s.number, at, limit)
		if errs := errors.Join(errTorn, errNext); errs != nil {
			return fmt.Errorf("the write buffer: %w", errs)
		}
		if torn {
			v.unfinished = limit - at
			return nil
		}
		v.lose(s.number, at, found-at, err)
		at = found
	}
	return nil
}

// torn reports whether what begins at offset was never finished: nothing behind it
// vouches for it, which can only be so in the last segment.
func (v *surveyor) torn(s *segment, offset, limit int64, last bool) (bool, error) {
	if !last {
		return false, nil
	}
	acked, err := ackedBeyond(s.file, s.number, offset, limit)
	return !acked, err
}

// nextRecord finds the first record after offset; limit if there is none.
func nextRecord(f io.ReaderAt, segment uint64, offset, limit int64) (int64, error) {
	var marker [4]byte
	binary.LittleEndian.PutUint32(marker[:], recordMarker)
	chunk := make([]byte, readAhead)
	var in recordReader
	for at := offset + 1; at < limit; at++ {
		n, err := f.ReadAt(chunk[:min(int64(len(chunk)), limit-at)], at)
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				break
			}
			return 0, err
		}
		i := bytes.Index(chunk[:n], marker[:])
		if i < 0 {
			at += int64(max(n-len(marker), 0))
			continue
		}
		at += int64(i)
		if _, _, err = in.read(f, segment, at, limit); err == nil {
			return at, nil
		} else if !errors.Is(err, errBadRecord) {
			return 0, err
		}
	}
	return limit, nil
}

// take takes in a record.
func (v *surveyor) take(s *segment, at, next int64, r *record) {
	switch r.kind {
	case recordHead:
		v.reach(max(r.seq, 1) - 1)
	case recordReplica:
		v.names[r.id] = string(r.name)
		v.ids[string(r.name)] = r.id
	case recordDelivered:
		v.marks[mark{r.id, r.seq}] = true
	case recordCursor:
		v.done[r.id] = max(v.done[r.id], r.seq)
	case recordWrite:
		v.reach(r.seq - 1)
		w := foundWrite{segment: s, at: at, next: next, seq: r.seq}
		for rest := r.ids; len(rest) > 0; {
			id, n := binary.Uvarint(rest)
			if n <= 0 {
				break
			}
			w.ids = append(w.ids, id)
			rest = rest[n:]
		}
		v.writes = append(v.writes, w)
		v.newest = max(v.newest, r.seq)
	}
}

// reach notes that all writes up to a number came before here: those that were not
// found were in the last part that is lost.
func (v *surveyor) reach(seq uint64) {
	if n := len(v.losses); n > 0 && v.losses[n-1].Open {
		l := &v.losses[n-1]
		l.Last, l.Open = max(seq, v.newest), false
		if most := uint64(l.Bytes/leastWrite) + 1; l.Bytes > 0 && l.Last >= l.First+most {
			l.First = l.Last - most + 1 // before those were others, which were delivered
		}
	}
	v.newest = max(v.newest, seq)
}

// leastWrite is how many bytes the record of a write has at least.
const leastWrite = recordHeader + recordBody + 4

// lose notes a part that cannot be read.
func (v *surveyor) lose(number uint64, offset, size int64, reason error) {
	v.reach(v.newest) // of two parts with nothing between, the second has it all
	v.losses = append(v.losses, BufferLoss{
		BufferDamage: BufferDamage{dirFiles(v.dir).path(number), offset, reason.Error()},
		Bytes:        size, First: v.newest + 1, Last: v.newest, Open: true,
	})
}

// waitsFor are the replicas for which a write waits.
func (v *surveyor) waitsFor(w *foundWrite) (names []string) {
	for _, id := range w.ids {
		name := v.names[id]
		if name != "" && v.ids[name] == id && w.seq > v.done[id] && !v.marks[mark{id, w.seq}] {
			names = append(names, name)
		}
	}
	return names
}

// lacking are the replicas that may lack writes that are lost.
func (v *surveyor) lacking(l *BufferLoss) (names []string) {
	for name, id := range v.ids { // order-free: sorted below
		lacks := l.Open
		for seq := max(l.First, v.done[id]+1); seq <= l.Last && !lacks; seq++ {
			lacks = !v.marks[mark{id, seq}]
		}
		if lacks {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (v *surveyor) report() *BufferReport {
	r := &BufferReport{Files: len(v.segments), Writes: len(v.writes), Waiting: make(map[string]int), Damage: v.losses, Torn: v.unfinished}
	for name := range maps.Keys(v.ids) { // order-free: into another map
		r.Waiting[name] = 0
	}
	for i := range v.writes {
		names := v.waitsFor(&v.writes[i])
		for _, name := range names {
			r.Waiting[name]++
		}
		if len(names) > 0 {
			r.Kept++
		}
		if slices.ContainsFunc(v.writes[i].ids, func(id uint64) bool { return v.names[id] == "" }) {
			r.Nameless++
		}
	}
	for i := range r.Damage {
		r.Damage[i].Lacking = v.lacking(&r.Damage[i])
	}
	return r
}
