package droonga

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ibuki-dev/ibuki/groonga"
)

// maxQueries bounds the queries of one search.
const maxQueries = 64

// query is one of a search's queries, as its client wrote it.
type query struct {
	name      string
	source    string
	condition any
	sort      sorting
	group     string // what to group by; "" if nothing
	output    *output
}

// sorting is a query's sortBy.
type sorting struct {
	keys          []string
	offset, limit int // limit < 0: all
}

// output is what a query's result consists of.
type output struct {
	elements      []string
	columns       []column
	offset, limit int
	complex       bool
}

// column is one attribute of an output.
type column struct{ label, source string }

// search answers a search: each query that has an output is a select of its own.
// A query whose source is another query is that one with one more condition.
func (s *Server) search(ctx context.Context, r *request) (any, error) {
	body, _ := r.body.(map[string]any)
	raw, _ := body["queries"].(map[string]any)
	if len(raw) == 0 {
		return nil, badRequest("NoQuery", "You must specify one or more query.")
	}
	if len(raw) > maxQueries {
		return nil, badRequest("BadRequest", "%d queries: at most %d are possible", len(raw), maxQueries)
	}
	queries := make(map[string]*query, len(raw))
	names := slices.Sorted(maps.Keys(raw))
	for _, name := range names {
		q, err := parseQuery(name, raw[name])
		if err != nil {
			return nil, err.about(raw)
		}
		queries[name] = q
	}
	chains := make(map[string][]*query, len(raw))
	for _, name := range names {
		chain, err := chainOf(queries, name)
		if err != nil {
			return nil, err.about(raw)
		}
		chains[name] = chain
	}
	results, faults := make([]any, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		if queries[name].output != nil {
			all.Go(func() { results[i], faults[i] = s.runQuery(ctx, r.dataset, chains[name]) })
		}
	}
	all.Wait()
	outputs := make(map[string]any, len(names))
	for i, name := range names {
		if err := faults[i]; err != nil {
			if f := new(fault); errors.As(err, &f) && f.name == "UnknownSource" {
				err = f.about(raw)
			}
			return nil, err
		}
		if queries[name].output != nil {
			outputs[name] = results[i]
		}
	}
	return outputs, nil
}

// about gives a fault its detail.
func (f *fault) about(detail any) *fault {
	next := *f
	next.detail = detail
	return &next
}

// parseQuery reads one query.
func parseQuery(name string, raw any) (*query, *fault) {
	m, _ := raw.(map[string]any)
	q := &query{name: name, condition: m["condition"], sort: sorting{limit: -1}}
	q.source, _ = m["source"].(string)
	if q.source == "" {
		return nil, badRequest("MissingSourceParameter", "[%s] No source is specified. Query must have a valid source.", name)
	}
	var err error
	switch by := m["sortBy"].(type) {
	case nil:
	case []any:
		q.sort.keys, err = texts(by)
	case map[string]any:
		keys, _ := by["keys"].([]any)
		if q.sort.keys, err = texts(keys); err == nil {
			q.sort.offset, err = number(by["offset"], 0)
		}
		if err == nil {
			q.sort.limit, err = number(by["limit"], -1)
		}
	default:
		err = fmt.Errorf("it is neither a list nor a hash")
	}
	if err != nil {
		return nil, badRequest("BadRequest", "[%s] sortBy: %v", name, err)
	}
	switch by := m["groupBy"].(type) {
	case nil:
	case string:
		q.group = by
	case map[string]any:
		q.group, _ = by["key"].(string)
		if n, err := number(by["maxNSubRecords"], 0); err != nil || n > 0 {
			return nil, badRequest("NotSupported", "[%s] groupBy: maxNSubRecords: samples of the grouped records are not supported", name)
		}
	default:
		return nil, badRequest("BadRequest", "[%s] groupBy: it is neither a string nor a hash", name)
	}
	if out, ok := m["output"]; ok {
		if q.output, err = parseOutput(out); err != nil {
			return nil, badRequest("BadRequest", "[%s] output: %v", name, err)
		}
	}
	return q, nil
}

func texts(list []any) ([]string, error) {
	var all []string
	for _, v := range list {
		t, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%.40v is no text", v)
		}
		all = append(all, t)
	}
	return all, nil
}

func parseOutput(raw any) (*output, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no hash")
	}
	o := &output{complex: m["format"] == "complex"}
	list, _ := m["elements"].([]any)
	var err error
	if o.elements, err = texts(list); err != nil {
		return nil, err
	}
	if o.offset, err = number(m["offset"], 0); err != nil {
		return nil, err
	}
	if o.limit, err = number(m["limit"], 10); err != nil {
		return nil, err
	}
	switch attributes := m["attributes"].(type) {
	case nil:
	case []any:
		for _, a := range attributes {
			c, err := parseColumn("", a)
			if err != nil {
				return nil, err
			}
			o.columns = append(o.columns, c)
		}
	case map[string]any:
		for _, label := range slices.Sorted(maps.Keys(attributes)) {
			c, err := parseColumn(label, attributes[label])
			if err != nil {
				return nil, err
			}
			o.columns = append(o.columns, c)
		}
	default:
		return nil, fmt.Errorf("attributes: neither a list nor a hash")
	}
	return o, nil
}

func parseColumn(label string, raw any) (c column, err error) {
	c.label = label
	switch a := raw.(type) {
	case string:
		c.source = a
	case map[string]any:
		c.source, _ = a["source"].(string)
		if l, ok := a["label"].(string); ok && label == "" {
			c.label = l
		}
	}
	if c.source == "" {
		return c, fmt.Errorf("attributes: %.40v has no source", raw)
	}
	if c.source == "_subrecs" {
		return c, fmt.Errorf("attributes: _subrecs, samples of the grouped records, are not supported")
	}
	if c.label == "" {
		c.label = c.source
	}
	return c, nil
}

func (o *output) has(element string) bool { return slices.Contains(o.elements, element) }

// chainOf are the queries that a query is made of, from the one whose source is a
// table to the query itself.
func chainOf(queries map[string]*query, name string) ([]*query, *fault) {
	var chain []*query
	for q := queries[name]; q != nil; q = queries[q.source] {
		if slices.Contains(chain, q) {
			return nil, badRequest("CyclicSource", "There is cyclic reference of sources.")
		}
		chain = append(chain, q)
	}
	slices.Reverse(chain)
	return chain, nil
}

// groups is the label of the drilldown that a grouped query becomes.
const groups = "groups"

// command makes the select of a chain of queries.
func command(dataset string, chain []*query) (*groonga.Command, error) {
	last := chain[len(chain)-1]
	c := &groonga.Command{Name: "select", Dataset: dataset}
	c.Set("table", chain[0].source)
	conditions := conditions{command: c}
	for _, q := range chain {
		if q != last && (q.group != "" || q.sort.offset > 0 || q.sort.limit >= 0) {
			return nil, badRequest("NotSupported", "[%s] its source %s is grouped or cut: that is not supported", last.name, q.name)
		}
		if err := conditions.add(q.condition); err != nil {
			return nil, err
		}
	}
	conditions.finish()
	o := last.output
	offset, limit := window(last.sort, o)
	if !o.has("records") {
		offset, limit = 0, 0
	}
	prefix := ""
	if last.group != "" {
		c.Set("limit", "0")
		c.Set("output_columns", "_id")
		prefix = "drilldowns[" + groups + "]."
		c.Set(prefix+"keys", last.group)
	}
	if len(last.sort.keys) > 0 {
		c.Set(prefix+"sort_keys", strings.Join(last.sort.keys, ","))
	}
	c.Set(prefix+"output_columns", o.list(last.group != ""))
	c.Set(prefix+"offset", strconv.Itoa(offset))
	c.Set(prefix+"limit", strconv.Itoa(limit))
	return c, nil
}

// list is the output_columns. Without a column Groonga would give its own choice.
func (o *output) list(grouped bool) string {
	var sources []string
	for _, c := range o.columns {
		sources = append(sources, c.source)
	}
	switch {
	case len(sources) > 0:
		return strings.Join(sources, ",")
	case grouped:
		return "_key"
	}
	return "_id"
}

// window is the part of the sorted records that two pairs of offset and limit, one
// after the other, leave. A limit below zero is none.
func window(s sorting, o *output) (offset, limit int) {
	offset = s.offset + o.offset
	if s.limit < 0 {
		return offset, o.limit
	}
	rest := max(0, s.limit-o.offset)
	if o.limit < 0 {
		return offset, rest
	}
	return offset, min(rest, o.limit)
}
