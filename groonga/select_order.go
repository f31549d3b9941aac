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
}

// decoder reads a value of a column's type for its comparison.
type decoder func(data []byte, v *sortValue) error

// ordering is how Groonga orders the values of a type: numbers and times by value,
// false before true, texts by their bytes.
func ordering(c column) (decoder, compareFunc, error) {
	switch c.typ {
	case "Int8", "Int16", "Int32", "Int64":
		return func(data []byte, v *sortValue) (err error) {
				v.int, err = strconv.ParseInt(string(data), 10, 64)
				return err
			},
			func(a, b *sortValue) int { return cmp.Compare(a.int, b.int) }, nil
	case "UInt8", "UInt16", "UInt32", "UInt64":
		return func(data []byte, v *sortValue) (err error) {
				v.uint, err = strconv.ParseUint(string(data), 10, 64)
				return err
			},
			func(a, b *sortValue) int { return cmp.Compare(a.uint, b.uint) }, nil
	case "Float", "Float32", "Time":
		return func(data []byte, v *sortValue) (err error) {
				v.float, err = strconv.ParseFloat(string(data), 64)
				return err
			},
			func(a, b *sortValue) int { return cmp.Compare(a.float, b.float) }, nil
	case "Bool":
		return func(data []byte, v *sortValue) (err error) {
				switch string(data) {
				case "true":
					v.int = 1
				case "false":
				default:
					err = errAnswer
				}
				return err
			},
			func(a, b *sortValue) int { return cmp.Compare(a.int, b.int) }, nil
	case "ShortText", "Text", "LongText":
		return func(data []byte, v *sortValue) (err error) {
				var ok bool
				if v.text, ok = textOf(data); !ok {
					err = errAnswer
				}
				return err
			},
			func(a, b *sortValue) int { return strings.Compare(a.text, b.text) }, nil
	}
	return nil, nil, fmt.Errorf("%w: to sort by %s of type %s, of which each slice has its own order; where that is a table, sort by its column, like %s._key",
		ErrNotSupported, c.name, c.typ, c.name)
}

// order is how records are ordered by their first columns.
type order struct {
	at         []int // which of a record's values
	decode     []decoder
	compare    []compareFunc
	descending []bool
}

// newOrder finds the sort keys among the columns from the given one on. Groonga
// leaves away what is no column, and so sorts by the others. It returns how many
// columns the keys have.
func newOrder(keys []sortKey, columns []column, from int) (o order, n int, err error) {
	for _, k := range keys {
		i := from + n
		if i >= len(columns) || !sameColumn(k.column, columns[i].name) {
			continue
		}
		d, c, err := ordering(columns[i])
		if err != nil {
			return o, 0, err
		}
		o.at, o.decode, o.compare = append(o.at, i), append(o.decode, d), append(o.compare, c)
		o.descending = append(o.descending, k.descending)
		n++
	}
	return o, n, nil
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
			return r, fmt.Errorf("%w: %s cannot be sorted by; a vector can be neither", ErrNotSupported, values[at])
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
