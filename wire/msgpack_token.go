package wire

import "encoding/binary"

// kind is what a msgpack value is, as far as finding its end needs it.
type kind uint8

const (
	kindBad   kind = iota // a byte that begins no value
	kindNil               // nil
	kindBool              // false, true
	kindInt               // a signed number
	kindUint              // an unsigned number
	kindFloat             // 4 or 8 bytes
	kindRaw               // string, old or new, or binary
	kindArray
	kindMap
	kindExt
)

// token is the beginning of a value: its head, and what follows.
type token struct {
	kind kind
	head int // bytes of the head
	n    int // bytes that follow (scalars, raw, ext), or elements, or pairs
}

// headLen is the length of the head of a value whose first byte is c.
func headLen(c byte) int {
	switch {
	case c == 0xc4 || c == 0xd9 || c == 0xc7:
		return 2
	case c == 0xc5 || c == 0xda || c == 0xdc || c == 0xde || c == 0xc8:
		return 3
	case c == 0xc6 || c == 0xdb || c == 0xdd || c == 0xdf || c == 0xc9:
		return 5
	}
	return 1
}

// readToken reads the head at the beginning of b, which holds headLen bytes.
func readToken(b []byte) token {
	c := b[0]
	switch {
	case c <= 0x7f || c >= 0xe0:
		return token{kindInt, 1, 0}
	case c <= 0x8f:
		return token{kindMap, 1, int(c & 0x0f)}
	case c <= 0x9f:
		return token{kindArray, 1, int(c & 0x0f)}
	case c <= 0xbf:
		return token{kindRaw, 1, int(c & 0x1f)}
	case c >= 0xc4 && c <= 0xc9 || c >= 0xd9:
		return readSized(b)
	case c >= 0xd4:
		return token{kindExt, 1, 1 + 1<<(c-0xd4)}
	case c >= 0xd0:
		return token{kindInt, 1, 1 << (c - 0xd0)}
	case c >= 0xcc:
		return token{kindUint, 1, 1 << (c - 0xcc)}
	case c >= 0xca:
		return token{kindFloat, 1, 4 << (c - 0xca)}
	case c >= 0xc2:
		return token{kindBool, 1, 0}
	case c == 0xc0:
		return token{kindNil, 1, 0}
	}
	return token{kindBad, 1, 0}
}

// readSized is readToken for the heads that carry a length.
func readSized(b []byte) token {
	h := headLen(b[0])
	n := 0
	switch h {
	case 2:
		n = int(b[1])
	case 3:
		n = int(binary.BigEndian.Uint16(b[1:]))
	case 5:
		n = int(binary.BigEndian.Uint32(b[1:]))
	}
	switch b[0] {
	case 0xc7, 0xc8, 0xc9:
		return token{kindExt, h, n + 1} // its type byte is not part of the length
	case 0xdc, 0xdd:
		return token{kindArray, h, n}
	case 0xde, 0xdf:
		return token{kindMap, h, n}
	}
	return token{kindRaw, h, n}
}

// nest counts the values still to come while one is passed over, level by level.
type nest struct {
	left  [maxDepth]int
	depth int
}

func (s *nest) start() { s.left[0], s.depth = 1, 1 }

// enter notes a token that was read. It returns how many bytes follow it before the next.
func (s *nest) enter(t token) (body int, err error) {
	s.left[s.depth-1]--
	n := t.n
	switch t.kind {
	case kindBad:
		return 0, ErrValue
	case kindMap:
		n *= 2
		fallthrough
	case kindArray:
		if n > 0 {
			if s.depth == maxDepth {
				return 0, ErrLimit
			}
			s.left[s.depth] = n
			s.depth++
		}
		n = 0
	}
	for s.depth > 0 && s.left[s.depth-1] == 0 {
		s.depth--
	}
	return n, nil
}
