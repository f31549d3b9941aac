package groonga

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// msgpackDocument writes a document in MessagePack as JSON, in which numbers have all their
// digits: fractions of 32 bits as hexadecimal ones, so that they remain such.
func msgpackDocument(data []byte) ([]byte, error) {
	r := msgpackReader{data: data}
	if err := r.value(0); err != nil {
		return nil, fmt.Errorf("%w: MessagePack: %w", errAnswer, err)
	}
	return r.json, nil
}

// msgpackReader reads values one after the other.
type msgpackReader struct {
	data []byte // what is not read yet
	json []byte
}

// take takes n bytes.
func (r *msgpackReader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.data)) {
		return nil, fmt.Errorf("it is cut off")
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken, nil
}

// number takes a number of so many bytes.
func (r *msgpackReader) number(bytes uint64) (uint64, error) {
	taken, err := r.take(bytes)
	n := uint64(0)
	for _, b := range taken {
		n = n<<8 | uint64(b)
	}
	return n, err
}

// value reads a value of that depth.
func (r *msgpackReader) value(depth int) error {
	taken, err := r.take(1)
	if err != nil {
		return err
	}
	head := taken[0]
	switch {
	case head < 0x80:
		r.json = strconv.AppendUint(r.json, uint64(head), 10)
		return nil
	case head < 0x90:
		return r.members(uint64(head&0xf), true, depth)
	case head < 0xa0:
		return r.members(uint64(head&0xf), false, depth)
	case head < 0xc0:
		return r.text(uint64(head & 0x1f))
	case head >= 0xe0:
		r.json = strconv.AppendInt(r.json, int64(int8(head)), 10)
		return nil
	}
	return r.long(head, depth)
}

// long reads a value whose head is a byte alone.
func (r *msgpackReader) long(head byte, depth int) error {
	sized := func(first byte) (uint64, error) { return r.number(1 << (head - first)) }
	var n uint64
	var err error
	switch head {
	case 0xc0:
		r.json = append(r.json, "null"...)
	case 0xc2, 0xc3:
		r.json = strconv.AppendBool(r.json, head == 0xc3)
	case 0xca:
		n, err = r.number(4)
		r.json = hexFloat(r.json, math.Float32frombits(uint32(n)))
	case 0xcb:
		n, err = r.number(8)
		r.json = append(r.json, exactFloat(math.Float64frombits(n))...)
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err = sized(0xcc)
		r.json = strconv.AppendUint(r.json, n, 10)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		n, err = sized(0xd0)
		unused := 64 - 8<<(head-0xd0)
		r.json = strconv.AppendInt(r.json, int64(n<<unused)>>unused, 10)
	case 0xd9, 0xda, 0xdb:
		if n, err = sized(0xd9); err == nil {
			err = r.text(n)
		}
	case 0xdc, 0xdd:
		if n, err = sized(0xdb); err == nil {
			err = r.members(n, false, depth)
		}
	case 0xde, 0xdf:
		if n, err = sized(0xdd); err == nil {
			err = r.members(n, true, depth)
		}
	default:
		err = fmt.Errorf("a value of the kind %#x", head)
	}
	return err
}

// members reads those of an array, or of a map: names and values.
func (r *msgpackReader) members(n uint64, isMap bool, depth int) error {
	if depth == maxNesting || n > uint64(len(r.data)) {
		return fmt.Errorf("it is cut off, or nested too deeply")
	}
	bracket := byte('[')
	if isMap {
		bracket, n = '{', 2*n
	}
	r.json = append(r.json, bracket)
	for i := range n {
		switch {
		case i == 0:
		case isMap && i%2 == 1:
			r.json = append(r.json, ':')
		default:
			r.json = append(r.json, ',')
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.json = append(r.json, bracket+2)
	return nil
}

func (r *msgpackReader) text(n uint64) error {
	taken, err := r.take(n)
	if err != nil {
		return err
	}
	if !utf8.Valid(taken) {
		return fmt.Errorf("a text that is no UTF-8")
	}
	r.json = escapeText(r.json, string(taken))
	return nil
}

// exactFloat writes a number with all its digits, as a fraction.
func exactFloat(f float64) json.RawMessage {
	digits := strconv.AppendFloat(nil, f, 'g', -1, 64)
	if !strings.ContainsAny(string(digits), ".eIN") {
		digits = append(digits, ".0"...)
	}
	return digits
}

// hexFloat writes a number of 32 bits.
func hexFloat(b []byte, f float32) []byte {
	return strconv.AppendFloat(b, float64(f), 'x', -1, 32)
}

// isHexFloat reports whether digits are what hexFloat has written.
func isHexFloat(digits string) bool {
	return strings.HasPrefix(strings.TrimPrefix(digits, "-"), "0x")
}

// appendMsgpackFloat32 writes such a number in MessagePack.
func appendMsgpackFloat32(b []byte, digits string) []byte {
	f, _ := strconv.ParseFloat(digits, 32)
	return binary.BigEndian.AppendUint32(append(b, 0xca), math.Float32bits(float32(f)))
}
