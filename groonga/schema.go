package groonga

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Schema is what is known of a database's tables and columns.
type Schema struct {
	objects map[string]schemaObject // by "TABLE" and "TABLE.COLUMN"
}

type schemaObject struct {
	ID      int
	Type    struct{ Name string }
	Range   struct{ Name string }
	Flags   struct{ Names string }
	Sources []struct{ Name string }
}

// SchemaCommand asks for what ReadSchema reads. Groonga answers object_list without
// opening anything: of 13.0.0, two table_list or schema at the same time wait for each
// other.
func SchemaCommand() *Command { return (&Command{Name: "object_list"}).Asked() }

// ReadSchema reads the answer to SchemaCommand.
func ReadSchema(doc []byte) (s Schema, err error) {
	body, err := Result(doc)
	if err != nil {
		return s, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return s, fmt.Errorf("a list of objects of no known form: %w", err)
	}
	s.objects = make(map[string]schemaObject)
	for name, text := range all { // order-free: into another map
		var o schemaObject
		if json.Unmarshal(text, &o) == nil {
			s.objects[name] = o
		}
	}
	return s, nil
}

// isTable reports whether there is a table of that name.
func (s Schema) isTable(name string) bool {
	return strings.HasPrefix(s.objects[name].Type.Name, "table:")
}

// column finds a column of a table.
func (s Schema) column(table, name string) (c schemaObject, ok bool) {
	c, ok = s.objects[table+"."+name]
	return c, ok && strings.HasPrefix(c.Type.Name, "column:")
}

// ID is the number of a table or column, by which one that was made anew is another; 0: there
// is none of that name.
func (s Schema) ID(name string) int { return s.objects[name].ID }

// reference is a column of a table that refers to another table.
type reference struct{ column, to string }

// references are a table's columns that refer to tables.
func (s Schema) references(table string) (list []reference) {
	for name, o := range s.objects { // order-free: sorted below
		of, column, ok := strings.Cut(name, ".")
		if ok && of == table && !o.isIndex() && s.isTable(o.Range.Name) {
			list = append(list, reference{column, o.Range.Name})
		}
	}
	slices.SortFunc(list, func(a, b reference) int { return strings.Compare(a.column, b.column) })
	return list
}

func (o schemaObject) isIndex() bool { return o.Type.Name == "column:index" }

// target is the table in which a chain of columns ends; "" if it is none.
func (s Schema) target(table, chain string) string {
	for name := range strings.SplitSeq(chain, ".") {
		c, ok := s.column(table, name)
		if !ok || !s.isTable(c.Range.Name) {
			return ""
		}
		table = c.Range.Name
	}
	return table
}

// chain is the column in which a chain of columns of a table ends.
func (s Schema) chain(table, chain string) (c schemaObject, ok bool) {
	for name := range strings.SplitSeq(chain, ".") {
		if c, ok = s.column(table, name); !ok {
			return c, false
		}
		table = c.Range.Name
	}
	return c, true
}

// hasKeys reports whether the records of a table have keys.
func (s Schema) hasKeys(table string) bool {
	return s.isTable(table) && s.objects[table].Type.Name != "table:no_key"
}

// IsKeyless reports whether there is a table of that name whose records have numbers only.
func (s Schema) IsKeyless(table string) bool { return s.isTable(table) && !s.hasKeys(table) }

// Referring is a column, with its table, that refers to records of a table; "" if there is none.
func (s Schema) Referring(table string) string {
	found := ""
	for name, o := range s.objects { // order-free: the first by name
		if strings.Contains(name, ".") && !o.isIndex() && o.Range.Name == table && (found == "" || name < found) {
			found = name
		}
	}
	return found
}

// indexed reports whether there is an index of TABLE.COLUMN.
func (s Schema) indexed(column string) bool {
	for _, o := range s.objects { // order-free: any one
		if o.isIndex() && slices.ContainsFunc(o.Sources, func(source struct{ Name string }) bool { return source.Name == column }) {
			return true
		}
	}
	return false
}

// isVector reports whether a column has several values.
func (o schemaObject) isVector() bool { return strings.Contains(o.Flags.Names, "COLUMN_VECTOR") }
