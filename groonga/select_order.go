package groonga

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// compareFunc orders two values of a column, both as JSON.
type compareFunc func(a, b *sortValue) int

// sortValue is a value that is sorted by, decoded once.
type sortValue struct {
	text  string
	float float64
	int   int64
	uint  uint64
	none  bool // a vector without elements
}

// decoder reads a value of a column's type for its comparison.
type decoder func(data []byte, v *sortValue) error

// ordering is how Groonga orders the values of a type: numbers and times by value,
// false before true, texts by their bytes, points by the bits of their longitude and then
// those of their latitude. Of a vector it looks at the first element alone, and one without
// any comes first.
func ordering(c column) (decoder, compareFunc, error) {
	var d decoder
	var by compareFunc
	switch c.typ {
	case "Int8", "Int16", "Int32", "Int64":
		d, by = decodeInt, func(a, b *sortValue) int { return cmp.Compare(a.int, b.int) }
	case "UInt8", "UInt16", "UInt32", "UInt64":
		d, by = decodeUint, func(a, b *sortValue) int { return cmp.Compare(a.uint, b.uint) }
	case "Float", "Float32", "Time":
		d, by = decodeFloat, func(a, b *sortValue) int { return cmp.Compare(a.float, b.float) }
	case "Bool":
		d, by = decodeBool, func(a, b *sortValue) int { return cmp.Compare(a.int, b.int) }
	case "WGS84GeoPoint", "TokyoGeoPoint":
		d, by = decodePoint, func(a, b *sortValue) int { return cmp.Compare(a.uint, b.uint) }
	case "ShortText", "Text", "LongText":
		return decodeText, func(a, b *sortValue) int { return strings.Compare(a.text, b.text) }, nil
	default:
		return nil, nil, fmt.Errorf("%w: to sort by %s of type %s, of which each slice has its own order; where that is a table, sort by its column, like %s._key",
			ErrNotSupported, c.name, c.typ, c.name)
	}
	return firstElement(d), emptyFirst(by), nil
}

// firstElement decodes the first element of a vector as d does a value.
func firstElement(d decoder) decoder {
	return func(data []byte, v *sortValue) error {
		if data[0] != '[' {
			return d(data, v)
		}
		elements, ok := splitArray(data)
		switch {
		case !ok:
			return errAnswer
		case len(elements) == 0:
			v.none = true
			return nil
		}
		return d(elements[0], v)
	}
}

func emptyFirst(by compareFunc) compareFunc {
	return func(a, b *sortValue) int {
		switch {
		case a.none && b.none:
			return 0
		case a.none:
			return -1
		case b.none:
			return 1
		}
		return by(a, b)
	}
}

func decodeInt(data []byte, v *sortValue) (err error) {
	v.int, err = strconv.ParseInt(string(data), 10, 64)
	return err
}

func decodeUint(data []byte, v *sortValue) (err error) {
	v.uint, err = strconv.ParseUint(string(data), 10, 64)
	return err
}

func decodeFloat(data []byte, v *sortValue) (err error) {
	v.float, err = strconv.ParseFloat(string(data), 64)
	return err
}

func decodeBool(data []byte, v *sortValue) error {
	switch string(data) {
	case "true":
		v.int = 1
	case "false":
	default:
		return errAnswer
	}
	return nil
}

func decodeText(data []byte, v *sortValue) error {
	var ok bool
	if v.text, ok = textOf(data); !ok {
		return errAnswer
	}
	return nil
}

func decodePoint(data []byte, v *sortValue) error {
	text, _ := textOf(data)
	latitude, longitude, ok := strings.Cut(text, "x")
	south, err1 := strconv.ParseInt(latitude, 10, 32)
	east, err2 := strconv.ParseInt(longitude, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return errAnswer
	}
	v.uint = uint64(uint32(east))<<32 | uint64(uint32(south))
	return nil
}

// order is how records are ordered by their first columns.
type order struct {
	at         []int // which of a record's values
	decode     []decoder
	compare    []compareFunc
	descending []bool
	numberings []*numbering // of keys that refer to another table; nil: the key does not
}

// newOrder finds the sort keys among the columns from the given one on. Groonga
// leaves away what is no column, and so sorts by the others. It returns how many
// columns the keys have.
func newOrder(keys []sortKey, columns []column, from int) (o order, n int, err error) {
	for _, k := range keys {
		i, asked := from+n, k.columns()
		if i+len(asked) > len(columns) || !sameColumn(asked[0], columns[i].name) {
			continue
		}
		d, c, err := ordering(columns[i])
		if err != nil {
			return o, 0, err
		}
		var refers *numbering
		if k.refers {
			if columns[i+1].name != asked[1] {
				return o, 0, fmt.Errorf("%w: to sort by %s, which refers to records without keys", ErrNotSupported, k.column)
			}
			refers = newNumbering(k.column)
		}
		o.at, o.decode, o.compare = append(o.at, i), append(o.decode, d), append(o.compare, c)
		o.descending, o.numberings = append(o.descending, k.descending), append(o.numberings, refers)
		n += len(asked)
	}
	return o, n, nil
}

// numbering is how servers number the records of a table that each of them has wholly.
// They do so alike unless some of them were filled at different times.
type numbering struct {
	column string
	keys   map[string]string // by number
	ids    map[string]string // by key
}

func newNumbering(column string) *numbering {
	return &numbering{column, make(map[string]string), make(map[string]string)}
}

// note refuses a record that another server numbers otherwise.
func (n *numbering) note(id, key json.RawMessage) error {
	if len(id) > 0 && id[0] == '[' {
		ids, ok1 := splitArray(id)
		keys, ok2 := splitArray(key)
		if !ok1 || !ok2 || len(ids) != len(keys) {
			return errAnswer
		}
		for i := range ids {
			if err := n.note(ids[i], keys[i]); err != nil {
				return err
			}
		}
		return nil
	}
	known, numbered := n.keys[string(id)]
	other, named := n.ids[string(key)]
	if numbered && known != string(key) || named && other != string(id) {
		return fmt.Errorf("%w: to sort by %s, whose records the servers number otherwise; sort by a column of theirs, like %s._key", ErrNotSupported, n.column, n.column)
	}
	n.keys[string(id)], n.ids[string(key)] = string(key), string(id)
	return nil
}

// sameColumn reports whether Groonga gives the column asked for this name: it shows
// _value.NAME, of a drilldown by several keys, as NAME.
func sameColumn(asked, shown string) bool {
	return asked == shown || strings.TrimPrefix(asked, "_value.") == shown
}

// row is a record on its way: its values, and those that it is sorted by.
type row struct {
	values []json.RawMessage
	keys   []sortValue
}

// row reads a record's sort values.
func (o *order) row(values []json.RawMessage) (row, error) {
	r := row{values, make([]sortValue, len(o.at))}
	for i, at := range o.at {
		if err := o.decode[i](values[at], &r.keys[i]); err != nil {
			return r, fmt.Errorf("%w: %s cannot be sorted by", ErrNotSupported, values[at])
		}
		if n := o.numberings[i]; n != nil {
			if err := n.note(values[at], values[at+1]); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// less compares two rows; of equal ones neither is less.
func (o *order) less(a, b *row) int {
	for i, compare := range o.compare {
		c := compare(&a.keys[i], &b.keys[i])
		if c == 0 {
			continue
		}
		if o.descending[i] {
			return -c
		}
		return c
	}
	return 0
}
