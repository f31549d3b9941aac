package dispatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/catalog"
)

// keyRecord is what a record of that key is placed by. On a command line every key
// is text; numbers are placed by their digits, which are the same.
func keyRecord(key string) catalog.Record { return catalog.Key(key) }

// holders are the servers of a record, in all layouts.
func (ds *dataset) holders(r catalog.Record) ([]*volume, error) {
	parts, err := ds.place(r)
	if err != nil {
		return nil, err
	}
	return ds.union(parts), nil
}

// place finds a record's part in each layout.
func (ds *dataset) place(r catalog.Record) ([]int, error) {
	parts := make([]int, len(ds.layouts))
	for i, l := range ds.layouts {
		var err error
		if parts[i], err = l.cut.Find(r); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// union are the servers of a part of each layout.
func (ds *dataset) union(parts []int) []*volume {
	var all []*volume
	for i, l := range ds.layouts {
		for _, v := range l.parts[parts[i]].volumes {
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all
}

// spread is where the records of one table without a key go: by their content, so
// that all replicas agree.
func (ds *dataset) spread(record []byte) []int {
	sum := crc32.ChecksumIEEE(record)
	parts := make([]int, len(ds.layouts))
	for i, l := range ds.layouts {
		parts[i] = int(sum % uint32(len(l.parts)))
	}
	return parts
}

// loadShares splits the records of a load by their slices.
func (ds *dataset) loadShares(c *Command) ([]share, error) {
	if t := c.Get("input_type"); t != "" && t != "json" {
		return nil, fmt.Errorf("load of input_type %s: %w", t, ErrNotSupported)
	}
	records, err := Records(c)
	if err != nil {
		return nil, err
	}
	groups := make(map[string]*group)
	var order []*group
	for i, r := range records.Rows {
		parts, err := ds.partsOf(records, r)
		if err != nil {
			return nil, err
		}
		key := fmt.Sprint(parts)
		g := groups[key]
		if g == nil {
			g = &group{parts: parts}
			groups[key] = g
			order = append(order, g)
		}
		g.rows, g.at = append(g.rows, r), append(g.at, i)
	}
	list := make([]share, 0, len(order))
	for _, g := range order {
		list = append(list, share{records.Command(c, g.rows), ds.union(g.parts), g.at})
	}
	return list, nil
}

// group are the records of a load that go to the same servers.
type group struct {
	parts []int
	rows  []json.RawMessage
	at    []int // which of the load's records they are
}

func (ds *dataset) partsOf(list *RecordList, row json.RawMessage) ([]int, error) {
	record, err := list.record(row)
	if err != nil {
		return nil, err
	}
	if _, keyed := record["_key"]; !keyed {
		return ds.spread(row), nil
	}
	return ds.place(record)
}

// RecordList are the records of a load, as they came.
type RecordList struct {
	// Columns are the names for records that are arrays: from the argument columns,
	// or the first array. nil: the records are objects.
	Columns []string
	// Rows are the records: JSON objects or arrays.
	Rows []json.RawMessage
}

// Records takes the records of a load apart: from its body, or the argument values.
func Records(c *Command) (*RecordList, error) {
	text := c.Body
	if text == nil {
		text = []byte(c.Get("values"))
	}
	list := new(RecordList)
	if names := c.Get("columns"); names != "" {
		for name := range strings.SplitSeq(names, ",") {
			list.Columns = append(list.Columns, strings.TrimSpace(name))
		}
	}
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '{' { // one record alone, or one a line
		dec := json.NewDecoder(bytes.NewReader(text))
		for dec.More() {
			var row json.RawMessage
			if err := dec.Decode(&row); err != nil {
				return nil, fmt.Errorf("%w: the records of the load: %v", ErrBadCommand, err)
			}
			list.Rows = append(list.Rows, row)
		}
		return list, nil
	}
	if err := json.Unmarshal(text, &list.Rows); err != nil {
		return nil, fmt.Errorf("%w: the records of the load: %v", ErrBadCommand, err)
	}
	if list.Columns == nil && len(list.Rows) > 0 && list.Rows[0][0] == '[' {
		if err := json.Unmarshal(list.Rows[0], &list.Columns); err != nil {
			return nil, fmt.Errorf("%w: the columns of the load: %v", ErrBadCommand, err)
		}
		list.Rows = list.Rows[1:]
	}
	return list, nil
}

// record is what a row is placed by.
func (l *RecordList) record(row json.RawMessage) (catalog.Record, error) {
	if row[0] != '[' {
		var r map[string]any
		dec := json.NewDecoder(bytes.NewReader(row))
		dec.UseNumber()
		if err := dec.Decode(&r); err != nil {
			return nil, fmt.Errorf("%w: a record of the load: %v", ErrBadCommand, err)
		}
		return r, nil
	}
	var values []any
	dec := json.NewDecoder(bytes.NewReader(row))
	dec.UseNumber()
	if err := dec.Decode(&values); err != nil {
		return nil, fmt.Errorf("%w: a record of the load: %v", ErrBadCommand, err)
	}
	r := make(catalog.Record, len(values))
	for i, v := range values {
		if i < len(l.Columns) {
			r[l.Columns[i]] = v
		}
	}
	return r, nil
}

// Command is a load like c of some of the rows.
func (l *RecordList) Command(c *Command, rows []json.RawMessage) *Command {
	next := c.Clone()
	next.Del("values")
	next.ContentType = ""
	b := []byte{'['}
	if len(rows) > 0 && rows[0][0] == '[' && c.Get("columns") == "" {
		names, _ := json.Marshal(l.Columns) // of strings: cannot fail
		b = append(b, names...)
		b = append(b, ",\n"...)
	}
	for i, r := range rows {
		if i > 0 {
			b = append(b, ",\n"...)
		}
		b = append(b, r...)
	}
	next.Body = append(b, ']')
	return next
}

// combineWrites makes one answer of those to the shares of a write. Of a load whose
// records were shared out it is that to the whole load; else the first that is a failure,
// or the first.
func combineWrites(c *Command, shares []share, answers []Answer) Answer {
	if len(answers) == 1 {
		return answers[0]
	}
	if c.Name == "load" && shares[0].rows != nil {
		if whole, err := combineAnswers(c, shares, answers); err == nil {
			return whole
		}
	}
	for _, a := range answers {
		if a.Code != 0 {
			return a
		}
	}
	return answers[0]
}

func combineAnswers(c *Command, shares []share, answers []Answer) (Answer, error) {
	results := make([]LoadResult, len(answers))
	rows := make([][]int, len(answers))
	heads := make([]answer, len(answers))
	for i, a := range answers {
		var err error
		if results[i], err = ReadLoad(a); err != nil {
			return Answer{}, err
		}
		if heads[i], err = readAnswer(a.Body); err != nil {
			return Answer{}, err
		}
		rows[i] = shares[i].rows
	}
	whole := combineLoads(results, rows)
	whole.Start, whole.Elapsed = times(heads)
	one := whole.Answer(c.Form())
	one.Volume = answers[0].Volume
	return one, nil
}

// splitEnvelope takes a document apart into its header and what replicas agree on: its
// body, of a load with ids the number alone, since replicas may number differently.
func splitEnvelope(doc []byte) (head, body json.RawMessage, err error) {
	a, err := readAnswer(doc)
	if err != nil {
		return nil, nil, err
	}
	if fields, ok := splitObject(a.body); ok && a.object {
		if n := field(fields, "n_loaded_records"); n != nil {
			return a.header, n, nil
		}
	}
	return a.header, a.body, nil
}
