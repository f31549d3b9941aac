package groonga

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Cut is how a dataset's tables are spread over servers that share it. It knows what
// cannot be right then: what each server would answer from its own records as if they
// were all.
type Cut struct {
	Fact   string // the table that is cut into slices, the others are whole on each server; "": all are cut
	Schema Schema
}

// whole reports whether each server has all records of a table.
func (k Cut) whole(table string) bool { return k.Fact != "" && table != k.Fact }

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotSupported, fmt.Sprintf(format, args...))
}

// Check refuses a command that the servers cannot do rightly, each for its slice.
func (k Cut) Check(c *Command) error {
	switch c.Name {
	case "select":
		return k.checkSelect(c)
	case "delete":
		return k.checkDelete(c)
	case "load":
		return k.checkLoad(c)
	case "table_copy":
		if from, to := c.Get("from_name"), c.Get("to_name"); k.Fact != "" && k.whole(from) != k.whole(to) {
			return refuse("to copy %s to %s, one of which is cut into slices and the other whole on each", from, to)
		}
	case "column_copy":
		if from, to := c.Get("from_table"), c.Get("to_table"); from != to && (k.Fact == "" || k.whole(from) != k.whole(to)) {
			return refuse("to copy a column of %s to %s, whose records are on other slices", from, to)
		}
	case "logical_select", "logical_range_filter", "logical_count", "logical_shard_list", "logical_table_remove":
		if k.Fact == "" || strings.HasPrefix(k.Fact, c.Get("logical_table")) {
			return refuse("the command %s", c.Name)
		}
	case "suggest":
		if k.Fact == "" || c.Get("table") == k.Fact {
			return refuse("the command suggest, whose tables are cut into slices")
		}
	case "index_column_diff":
		return refuse("the command index_column_diff: ask each server")
	case "object_inspect":
		table, _, _ := strings.Cut(c.Get("name"), ".")
		if !k.whole(table) {
			return refuse("object_inspect of what is cut into slices: ask each server")
		}
	}
	return nil
}

// expressionArguments are arguments of a select in which columns are named.
var expressionArguments = map[string]bool{
	"filter": true, "post_filter": true, "scorer": true, "adjuster": true, "sort_keys": true, "sortby": true, "drilldown": true,
	"output_columns": true, "drilldown_calc_target": true, "drilldown_sort_keys": true, "drilldown_sortby": true,
}

// expressionParts are the last parts of the names of such arguments of labelled drilldowns
// and of dynamic columns.
var expressionParts = map[string]bool{"keys": true, "calc_target": true, "sort_keys": true, "sortby": true, "value": true}

func (k Cut) checkSelect(c *Command) error {
	table := c.Get("table")
	if into := c.Get("load_table"); into != "" && !(k.whole(table) && k.whole(into)) {
		return refuse("to store the result, load_table: each slice would store its own part")
	}
	for _, a := range c.Args {
		if a.Value == "" {
			continue
		}
		err := error(nil)
		last := a.Name[strings.LastIndexByte(a.Name, '.')+1:]
		switch {
		case a.Name == "query":
			err = k.checkQuery(table, a.Value)
		case a.Name == "query_expander" || a.Name == "query_expansion":
			if expansions, _, _ := strings.Cut(a.Value, "."); !k.whole(expansions) && strings.Contains(a.Value, ".") {
				err = refuse("%s by the table %s, which is cut into slices", a.Name, expansions)
			}
		case expressionArguments[a.Name] || strings.Contains(a.Name, "[") && expressionParts[last]:
			err = k.checkExpression(table, a)
		}
		if err != nil {
			return err
		}
	}
	if _, given := c.Lookup("output_columns"); !given && c.Get("limit") != "0" {
		if err := k.checkColumns(table, "*"); err != nil {
			return err
		}
	}
	return k.checkGroups(c)
}

// chain is a column's name, with the names of the columns that it leads through.
var (
	chain      = regexp.MustCompile(`[A-Za-z_#@][\w#@]*(?:\.[A-Za-z_#@][\w#@]*)*`)
	quoted     = regexp.MustCompile(`"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'`)
	queryChain = regexp.MustCompile(`([A-Za-z_#@][\w#@]*(?:\.[A-Za-z_#@][\w#@]*)*):`)
	similar    = regexp.MustCompile(`@\*|\*S"|\*S\d`)
)

// sliceFunctions look at more than the record, so that each slice's own are not enough.
var sliceFunctions = regexp.MustCompile(`\b(record_number|window_\w+|scorer_tf_idf|index_column_df_ratio|index_column_source_records|in_records)\s*\(`)

func (k Cut) checkQuery(table, query string) error {
	plain := quoted.ReplaceAllString(query, `""`)
	if similar.MatchString(plain) {
		return refuse("a search for similar texts, which counts the words of one slice only")
	}
	for _, m := range queryChain.FindAllStringSubmatch(plain, -1) {
		if err := k.checkChain(table, m[1]); err != nil {
			return err
		}
	}
	return nil
}

// checkExpression looks at the names in an expression or a list of columns. The id of a
// record alone may be output: it is that on the record's own server.
func (k Cut) checkExpression(table string, a Arg) error {
	if a.Name == "output_columns" {
		for _, column := range splitColumns(a.Value) {
			if column == "_id" {
				continue
			}
			if err := k.checkColumns(table, column); err != nil {
				return err
			}
		}
		return nil
	}
	return k.checkColumns(table, a.Value)
}

// checkColumns looks at the names in an expression. "*" stands for all columns.
func (k Cut) checkColumns(table, expression string) error {
	if strings.TrimSpace(expression) == "*" {
		for name, o := range k.Schema.objects { // order-free: any one is a reason
			if of, column, ok := strings.Cut(name, "."); ok && of == table && k.cutIndex(o) {
				return refuse("the column %s.%s is an index of what is cut into slices; name the other columns in output_columns", table, column)
			}
		}
		return nil
	}
	plain := quoted.ReplaceAllString(expression, `""`)
	if similar.MatchString(plain) {
		return refuse("a search for similar texts, which counts the words of one slice only")
	}
	if m := sliceFunctions.FindStringSubmatch(plain); m != nil {
		return refuse("%s(), which looks at the records of one slice only", m[1])
	}
	if k.Fact == "" && strings.Contains(plain, "sub_filter(") {
		return k.refuseReference("sub_filter()")
	}
	for _, name := range chain.FindAllString(plain, -1) {
		if err := k.checkChain(table, name); err != nil {
			return err
		}
	}
	return nil
}

func (k Cut) refuseReference(name string) error {
	return refuse("%s: the record that it refers to may be on another slice. Name the table whose records are to be cut as fact in the catalog, so that the others are whole on each server", name)
}

// checkChain refuses a name that stands for something else on each slice.
func (k Cut) checkChain(table, name string) error {
	parts := strings.Split(name, ".")
	if len(parts) > 1 && k.Schema.isTable(parts[0]) {
		return nil // an index that is searched by
	}
	if parts[0] == "_key" || parts[0] == "_value" { // of a group: what it was made of
		parts = parts[1:]
	}
	if len(parts) > 0 && parts[len(parts)-1] == "_id" {
		return refuse("%s, which differs from slice to slice", name)
	}
	if k.Fact == "" && len(parts) > 1 && parts[len(parts)-1] != "_key" {
		return k.refuseReference(name)
	}
	at := table
	for _, part := range parts {
		c, ok := k.Schema.column(at, part)
		if !ok {
			return nil
		}
		if k.cutIndex(c) {
			return refuse("%s is an index of what is cut into slices: each has a part of it", name)
		}
		at = c.Range.Name
	}
	return nil
}

// cutIndex reports whether a column is an index of which each slice has a part only.
func (k Cut) cutIndex(c schemaObject) bool {
	if !c.isIndex() {
		return false
	}
	if k.Fact == "" || len(c.Sources) == 0 {
		return true
	}
	for _, s := range c.Sources {
		if of, _, _ := strings.Cut(s.Name, "."); !k.whole(of) {
			return true
		}
	}
	return false
}

// checkGroups looks at what is shown of groups: columns of the records that their keys
// refer to.
func (k Cut) checkGroups(c *Command) error {
	for _, a := range c.Args {
		if a.Name != "drilldown_output_columns" && !strings.HasSuffix(a.Name, "].output_columns") || !strings.HasPrefix(a.Name, "drilldown") {
			continue
		}
		keys := splitColumns(c.Get(strings.TrimSuffix(a.Name, "output_columns") + "keys"))
		if a.Name == "drilldown_output_columns" {
			keys = splitColumns(c.Get("drilldown"))
		}
		for _, key := range keys {
			of := k.Schema.target(c.Get("table"), key)
			for _, column := range splitColumns(a.Value) {
				if k.Fact == "" && of != "" && !strings.HasPrefix(column, "_") {
					return k.refuseReference(column + " of a drilldown by " + key)
				}
				if err := k.checkColumns(of, column); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (k Cut) checkDelete(c *Command) error {
	table := c.Get("table")
	if _, ok := c.Lookup("id"); ok {
		return refuse("delete by id: each slice numbers its records by itself")
	}
	if n, err := strconv.ParseInt(c.Get("limit"), 10, 32); err == nil && n >= 0 && !k.whole(table) {
		return refuse("delete with a limit: each slice would delete as many")
	}
	return k.checkColumns(table, c.Get("filter"))
}

func (k Cut) checkLoad(c *Command) error {
	for column := range strings.SplitSeq(c.Get("columns"), ",") {
		if strings.TrimSpace(column) == "_id" {
			return ErrLoadByID
		}
	}
	if k.whole(c.Get("table")) { // else whoever shares the records out looks at them
		records, err := Records(c)
		if err != nil {
			return err
		}
		if records.ByID() {
			return ErrLoadByID
		}
	}
	for _, name := range []string{"each", "ifexists"} {
		if err := k.checkColumns(c.Get("table"), c.Get(name)); err != nil {
			return err
		}
	}
	return nil
}

// ErrLoadByID refuses a load by number.
var ErrLoadByID = fmt.Errorf("%w: a load by _id: each server numbers its records by itself. Load by _key", ErrNotSupported)
