package groonga

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

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

// Record reads a row: its values by their columns, numbers as they are written.
func (l *RecordList) Record(row json.RawMessage) (map[string]any, error) {
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
	r := make(map[string]any, len(values))
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
