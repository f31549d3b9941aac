package applier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ibuki-dev/ibuki/groonga"
)

// The limits of loads that go out together.
const (
	maxBatchLoads = 256
	maxBatchBytes = 1 << 20
	maxKey        = 4096 // bytes of a key, as Groonga has it
)

// rows are the records of a load, as they came.
type rows struct{ *groonga.RecordList }

// readRows takes the records of a load apart.
func readRows(c *groonga.Command) (rows, error) {
	if t := c.Get("input_type"); t != "" && t != "json" {
		return rows{}, fmt.Errorf("a load of input_type %s", t)
	}
	list, err := groonga.Records(c)
	return rows{list}, err
}

// each calls f with the values of each record, by column; false if a record is none or f says so.
func (r rows) each(f func(map[string]json.RawMessage) bool) bool {
	for _, row := range r.Rows {
		values := make(map[string]json.RawMessage)
		switch row[0] {
		case '{':
			if !readObject(row, values) {
				return false
			}
		case '[':
			var list []json.RawMessage
			if json.Unmarshal(row, &list) != nil || len(list) != len(r.Columns) {
				return false
			}
			for i, v := range list {
				values[r.Columns[i]] = v
			}
		default:
			return false
		}
		if !f(values) {
			return false
		}
	}
	return true
}

// readObject reads a JSON object in which each name is there once.
func readObject(row json.RawMessage, values map[string]json.RawMessage) bool {
	dec := json.NewDecoder(bytes.NewReader(row))
	if _, err := dec.Token(); err != nil {
		return false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return false
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return false
		}
		if _, twice := values[name.(string)]; twice {
			return false
		}
		values[name.(string)] = v
	}
	return true
}

// add reports whether each row adds one record to a table without keys.
func (r rows) add() bool {
	return r.each(func(values map[string]json.RawMessage) bool {
		_, id := values["_id"]
		_, key := values["_key"]
		return !id && !key
	})
}

// batch is several loads that go out as one.
type batch struct {
	first     *groonga.Command
	signature string
	head      rows  // of the first
	counts    []int // of records, one for each load
	list      []json.RawMessage
	bytes     int
	keys      map[string]bool
}

// batchArgs are the arguments that loads which go out together may have, besides their values. A
// gateway gives each load a command_version: that in which it reads the answer.
var batchArgs = []string{"table", "columns", "input_type", "command_version"}

// newBatch begins a batch with a load; nil if it has to go by itself.
func (ts tables) newBatch(c *groonga.Command) *batch {
	if c.Name != "load" {
		return nil
	}
	b := &batch{first: c, signature: signature(c), keys: make(map[string]bool)}
	if !b.join(ts, c) {
		return nil
	}
	return b
}

// signature is what is equal for loads that may go out together.
func signature(c *groonga.Command) string {
	return strings.Join([]string{c.Get("table"), c.Get("columns"), c.Get("input_type"), c.Get("command_version"), c.Dataset}, "\x00")
}

// join adds a load; false, with nothing changed, if it has to go after the batch.
func (b *batch) join(ts tables, c *groonga.Command) bool {
	if c.Name != "load" || signature(c) != b.signature || len(b.counts) == maxBatchLoads {
		return false
	}
	for _, a := range c.Args {
		if a.Name != "values" && !slices.Contains(batchArgs, a.Name) {
			return false
		}
	}
	t := ts[c.Get("table")]
	if t == nil || t.keyless || t.normalizer || len(c.Body)+b.bytes > maxBatchBytes {
		return false
	}
	r, err := readRows(c)
	if err != nil || len(r.Rows) == 0 || len(b.counts) > 0 && !slices.Equal(b.head.Columns, r.Columns) {
		return false
	}
	var keys []string
	valid := r.each(func(values map[string]json.RawMessage) bool {
		key, ok := ts.valid(t, values)
		if !ok || b.keys[key] || slices.Contains(keys, key) {
			return false
		}
		keys = append(keys, key)
		return true
	})
	if !valid || len(keys) > maxBatchLoads && len(b.counts) > 0 {
		return false
	}
	for _, k := range keys {
		b.keys[k] = true
	}
	if len(b.counts) == 0 {
		b.head = r
	}
	b.counts = append(b.counts, len(r.Rows))
	b.list = append(b.list, r.Rows...)
	b.bytes += len(c.Body) + len(c.Get("values"))
	return true
}

// command is the load of all.
func (b *batch) command() *groonga.Command {
	if len(b.counts) == 1 {
		return b.first
	}
	return b.head.Command(b.first, b.list)
}

// answers makes of the batch's answer that of each load; nil if something in it failed.
func (b *batch) answers(a groonga.Answer) []groonga.Answer {
	if r, err := groonga.ReadLoad(a); a.Code != 0 || err != nil || r.Loaded != len(b.list) {
		return nil
	}
	list := make([]groonga.Answer, len(b.counts))
	for i, n := range b.counts {
		if i > 0 && n == b.counts[i-1] {
			list[i] = list[i-1]
		} else {
			list[i] = loaded(b.first, a, n)
		}
	}
	return list
}

// loaded is an answer to a load with another number of records.
func loaded(c *groonga.Command, a groonga.Answer, n int) groonga.Answer {
	r, err := groonga.ReadLoad(a)
	if err != nil {
		return a
	}
	r.Loaded = n
	next := r.Answer(c.Form())
	next.Volume, next.Code = a.Volume, a.Code
	return next
}

// valid returns the key of a record, and whether the server will take the record as it is.
func (ts tables) valid(t *table, values map[string]json.RawMessage) (key string, ok bool) {
	if !ts.fits(t.keyType, values["_key"], 0) {
		return "", false
	}
	for name, v := range values { // order-free: all have to be
		if name == "_key" {
			continue
		}
		c, known := t.columns[name]
		switch {
		case !known || c.kind == "index" || c.weight:
			return "", false
		case c.kind == "vector":
			var list []json.RawMessage
			if json.Unmarshal(v, &list) != nil || string(v) == "null" {
				return "", false
			}
			for _, v := range list {
				if !ts.fits(c.typ, v, 1) {
					return "", false
				}
			}
		case !ts.fits(c.typ, v, 1):
			return "", false
		}
	}
	return canonical(values["_key"]), true
}

// canonical is a value in a form that is the same for equal ones.
func canonical(v json.RawMessage) string {
	var s string
	if v[0] == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// bits are the sizes of the integer types; unsigned ones are negative.
var bits = map[string]int{"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64, "UInt8": -8, "UInt16": -16, "UInt32": -32, "UInt64": -64}

// fits reports whether a value is of a type beyond doubt. depth is 1 where a reference is allowed.
func (ts tables) fits(typ string, v json.RawMessage, depth int) bool {
	if len(v) == 0 {
		return false
	}
	switch typ {
	case "ShortText", "Text", "LongText":
		var s string
		if v[0] != '"' || json.Unmarshal(v, &s) != nil || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return false
		}
		return typ != "ShortText" || len(s) <= maxKey && (depth > 0 || s != "")
	case "Bool":
		return string(v) == "true" || string(v) == "false"
	}
	if n := bits[typ]; n > 0 {
		_, err := strconv.ParseInt(string(v), 10, n)
		return err == nil && string(v) != "-0"
	} else if n < 0 {
		_, err := strconv.ParseUint(string(v), 10, -n)
		return err == nil
	}
	if t := ts[typ]; t != nil && depth == 1 && !t.keyless && t.keyType == "ShortText" {
		return ts.fits("ShortText", v, 0)
	}
	return false
}

// envelope takes [[code,start,elapsed],body] apart.
func envelope(doc []byte) (head, body json.RawMessage, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(doc, &parts); err != nil {
		return nil, nil, err
	}
	if len(parts) == 0 || parts[0][0] != '[' {
		return nil, nil, fmt.Errorf("no envelope: %.40q", doc)
	}
	if len(parts) > 1 {
		body = parts[1]
	}
	return parts[0], body, nil
}
