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

// NeedsSchema reports whether Check has to know the schema for that command.
func NeedsSchema(command string) bool {
	switch command {
	case "select", "delete", "load", "column_create", "table_create", "column_copy", "table_copy", "table_tokenize", "object_inspect":
		return true
	}
	return false
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
	case "column_create", "table_create":
		return k.checkCreate(c)
	case "table_tokenize":
		return k.checkSpread(c.Get("table"))
	case "column_create_similar":
		return refuse("column_create_similar: use column_create")
	case "table_copy":
		if from, to := c.Get("from_name"), c.Get("to_name"); k.Fact != "" && k.whole(from) != k.whole(to) {
			return refuse("to copy %s to %s, one of which is cut into slices and the other whole on each", from, to)
		}
	case "column_copy":
		if from, to := c.Get("from_table"), c.Get("to_table"); from != to && (k.Fact == "" || k.whole(from) != k.whole(to)) {
			return refuse("to copy a column of %s to %s, whose records are on other slices", from, to)
		}
		return k.checkColumnCopy(c)
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
		table, column, _ := strings.Cut(c.Get("name"), ".")
		if o, _ := k.Schema.column(table, column); !k.whole(table) || o.isIndex() && k.cutIndex(o) || k.checkSpread(table) != nil {
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

// resolve finds the sort keys that refer to another table, by whose records' numbers Groonga
// sorts. These are those of one server where each has the table wholly; that servers number
// alike is seen in their answers.
func (k Cut) resolve(c *Command, keys []sortKey) error {
	table := c.Get("table")
	for i := range keys {
		column, ok := k.Schema.chain(table, keys[i].column)
		if !ok || !k.Schema.isTable(column.Range.Name) || column.isIndex() {
			continue
		}
		to := column.Range.Name
		switch {
		case !k.whole(to) || !k.Schema.hasKeys(to):
			continue // refused by its type
		case strings.Contains(column.Flags.Names, "WITH_WEIGHT"):
			return refuse("to sort by %s, a vector with weights", keys[i].column)
		case len(keys) == 1 && c.Get("query") == "" && c.Get("filter") == "" && k.Schema.indexed(table+"."+keys[i].column):
			return refuse("to sort by %s alone, which Groonga does by its index, without the records that refer to nothing: add another sort key", keys[i].column)
		}
		keys[i].refers = true
	}
	return nil
}

// expressionParts are the last parts of the names of such arguments of labelled drilldowns
// and of dynamic columns.
var expressionParts = map[string]bool{"keys": true, "calc_target": true, "sort_keys": true, "sortby": true, "value": true}

func (k Cut) checkSelect(c *Command) error {
	table := c.Get("table")
	if err := k.checkSpread(table); err != nil {
		return err
	}
	if into := c.Get("load_table"); into != "" && !(k.whole(table) && k.whole(into)) {
		return refuse("to store the result, load_table: each slice would store its own part")
	}
	for _, a := range c.Args {
		if a.Value == "" {
			continue
		}
		if err := k.checkArgument(c, table, a); err != nil {
			return err
		}
	}
	if c.Get("post_filter") != "" && !k.whole(table) && (integer(c, "offset", 0) != 0 || integer(c, "limit", 10) < 0) {
		return refuse("post_filter with an offset or a negative limit: Groonga counts it from the records that were there before")
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

// checkArgument looks at the names in an argument of a select.
func (k Cut) checkArgument(c *Command, table string, a Arg) error {
	name := a.Name
	if m := slicedArgument.FindStringSubmatch(name); m != nil {
		name = m[3]
		if _, given := c.Lookup(m[1] + "output_columns"); !given && c.Get(m[1]+"limit") != "0" {
			if err := k.checkColumns(table, "*"); err != nil {
				return err
			}
		}
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case name == "query":
		return k.checkQuery(table, a.Value)
	case name == "query_expander" || name == "query_expansion":
		if expansions, _, _ := strings.Cut(a.Value, "."); !k.whole(expansions) && strings.Contains(a.Value, ".") {
			return refuse("%s by the table %s, which is cut into slices", a.Name, expansions)
		}
	case expressionArguments[name] || strings.Contains(name, "[") && expressionParts[last]:
		return k.checkExpression(table, Arg{name, a.Value})
	}
	return nil
}

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

// checkGroups looks at what is shown of groups, and by what they are filtered: columns of
// the records that their keys refer to.
func (k Cut) checkGroups(c *Command) error {
	for _, a := range c.Args {
		name := a.Name
		if m := slicedArgument.FindStringSubmatch(name); m != nil {
			name = m[3]
		}
		if !strings.HasPrefix(name, "drilldown") {
			continue
		}
		if strings.HasSuffix(name, "calc_target") {
			types := strings.ToUpper(c.Get(strings.TrimSuffix(a.Name, "calc_target") + "calc_types"))
			if o, _ := k.Schema.column(c.Get("table"), a.Value); o.isVector() && (strings.Contains(types, "MIN") || strings.Contains(types, "MAX")) {
				return refuse("MIN or MAX of %s, which is a vector: a group that has no values on one slice says 0", a.Value)
			}
		}
		for _, parameter := range []string{"output_columns", "filter"} {
			if name != "drilldown_"+parameter && !strings.HasSuffix(name, "]."+parameter) {
				continue
			}
			keys := c.Get(strings.TrimSuffix(a.Name, parameter) + "keys")
			if name == "drilldown_"+parameter {
				keys = c.Get("drilldown")
			}
			for _, key := range splitColumns(keys) {
				if err := k.checkGroupColumns(c.Get("table"), key, parameter, a.Value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkGroupColumns looks at the columns of groups with that key.
func (k Cut) checkGroupColumns(table, key, parameter, value string) error {
	of := k.Schema.target(table, key)
	names := splitColumns(value)
	if parameter == "filter" {
		names = chain.FindAllString(quoted.ReplaceAllString(value, `""`), -1)
	}
	for _, column := range names {
		if k.Fact == "" && of != "" && !strings.HasPrefix(column, "_") {
			return k.refuseReference(column + " of a drilldown by " + key)
		}
		if err := k.checkColumns(of, column); err != nil {
			return err
		}
	}
	return nil
}

func (k Cut) checkDelete(c *Command) error {
	table := c.Get("table")
	if err := k.checkSpread(table); err != nil {
		return err
	}
	if _, ok := c.Lookup("id"); ok {
		return refuse("delete by id: each slice numbers its records by itself")
	}
	if n, err := strconv.ParseInt(c.Get("limit"), 10, 32); err == nil && n >= 0 && !k.whole(table) {
		return refuse("delete with a limit: each slice would delete as many")
	}
	if fullText.MatchString(c.Get("filter")) && !k.whole(table) {
		return refuse("delete by a search for words: a slice that has none of them would look for them less strictly. Delete by the keys that a select finds")
	}
	return k.checkColumns(table, c.Get("filter"))
}

// checkSpread refuses a table of which servers have made records by themselves, each where a
// record of its slice refers to them or has a word that is indexed.
func (k Cut) checkSpread(table string) error {
	for name, o := range k.Schema.objects { // order-free: any one is a reason
		of, _, ok := strings.Cut(name, ".")
		switch {
		case !ok:
		case o.isIndex() && of == table && k.cutIndex(o) && !k.indexesReferences(o, table):
			return refuse("the table %s, whose records are the words of what is cut into slices", table)
		case !o.isIndex() && k.Fact == "" && of != table && o.Range.Name == table:
			return k.refuseReference(fmt.Sprintf("the table %s, to which %s refers", table, name))
		}
	}
	return nil
}

// indexesReferences reports whether an index is of columns that refer to its table, whose
// records it does not make.
func (k Cut) indexesReferences(o schemaObject, table string) bool {
	for _, s := range o.Sources {
		source := k.Schema.objects[s.Name]
		if source.Range.Name != table || source.isIndex() || !strings.Contains(s.Name, ".") {
			return false
		}
	}
	return len(o.Sources) > 0
}

// checkCreate refuses columns and keys that refer to what is cut.
func (k Cut) checkCreate(c *Command) error {
	if c.Name == "table_create" {
		for _, name := range []string{"key_type", "value_type"} {
			if to := c.Get(name); k.Schema.isTable(to) && (!k.whole(to) || !k.whole(c.Get("name"))) {
				return k.refuseReference("a table with the " + name + " " + to)
			}
		}
		return nil
	}
	if to := c.Get("type"); k.Schema.isTable(to) && !k.whole(to) && !strings.Contains(c.Get("flags"), "COLUMN_INDEX") {
		if k.Fact != "" {
			return refuse("a column that refers to %s: its records are cut into slices, and the one that is meant may be on another", to)
		}
		return k.refuseReference("a column that refers to " + to)
	}
	return nil
}

// numericTypes are the types of which each value can be made one of each other.
var numericTypes = map[string]bool{
	"Int8": true, "Int16": true, "Int32": true, "Int64": true, "UInt8": true, "UInt16": true, "UInt32": true, "UInt64": true,
	"Float": true, "Float32": true, "Bool": true, "Time": true,
}

// checkColumnCopy refuses a copy that ends at the first value that cannot be copied: each
// server would do a part of its own. Copies make the records that they refer to, too.
func (k Cut) checkColumnCopy(c *Command) error {
	if k.whole(c.Get("to_table")) && k.whole(c.Get("from_table")) {
		return nil
	}
	from, ok1 := k.Schema.column(c.Get("from_table"), c.Get("from_name"))
	to, ok2 := k.Schema.column(c.Get("to_table"), c.Get("to_name"))
	a, b := from.Range.Name, to.Range.Name
	switch {
	case !ok1 || !ok2:
		return nil
	case from.isVector() == to.isVector() && (a == b || numericTypes[a] && (numericTypes[b] || !to.isVector() && !k.Schema.isTable(b))):
		return nil
	}
	return refuse("to copy a column of type %s to one of type %s of what is cut into slices", a, b)
}

func (k Cut) checkLoad(c *Command) error {
	for column := range strings.SplitSeq(c.Get("columns"), ",") {
		if strings.TrimSpace(column) == "_id" {
			return ErrLoadByID
		}
	}
	byNumber, err := c.ByNumber()
	if err != nil {
		return err
	}
	if byNumber {
		return ErrLoadByID
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
