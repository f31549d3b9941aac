package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// The bounds of the document.
const (
	maxBytes = 8 << 20 // of the whole document
	maxDepth = 64      // of JSON in JSON
	maxShown = 60      // bytes of a name or a value in a message
)

// kind is what a JSON value is, as messages name it.
type kind string

const (
	isObject kind = "an object"
	isArray  kind = "an array"
	isString kind = "a string"
	isNumber kind = "a number"
	isBool   kind = "a boolean"
	isNull   kind = "null"
)

// value is a JSON value that knows where it is, keeps the order of its fields and
// notices names that come twice. encoding/json reads the tokens; its own decoding
// into structures would lose all three.
type value struct {
	kind   kind
	parent *value
	name   string // in a parent that is an object
	index  int    // in a parent that is an array
	fields []*value
	items  []*value
	text   string // of a string its value, of a number or boolean how it is written
	raw    []byte // the document's own bytes
}

// readJSON reads a whole document. Names that come twice in an object are noted in
// f; the last one counts, as it did for the original's parser.
func readJSON(data []byte, f *faults) (*value, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("the catalog has %d bytes; at most %d are read", len(data), maxBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	r := &reader{dec: dec, data: data, faults: f}
	v, err := r.read(&value{}, 0)
	if err != nil {
		return nil, r.syntax(err)
	}
	if rest := bytes.TrimLeft(data[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, place(data, len(data)-len(rest), errors.New("there is more after the end of the document"))
	}
	return v, nil
}

// reader builds values from tokens.
type reader struct {
	dec    *json.Decoder
	data   []byte
	faults *faults
}

// read fills v with the next value.
func (r *reader) read(v *value, depth int) (*value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	start := r.dec.InputOffset() // after the token
	switch t := token.(type) {
	case json.Delim:
		start--
		if t == '{' {
			err = r.readObject(v, depth)
		} else {
			err = r.readArray(v, depth)
		}
		v.raw = r.data[start:r.dec.InputOffset()]
		return v, err
	case string:
		v.kind, v.text = isString, t
	case json.Number:
		v.kind, v.text = isNumber, t.String()
	case bool:
		v.kind, v.text = isBool, fmt.Sprint(t)
	default:
		v.kind, v.text = isNull, "null"
	}
	return v, nil
}

func (r *reader) readObject(v *value, depth int) error {
	v.kind = isObject
	index := make(map[string]int)
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return errors.New("the name of a field has to be a string")
		}
		field, err := r.read(&value{parent: v, name: name}, depth+1)
		if err != nil {
			return err
		}
		if i, twice := index[name]; twice {
			r.faults.at(field, "the name comes twice in its object")
			v.fields[i] = field
			continue
		}
		index[name] = len(v.fields)
		v.fields = append(v.fields, field)
	}
	_, err := r.dec.Token()
	return err
}

func (r *reader) readArray(v *value, depth int) error {
	v.kind = isArray
	for r.dec.More() {
		item, err := r.read(&value{parent: v, index: len(v.items)}, depth+1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, err := r.dec.Token()
	return err
}

// syntax says where in the document err is.
func (r *reader) syntax(err error) error {
	at := int(r.dec.InputOffset())
	var s *json.SyntaxError
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return place(r.data, len(r.data), errors.New("the document ends too early"))
	case errors.As(err, &s) && int(s.Offset) != at:
		// The scanner counts the byte that is wrong, the decoder does not.
		at = int(s.Offset) - 1
	}
	return place(r.data, min(max(0, at), len(r.data)), err)
}

// place is err with the line and column of an offset.
func place(data []byte, at int, err error) error {
	line := 1 + bytes.Count(data[:at], []byte("\n"))
	column := at - bytes.LastIndexByte(data[:at], '\n')
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

// field is the field of that name, nil if there is none or v is no object.
func (v *value) field(name string) *value {
	for _, f := range v.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// plainName is a name that needs no quotes in a path.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// path is where v is in the document.
func (v *value) path() string {
	if v.parent == nil {
		return ""
	}
	return v.parent.child(v.name, v.index)
}

// child is the path of a field, or of an item, of v, there or not.
func (v *value) child(name string, index int) string {
	above := v.path()
	switch {
	case v.kind == isArray:
		return fmt.Sprintf("%s[%d]", above, index)
	case !plainName.MatchString(name):
		return fmt.Sprintf("%s[%q]", above, cut(name))
	case above == "":
		return cut(name)
	}
	return above + "." + cut(name)
}

// shown is v as a message shows it.
func (v *value) shown() string {
	switch v.kind {
	case isString:
		return fmt.Sprintf("%q", cut(v.text))
	case isObject, isArray, isNull:
		return string(v.kind)
	}
	return cut(v.text)
}

// cut shortens s to about maxShown bytes, on a boundary of characters.
func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}
