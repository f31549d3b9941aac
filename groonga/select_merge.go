package groonga

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Merge makes one answer of the slices' answers, in the order of the slices. An
// answer with a return code other than 0 is returned as it is, the first if there
// are several. The error is ErrNotSupported where only the answers show that they
// cannot be merged (by the type of a sort key), and else says that a server's
// answer is not understood.
func (p *SelectPlan) Merge(answers [][]byte) ([]byte, error) {
	answers, err := p.search.answers(answers)
	if err != nil {
		return nil, err
	}
	parts := make([]answer, len(answers))
	for i, data := range answers {
		var err error
		if parts[i], err = readAnswer(data); err != nil {
			return nil, err
		}
		if parts[i].code != 0 {
			return p.called(bytes.TrimSpace(data)), nil
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%w: there is none", errAnswer)
	}
	if len(parts[0].body) == 0 { // of a drilldown by what is no column Groonga gives a header alone
		return p.called(p.headerAlone(parts)), nil
	}
	main, err := p.mergeRecords(parts)
	if err != nil {
		return nil, err
	}
	groups, err := p.mergeGroups(parts)
	if err != nil {
		return nil, err
	}
	if p.form.Type == "msgpack" {
		if err := main.exactNumbers(); err != nil {
			return nil, err
		}
		for i := range groups {
			if err := groups[i].result.exactNumbers(); err != nil {
				return nil, err
			}
		}
	}
	return p.called(p.write(parts, main, groups)), nil
}

// mergeRecords merges what was found.
func (p *SelectPlan) mergeRecords(parts []answer) (merged result, err error) {
	var rows []row
	for i := range parts {
		r, err := parts[i].result()
		if err != nil {
			return merged, err
		}
		o, hidden, err := newOrder(p.sort, r.columns, 0)
		if err != nil {
			return merged, err
		}
		if i == 0 {
			merged = r
			merged.records = nil
			merged.header, err = cutHeader(r.header, hidden)
			if err != nil {
				return merged, err
			}
		} else {
			merged.hits += r.hits
			if !slices.Equal(r.columns, merged.columns) {
				return merged, fmt.Errorf("%w: the slices have different columns", errAnswer)
			}
		}
		if len(p.sort) == 0 {
			merged.records = append(merged.records, r.records...)
			continue
		}
		if rows, err = appendRows(rows, r, &o, hidden); err != nil {
			return merged, err
		}
		if i == len(parts)-1 {
			slices.SortStableFunc(rows, func(a, b row) int { return o.less(&a, &b) })
		}
	}
	have := len(merged.records) + len(rows) // one of the two is empty
	from, to := p.window.of(merged.hits, have)
	if len(rows) > 0 {
		for _, row := range rows[from:to] {
			merged.records = append(merged.records, joinValues(row.values))
		}
		return merged, nil
	}
	merged.records = merged.records[from:to]
	return merged, nil
}

// appendRows reads a slice's records. The hidden columns are cut off.
func appendRows(rows []row, r result, o *order, hidden int) ([]row, error) {
	for _, data := range r.records {
		values, err := readRecord(data, len(r.columns))
		if err != nil {
			return nil, err
		}
		row, err := o.row(values)
		if err != nil {
			return nil, err
		}
		row.values = values[hidden:]
		rows = append(rows, row)
	}
	return rows, nil
}

// cutHeader takes the hidden columns from the list of columns.
func cutHeader(header json.RawMessage, hidden int) (json.RawMessage, error) {
	if hidden == 0 {
		return header, nil
	}
	columns, ok := splitArray(header)
	if !ok || len(columns) < hidden {
		return nil, errAnswer
	}
	return joinValues(columns[hidden:]), nil
}

// joinValues writes an array.
func joinValues(values []json.RawMessage) json.RawMessage {
	size := 2
	for _, v := range values {
		size += len(v) + 1
	}
	b := append(make([]byte, 0, size), '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

// merged is a drilldown's merged result.
type mergedGroups struct {
	name   string
	result result
}

// mergeGroups merges the drilldowns that the answers have. Which they have is
// Groonga's choice: it leaves away those by unknown columns.
func (p *SelectPlan) mergeGroups(parts []answer) (merged []mergedGroups, err error) {
	if len(p.drilldowns) == 0 {
		return nil, nil
	}
	lists := make([][]named, len(parts))
	for i := range parts {
		if lists[i], err = parts[i].groups(); err != nil {
			return nil, err
		}
		same := slices.EqualFunc(lists[i], lists[0], func(a, b named) bool { return a.name == b.name })
		if !same {
			return nil, fmt.Errorf("%w: the slices have different drilldowns", errAnswer)
		}
	}
	for n, first := range lists[0] {
		plan := p.drilldown(first.name)
		if plan == nil {
			return nil, fmt.Errorf("%w: a drilldown that was not asked for", errAnswer)
		}
		m := &groupMerge{plan: plan, index: make(map[string]int)}
		for i := range parts {
			r, err := parts[i].readGroups(lists[i][n].value)
			if err == nil {
				err = m.add(r)
			}
			if err != nil {
				return nil, err
			}
		}
		r, err := m.result()
		if err != nil {
			return nil, err
		}
		merged = append(merged, mergedGroups{first.name, r})
	}
	return merged, nil
}

// drilldown is the plan of a drilldown in an answer.
func (p *SelectPlan) drilldown(name string) *drilldownPlan {
	if !p.labelled {
		return p.drilldowns[0]
	}
	for _, d := range p.drilldowns {
		if d.label == name {
			return d
		}
	}
	return nil
}

// write writes the merged answer, as the answers were written.
func (p *SelectPlan) write(parts []answer, main result, groups []mergedGroups) []byte {
	start, elapsed := times(parts)
	var b bytes.Buffer
	if parts[0].object {
		fmt.Fprintf(&b, `{"header":{"return_code":0,"start_time":%s,"elapsed_time":%s},"body":{`, start, elapsed)
		main.writeObject(&b)
		if len(p.drilldowns) > 0 {
			b.WriteString(`,"drilldowns":`)
			writeLabelled(&b, groups, result.objectInBraces)
		}
		b.WriteString("}}")
		return b.Bytes()
	}
	fmt.Fprintf(&b, "[[0,%s,%s],[", start, elapsed)
	main.writeArray(&b)
	switch {
	case len(p.drilldowns) == 0:
	case p.labelled:
		b.WriteByte(',')
		writeLabelled(&b, groups, result.writeArray)
	default:
		for _, g := range groups {
			b.WriteByte(',')
			g.result.writeArray(&b)
		}
	}
	b.WriteString("]]")
	return b.Bytes()
}

func writeLabelled(b *bytes.Buffer, groups []mergedGroups, write func(result, *bytes.Buffer)) {
	b.WriteByte('{')
	for i, g := range groups {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(g.name) // a string always can be
		b.Write(name)
		b.WriteByte(':')
		write(g.result, b)
	}
	b.WriteByte('}')
}

func (r result) writeArray(b *bytes.Buffer) {
	fmt.Fprintf(b, "[[%d],%s", r.hits, r.header)
	for _, record := range r.records {
		b.WriteByte(',')
		b.Write(record)
	}
	b.WriteByte(']')
}

func (r result) writeObject(b *bytes.Buffer) {
	b.WriteString(`"n_hits":` + strconv.FormatInt(r.hits, 10) + `,"columns":`)
	b.Write(r.header)
	b.WriteString(`,"records":`)
	b.Write(joinValues(r.records))
}

func (r result) objectInBraces(b *bytes.Buffer) {
	b.WriteByte('{')
	r.writeObject(b)
	b.WriteByte('}')
}

// exactNumbers makes the numbers what they are in MessagePack, which has all digits of them.
// JSON, which the slices were asked for, has all of integers and times, but not of fractions:
// these are refused.
func (r *result) exactNumbers() error {
	const microseconds = 1e6
	for i, record := range r.records {
		values, ok := splitArray(record)
		if !ok || len(values) > len(r.columns) {
			return errAnswer
		}
		shown := r.columns[len(r.columns)-len(values):] // those that were asked for to sort by come first
		for k, v := range values {
			if !hasFraction(v) {
				continue
			}
			seconds, err := strconv.ParseFloat(string(v), 64)
			if shown[k].typ != "Time" || err != nil {
				return fmt.Errorf("%w: fractions in MessagePack, %s, of which JSON, in which slices answer, does not have all digits: ask for JSON", ErrNotSupported, shown[k].name)
			}
			values[k] = strconv.AppendFloat(nil, math.Round(seconds*microseconds)/microseconds, 'e', -1, 64)
		}
		r.records[i] = joinValues(values)
	}
	return nil
}

// hasFraction reports whether there is a number in a value that is none of digits alone.
func hasFraction(value json.RawMessage) bool {
	switch value[0] {
	case '[':
		values, _ := splitArray(value)
		return slices.ContainsFunc(values, hasFraction)
	case '{':
		fields, _ := splitObject(value)
		return slices.ContainsFunc(fields, func(f named) bool { return hasFraction(f.value) })
	case '"', 't', 'f', 'n':
		return false
	}
	return bytes.ContainsAny(value, ".eE")
}

// headerAlone is an answer without a body.
func (p *SelectPlan) headerAlone(parts []answer) []byte {
	start, elapsed := times(parts)
	if parts[0].object {
		return fmt.Appendf(nil, `{"header":{"return_code":0,"start_time":%s,"elapsed_time":%s}}`, start, elapsed)
	}
	return fmt.Appendf(nil, "[[0,%s,%s]]", start, elapsed)
}

// ContentType is the type of what Merge returns.
func (p *SelectPlan) ContentType() string { return p.form.contentType() }

// called gives an answer the client's form.
func (p *SelectPlan) called(data []byte) []byte {
	if p.form.Type == "json" && !p.form.Pretty {
		return p.form.called(data)
	}
	a, err := readAnswer(data)
	if err != nil {
		return p.form.called(data)
	}
	var body *Value
	if len(a.body) > 0 {
		body = valueOf(a.body, "")
	}
	_, document := p.form.Write(a.head(), body)
	return document
}
