package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// The writer half of the msgpack subset: the old specification, in the shortest
// forms, exactly as the peers choose them. Signed fields are written as signed
// numbers and unsigned ones as unsigned, which differ from 128 on.

func appendHead(dst []byte, n int, fix byte, fixMax int, b16, b32 byte) []byte {
	switch {
	case n <= fixMax:
		return append(dst, fix|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, b16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, b32), uint32(n))
	}
}

func appendMap(dst []byte, n int) []byte   { return appendHead(dst, n, 0x80, 15, 0xde, 0xdf) }
func appendArray(dst []byte, n int) []byte { return appendHead(dst, n, 0x90, 15, 0xdc, 0xdd) }

func appendStr(dst []byte, s string) []byte {
	return append(appendHead(dst, len(s), 0xa0, 31, 0xda, 0xdb), s...)
}

// appendRaw writes nil for a nil slice and an empty string for an empty one, as
// the peers do.
func appendRaw(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 0xc0)
	}
	return append(appendHead(dst, len(b), 0xa0, 31, 0xda, 0xdb), b...)
}

func appendNil(dst []byte) []byte { return append(dst, 0xc0) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v <= math.MaxInt8:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
	}
}

func appendInt(dst []byte, v int64) []byte {
	switch {
	case v >= -32 && v <= math.MaxInt8:
		return append(dst, byte(v))
	case v >= math.MinInt8 && v < 0:
		return append(dst, 0xd0, byte(v))
	case v >= math.MinInt16 && v <= math.MaxInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(v))
	}
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(v))
}

// appendAddr writes the address as its 4 or 16 bytes, or nil if there is none.
// An IPv4 address that arrived in 16 bytes leaves in 16.
func appendAddr(dst []byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return appendNil(dst)
	case a.Is4():
		b := a.As4()
		return append(append(dst, 0xa4), b[:]...)
	default:
		b := a.As16()
		return append(append(dst, 0xb0), b[:]...)
	}
}

// appendVersions writes the six versions as one string of six bytes, or nil if
// they are not announced.
func appendVersions(dst []byte, v Versions) []byte {
	if v == (Versions{}) {
		return appendNil(dst)
	}
	return append(dst, 0xa6, v.PMin, v.PMax, v.PCur, v.DMin, v.DMax, v.DCur)
}
