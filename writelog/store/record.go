package store

import (
	"encoding/binary"
	"hash/crc32"
)

// A record is a header and a body. All integers are little endian.
//
//	 0 marker 4    none of its bytes is zero
//	 4 length 4    of the body
//	 8 back 4      how far before this record its batch begins
//	12 prev 4      the checksum of the record before
//	16 index 8
//	24 term 8
//	32 kind 1
//	33 flags 1
//	34 sum 4       over the place, bytes 0 to 33 and the body
//	38 headSum 4   over the place and bytes 0 to 37
//	42 end 1       not zero
//
// The place is the identity of the log, the segment's number and the record's offset,
// so that bytes of another place, which the data of a client may hold, are never taken
// for a record. prev makes the checksums a chain. headSum is there because a length
// that cannot be trusted cannot say what is missing.
const (
	recordMarker = 0x6c754249 // "IBul"
	recordEnd    = 0x4c
	headSize     = 43

	maxBody  = 256 << 20 // one entry, one snapshot
	maxBatch = 1 << 30   // one Save
)

// kind says what a record is. index and term are given for each.
type kind uint8

const (
	kindSegment    kind = iota + 1 // a segment's first; the last entry before it; body: segmentHead
	kindEntry                      // an entry; body: its protobuf form
	kindTruncate                   // entries behind index are void
	kindHardState                  // index is commit; body: its protobuf form
	kindCheckpoint                 // a snapshot of entries that the log has; body: its protobuf form
	kindInstall                    // a snapshot that replaces the log
	kindSeal                       // the last of a segment: the next one exists
	kindEnd                        // behind the kinds
)

const (
	flagLast  = 1 << iota // the last record of its batch
	flagZeros             // the body has a whole part of a sector that is zero
)

// record is a decoded one. body points into the buffer that it was read from.
type record struct {
	kind  kind
	flags uint8
	back  uint32
	prev  uint32
	sum   uint32
	index uint64
	term  uint64
	size  int64 // of header and body
	body  []byte
}

func (r *record) last() bool { return r.flags&flagLast != 0 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seedOf returns what the checksums of a segment begin with.
func seedOf(id Identity, number uint64) uint32 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], id.Cluster)
	binary.LittleEndian.PutUint64(b[8:], id.Member)
	binary.LittleEndian.PutUint64(b[16:], number)
	return crc32.Checksum(b[:], castagnoli)
}

// placed mixes a record's offset into a seed.
func placed(seed uint32, offset int64) uint32 {
	return seed ^ uint32(uint64(offset)*0xc2b2ae3d27d4eb4f>>32)
}

func bodySum(place uint32, head, body []byte) uint32 {
	return crc32.Update(crc32.Update(place, castagnoli, head[:34]), castagnoli, body)
}

func headSum(place uint32, head []byte) uint32 { return crc32.Update(place, castagnoli, head[:38]) }

// decodeHead reads a header, whose checksum has to be right for its place.
func decodeHead(head []byte, place uint32) (record, error) {
	switch {
	case binary.LittleEndian.Uint32(head) != recordMarker || head[42] != recordEnd:
		return record{}, bad("no record begins there")
	case binary.LittleEndian.Uint32(head[38:]) != headSum(place, head):
		return record{}, bad("the checksum of a record's header is wrong")
	}
	r := record{
		back:  binary.LittleEndian.Uint32(head[8:]),
		prev:  binary.LittleEndian.Uint32(head[12:]),
		index: binary.LittleEndian.Uint64(head[16:]),
		term:  binary.LittleEndian.Uint64(head[24:]),
		kind:  kind(head[32]),
		flags: head[33],
		sum:   binary.LittleEndian.Uint32(head[34:]),
		size:  headSize + int64(binary.LittleEndian.Uint32(head[4:])),
	}
	switch {
	case r.kind == 0 || r.kind >= kindEnd:
		return r, bad("a record of the unknown kind %d", r.kind)
	case r.size > headSize+maxBody:
		return r, bad("a record of %d bytes", r.size)
	case r.index > maxIndex || r.back > maxBatch:
		return r, bad("a record whose header is out of bounds")
	}
	return r, nil
}

// maxIndex keeps sums of indexes from running over.
const maxIndex = 1 << 62

// encoder appends the records of one batch to a buffer.
type encoder struct {
	buf   []byte
	seed  uint32
	base  int64  // where the batch will be in its segment
	prev  uint32 // the checksum of the record before
	left  int    // records to come
	start int    // of the one that was begun
}

// begin leaves room for a header; the body is appended to buf, then end is called.
func (e *encoder) begin() {
	e.start = len(e.buf)
	e.buf = append(e.buf, make([]byte, headSize)...)
}

func (e *encoder) end(k kind, index, term uint64) {
	head, body := e.buf[e.start:e.start+headSize], e.buf[e.start+headSize:]
	at := e.base + int64(e.start)
	e.left--
	var flags uint8
	if e.left == 0 {
		flags |= flagLast
	}
	if zeroPart(body, at+headSize) {
		flags |= flagZeros
	}
	binary.LittleEndian.PutUint32(head, recordMarker)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[8:], uint32(e.start))
	binary.LittleEndian.PutUint32(head[12:], e.prev)
	binary.LittleEndian.PutUint64(head[16:], index)
	binary.LittleEndian.PutUint64(head[24:], term)
	head[32], head[33] = byte(k), flags
	place := placed(e.seed, at)
	e.prev = bodySum(place, head, body)
	binary.LittleEndian.PutUint32(head[34:], e.prev)
	binary.LittleEndian.PutUint32(head[38:], headSum(place, head))
	head[42] = recordEnd
}

// add appends a record with a body that is there already.
func (e *encoder) add(k kind, index, term uint64, body []byte) {
	e.begin()
	e.buf = append(e.buf, body...)
	e.end(k, index, term)
}

// sectorSize is what a disk writes as a whole or not at all; the smallest that is in use.
const sectorSize = 512

// zeroPart reports whether all bytes that b, which is at offset, has in some sector are
// zero. The sector that b begins in does not count if it begins inside of one: there
// the record's header is.
func zeroPart(b []byte, offset int64) bool {
	skip := (sectorSize - offset%sectorSize) % sectorSize
	if skip >= int64(len(b)) {
		return false
	}
	for b = b[skip:]; len(b) > 0; b = b[min(sectorSize, len(b)):] {
		if allZero(b[:min(sectorSize, len(b))]) {
			return true
		}
	}
	return false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
