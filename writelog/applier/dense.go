package applier

import (
	"context"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// loosen takes away what is said of tables (KeyDense) in which a command may leave free ids, or of which it may make
// others. dense: it was said of the one that the command names.
func (s *session) loosen(ctx context.Context, t *task) (dense bool, err error) {
	c := t.items[0].Command
	var names []string
	switch c.Name {
	case "load", "truncate", "column_create", "column_remove", "column_rename", "column_copy", "reindex", "defrag":
	case "delete":
		names = []string{c.Get("table")}
	case "table_create", "table_remove", "object_remove", "table_rename":
		names = []string{c.Get("name")}
	case "table_copy":
		names = []string{c.Get("to_name")}
	default: // one that reaches everything: nothing else runs
		for name, t := range s.tables { // order-free: each by itself
			if t.keyless {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		said, err := s.dense(ctx, name)
		if err == nil && said != "" {
			dense = true
			err = s.unset(ctx, KeyDense+name)
		}
		if err != nil {
			return false, err
		}
	}
	return dense, nil
}

// MaxDense is how long a table's name may be for anything to be said of it: a configuration key has its bounds.
const MaxDense = 2048

// dense is what is said of a table.
func (s *session) dense(ctx context.Context, table string) (string, error) {
	if len(table) > MaxDense {
		return "", nil
	}
	return s.get(ctx, KeyDense+table)
}

// tighten says of a table that its ids have no gaps, after a command that was done.
func (s *session) tighten(ctx context.Context, c *groonga.Command, dense bool) error {
	name := ""
	switch {
	case c.Name == "table_create" && strings.Contains(c.Get("flags"), "TABLE_NO_KEY"):
		name = c.Get("name")
	case c.Name == "table_rename" && dense:
		name = c.Get("new_name")
	}
	if name == "" || len(name) > MaxDense {
		return nil
	}
	return s.set(ctx, KeyDense+name, "1")
}
