package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/ibuki-dev/ibuki/groonga"
)

// renumber makes of a load one without numbers of its own records, and with the new ones of those that they refer to.
// kept is how many records it has.
func (r *restorer) renumber(c *groonga.Command, list *groonga.RecordList) (next *groonga.Command, kept int, err error) {
	table := c.Get("table")
	own, refer := -1, make(map[int]string)
	for i, name := range list.Columns {
		if name == "_id" {
			own = i
		}
		if to := r.refers[table+"."+name]; to != "" {
			refer[i] = to
		}
	}
	if own < 0 && len(refer) == 0 {
		return c, len(list.Rows), nil
	}
	var body bytes.Buffer
	names := make([]json.RawMessage, len(list.Columns))
	for i, name := range list.Columns {
		if names[i], err = json.Marshal(name); err != nil {
			return nil, 0, err
		}
	}
	body.WriteByte('[')
	writeRow(&body, names, own)
	for _, row := range list.Rows {
		var values []json.RawMessage
		if err := json.Unmarshal(row, &values); err != nil {
			return nil, 0, fmt.Errorf("a record of %s: %w", table, err)
		}
		if len(values) == 0 { // a free id
			continue
		}
		if len(values) != len(list.Columns) {
			return nil, 0, fmt.Errorf("a record of %s has %d values, not %d", table, len(values), len(list.Columns))
		}
		for i, to := range refer { // order-free: each by itself
			if values[i], err = r.referred(to, values[i]); err != nil {
				return nil, 0, fmt.Errorf("%s.%s: %w", table, list.Columns[i], err)
			}
		}
		body.WriteString(",\n")
		writeRow(&body, values, own)
		kept++
	}
	body.WriteByte(']')
	next = c.Clone()
	next.Body = body.Bytes()
	return next, kept, nil
}

// writeRow writes an array without the value at a place.
func writeRow(b *bytes.Buffer, values []json.RawMessage, without int) {
	b.WriteByte('[')
	first := true
	for i, v := range values {
		if i == without {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		b.Write(v)
		first = false
	}
	b.WriteByte(']')
}

// referred has a value name a record of a table without keys by its new number.
func (r *restorer) referred(table string, v json.RawMessage) (json.RawMessage, error) {
	free := r.gaps[table]
	if string(v) == "null" || len(free) == 0 {
		return v, nil
	}
	var many []json.RawMessage
	if err := json.Unmarshal(v, &many); err == nil {
		for i := range many {
			if many[i], err = r.referred(table, many[i]); err != nil {
				return nil, err
			}
		}
		return json.Marshal(many)
	}
	id, err := strconv.ParseUint(string(v), 10, 32)
	if err != nil || id == 0 {
		return nil, fmt.Errorf("%w: %.40s is no number of a record of %s", ErrByNumber, v, table)
	}
	return strconv.AppendUint(nil, free.renumbered(id), 10), nil
}
