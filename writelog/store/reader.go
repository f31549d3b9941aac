package store

import (
	"errors"
	"io"
)

const (
	readAhead = 64 << 10
	scanAhead = 1 << 20
)

// reader reads records of segments through one buffer, which grows to the largest
// record and shrinks again.
type reader struct {
	ahead int64
	buf   []byte
	seg   *segment
	start int64 // of buf's first byte in the segment
}

// read returns the record at offset, which must end within limit. A badRecord is about
// the bytes, another error is the disk's. The record is valid until the next call.
func (in *reader) read(s *segment, offset, limit int64) (record, error) {
	if s != in.seg {
		in.seg, in.buf = s, in.buf[:0]
	}
	head, err := in.bytes(offset, headSize, limit)
	if err != nil {
		return record{}, err
	}
	place := placed(s.seed, offset)
	if offset == 0 {
		place = placed(seedOf(Identity{}, s.number), 0) // the identity is in it
	}
	r, err := decodeHead(head, place)
	if err != nil {
		return r, err
	}
	whole, err := in.bytes(offset, r.size, limit)
	if err != nil {
		return r, err
	}
	r.body = whole[headSize:]
	if bodySum(place, whole, r.body) != r.sum {
		return r, bad("the checksum of a record is wrong")
	}
	return r, nil
}

// bytes returns n bytes at offset, read ahead if they are not in the buffer.
func (in *reader) bytes(offset, n, limit int64) ([]byte, error) {
	if offset+n > limit {
		return nil, bad("%d bytes of a record are missing", offset+n-limit)
	}
	if from := offset - in.start; from >= 0 && from+n <= int64(len(in.buf)) {
		return in.buf[from : from+n], nil
	}
	want := min(max(n, in.ahead), limit-offset)
	if int64(cap(in.buf)) < want || int64(cap(in.buf)) > 8*in.ahead && want <= in.ahead {
		in.buf = make([]byte, 0, want)
	}
	in.start, in.buf = offset, in.buf[:want]
	got, err := in.seg.file.ReadAt(in.buf, offset)
	in.buf = in.buf[:got]
	if int64(got) >= n {
		return in.buf[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, bad("%d bytes of a record are missing", n-int64(got))
	}
	return nil, err
}
