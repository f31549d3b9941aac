package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// How the end of the newest segment is read.
//
// A batch is acknowledged when an fsync has covered it, and only then is the next one
// written. So of a bad record it is known that it was acknowledged if a record of a later
// batch is anywhere behind it. Otherwise it is in the last batch, which may or may not
// have been acknowledged, and the bytes have to say which:
//
//   - A write that was not finished leaves bytes out. The file is too short for the record,
//     or a part that the record has in a sector, which a disk writes as a whole or not at
//     all, is zero (the file had grown, and the bytes had not arrived). Such a batch is
//     cut off. It may also be that a disk lost the end of a batch that it had called
//     durable; nothing in the file can tell that.
//   - Where no byte is missing, some are others than were written. No unfinished write
//     does that, so it is damage, and the batch may have been acknowledged.
//
// That a zero part is missing and was not written so is certain: in a sector with a part
// of a record's header there is a byte that is never zero (the first of the marker or the
// end), and of other parts the record says by flagZeros whether it has zero ones. If it
// has, and is whole but bad, that is damage: rather a member too few than a lost write.

// tail is what the newest segment ends with.
type tail struct {
	end   int64 // behind the last whole batch
	batch int64 // where that begins
	torn  int64 // bytes to be cut off
}

// scanTail reads the newest segment up to its end. in is at no segment yet.
func scanTail(in *reader, s *segment, size int64) (t tail, index uint64, err error) {
	var prev uint32
	for at := int64(0); at < size; {
		r, err := in.read(s, at, size)
		if err == nil {
			err = linked(&r, at, t.end, prev)
		}
		if err != nil {
			torn, other := isTorn(s, at, t.end, size, err)
			if other == nil && !torn {
				other = err
			}
			t.torn = size - t.end
			return t, index, located(other, at)
		}
		if at == 0 || r.kind == kindEntry || r.kind == kindTruncate || r.kind == kindInstall {
			index = r.index
		}
		prev = r.sum
		at += r.size
		if r.last() {
			t.batch, t.end = t.end, at
		}
	}
	t.torn = size - t.end
	return t, index, nil
}

// badAt is an error about the bytes at an offset.
type badAt struct {
	error
	offset int64
}

func located(err error, offset int64) error {
	if err == nil {
		return nil
	}
	return badAt{err, offset}
}

// linked checks that a record follows the one before, in a batch that begins at batch.
func linked(r *record, at, batch int64, prev uint32) error {
	switch {
	case at > 0 && r.prev != prev:
		return bad("a record that does not follow the one before")
	case int64(r.back) != at-batch:
		return bad("a record that does not belong to its batch")
	}
	return nil
}

// isTorn reports whether the record at offset at, of the batch that begins at batch, is
// bad because a write was not finished.
func isTorn(s *segment, at, batch, size int64, why error) (bool, error) {
	var b badRecord
	if !errors.As(why, &b) {
		return false, why
	}
	if missing, err := bytesMissing(s, at, batch, size); err != nil || !missing {
		return false, err
	}
	later, err := laterBatch(s, at, batch, size)
	return !later, err
}

// bytesMissing reports whether bytes of the record at an offset were never written.
func bytesMissing(s *segment, at, batch, size int64) (bool, error) {
	head := make([]byte, min(headSize, size-at))
	if err := readFull(s, head, at); err != nil {
		return false, err
	}
	end, short := at+headSize, size < at+headSize
	if !short {
		if r, err := decodeHead(head, placed(s.seed, at)); err == nil {
			if end = at + r.size; end <= size && r.flags&flagZeros != 0 {
				return false, nil
			}
			short = end > size
		}
	}
	if zero, err := zeroSector(s, at, batch, min(end, size), size); err != nil || zero {
		return zero, err
	}
	if short && size < at+headSize {
		var marker [4]byte
		binary.LittleEndian.PutUint32(marker[:], recordMarker)
		n := min(len(head), len(marker))
		return bytes.Equal(head[:n], marker[:n]), nil
	}
	return short, nil
}

// zeroSector reports whether all that a batch, which begins at batch, has in one of the
// sectors from at to end is zero.
func zeroSector(s *segment, at, batch, end, size int64) (bool, error) {
	buf := make([]byte, sectorSize)
	for from := max(batch, at-at%sectorSize); from < end; {
		next := min(from-from%sectorSize+sectorSize, size)
		part := buf[:next-from]
		if err := readFull(s, part, from); err != nil {
			return false, err
		}
		if allZero(part) {
			return true, nil
		}
		from = next
	}
	return false, nil
}

// laterBatch reports whether behind an offset is a record of a batch that begins behind
// the one at batch.
func laterBatch(s *segment, at, batch, size int64) (bool, error) {
	found := false
	err := findHeads(s, at+1, size, func(pos int64, r record) bool {
		found = pos-int64(r.back) > batch
		return !found
	})
	return found, err
}

// findHeads calls yield with the whole headers of records from an offset on, until it
// returns false.
func findHeads(s *segment, at, size int64, yield func(int64, record) bool) error {
	var marker [4]byte
	binary.LittleEndian.PutUint32(marker[:], recordMarker)
	chunk := make([]byte, max(0, min(scanAhead, size-at)))
	for at+headSize <= size {
		b := chunk[:min(int64(len(chunk)), size-at)]
		if err := readFull(s, b, at); err != nil {
			return err
		}
		usable := len(b) - headSize + 1 // where a header can begin in b
		for i := 0; i < usable; i++ {
			k := bytes.Index(b[i:], marker[:])
			if k < 0 || i+k >= usable {
				break
			}
			i += k
			pos := at + int64(i)
			if r, err := decodeHead(b[i:i+headSize], placed(s.seed, pos)); err == nil && !yield(pos, r) {
				return nil
			}
		}
		at += int64(usable)
	}
	return nil
}

func readFull(s *segment, b []byte, at int64) error {
	n, err := s.file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: it has become shorter", segmentName(s.number))
	}
	return err
}
