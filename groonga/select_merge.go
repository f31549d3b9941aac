package groonga

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	whole, err := p.mergeAll(parts)
	if err != nil {
		return nil, err
	}
	if p.form.Type == "xml" {
		return whole.xml(p.main.window)
	}
	return p.called(p.write(parts, whole)), nil
}

// mergedList is a list of records with its drilldowns, and with slices[…] if it is the main one.
type mergedList struct {
	name     string
	plan     *listPlan
	result   result
	groups   []mergedGroups
	slices   []*mergedList
	isSliced bool // the answer has slices, of whatever number
}

// partOf is a list as one slice has answered it.
type partOf struct {
	result result
	groups []named
}

// mergeAll merges the main list and those of slices[…].
func (p *SelectPlan) mergeAll(parts []answer) (*mergedList, error) {
	lists := make([]partOf, len(parts))
	shown := make([][]named, len(parts)) // slices[…]
	for i := range parts {
		var err error
		if lists[i].result, err = parts[i].result(); err != nil {
			return nil, err
		}
		if shown[i], lists[i].groups, err = parts[i].rest(len(p.slices) > 0); err != nil {
			return nil, err
		}
		if !sameNames(shown[i], shown[0]) {
			return nil, fmt.Errorf("%w: the slices have different slices[…]", errAnswer)
		}
	}
	whole, err := p.main.merge(&parts[0], lists)
	if err != nil {
		return nil, err
	}
	whole.isSliced = len(p.slices) > 0
	for n, first := range shown[0] {
		l := p.slice(first.name)
		if l == nil {
			return nil, fmt.Errorf("%w: a slices[…] that was not asked for", errAnswer)
		}
		for i := range parts {
			if lists[i], err = parts[i].readSlice(shown[i][n].value, len(l.drilldowns) > 0); err != nil {
				return nil, err
			}
		}
		merged, err := l.merge(&parts[0], lists)
		if err != nil {
			return nil, err
		}
		merged.name = first.name
		whole.slices = append(whole.slices, merged)
	}
	return whole, nil
}

// slice is the plan of a slices[…] in an answer.
func (p *SelectPlan) slice(label string) *listPlan {
	i := slices.IndexFunc(p.slices, func(l *listPlan) bool { return l.label == label })
	if i < 0 {
		return nil
	}
	return p.slices[i]
}

func sameNames(a, b []named) bool {
	return slices.EqualFunc(a, b, func(a, b named) bool { return a.name == b.name })
}

// merge merges a list of which each slice has answered a part, in the form of that answer.
func (l *listPlan) merge(form *answer, parts []partOf) (*mergedList, error) {
	merged := &mergedList{plan: l}
	var err error
	if merged.result, err = l.mergeRecords(parts); err != nil {
		return nil, err
	}
	merged.groups, err = l.mergeGroups(form, parts)
	return merged, err
}

// mergeRecords merges what was found.
func (l *listPlan) mergeRecords(parts []partOf) (merged result, err error) {
	var rows []row
	var o order
	hidden := 0
	for i := range parts {
		r := parts[i].result
		if i == 0 {
			if o, hidden, err = newOrder(l.sort, r.columns, 0); err != nil {
				return merged, err
			}
			merged = r
			merged.records, merged.columns = nil, r.columns[hidden:]
			merged.header, err = cutHeader(r.header, hidden)
			if err != nil {
				return merged, err
			}
		} else {
			merged.hits += r.hits
			if !slices.Equal(r.columns, parts[0].result.columns) {
				return merged, fmt.Errorf("%w: the slices have different columns", errAnswer)
			}
		}
		if len(l.sort) == 0 {
			merged.records = append(merged.records, r.records...)
			continue
		}
		if rows, err = appendRows(rows, r, &o, hidden); err != nil {
			return merged, err
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return o.less(&a, &b) })
	have := len(merged.records) + len(rows) // one of the two is empty
	from, to := l.window.of(merged.hits, have)
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
func (l *listPlan) mergeGroups(form *answer, parts []partOf) (merged []mergedGroups, err error) {
	if len(l.drilldowns) == 0 {
		return nil, nil
	}
	for i := range parts {
		if !sameNames(parts[i].groups, parts[0].groups) {
			return nil, fmt.Errorf("%w: the slices have different drilldowns", errAnswer)
		}
	}
	for n, first := range parts[0].groups {
		plan := l.drilldown(first.name)
		if plan == nil {
			return nil, fmt.Errorf("%w: a drilldown that was not asked for", errAnswer)
		}
		m := &groupMerge{plan: plan, index: make(map[string]int)}
		for i := range parts {
			r, err := form.readGroups(parts[i].groups[n].value)
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
func (l *listPlan) drilldown(name string) *drilldownPlan {
	if !l.labelled {
		return l.drilldowns[0]
	}
	for _, d := range l.drilldowns {
		if d.label == name {
			return d
		}
	}
	return nil
}

// write writes the merged answer, as the answers were written.
func (p *SelectPlan) write(parts []answer, whole *mergedList) []byte {
	start, elapsed := times(parts)
	var b bytes.Buffer
	if parts[0].object {
		fmt.Fprintf(&b, `{"header":{"return_code":0,"start_time":%s,"elapsed_time":%s},"body":`, start, elapsed)
		whole.writeObject(&b)
		b.WriteByte('}')
		return b.Bytes()
	}
	fmt.Fprintf(&b, "[[0,%s,%s],[", start, elapsed)
	whole.result.writeArray(&b)
	if whole.isSliced {
		b.WriteString(",{")
		for i, s := range whole.slices {
			writeName(&b, i, s.name)
			s.writeArray(&b)
		}
		b.WriteByte('}')
	}
	switch {
	case len(p.main.drilldowns) == 0:
	case p.main.labelled:
		b.WriteByte(',')
		writeLabelled(&b, whole.groups, result.writeArray)
	default:
		for _, g := range whole.groups {
			b.WriteByte(',')
			g.result.writeArray(&b)
		}
	}
	b.WriteString("]]")
	return b.Bytes()
}

// writeObject writes a list with its slices and drilldowns, of command_version 3.
func (m *mergedList) writeObject(b *bytes.Buffer) {
	b.WriteByte('{')
	m.result.writeObject(b)
	if m.isSliced {
		b.WriteString(`,"slices":{`)
		for i, s := range m.slices {
			writeName(b, i, s.name)
			s.writeObject(b)
		}
		b.WriteByte('}')
	}
	if len(m.plan.drilldowns) > 0 {
		b.WriteString(`,"drilldowns":`)
		writeLabelled(b, m.groups, result.objectInBraces)
	}
	b.WriteByte('}')
}

// writeArray writes the list of slices[…], whose drilldowns come behind its records.
func (m *mergedList) writeArray(b *bytes.Buffer) {
	if len(m.plan.drilldowns) == 0 {
		m.result.writeArray(b)
		return
	}
	whole := m.result
	var groups bytes.Buffer
	writeLabelled(&groups, m.groups, result.writeArray)
	whole.records = append(whole.records, groups.Bytes())
	whole.writeArray(b)
}

// writeName writes the name of a member of an object.
func writeName(b *bytes.Buffer, i int, name string) {
	if i > 0 {
		b.WriteByte(',')
	}
	text, _ := json.Marshal(name) // a string always can be
	b.Write(text)
	b.WriteByte(':')
}

func writeLabelled(b *bytes.Buffer, groups []mergedGroups, write func(result, *bytes.Buffer)) {
	b.WriteByte('{')
	for i, g := range groups {
		writeName(b, i, g.name)
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

// headerAlone is an answer without a body.
func (p *SelectPlan) headerAlone(parts []answer) []byte {
	start, elapsed := times(parts)
	if parts[0].object {
		return fmt.Appendf(nil, `{"header":{"return_code":0,"start_time":%s,"elapsed_time":%s}}`, start, elapsed)
	}
	return fmt.Appendf(nil, "[[0,%s,%s]]", start, elapsed)
}

// Document is an answer to Request as Again and Merge read it.
func (p *SelectPlan) Document(answer []byte) ([]byte, error) {
	if len(answer) == 0 || answer[0] < 0x80 { // as every document of JSON begins
		return answer, nil
	}
	document, err := msgpackDocument(answer)
	if err != nil {
		// Groonga writes nothing for what it cannot compute, and then the rest is moved.
		return nil, fmt.Errorf("%w: a server's answer in MessagePack cannot be read, which is so where a column cannot be computed: ask for JSON (%v)", ErrNotSupported, err)
	}
	return document, nil
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
