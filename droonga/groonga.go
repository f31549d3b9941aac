package droonga

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// compatible are the types that are commands of Groonga, with its arguments as body
// and its answer as the answer's.
var compatible = map[string]bool{
	"table_create": true, "table_remove": true, "table_rename": true, "table_list": true, "table_copy": true,
	"column_create": true, "column_remove": true, "column_rename": true, "column_list": true, "column_copy": true,
	"select": true, "load": true, "delete": true, "truncate": true,
	"schema": true, "status": true, "object_exist": true, "object_list": true, "object_inspect": true,
	"tokenize": true, "table_tokenize": true, "normalize": true, "tokenizer_list": true, "normalizer_list": true,
	"suggest": true, "range_filter": true, "logical_select": true, "logical_range_filter": true, "logical_count": true,
	"config_get": true, "config_set": true, "config_delete": true, "reindex": true,
}

// groongaCommand makes the command of a message.
func groongaCommand(r *request) (*groonga.Command, error) {
	c := &groonga.Command{Name: r.kind, Dataset: r.dataset}
	if r.body == nil {
		return c, nil
	}
	args, ok := r.body.(map[string]any)
	if !ok {
		return nil, badRequest("BadRequest", "the body of %s has to be a hash", r.kind)
	}
	if len(args) > groonga.MaxArgs {
		return nil, badRequest("BadRequest", "%d arguments: at most %d are possible", len(args), groonga.MaxArgs)
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		value, err := argument(args[name])
		if err != nil {
			return nil, badRequest("BadRequest", "%s: %v", name, err)
		}
		switch {
		case name == "output_type" || args[name] == nil:
			// The answer is msgpack in any case.
		case name == "values" && r.kind == "load":
			c.Body, c.ContentType = []byte(value), "application/json"
		default:
			c.Set(name, value)
		}
	}
	return c, nil
}

// groonga answers a Groonga command.
func (s *Server) groonga(ctx context.Context, r *request) (any, error) {
	c, err := groongaCommand(r)
	if err != nil {
		return nil, err
	}
	if r.kind == "load" {
		list, err := groonga.Records(c)
		if err != nil {
			return nil, badRequest("BadRequest", "%v", err)
		}
		c = list.Command(c, list.Rows) // nothing but records goes on
		c.ContentType = groonga.JSONType
	}
	doc, err := s.do(ctx, c)
	if err != nil {
		return nil, err
	}
	if r.kind == "load" && len(doc.whole) > 1 {
		if n, ok := doc.body.(int64); ok {
			doc.whole[1] = []any{n} // as droonga-engine has it
		}
	}
	return doc.whole, nil
}

// addition is the body of an add.
type addition struct {
	table  string
	key    any
	values map[string]any
	whole  map[string]any
}

func parseAddition(r *request) (a addition, err error) {
	a.whole, _ = r.body.(map[string]any)
	a.table, _ = a.whole["table"].(string)
	if a.table == "" {
		return a, badRequest("MissingTableParameter", `"table" must be specified.`)
	}
	a.key = a.whole["key"]
	if r.kind == "update" && a.key == nil {
		return a, a.missingKey()
	}
	if values, ok := a.whole["values"]; ok && values != nil {
		if a.values, ok = values.(map[string]any); !ok {
			return a, badRequest("BadRequest", `"values" has to be a hash.`)
		}
	}
	return a, nil
}

// add answers an add or update: one record is loaded.
func (s *Server) add(ctx context.Context, r *request) (any, error) {
	a, err := parseAddition(r)
	if err != nil {
		return nil, err
	}
	doc, err := s.loadOne(ctx, r, &a)
	if err == nil && doc.code != 0 && strings.Contains(doc.message, "doesn't accept <_key>") {
		a.key = nil // a table without keys: droonga-engine ignores it
		doc, err = s.loadOne(ctx, r, &a)
	}
	if err != nil {
		return nil, err
	}
	if doc.code != 0 {
		return nil, a.fault(&doc)
	}
	return true, nil
}

func (s *Server) loadOne(ctx context.Context, r *request, a *addition) (document, error) {
	switch a.key.(type) {
	case []any, map[string]any:
		return document{}, badRequest("InvalidValue", "the key is neither a text nor a number")
	}
	record := make(map[string]any, len(a.values)+1)
	maps.Copy(record, a.values)
	if a.key != nil {
		record["_key"] = a.key
	}
	text, err := jsonText([]any{record})
	if err != nil {
		return document{}, badRequest("InvalidValue", "%v", err)
	}
	c := &groonga.Command{Name: "load", Dataset: r.dataset, Body: []byte(text), ContentType: "application/json"}
	c.Set("table", a.table)
	return s.do(ctx, c)
}

func (a *addition) missingKey() *fault {
	return badRequest("MissingPrimaryKeyParameter",
		`"key" must be specified. The table %q requires a primary key for a new record.`, a.table)
}

var unknownColumn = regexp.MustCompile(`nonexistent column: <(.*)>`)

// fault is what Groonga says about a load in Droonga's form.
func (a *addition) fault(doc *document) *fault {
	if strings.Contains(doc.message, "nonexistent table") {
		return &fault{
			status: statusNotFound, name: "UnknownTable",
			message: fmt.Sprintf("The table %q does not exist in the dataset.", a.table),
		}
	}
	if strings.Contains(doc.message, "neither <_key> nor <_id>") {
		return a.missingKey()
	}
	if m := unknownColumn.FindStringSubmatch(doc.message); m != nil {
		f := &fault{
			status: statusNotFound, name: "UnknownColumn",
			message: fmt.Sprintf("The column %q does not exist in the table %q.", m[1], a.table),
		}
		return f.about(a.whole)
	}
	return badRequest("InvalidValue", "%s", doc.message).about(a.whole)
}
