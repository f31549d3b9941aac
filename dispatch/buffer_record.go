package dispatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A record is
//
//	marker 4 | body length 4 | checksum 4 | body
//
// and its body
//
//	kind 1 | acknowledged 4 | what the kind has
//
// All integers are little endian or uvarints. The checksum covers the segment's
// number and the record's offset too, so that bytes of another place, which the
// data of a client may hold, are never taken for a record. "acknowledged" is how
// many bytes of this segment were acknowledged when the record was written: by it
// a torn tail, which nobody was promised, is told from damage.
const (
	recordMarker = 0x6b754249 // "IBuk"
	recordHeader = 12
	recordBody   = 5 // kind and acknowledged

	maxReplicas    = 1024 // of one write
	maxReplicaName = 1024
	maxRecordBytes = 1<<30 + 1<<16
)

// recordKind says what a record is.
type recordKind uint8

const (
	recordHead      recordKind = iota + 1 // the first of a segment: where the previous one ended, and the first write's number
	recordReplica                         // which replica an id stands for, from here to the end of the segment
	recordWrite                           // a write
	recordDelivered                       // one write is delivered to one replica
	recordCursor                          // all up to a write are delivered to one replica; how much waits for it then
)

// record is a decoded one. ids and data point into the buffer that it was read from.
type record struct {
	kind  recordKind
	acked int64

	prevEnd int64  // head
	seq     uint64 // head: the first; write, delivered: its own; cursor: the last
	id      uint64 // replica, delivered, cursor
	name    []byte // replica
	size    int    // delivered: the write's bytes
	waiting int    // cursor
	bytes   int64  // cursor
	at      int64  // write: in milliseconds since 1970
	ids     []byte // write: uvarints
	data    []byte // write
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordSum is the CRC32C of a body, mixed with the record's place.
func recordSum(segment uint64, offset int64, body []byte) uint32 {
	place := segment*0x9e3779b97f4a7c15 + uint64(offset)*0xc2b2ae3d27d4eb4f // odd: each place differs
	return crc32.Checksum(body, castagnoli) ^ uint32(place>>32)
}

// appendRecord encodes a record that will be at offset of a segment.
func appendRecord(buf []byte, segment uint64, offset int64, r *record) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, recordHeader)...)
	buf = append(buf, byte(r.kind))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(r.acked))
	switch r.kind {
	case recordHead:
		buf = binary.AppendUvarint(buf, uint64(r.prevEnd))
		buf = binary.AppendUvarint(buf, r.seq)
	case recordReplica:
		buf = binary.AppendUvarint(buf, r.id)
		buf = append(buf, r.name...)
	case recordDelivered:
		buf = binary.AppendUvarint(buf, r.id)
		buf = binary.AppendUvarint(buf, r.seq)
		buf = binary.AppendUvarint(buf, uint64(r.size))
	case recordCursor:
		buf = binary.AppendUvarint(buf, r.id)
		buf = binary.AppendUvarint(buf, r.seq)
		buf = binary.AppendUvarint(buf, uint64(r.waiting))
		buf = binary.AppendUvarint(buf, uint64(r.bytes))
	case recordWrite:
		buf = binary.AppendUvarint(buf, r.seq)
		buf = binary.AppendUvarint(buf, uint64(r.at))
		buf = binary.AppendUvarint(buf, uint64(len(r.ids)))
		buf = append(buf, r.ids...)
		buf = append(buf, r.data...)
	}
	head, body := buf[start:], buf[start+recordHeader:]
	binary.LittleEndian.PutUint32(head, recordMarker)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[8:], recordSum(segment, offset, body))
	return buf
}

var errBadRecord = errors.New("not a record")

func badRecord(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBadRecord, fmt.Sprintf(format, args...))
}

// decodeBody reads a record's body, whose checksum was right.
func decodeBody(body []byte) (r record, err error) {
	if len(body) < recordBody {
		return r, badRecord("%d bytes are too short", len(body))
	}
	r.kind = recordKind(body[0])
	r.acked = int64(binary.LittleEndian.Uint32(body[1:]))
	in := bodyReader{rest: body[recordBody:]}
	switch r.kind {
	case recordHead:
		r.prevEnd, r.seq = int64(in.number(1<<40)), in.number(1<<63)
	case recordReplica:
		r.id, r.name = in.number(1<<63), in.all()
		if len(r.name) > maxReplicaName {
			return r, badRecord("a name of %d bytes", len(r.name))
		}
	case recordDelivered:
		r.id, r.seq, r.size = in.number(1<<63), in.number(1<<63), int(in.number(maxRecordBytes))
	case recordCursor:
		r.id, r.seq = in.number(1<<63), in.number(1<<63)
		r.waiting, r.bytes = int(in.number(1<<40)), int64(in.number(1<<62))
	case recordWrite:
		r.seq, r.at = in.number(1<<63), int64(in.number(1<<62))
		r.ids = in.take(in.number(maxReplicas * binary.MaxVarintLen64))
		r.data = in.all()
	default:
		return r, badRecord("unknown kind %d", r.kind)
	}
	if in.bad || len(in.rest) > 0 {
		return r, badRecord("kind %d is malformed", r.kind)
	}
	return r, nil
}

// has reports whether a write is for the replica.
func (r *record) has(id uint64) bool {
	for rest := r.ids; len(rest) > 0; {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return false
		}
		if v == id {
			return true
		}
		rest = rest[n:]
	}
	return false
}

// bodyReader takes a body apart; bad stays true once something did not fit.
type bodyReader struct {
	rest []byte
	bad  bool
}

func (in *bodyReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(in.rest)
	if n <= 0 || v > most {
		in.bad = true
		return 0
	}
	in.rest = in.rest[n:]
	return v
}

func (in *bodyReader) take(n uint64) []byte {
	if n > uint64(len(in.rest)) {
		in.bad = true
		return nil
	}
	taken := in.rest[:n:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *bodyReader) all() []byte { return in.take(uint64(len(in.rest))) }

// recordReader reads records of segments through one buffer, which grows to the
// largest record and shrinks again.
type recordReader struct {
	buf     []byte
	segment uint64
	start   int64 // of buf's first byte in the segment
}

const readAhead = 64 << 10

// read returns the record at offset, which must end within limit, and where the
// next one begins. An error that is errBadRecord is about the bytes, another one
// is the disk's. The record is valid until the next call.
func (in *recordReader) read(f io.ReaderAt, segment uint64, offset, limit int64) (r record, next int64, err error) {
	if segment != in.segment {
		in.segment, in.buf = segment, in.buf[:0]
	}
	head, err := in.bytes(f, offset, recordHeader, limit)
	if err != nil {
		return r, 0, err
	}
	if m := binary.LittleEndian.Uint32(head); m != recordMarker {
		return r, 0, badRecord("it begins with %#08x", m)
	}
	length := int64(binary.LittleEndian.Uint32(head[4:]))
	sum := binary.LittleEndian.Uint32(head[8:])
	if length > maxRecordBytes {
		return r, 0, badRecord("a length of %d", length)
	}
	body, err := in.bytes(f, offset+recordHeader, length, limit)
	if err != nil {
		return r, 0, err
	}
	if recordSum(segment, offset, body) != sum {
		return r, 0, badRecord("its checksum is wrong")
	}
	r, err = decodeBody(body)
	return r, offset + recordHeader + length, err
}

// bytes returns n bytes at offset, read ahead if they are not in the buffer.
func (in *recordReader) bytes(f io.ReaderAt, offset, n, limit int64) ([]byte, error) {
	if offset+n > limit {
		return nil, badRecord("%d bytes are missing", offset+n-limit)
	}
	if from := offset - in.start; from >= 0 && from+n <= int64(len(in.buf)) {
		return in.buf[from : from+n], nil
	}
	want := min(max(n, readAhead), limit-offset)
	if int64(cap(in.buf)) < want || cap(in.buf) > 8*readAhead && want == readAhead {
		in.buf = make([]byte, 0, max(want, readAhead))
	}
	in.start, in.buf = offset, in.buf[:want]
	got, err := f.ReadAt(in.buf, offset)
	in.buf = in.buf[:got]
	if int64(got) >= n {
		return in.buf[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, badRecord("%d bytes are missing", n-int64(got))
	}
	return nil, err
}

// maxCandidates bounds the search of ackedBeyond: data may hold markers.
const maxCandidates = 4096

// ackedBeyond reports whether the segment holds, somewhere after offset, a record
// that was written when bytes at offset were acknowledged already.
func ackedBeyond(f io.ReaderAt, segment uint64, offset, limit int64) (bool, error) {
	var marker [4]byte
	binary.LittleEndian.PutUint32(marker[:], recordMarker)
	var in recordReader
	chunk := make([]byte, readAhead)
	candidates := 0
	for at := offset + 1; at < limit; {
		n, err := f.ReadAt(chunk[:min(int64(len(chunk)), limit-at)], at)
		if n == 0 && err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		i := bytes.Index(chunk[:n], marker[:])
		if i < 0 {
			if n < len(marker) {
				return false, nil
			}
			at += int64(n - len(marker) + 1)
			continue
		}
		r, _, err := in.read(f, segment, at+int64(i), limit)
		if err == nil && r.acked > offset {
			return true, nil
		}
		if err != nil && !errors.Is(err, errBadRecord) {
			return false, err
		}
		if candidates++; candidates > maxCandidates {
			return true, nil // rather a false alarm than a silent loss
		}
		at += int64(i) + 1
	}
	return false, nil
}

// appendIDs encodes the ids of a write.
func appendIDs(buf []byte, queues []*replicaQueue) []byte {
	buf = slices.Grow(buf, len(queues))
	for _, q := range queues {
		buf = binary.AppendUvarint(buf, q.id)
	}
	return buf
}
