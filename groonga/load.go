package groonga

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// RecordList are records of a load.
type RecordList struct {
	// Columns are the names for records that are arrays: from the argument columns,
	// or the first array. nil: the records are objects.
	Columns []string
	// Rows are the records: JSON objects or arrays, as a RecordReader returns them.
	Rows []json.RawMessage

	header   json.RawMessage // the first array, if it has the names
	headerAt int             // how many of Rows came before it
}

// NewRecordList is an empty list for a load with these arguments.
func NewRecordList(c *Command) *RecordList {
	list := new(RecordList)
	if names := c.Get("columns"); names != "" {
		list.Columns = strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return list
}

// Add adds what a RecordReader has returned: a record, or the names of the columns. The
// error is ErrRecord.
func (l *RecordList) Add(row []byte) error {
	if row[0] != '[' {
		l.Rows = append(l.Rows, row)
		return nil
	}
	if l.Columns != nil {
		if err := l.check(row); err != nil {
			return err
		}
		l.Rows = append(l.Rows, row)
		return nil
	}
	l.header, l.headerAt, l.Columns = row, len(l.Rows), []string{}
	names, _ := splitArray(row)
	for _, name := range names {
		text, _ := textOf(name) // what is no name is said by the server
		l.Columns = append(l.Columns, text)
	}
	return nil
}

// check refuses values by which no record can be found.
func (l *RecordList) check(row []byte) error {
	if !bytes.ContainsAny(row[1:], "[{") {
		return nil
	}
	values, _ := splitArray(row)
	for i, v := range values {
		if i < len(l.Columns) && identifiers[l.Columns[i]] && (v[0] == '[' || v[0] == '{') {
			return fmt.Errorf("%w: %s is neither a text nor a number", ErrRecord, l.Columns[i])
		}
	}
	return nil
}

// Clear takes the records away, for the next ones. The columns stay.
func (l *RecordList) Clear() { l.Rows, l.headerAt = nil, 0 }

// Records takes the records of a load apart: from its body, or the argument values.
func Records(c *Command) (*RecordList, error) {
	text := c.Body
	if text == nil {
		text = []byte(c.Get("values"))
	}
	list := NewRecordList(c)
	in := NewRecordReader(bytes.NewReader(text), len(text))
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrBadCommand, err)
		}
		if err := list.Add(row); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrBadCommand, err)
		}
	}
}

// Record reads a row: its values by their columns, numbers as they are written. What is
// no text, number or truth value is nil.
func (l *RecordList) Record(row json.RawMessage) map[string]any {
	record := make(map[string]any)
	if row[0] == '[' {
		values, _ := splitArray(row)
		for i, v := range values {
			if i < len(l.Columns) {
				record[l.Columns[i]] = scalarOf(v)
			}
		}
		return record
	}
	fields, _ := splitObject(row)
	for _, f := range fields {
		record[f.name] = scalarOf(f.value)
	}
	return record
}

func scalarOf(v json.RawMessage) any {
	switch v[0] {
	case '"':
		text, _ := textOf(v)
		return text
	case 't', 'f':
		return v[0] == 't'
	case '[', '{', 'n':
		return nil
	}
	return json.Number(v)
}

// ByID reports whether the records, or one of them, are addressed by number.
func (l *RecordList) ByID() bool {
	for _, column := range l.Columns {
		if column == "_id" {
			return true
		}
	}
	for _, row := range l.Rows {
		if row[0] != '{' {
			continue
		}
		if fields, _ := splitObject(row); field(fields, "_id") != nil {
			return true
		}
	}
	return false
}

// Command is a load like c of some of the rows.
func (l *RecordList) Command(c *Command, rows []json.RawMessage) *Command {
	next := c.Clone()
	next.Del("values")
	next.ContentType = ""
	size := len(l.header) + 4
	for _, r := range rows {
		size += len(r) + 2
	}
	at := 0 // which fault Groonga tells last depends on it
	if len(rows) == len(l.Rows) {
		at = l.headerAt
	}
	b := append(make([]byte, 0, size), '[')
	for i := range len(rows) + 1 {
		if i == at && l.header != nil {
			b = append(append(b, l.header...), ",\n"...)
		}
		if i < len(rows) {
			b = append(append(b, rows[i]...), ",\n"...)
		}
	}
	next.Body = append(bytes.TrimSuffix(b, []byte(",\n")), ']')
	return next
}
