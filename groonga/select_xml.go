package groonga

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// xml writes what was found as Groonga writes it in XML: pages of hits, and of the
// drilldowns their groups. It names neither types nor drilldowns.
func (m *mergedList) xml(w window) ([]byte, error) {
	offset, limit := w.normal(m.result.hits)
	var b bytes.Buffer
	b.WriteString("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<SEGMENTS>\n<SEGMENT>\n<RESULTPAGE>\n")
	fmt.Fprintf(&b, "<RESULTSET OFFSET=\"%d\" LIMIT=\"%d\" NHITS=\"%d\">\n", offset, limit, m.result.hits)
	for i, record := range m.result.records {
		values, err := readRecord(record, len(m.result.columns))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "<HIT NO=\"%d\">\n", offset+int64(i)+1)
		for k, v := range values {
			b.WriteString(`<FIELD NAME="` + escapeXML(m.result.columns[k].name) + `">` + xmlField(v) + "</FIELD>\n")
		}
		b.WriteString("</HIT>\n")
	}
	b.WriteString("</RESULTSET>\n")
	for _, g := range m.groups {
		fmt.Fprintf(&b, "<NAVIGATIONENTRY>\n<NAVIGATIONELEMENTS COUNT=\"%d\">\n", g.result.hits)
		for _, record := range g.result.records {
			values, _ := splitArray(record)
			b.WriteString("<NAVIGATIONELEMENT ")
			for k, v := range values {
				b.WriteString(escapeXML(g.result.columns[k].name) + `="` + xmlField(v) + `" `)
			}
			b.WriteString("/>\n")
		}
		b.WriteString("</NAVIGATIONELEMENTS>\n</NAVIGATIONENTRY>\n")
	}
	b.WriteString("</RESULTPAGE>\n</SEGMENT>\n</SEGMENTS>\n")
	return b.Bytes(), nil
}

// xmlField is a value: the elements of a vector are joined, with their weights if they have
// some.
func xmlField(value json.RawMessage) string {
	switch value[0] {
	case '"':
		text, _ := textOf(value)
		return escapeXML(text)
	case '[':
		elements, _ := splitArray(value)
		text := ""
		for i, e := range elements {
			if i > 0 {
				text += ", "
			}
			text += xmlField(e)
		}
		return text
	case '{':
		fields, _ := splitObject(value)
		text := ""
		for i, f := range fields {
			if i > 0 {
				text += ", "
			}
			text += escapeXML(f.name) + ":" + xmlField(f.value)
		}
		return text
	case 'n':
		return ""
	}
	return string(value)
}
