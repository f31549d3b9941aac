package groonga

import (
	"bytes"
	"encoding/json"
)

// Answers are taken apart without being decoded: their values go out as they came
// in, and most are never looked at. encoding/json looks at each byte once for each
// level of nesting, several times over, which took longer than the servers' search.

// maxNesting is how deep an answer's arrays and objects may be nested. What a search
// answers has five levels or so.
const maxNesting = 64

// skipValue returns the index behind the value that begins at i, -1 if there is none.
// Brackets and strings are paired; what is between is not looked at.
func skipValue(data []byte, i int) int {
	var open [maxNesting]byte
	depth := 0
	for i < len(data) {
		switch b := data[i]; b {
		case '"':
			if i = skipString(data, i); i < 0 || depth == 0 {
				return i
			}
			continue
		case '[', '{':
			if depth == maxNesting {
				return -1
			}
			open[depth] = b + 2 // its closing bracket
			depth++
		case ']', '}':
			if depth == 0 || open[depth-1] != b {
				return -1
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return -1
			}
		default:
			i = skipLiteral(data, i)
			if depth == 0 {
				return i
			}
			continue
		}
		i++
	}
	return -1
}

// skipString returns the index behind the string that begins at i, -1 if it has no end.
func skipString(data []byte, i int) int {
	for from := i + 1; ; {
		n := bytes.IndexByte(data[from:], '"')
		if n < 0 {
			return -1
		}
		end, escapes := from+n, 0
		for data[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end + 1
		}
		from = end + 1
	}
}

// skipLiteral returns the index behind a number or a word.
func skipLiteral(data []byte, i int) int {
	for i < len(data) {
		switch data[i] {
		case ',', ':', ']', '}', '"', '[', '{', ' ', '\t', '\r', '\n':
			return i
		}
		i++
	}
	return i
}

// skipSpace returns the index of the next byte that is no space.
func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// splitArray returns an array's elements, as they are written. They are parts of data.
func splitArray(data []byte) (elements []json.RawMessage, ok bool) {
	return appendArray(nil, data)
}

// appendArray is splitArray into a slice that is there.
func appendArray(elements []json.RawMessage, data []byte) (all []json.RawMessage, ok bool) {
	ok = split(data, '[', func(rest []byte, i int) int {
		end := skipValue(rest, i)
		if end >= 0 {
			elements = append(elements, rest[i:end:end])
		}
		return end
	})
	return elements, ok
}

// splitObject returns an object's fields in their order.
func splitObject(data []byte) (fields []named, ok bool) {
	ok = split(data, '{', func(rest []byte, i int) int {
		if rest[i] != '"' {
			return -1
		}
		end := skipString(rest, i)
		if end < 0 {
			return -1
		}
		name, ok := textOf(rest[i:end])
		i = skipSpace(rest, end)
		if !ok || i == len(rest) || rest[i] != ':' {
			return -1
		}
		i = skipSpace(rest, i+1)
		if end = skipValue(rest, i); end >= 0 {
			fields = append(fields, named{name, rest[i:end:end]})
		}
		return end
	})
	return fields, ok
}

// split goes through the members between two brackets. member is told where one
// begins and returns where it ends, or -1.
func split(data []byte, open byte, member func(data []byte, i int) int) bool {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != open {
		return false
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == open+2 {
		return skipSpace(data, i+1) == len(data)
	}
	for i < len(data) {
		if i = member(data, i); i < 0 {
			return false
		}
		if i = skipSpace(data, i); i == len(data) {
			return false
		}
		switch data[i] {
		case open + 2:
			return skipSpace(data, i+1) == len(data)
		case ',':
			i = skipSpace(data, i+1)
		default:
			return false
		}
	}
	return false
}

// field returns the value of a field, nil if there is none.
func field(fields []named, name string) json.RawMessage {
	for _, f := range fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// textOf decodes a string. ok is false for what is none.
func textOf(data []byte) (text string, ok bool) {
	if len(data) < 2 || data[0] != '"' || data[len(data)-1] != '"' {
		return "", false
	}
	if bytes.IndexByte(data, '\\') < 0 {
		return string(data[1 : len(data)-1]), true
	}
	return text, json.Unmarshal(data, &text) == nil
}
