package rpc

import (
	"errors"
	"io"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Errors of a value that is not worth decoding.
var (
	ErrTooLarge  = errors.New("rpc: value too large")
	ErrTooDeep   = errors.New("rpc: value nested too deeply")
	ErrMalformed = errors.New("rpc: not msgpack")
)

// handle is the dialect of both sides: the new msgpack spec, with str8 and bin.
// Maps are written in the order of their keys.
var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.Canonical = true
	h.MaxInitLen = 1024
	h.MaxDepth = maxDepth + 4
	return h
}()

// maxDepth is how deep a value may nest, unless more is allowed. The deepest of the
// protocol is a members reply: map, list, map, map.
const (
	maxDepth  = 16
	mostDepth = 64
)

// Limits bound one msgpack value: its bytes on the wire, and its elements,
// each of which may cost the decoder more than the one byte it takes here.
// Depth is how deep it may nest, at most 64; zero means 16.
type Limits struct{ Bytes, Elems, Depth int }

// ValueReader is what values are read from, in practice a bufio.Reader.
type ValueReader interface {
	io.Reader
	io.ByteReader
}

// ReadValue appends exactly one msgpack value from r to dst. It never
// allocates from a declared length. io.EOF means that there was not even a
// first byte.
func ReadValue(r ValueReader, dst []byte, lim Limits) ([]byte, error) {
	s := valueScanner{r: r, buf: dst, end: len(dst) + lim.Bytes, elems: lim.Elems}
	start := len(dst)
	deepest := maxDepth
	if lim.Depth > 0 {
		deepest = min(lim.Depth, mostDepth)
	}
	var todo [mostDepth + 1]uint64 // elements still to come, by depth
	todo[0] = 1
	for depth := 0; depth >= 0; {
		if todo[depth] == 0 {
			depth--
			continue
		}
		todo[depth]--
		inner, err := s.element()
		if err != nil {
			if err == io.EOF && len(s.buf) > start {
				err = io.ErrUnexpectedEOF
			}
			return s.buf, err
		}
		if inner > 0 {
			if depth == deepest {
				return s.buf, ErrTooDeep
			}
			depth++
			todo[depth] = inner
		}
	}
	return s.buf, nil
}

// valueScanner copies the elements of one value and learns their sizes.
type valueScanner struct {
	r     ValueReader
	buf   []byte
	end   int // len(buf) may not pass it
	elems int // elements still allowed
}

// element copies one element without what is inside it, and returns how many
// elements are inside.
func (s *valueScanner) element() (inner uint64, err error) {
	if s.elems--; s.elems < 0 {
		return 0, ErrTooLarge
	}
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if len(s.buf) >= s.end {
		return 0, ErrTooLarge
	}
	s.buf = append(s.buf, c)
	switch {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small numbers, nil, bools
		return 0, nil
	case c <= 0x8f:
		return s.open(uint64(c&0x0f) * 2)
	case c <= 0x9f:
		return s.open(uint64(c & 0x0f))
	case c <= 0xbf:
		return 0, s.bytes(uint64(c & 0x1f))
	case c == 0xc1:
		return 0, ErrMalformed
	}
	l := layouts[c-0xc4]
	n, err := s.length(l.lengthBytes)
	if err != nil {
		return 0, err
	}
	if l.each > 0 {
		return s.open(n * l.each)
	}
	return 0, s.bytes(n + l.fixed)
}

// layout says what follows a first byte from 0xc4 to 0xdf: a length of so many
// bytes, and then either each×length elements or length+fixed bytes.
type layout struct {
	lengthBytes int
	fixed       uint64
	each        uint64
}

var layouts = [...]layout{
	{1, 0, 0}, {2, 0, 0}, {4, 0, 0}, // bin 8, 16, 32
	{1, 1, 0}, {2, 1, 0}, {4, 1, 0}, // ext 8, 16, 32: and the type
	{0, 4, 0}, {0, 8, 0}, // float 32, 64
	{0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0}, // uint 8 … 64
	{0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0}, // int 8 … 64
	{0, 2, 0}, {0, 3, 0}, {0, 5, 0}, {0, 9, 0}, {0, 17, 0}, // fixext 1 … 16
	{1, 0, 0}, {2, 0, 0}, {4, 0, 0}, // str 8, 16, 32
	{2, 0, 1}, {4, 0, 1}, // array 16, 32
	{2, 0, 2}, {4, 0, 2}, // map 16, 32
}

// length copies a big-endian length of n bytes.
func (s *valueScanner) length(n int) (uint64, error) {
	if err := s.bytes(uint64(n)); err != nil {
		return 0, err
	}
	var v uint64
	for _, b := range s.buf[len(s.buf)-n:] {
		v = v<<8 | uint64(b)
	}
	return v, nil
}

// open checks the number of elements that a container declares: each takes a
// byte at least.
func (s *valueScanner) open(n uint64) (uint64, error) {
	if n > uint64(s.elems) || n > uint64(s.end-len(s.buf)) {
		return 0, ErrTooLarge
	}
	return n, nil
}

// bytes copies n bytes; the buffer grows as they come in.
func (s *valueScanner) bytes(n uint64) error {
	if n > uint64(s.end-len(s.buf)) {
		return ErrTooLarge
	}
	for n > 0 {
		step := int(min(n, 4096))
		at := len(s.buf)
		s.buf = slices.Grow(s.buf, step)[:at+step]
		got, err := io.ReadFull(s.r, s.buf[at:])
		if err != nil {
			s.buf = s.buf[:at+got]
			return err
		}
		n -= uint64(step)
	}
	return nil
}

// decodeValue decodes what ReadValue returned. v's contents may share memory
// with data.
func decodeValue(data []byte, v any) error {
	return codec.NewDecoderBytes(data, handle).Decode(v)
}
