package applier

import (
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// groups are the table groups: sets of names of tables whose writes have to keep their order. Groups
// only grow: a table that was removed and a reference that is gone are forgotten when the
// tables are learnt anew.
type groups struct {
	parent map[string]string
	merged int // how many schema commands have passed since they were learnt
}

func newGroups() *groups { return &groups{parent: make(map[string]string)} }

// find returns the name that stands for a table's group.
func (g *groups) find(name string) string {
	for {
		p, ok := g.parent[name]
		if !ok || p == name {
			return name
		}
		if pp, ok := g.parent[p]; ok {
			g.parent[name] = pp
		}
		name = p
	}
}

func (g *groups) union(a, b string) {
	a, b = g.find(a), g.find(b)
	g.parent[a] = a
	g.parent[b] = a
}

// schemaNames are the arguments of the schema commands that name a table, or a column with its table,
// that may not be there yet.
var schemaNames = map[string][]string{
	"table_create":  {"name"},
	"table_remove":  {"name"},
	"table_rename":  {"name", "new_name"},
	"table_copy":    {"from_name", "to_name"},
	"column_create": {"table"},
	"column_remove": {"table"},
	"column_rename": {"table"},
	"column_copy":   {"from_table", "to_table"},
	"object_remove": {"name"},
}

// pass has a schema command join the groups of all tables that it names, in whatever argument:
// references, index sources, tokenizers and normalizers that read a table. It returns those
// that it names as its own.
func (g *groups) pass(c *groonga.Command) (names []string) {
	for _, arg := range schemaNames[c.Name] {
		if table, _, _ := strings.Cut(c.Get(arg), "."); table != "" {
			names = append(names, table)
		}
	}
	for _, name := range names {
		g.union(names[0], name)
	}
	if len(names) == 0 {
		return nil
	}
	g.merged++
	for _, a := range c.Args {
		for _, word := range words(a.Value) {
			if _, known := g.parent[word]; known {
				g.union(names[0], word)
			}
		}
	}
	return names
}

// words are the names in a value: what is between other characters than names are made of.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '#' || r == '@' || r == '-' || r > 127)
	})
}
