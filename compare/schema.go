package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// schemaCommand asks for all that is not a record.
func schemaCommand() *groonga.Command { return command("dump", "dump_records", "no") }

// schema is what a dump says of a database beside its records.
type schema struct {
	lines  map[string]string // by object: "Table", "Table.column", "plugin NAME", "config KEY"
	tables map[string]*table
}

// table is a table of a schema.
type table struct {
	name    string
	keyless bool
	keyType string
	value   bool     // its records have a _value
	columns []string // that hold data, sorted
	indexes []index
}

// index is an index column.
type index struct {
	name   string
	source string // the table whose records it finds
}

// objects are the words for what is neither a table nor a column.
var objects = map[string]string{"config_set": "config", "plugin_register": "plugin"}

// own is what configuration keys begin with that are not the client's: they differ.
const own = "ibuki."

// readSchema reads the answer to schemaCommand.
func readSchema(dump []byte) (*schema, error) {
	s := &schema{lines: make(map[string]string), tables: make(map[string]*table)}
	for line := range strings.Lines(string(dump)) {
		line = strings.TrimRight(line, "\r\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "":
			continue
		case "config_set", "plugin_register":
			name, _, _ := strings.Cut(strings.TrimPrefix(rest, "--key "), " ")
			if word != "config_set" || !strings.HasPrefix(name, own) {
				s.lines[objects[word]+" "+name] = line
			}
			continue
		}
		c, err := groonga.ParseLine(line)
		if err != nil {
			return nil, fmt.Errorf("a line of the dump, %.80q: %w", line, err)
		}
		if name := s.take(c); name != "" {
			s.lines[name] = line
		}
	}
	for _, t := range s.tables { // order-free: each by itself
		slices.Sort(t.columns)
	}
	return s, nil
}

// take takes over a line of a dump and returns what it is about; "": nothing that is compared.
func (s *schema) take(c *groonga.Command) string {
	switch c.Name {
	case "table_create":
		flags, name := c.Get("flags"), c.Get("name")
		s.tables[name] = &table{
			name: name, keyless: strings.Contains(flags, "TABLE_NO_KEY"), keyType: c.Get("key_type"),
			value: c.Get("value_type") != "",
		}
		return name
	case "column_create":
		t, name := s.tables[c.Get("table")], c.Get("name")
		if t == nil {
			return ""
		}
		if strings.Contains(c.Get("flags"), "COLUMN_INDEX") {
			t.indexes = append(t.indexes, index{name, c.Get("type")})
		} else {
			t.columns = append(t.columns, name)
		}
		return t.name + "." + name
	}
	return ""
}

// derived reports whether a table's records are what its indexes have brought about: then
// a dump does not have them either, and which there are depends on what once was.
func (t *table) derived() bool { return len(t.indexes) > 0 && len(t.columns) == 0 && !t.value }

// id is the pseudo-column that names a record.
func (t *table) id() string {
	if t.keyless {
		return "_id"
	}
	return "_key"
}

// diffSchemas are the objects that are not the same everywhere, in the order of their names.
func diffSchemas(all []*schema) (list []Difference) {
	names := make(map[string]bool)
	for _, s := range all {
		for name := range s.lines { // order-free: into a map
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		values := make([]string, len(all))
		for i, s := range all {
			values[i] = s.lines[name]
		}
		if same(values) {
			continue
		}
		d := Difference{Kind: Schema, Table: name, Values: values}
		if t, column, ok := strings.Cut(name, "."); ok && !strings.Contains(t, " ") {
			d.Table, d.Column = t, column
		}
		list = append(list, d.judged())
	}
	return list
}

// common are the tables that all have and whose names are wanted, each with the columns that
// all have.
func common(all []*schema, wanted []string) (list []*table) {
	for _, name := range slices.Sorted(maps.Keys(all[0].tables)) {
		if len(wanted) > 0 && !slices.Contains(wanted, name) {
			continue
		}
		t := *all[0].tables[name]
		everywhere := true
		for _, s := range all[1:] {
			o := s.tables[name]
			if o == nil || o.keyless != t.keyless || o.keyType != t.keyType {
				everywhere = false
				break
			}
			t.columns = slices.DeleteFunc(slices.Clone(t.columns), func(c string) bool { return !slices.Contains(o.columns, c) })
			t.indexes = slices.DeleteFunc(slices.Clone(t.indexes), func(x index) bool { return !slices.Contains(o.indexes, x) })
			t.value = t.value && o.value
		}
		if everywhere {
			list = append(list, &t)
		}
	}
	return list
}

func same(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}

// command makes a command of pairs of names and values.
func command(name string, pairs ...string) *groonga.Command {
	c := &groonga.Command{Name: name}
	for i := 0; i < len(pairs); i += 2 {
		c.Args = append(c.Args, groonga.Arg{Name: pairs[i], Value: pairs[i+1]})
	}
	return c
}
