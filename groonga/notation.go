package groonga

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Value is a part of a document that is put together here: Groonga writes it in four
// notations, and in each its own way.
type Value struct {
	kind   valueKind
	name   string // of arrays and objects: the element in XML
	text   string // a text, or the digits of a number
	values []*Value
}

type valueKind byte

const (
	nullValue valueKind = iota
	integerKind
	floatKind
	textKind
	boolKind
	arrayKind
	objectKind // its values are names and values in turn
)

func text(s string) *Value { return &Value{kind: textKind, text: s} }

func integerValue(n int64) *Value {
	return &Value{kind: integerKind, text: strconv.FormatInt(n, 10)}
}

// number is a number as JSON has it.
func number(digits string) *Value {
	if strings.ContainsAny(digits, ".eEIN") || isHexFloat(digits) {
		return &Value{kind: floatKind, text: digits}
	}
	return &Value{kind: integerKind, text: digits}
}

func array(name string, values ...*Value) *Value {
	return &Value{kind: arrayKind, name: name, values: values}
}

// object makes an object of names and values in turn.
func object(name string, members ...any) *Value {
	v := &Value{kind: objectKind, name: name}
	for i := 0; i < len(members); i += 2 {
		v.set(members[i].(string), members[i+1].(*Value))
	}
	return v
}

func (v *Value) set(name string, value *Value) { v.values = append(v.values, text(name), value) }
func (v *Value) add(values ...*Value)          { v.values = append(v.values, values...) }

// valueOf reads JSON. Arrays and objects, and those in them, get this name in XML. What is
// no JSON is null.
func valueOf(data json.RawMessage, name string) *Value {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return new(Value)
	}
	switch data[0] {
	case '[':
		v := array(name)
		elements, _ := splitArray(data)
		for _, e := range elements {
			v.add(valueOf(e, name))
		}
		return v
	case '{':
		v := object(name)
		fields, _ := splitObject(data)
		for _, f := range fields {
			v.set(f.name, valueOf(f.value, name))
		}
		return v
	case '"':
		s, _ := textOf(data)
		return text(s)
	case 't', 'f':
		return &Value{kind: boolKind, text: string(data)}
	case 'n':
		return new(Value)
	}
	return number(string(data))
}

func (v *Value) writeJSON(b *bytes.Buffer) {
	switch v.kind {
	case nullValue:
		b.WriteString("null")
	case textKind:
		b.Write(escapeText(b.AvailableBuffer(), v.text))
	case arrayKind, objectKind:
		b.WriteByte(v.bracket())
		for i, e := range v.values {
			if i > 0 {
				b.WriteByte(v.separator(i))
			}
			e.writeJSON(b)
		}
		b.WriteByte(v.bracket() + 2)
	default:
		b.WriteString(v.text)
	}
}

func (v *Value) bracket() byte {
	if v.kind == objectKind {
		return '{'
	}
	return '['
}

// separator is what stands before the value with that index.
func (v *Value) separator(i int) byte {
	if v.kind == objectKind && i%2 == 1 {
		return ':'
	}
	return ','
}

// writePretty writes JSON with one value a line.
func (v *Value) writePretty(b *bytes.Buffer, depth int) {
	if v.kind != arrayKind && v.kind != objectKind {
		v.writeJSON(b)
		return
	}
	b.WriteByte(v.bracket())
	for i, e := range v.values {
		switch {
		case i > 0 && v.separator(i) == ':':
			b.WriteString(": ")
		case i > 0:
			b.WriteString(",\n" + strings.Repeat("  ", depth+1))
		default:
			b.WriteString("\n" + strings.Repeat("  ", depth+1))
		}
		e.writePretty(b, depth+1)
	}
	b.WriteString("\n" + strings.Repeat("  ", depth))
	b.WriteByte(v.bracket() + 2)
}

func (v *Value) writeXML(b *bytes.Buffer) {
	switch v.kind {
	case nullValue:
		b.WriteString("<NULL/>")
	case textKind:
		b.WriteString("<TEXT>" + escapeXML(v.text) + "</TEXT>")
	case integerKind:
		b.WriteString("<INT>" + v.text + "</INT>")
	case floatKind:
		b.WriteString("<FLOAT>" + v.text + "</FLOAT>")
	case boolKind:
		b.WriteString("<BOOL>" + v.text + "</BOOL>")
	default:
		b.WriteString("<" + v.name + ">")
		for _, e := range v.values {
			b.WriteByte('\n')
			e.writeXML(b)
		}
		b.WriteString("</" + v.name + ">")
	}
}

// writeTSV writes lines of the first two levels, and brackets from the fourth on.
func (v *Value) writeTSV(b *bytes.Buffer, depth int) {
	switch v.kind {
	case nullValue:
	case textKind:
		b.Write(escapeText(b.AvailableBuffer(), v.text))
	case arrayKind, objectKind:
		if depth > 2 {
			b.Write([]byte{v.bracket(), '\t'})
		}
		for i, e := range v.values {
			switch {
			case i == 0:
			case depth < 2 && v.separator(i) == ',':
				b.WriteByte('\n')
			default:
				b.WriteByte('\t')
			}
			e.writeTSV(b, depth+1)
		}
		if depth > 2 {
			if len(v.values) > 0 {
				b.WriteByte('\t')
			}
			b.WriteByte(v.bracket() + 2)
		}
	default:
		b.WriteString(v.text)
	}
}

// writeMsgpack writes MessagePack, numbers as short as they can be.
func (v *Value) writeMsgpack(b *bytes.Buffer) {
	switch v.kind {
	case nullValue:
		b.WriteByte(0xc0)
	case boolKind:
		if v.text == "true" {
			b.WriteByte(0xc3)
		} else {
			b.WriteByte(0xc2)
		}
	case integerKind:
		b.Write(msgpackInteger(b.AvailableBuffer(), v.text))
	case floatKind:
		if isHexFloat(v.text) {
			b.Write(appendMsgpackFloat32(b.AvailableBuffer(), v.text))
			return
		}
		f, _ := strconv.ParseFloat(v.text, 64)
		b.Write(binary.BigEndian.AppendUint64(append(b.AvailableBuffer(), 0xcb), math.Float64bits(f)))
	case textKind:
		b.Write(msgpackHead(b.AvailableBuffer(), len(v.text), 32, 0xa0, 0xd9, 0xda))
		b.WriteString(v.text)
	case arrayKind:
		b.Write(msgpackHead(b.AvailableBuffer(), len(v.values), 16, 0x90, 0, 0xdc))
	case objectKind:
		b.Write(msgpackHead(b.AvailableBuffer(), len(v.values)/2, 16, 0x80, 0, 0xde))
	}
	for _, e := range v.values {
		e.writeMsgpack(b)
	}
}

// msgpackHead writes a length: up to below inline in one byte, else after the byte for
// 8 bits (0: there is none), 16 bits, or the one after that for 32.
func msgpackHead(b []byte, n, below int, inline, in8, in16 byte) []byte {
	switch {
	case n < below:
		return append(b, inline|byte(n))
	case n <= math.MaxUint8 && in8 != 0:
		return append(b, in8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, in16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, in16+1), uint32(n))
}

func msgpackInteger(b []byte, digits string) []byte {
	if u, err := strconv.ParseUint(digits, 10, 64); err == nil {
		switch {
		case u < 1<<7:
			return append(b, byte(u))
		case u <= math.MaxUint8:
			return append(b, 0xcc, byte(u))
		case u <= math.MaxUint16:
			return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(u))
		case u <= math.MaxUint32:
			return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(u))
		}
		return binary.BigEndian.AppendUint64(append(b, 0xcf), u)
	}
	n, _ := strconv.ParseInt(digits, 10, 64)
	switch {
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

// escapeText writes a text in quotes, as Groonga does in JSON and TSV: what is not
// ASCII as it is, bytes that are no UTF-8 and control characters as \uXXXX.
func escapeText(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				b = append(b, s[i:i+n]...)
				i += n
				continue
			}
		}
		i++
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= '\b' && c <= '\r' && c != '\v':
			b = append(b, '\\', "btn_fr"[c-'\b'])
		case c < ' ' || c >= 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
