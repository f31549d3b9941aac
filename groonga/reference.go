package groonga

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Referred are records of a table that other records refer to, by their keys as JSON has
// them.
type Referred struct {
	Table string
	Keys  []json.RawMessage
}

// UnknownColumns reports whether records of a load have values of columns that the schema
// does not know.
func (k Cut) UnknownColumns(c *Command) (bool, error) {
	if !k.Schema.isTable(c.Get("table")) {
		return false, nil
	}
	list, err := Records(c)
	if err != nil {
		return false, err
	}
	known := func(name string) bool {
		name, _, _ = strings.Cut(name, ".")
		_, ok := k.Schema.column(c.Get("table"), name)
		return ok || strings.HasPrefix(name, "_")
	}
	if slices.ContainsFunc(list.Columns, func(name string) bool { return !known(name) }) {
		return true, nil
	}
	for _, row := range list.Rows {
		if row[0] != '{' {
			continue
		}
		fields, _ := splitObject(row)
		if slices.ContainsFunc(fields, func(f named) bool { return !known(f.name) }) {
			return true, nil
		}
	}
	return false, nil
}

// Referred are the records to which those of a load refer, so that servers which do not get
// these records have them all the same. The error is ErrNotSupported for references that
// cannot be followed.
func (k Cut) Referred(c *Command) ([]Referred, error) {
	table := c.Get("table")
	references := k.Schema.references(table)
	if len(references) == 0 {
		return nil, nil
	}
	list, err := Records(c)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*referredKeys)
	for _, row := range list.Rows {
		fields := list.fields(row)
		if !c.Keys.makes(field(fields, "_key")) {
			continue
		}
		for _, f := range fields {
			i := slices.IndexFunc(references, func(r reference) bool { return r.column == f.name })
			if i < 0 || !refers(f.value) {
				continue
			}
			to := references[i].to
			if err := k.checkReference(c, references[i], f.value); err != nil {
				return nil, err
			}
			if !k.whole(to) || k.whole(table) {
				continue // made where the record is, which is on the server of its slice, or on all
			}
			if found[to] == nil {
				found[to] = &referredKeys{seen: make(map[string]bool)}
			}
			found[to].add(f.value)
		}
	}
	var all []Referred
	for to, keys := range found { // order-free: sorted below
		all = append(all, Referred{to, keys.list})
	}
	slices.SortFunc(all, func(a, b Referred) int { return strings.Compare(a.Table, b.Table) })
	return all, nil
}

// checkReference refuses a reference to a record that the servers would not have alike.
func (k Cut) checkReference(c *Command, r reference, value json.RawMessage) error {
	table := c.Get("table")
	switch {
	case !k.whole(r.to) && (k.Fact != "" || r.to == table):
		return refuse("the value of %s.%s, which refers to a record of %s that may be on another slice", table, r.column, r.to)
	case !k.whole(r.to) || k.whole(table):
		return nil
	case c.Get("ifexists") != "" || c.Get("each") != "":
		return refuse("a load with ifexists or each of records with a value of %s.%s, which refers to %s", table, r.column, r.to)
	}
	if column, _ := k.Schema.column(table, r.column); column.isVector() && value[0] != '[' && value[0] != '{' {
		return refuse("the value of %s.%s is no array, though the column is a vector of references", table, r.column)
	}
	return nil
}

// refers reports whether a value may name a record.
func refers(value json.RawMessage) bool {
	switch string(value) {
	case "null", `""`, "[]", "{}":
		return false
	}
	return true
}

// fields are a record's values by their columns.
func (l *RecordList) fields(row json.RawMessage) []named {
	if row[0] == '{' {
		fields, _ := splitObject(row)
		return fields
	}
	values, _ := splitArray(row)
	var fields []named
	for i, v := range values {
		if i < len(l.Columns) {
			fields = append(fields, named{l.Columns[i], v})
		}
	}
	return fields
}

// referredKeys collects keys.
type referredKeys struct {
	list []json.RawMessage
	seen map[string]bool
}

func (r *referredKeys) add(value json.RawMessage) {
	switch value[0] {
	case '[':
		values, _ := splitArray(value)
		for _, v := range values {
			r.add(v)
		}
	case '{':
		fields, _ := splitObject(value)
		for _, f := range fields {
			r.note(escapeText(nil, f.name))
		}
	default:
		r.note(value)
	}
}

func (r *referredKeys) note(key json.RawMessage) {
	if !refers(key) || r.seen[string(key)] {
		return
	}
	r.seen[string(key)] = true
	r.list = append(r.list, key)
}

// The limits of a question for some records: it has to fit into a request line.
const (
	referredAtOnce = 100
	referredBytes  = 24 << 10
)

// Parts are the records in parts of which each can be asked for by one command.
func (r Referred) Parts() (parts []Referred) {
	for from := 0; from < len(r.Keys); {
		to, size := from, 0
		for to < len(r.Keys) && to-from < referredAtOnce && size < referredBytes {
			size += len(url.QueryEscape(string(r.Keys[to]))) + 20
			to++
		}
		parts = append(parts, Referred{r.Table, r.Keys[from:to]})
		from = to
	}
	return parts
}

// Find asks which of the records there are.
func (r Referred) Find() *Command {
	terms := make([]string, len(r.Keys))
	for i, key := range r.Keys {
		terms[i] = "_key == " + string(key)
	}
	return &Command{Name: "select", Args: []Arg{{"table", r.Table}, {"filter", strings.Join(terms, " || ")}, {"limit", "0"}, {"output_columns", "_key"}}}
}

// Found reports, by the answer to Find, that all of them are there.
func (r Referred) Found(doc []byte) bool {
	a, err := readAnswer(doc)
	if err != nil || a.code != 0 {
		return false
	}
	found, err := a.result()
	return err == nil && found.hits == int64(len(r.Keys))
}

// Load makes those that are missing.
func (r Referred) Load() *Command {
	records := make([]string, len(r.Keys))
	for i, key := range r.Keys {
		records[i] = fmt.Sprintf(`{"_key":%s}`, key)
	}
	return (&Command{Name: "load", Args: []Arg{{"table", r.Table}}, Body: []byte("[" + strings.Join(records, ",\n") + "]")}).Asked()
}
