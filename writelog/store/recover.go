package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// recovery reads a log from its oldest segment to the end.
type recovery struct {
	l    *Log
	in   reader
	left []string // files that are not needed

	numbers []uint64 // of the segments, without gaps
	heads   []record // of each, without its body
	parts   []segmentHead
	sizes   []int64 // where each ends
	tail    tail
}

// recover reads what is on disk and makes it ready to be written to. l is not shared yet.
func (l *Log) recover() error {
	v := recovery{l: l, in: reader{ahead: scanAhead}}
	if err := v.read(); err != nil {
		return err
	}
	if err := v.tidy(); err != nil {
		return err
	}
	if len(l.segments) == 0 {
		return nil
	}
	if err := v.settle(); err != nil {
		return err
	}
	return l.reclaim()
}

// read reads the files and changes nothing.
func (v *recovery) read() error {
	if err := v.list(); err != nil {
		return err
	}
	for _, n := range v.numbers {
		if err := v.open(n); err != nil {
			return err
		}
	}
	if len(v.numbers) == 0 {
		return nil
	}
	if err := v.end(); err != nil {
		return err
	}
	for i := range v.numbers {
		if err := v.replay(i); err != nil {
			return err
		}
	}
	return v.complete()
}

// list finds the segments behind the last gap in their numbers. Segments are removed when
// a snapshot has made them dispensable, and after a power cut some of these may be back;
// complete sees whether something that is not dispensable is missing. What is left over
// are older segments, and new ones without a whole head, which hold nothing.
func (v *recovery) list() error {
	names, err := v.l.fs.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix+newSuffix) {
			v.left = append(v.left, name)
			continue
		}
		n, ok, err := segmentNumber(name)
		if err != nil {
			return fmt.Errorf("%s: %w", v.l.dir, err)
		}
		if ok {
			v.numbers = append(v.numbers, n)
		}
	}
	slices.Sort(v.numbers)
	for i := len(v.numbers) - 1; i > 0; i-- {
		if v.numbers[i] != v.numbers[i-1]+1 {
			for _, n := range v.numbers[:i] {
				v.left = append(v.left, segmentName(n))
			}
			v.numbers = v.numbers[i:]
			break
		}
	}
	return nil
}

func (v *recovery) open(number uint64) error {
	file, err := v.l.fs.Open(segmentName(number))
	if err != nil {
		return err
	}
	s := &segment{number: number, file: file}
	v.l.segments = append(v.l.segments, s)
	size, err := file.Size()
	if err != nil {
		return err
	}
	r, err := v.in.read(s, 0, size)
	var h segmentHead
	if err == nil {
		h, err = decodeSegmentHead(&r)
	}
	if err != nil {
		return v.l.damage(s, 0, v.lost(), err)
	}
	r.body = nil
	s.head = r.size
	s.seed = seedOf(h.id, number)
	v.heads, v.parts, v.sizes = append(v.heads, r), append(v.parts, h), append(v.sizes, size)
	if n := len(v.parts); n > 1 {
		if before := v.l.segments[n-2]; h.prevEnd > v.sizes[n-2] {
			return v.l.damage(before, v.sizes[n-2], v.lost(), bad("%d bytes are missing at the end", h.prevEnd-v.sizes[n-2]))
		}
		v.sizes[n-2] = h.prevEnd
	}
	return nil
}

// lost returns the first entry that is missing if nothing but what was read is there.
func (v *recovery) lost() uint64 {
	if n := len(v.heads); n > 0 {
		return v.heads[n-1].index + 1
	}
	return 1
}

// end finds the end of the newest segment.
func (v *recovery) end() error {
	n := len(v.sizes) - 1
	s := v.l.segments[n]
	t, index, err := scanTail(&v.in, s, v.sizes[n])
	if err != nil {
		var b badAt
		if errors.As(err, &b) {
			return v.l.damage(s, b.offset, index+1, b.error)
		}
		return err
	}
	v.tail, v.sizes[n] = t, t.end
	return nil
}

// replay applies a segment's records.
func (v *recovery) replay(i int) error {
	l, s := v.l, v.l.segments[i]
	if err := v.begin(i); err != nil {
		return l.damage(s, 0, l.state.last+1, err)
	}
	batch := v.heads[i].size
	for at := batch; at < v.sizes[i]; {
		r, err := v.in.read(s, at, v.sizes[i])
		if err == nil {
			err = linked(&r, at, batch, l.prev)
		}
		if err == nil && r.kind == kindSeal {
			s, at, err = &segment{number: s.number + 1}, 0, bad("the file is missing")
		}
		if err == nil {
			err = l.state.apply(s, at, &r)
		}
		if err != nil {
			return l.damage(s, at, l.state.last+1, err)
		}
		l.prev = r.sum
		at += r.size
		if r.last() {
			batch = at
		}
	}
	if batch != v.sizes[i] {
		return l.damage(s, batch, l.state.last+1, bad("the last write is not whole"))
	}
	s.end = v.sizes[i]
	l.total += s.end
	return nil
}

// begin applies a segment's head: the oldest one's is where all begins, the others have
// to repeat what was read.
func (v *recovery) begin(i int) error {
	l, r, h := v.l, &v.heads[i], &v.parts[i]
	if !r.last() || r.back != 0 {
		return bad("the head of the segment is not whole")
	}
	if i == 0 {
		l.id = h.id
		l.state.hard, l.state.snap = h.hard, h.snap
		l.state.last, l.state.lastTerm = r.index, r.term
	} else if s := l.state; l.id != h.id || r.prev != l.prev || r.index != s.last || r.term != s.lastTerm ||
		!proto.Equal(h.hard, s.hard) || !proto.Equal(h.snap, s.snap) {
		return bad("the segment does not continue the one before")
	}
	l.prev = r.sum
	return nil
}

// complete checks that nothing is missing before what was read.
func (v *recovery) complete() error {
	l, s := v.l, v.l.state
	if s.snapIndex()+1 < s.first() {
		gone := &segment{number: l.segments[0].number - 1}
		return l.damage(gone, 0, s.snapIndex()+1, bad("the file is missing"))
	}
	return nil
}

// settle cuts off what is torn, and writes the last batch once more, as it is: if the
// process before ended because an fsync failed, the system may hold bytes in memory that
// are not on the disk and that it takes for written.
func (v *recovery) settle() error {
	l, s, t := v.l, v.l.newest(), v.tail
	if t.torn > 0 {
		if err := s.file.Truncate(t.end); err != nil {
			return err
		}
		l.opt.Log.Warn("a write that was not finished is cut off at the end of the write log",
			"segment", segmentName(s.number), "dir", l.dir, "offset", t.end, "bytes", t.torn)
	}
	buf := make([]byte, min(scanAhead, t.end-t.batch))
	for at := t.batch; at < t.end; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), t.end-at)]
		if err := readFull(s, buf, at); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(buf, at); err != nil {
			return err
		}
	}
	return s.file.Sync()
}

// tidy removes what is left over: a crash may have come in between.
func (v *recovery) tidy() error {
	for _, name := range v.left {
		if err := v.l.fs.Remove(name); err != nil {
			return err
		}
	}
	return v.l.fs.SyncDir()
}

// damageOf makes a badRecord a Damage; another error is the disk's and stays.
func damageOf(dir string, s *segment, offset int64, index uint64, err error) error {
	var b badRecord
	if !errors.As(err, &b) {
		return fmt.Errorf("%s: %w", segmentName(s.number), err)
	}
	return &Damage{Dir: dir, Segment: segmentName(s.number), Offset: offset, Index: index, Reason: string(b)}
}
