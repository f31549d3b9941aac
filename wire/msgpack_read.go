package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// reader reads values from b. The first error sticks; after it every method
// returns a zero value at once.
type reader struct {
	b   []byte
	pos int
	in  Interner
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.pos = len(r.b)
}

// token reads a head. For a nil value it returns kindNil like any other.
func (r *reader) token() token {
	if r.pos >= len(r.b) || len(r.b)-r.pos < headLen(r.b[r.pos]) {
		r.fail(ErrTruncated)
		return token{}
	}
	t := readToken(r.b[r.pos:])
	r.pos += t.head
	return t
}

func (r *reader) take(n int) []byte {
	if n > len(r.b)-r.pos {
		r.fail(ErrTruncated)
		return nil
	}
	b := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}

// wrong fails because t is not what the field holds. A token that could not be
// read has failed already.
func (r *reader) wrong() { r.fail(ErrValue) }

// passes passes over these bytes if they come next.
func (r *reader) passes(s string) bool {
	if len(r.b)-r.pos < len(s) || string(r.b[r.pos:r.pos+len(s)]) != s {
		return false
	}
	r.pos += len(s)
	return true
}

// want fails if these bytes do not come next.
func (r *reader) want(s string) {
	if !r.passes(s) {
		r.wrong()
	}
}

// tryNil passes over a nil.
func (r *reader) tryNil() bool {
	if r.pos < len(r.b) && r.b[r.pos] == 0xc0 {
		r.pos++
		return true
	}
	return false
}

// skip passes over one value of any kind.
func (r *reader) skip() {
	var s nest
	s.start()
	for s.depth > 0 && r.err == nil {
		t := r.token()
		if r.err != nil {
			return
		}
		n, err := s.enter(t)
		if err != nil {
			r.fail(err)
			return
		}
		r.take(n)
	}
}

// bytes reads a string or binary value without copying it; nil gives nil. The
// peers also take an array of small numbers for it, so this does (copying).
func (r *reader) bytes() []byte {
	if r.pos < len(r.b) && r.b[r.pos]&0xe0 == 0xa0 { // the most frequent: a short one
		r.pos++
		return r.take(int(r.b[r.pos-1] & 0x1f))
	}
	t := r.token()
	switch t.kind {
	case kindRaw:
		return r.take(t.n)
	case kindNil:
		return nil
	case kindArray:
		return r.byteArray(t.n)
	}
	r.wrong()
	return nil
}

func (r *reader) byteArray(n int) []byte {
	if n > len(r.b)-r.pos {
		r.fail(ErrTruncated)
		return nil
	}
	out := []byte{}
	for range n {
		if r.tryNil() {
			out = append(out, 0)
			continue
		}
		out = append(out, byte(r.uint(math.MaxUint8)))
	}
	return out
}

func (r *reader) str() string {
	b := r.bytes()
	if len(b) == 0 {
		return ""
	}
	if r.in != nil {
		return r.in.Intern(b)
	}
	return string(b)
}

func (r *reader) bool() bool {
	if r.token().head == 1 {
		switch r.b[r.pos-1] {
		case 0xc3, 1:
			return true
		case 0xc2, 0:
			return false
		}
	}
	r.wrong()
	return false
}

// number reads an integer of either sign and any width: its bits, and whether
// it is negative.
func (r *reader) number() (v uint64, negative bool) {
	if r.pos < len(r.b) && r.b[r.pos] <= 0x7f { // the most frequent: a small one
		r.pos++
		return uint64(r.b[r.pos-1]), false
	}
	t := r.token()
	switch {
	case t.kind == kindInt && t.n == 0:
		s := int64(int8(r.b[r.pos-1]))
		return uint64(s), s < 0
	case t.kind != kindInt && t.kind != kindUint:
		r.wrong()
		return 0, false
	}
	b := r.take(t.n)
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	if t.kind == kindInt && len(b) > 0 && b[0]&0x80 != 0 {
		shift := 64 - 8*len(b)
		return uint64(int64(v<<shift) >> shift), true
	}
	return v, false
}

// uint reads a number from 0 to limit.
func (r *reader) uint(limit uint64) uint64 {
	v, negative := r.number()
	if r.err == nil && (negative || v > limit) {
		r.wrong()
	}
	if r.err != nil {
		return 0
	}
	return v
}

func (r *reader) uint8() uint8   { return uint8(r.uint(math.MaxUint8)) }
func (r *reader) uint16() uint16 { return uint16(r.uint(math.MaxUint16)) }
func (r *reader) uint32() uint32 { return uint32(r.uint(math.MaxUint32)) }
func (r *reader) ltime() LTime   { return LTime(r.uint(math.MaxUint64)) }

// int reads a signed number. One beyond its range wraps, as with the peers.
func (r *reader) int() int64 {
	v, _ := r.number()
	return int64(v)
}

// float reads a floating-point number or an integer.
func (r *reader) float() float64 {
	if r.pos < len(r.b) && (r.b[r.pos] == 0xca || r.b[r.pos] == 0xcb) {
		t := r.token()
		b := r.take(t.n)
		switch len(b) {
		case 4:
			return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
		case 8:
			return math.Float64frombits(binary.BigEndian.Uint64(b))
		}
		return 0
	}
	return float64(r.int())
}

// addr reads an address of 4 or 16 bytes. Bytes of another length give none.
func (r *reader) addr() netip.Addr {
	a, _ := netip.AddrFromSlice(r.bytes())
	return a
}

// versions reads the six versions. Fewer give none, as if they were not announced.
func (r *reader) versions() Versions {
	b := r.bytes()
	if len(b) < 6 {
		return Versions{}
	}
	return Versions{b[0], b[1], b[2], b[3], b[4], b[5]}
}

// list reads the head of an array of at most limit elements; nil gives ok == false.
func (r *reader) list(limit int) (n int, ok bool) {
	return r.container(kindArray, limit, 1)
}

// pairs is list for a map.
func (r *reader) pairs(limit int) (n int, ok bool) {
	return r.container(kindMap, limit, 2)
}

func (r *reader) container(k kind, limit, each int) (n int, ok bool) {
	t := r.token()
	switch {
	case t.kind == kindNil:
		return 0, false
	case t.kind != k:
		r.wrong()
	case t.n > limit:
		r.fail(ErrLimit)
	case t.n*each > len(r.b)-r.pos:
		r.fail(ErrTruncated)
	default:
		return t.n, true
	}
	return 0, false
}
