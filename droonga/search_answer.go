package droonga

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// document is a Groonga answer: [[code, start, elapsed, message…], body].
type document struct {
	code           int
	start, elapsed float64
	message        string
	body           any
	whole          []any
}

func parseDocument(text []byte) (d document, err error) {
	v, err := parseJSON(text)
	if err != nil {
		return d, fmt.Errorf("a server's answer: %w", err)
	}
	var head []any
	if d.whole, _ = v.([]any); len(d.whole) > 0 {
		head, _ = d.whole[0].([]any)
	}
	if len(head) < 3 {
		return d, fmt.Errorf("a server's answer: %.60q is no document of Groonga's", text)
	}
	code, _ := head[0].(int64)
	d.code, d.start, d.elapsed = int(code), real(head[1]), real(head[2])
	if len(head) > 3 {
		d.message, _ = head[3].(string)
	}
	if len(d.whole) > 1 {
		d.body = d.whole[1]
	}
	return d, nil
}

func real(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

// do has a command done and reads the answer.
func (s *Server) do(ctx context.Context, c *groonga.Command) (document, error) {
	answer, err := s.cfg.Doer.Do(ctx, c)
	if err != nil {
		return document{}, err
	}
	return parseDocument(answer.Body)
}

// runQuery answers the last query of a chain.
func (s *Server) runQuery(ctx context.Context, dataset string, chain []*query) (any, error) {
	c, err := command(dataset, chain)
	if err != nil {
		return nil, err
	}
	doc, err := s.do(ctx, c)
	if err != nil {
		return nil, err
	}
	if doc.code != 0 {
		return nil, searchFault(&doc, chain[0].source, c)
	}
	q := chain[len(chain)-1]
	t, err := doc.table(q.group != "")
	if err != nil {
		return nil, err
	}
	vectors := map[string]bool{}
	if q.output.has("attributes") && q.group == "" {
		if vectors, err = s.vectors(ctx, dataset, chain[0].source); err != nil {
			return nil, err
		}
	}
	result := make(map[string]any)
	for _, e := range q.output.elements {
		switch e {
		case "count":
			result[e] = t.count
		case "startTime":
			result[e] = w3c(time.UnixMicro(int64(math.Round(doc.start * 1e6))))
		case "elapsedTime":
			result[e] = doc.elapsed
		case "attributes":
			result[e] = t.attributes(q.output, vectors)
		case "records":
			result[e] = t.records(q.output)
		}
	}
	return result, nil
}

// searchFault is an error of Groonga's about a select in Droonga's form.
func searchFault(doc *document, source string, c *groonga.Command) *fault {
	const codeSyntax = -63
	switch {
	case doc.code == codeSyntax:
		syntax := "query"
		input := c.Get("query")
		if input == "" {
			syntax, input = "script", c.Get("filter")
		}
		f := badRequest("SyntaxError", "Syntax error: syntax:<%s> input:<%s>", syntax, input)
		return f.about(map[string]any{"syntax": syntax, "input": input})
	case strings.Contains(doc.message, "[table] invalid name"):
		return &fault{
			status: statusNotFound, name: "UnknownSource",
			message: fmt.Sprintf("Source not found: <%s> It must be a name of an existing table or another query.", source),
		}
	}
	return badRequest("GroongaError", "%d: %s", doc.code, doc.message)
}

// table is a result of a select: a list of records, or of groups.
type table struct {
	count  int64
	header []headerColumn
	rows   [][]any
}

type headerColumn struct{ name, kind string }

var errDocument = fmt.Errorf("a server's answer is no result of a select")

func (d *document) table(grouped bool) (t table, err error) {
	results, _ := d.body.([]any)
	if len(results) == 0 {
		return t, errDocument
	}
	list, _ := results[0].([]any)
	if grouped {
		if len(results) < 2 {
			return t, errDocument
		}
		drilldowns, _ := results[1].(map[string]any)
		list, _ = drilldowns[groups].([]any)
	}
	if len(list) < 2 {
		return t, errDocument
	}
	if n, _ := list[0].([]any); len(n) > 0 {
		t.count, _ = n[0].(int64)
	}
	header, _ := list[1].([]any)
	for _, h := range header {
		pair, _ := h.([]any)
		if len(pair) < 2 {
			return t, errDocument
		}
		name, _ := pair[0].(string)
		kind, _ := pair[1].(string)
		t.header = append(t.header, headerColumn{name, kind})
	}
	for _, r := range list[2:] {
		row, ok := r.([]any)
		if !ok || len(row) != len(t.header) {
			return t, errDocument
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// labels are the names of the columns as the client wants them. A "*" stands for as
// many columns as there are more than the others.
func (t *table) labels(o *output) []column {
	columns := make([]column, 0, len(t.header))
	if len(o.columns) == 0 {
		return columns // the one that was asked for is not wanted
	}
	more := len(t.header) - len(o.columns) + 1
	for _, c := range o.columns {
		if c.source != "*" {
			columns = append(columns, c)
			continue
		}
		for ; more > 0; more-- {
			name := t.header[min(len(columns), len(t.header)-1)].name
			columns = append(columns, column{name, name})
		}
	}
	for len(columns) < len(t.header) {
		name := t.header[len(columns)].name
		columns = append(columns, column{name, name})
	}
	return columns[:len(t.header)]
}

// attributes describes the columns.
func (t *table) attributes(o *output, vectors map[string]bool) any {
	list := []any{}
	hash := make(map[string]any)
	for i, c := range t.labels(o) {
		h := t.header[i]
		a := make(map[string]any)
		if isName(c.source) {
			a["type"], a["vector"] = h.kind, vectors[h.name]
		}
		if o.complex {
			hash[c.label] = a
			continue
		}
		a["name"] = c.label
		list = append(list, a)
	}
	if o.complex {
		return hash
	}
	return list
}

// isName reports whether an attribute is a column, and no expression.
func isName(source string) bool {
	return !strings.ContainsFunc(source, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("#@$_-.", r))
	})
}

// records are the rows, as lists or as hashes.
func (t *table) records(o *output) any {
	columns := t.labels(o)
	list := make([]any, 0, len(t.rows))
	for _, row := range t.rows {
		for i, h := range t.header {
			if h.kind == "Time" {
				row[i] = times(row[i])
			}
		}
		if !o.complex {
			list = append(list, row[:len(columns)])
			continue
		}
		hash := make(map[string]any, len(columns))
		for i, c := range columns {
			hash[c.label] = row[i]
		}
		list = append(list, hash)
	}
	return list
}

// vectors tells which of a table's columns hold several values.
func (s *Server) vectors(ctx context.Context, dataset, name string) (map[string]bool, error) {
	c := &groonga.Command{Name: "column_list", Dataset: dataset}
	c.Set("table", name)
	doc, err := s.do(ctx, c)
	if err != nil {
		return nil, err
	}
	list, _ := doc.body.([]any)
	vectors := make(map[string]bool)
	for _, r := range list {
		row, _ := r.([]any)
		if len(row) < 5 {
			continue
		}
		column, _ := row[1].(string)
		flags, _ := row[4].(string)
		if strings.Contains(flags, "COLUMN_VECTOR") {
			vectors[column] = true
		}
	}
	return vectors, nil
}
