package compare

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind is what differs.
type Kind string

// The kinds of differences.
const (
	Schema Kind = "schema" // a table, a column, a plugin or a setting
	Record Kind = "record" // a record, or the value of one of its columns
	Rows   Kind = "rows"   // the records of a table without keys, whose ids differ
	Index  Kind = "index"  // what is found through an index
)

// Difference is something that is not the same on all servers.
type Difference struct {
	Kind   Kind   `json:"kind"`
	Table  string `json:"table"`
	Column string `json:"column,omitempty"` // the first that differs; of an index its name
	Key    string `json:"key,omitempty"`    // as JSON; the id of a record without a key
	// Values are what each server has, in the order of the servers, cut to some length; "":
	// it does not have it.
	Values []string `json:"values"`
	// Odd are the places of the servers that differ from most of the others. With two
	// servers, or where each has something else, nobody can tell: there is none.
	Odd []int `json:"odd,omitempty"`
}

// maxValue is to how many bytes a value is cut in a Difference.
const maxValue = 200

// judged finds who differs from most, and cuts the values.
func (d Difference) judged() Difference {
	d.Odd = odd(d.Values)
	values := make([]string, len(d.Values))
	for i, v := range d.Values {
		values[i] = cut(v)
	}
	d.Values = values
	return d
}

// odd are the places of the values that differ from what more than half of all are.
func odd(values []string) (places []int) {
	for _, v := range values {
		n := 0
		places = nil
		for i, o := range values {
			if o == v {
				n++
			} else {
				places = append(places, i)
			}
		}
		if 2*n > len(values) {
			return places
		}
	}
	return nil
}

func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	n := maxValue
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Where names what differs in a few words.
func (d *Difference) Where() string {
	switch {
	case d.Kind == Schema && d.Column != "":
		return "column " + d.Table + "." + d.Column
	case d.Kind == Schema && strings.Contains(d.Table, " "):
		return d.Table
	case d.Kind == Schema:
		return "table " + d.Table
	case d.Kind == Index:
		return fmt.Sprintf("index %s.%s, term %s", d.Table, d.Column, cut(d.Key))
	case d.Kind == Rows:
		return "the records of table " + d.Table
	case d.Column != "":
		return fmt.Sprintf("table %s, key %s, column %s", d.Table, cut(d.Key), d.Column)
	}
	return fmt.Sprintf("table %s, key %s", d.Table, cut(d.Key))
}
