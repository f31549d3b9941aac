package applier

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// table is what is known of one of the server's tables.
type table struct {
	keyless    bool
	keyType    string
	normalizer bool
	columns    map[string]column
}

type column struct {
	kind   string // "" for one value, "vector" or "index"
	typ    string
	weight bool
}

// tables is the schema of the server: learnt from its dump and kept up with by the schema
// commands that succeed.
type tables map[string]*table

// learn reads a dump without records.
func learn(dump []byte) (tables, *groups, error) {
	ts, gs := make(tables), newGroups()
	for line := range strings.Lines(string(dump)) {
		line = strings.TrimRight(line, "\r\n")
		if !strings.HasPrefix(line, "table_create ") && !strings.HasPrefix(line, "column_create ") {
			continue
		}
		c, err := groonga.ParseLine(line)
		if err != nil {
			return nil, nil, fmt.Errorf("a line of the server's dump, %.80q: %w", line, err)
		}
		gs.pass(c)
		ts.done(c)
	}
	gs.merged = 0
	return ts, gs, nil
}

// done notes what a schema command that succeeded has changed.
func (ts tables) done(c *groonga.Command) {
	switch c.Name {
	case "table_create":
		flags := c.Get("flags")
		ts[c.Get("name")] = &table{
			keyless:    strings.Contains(flags, "TABLE_NO_KEY"),
			keyType:    c.Get("key_type"),
			normalizer: c.Get("normalizer") != "" || strings.Contains(flags, "KEY_NORMALIZE"),
			columns:    make(map[string]column),
		}
	case "table_remove":
		delete(ts, c.Get("name"))
	case "table_rename":
		if t := ts[c.Get("name")]; t != nil {
			delete(ts, c.Get("name"))
			ts[c.Get("new_name")] = t
		}
		ts.retype(c.Get("name"), c.Get("new_name"))
	case "column_create":
		ts.columnCreated(c)
	case "column_remove":
		if t := ts[c.Get("table")]; t != nil {
			delete(t.columns, c.Get("name"))
		}
	case "column_rename":
		if t := ts[c.Get("table")]; t != nil {
			t.columns[c.Get("new_name")] = t.columns[c.Get("name")]
			delete(t.columns, c.Get("name"))
		}
	}
}

func (ts tables) columnCreated(c *groonga.Command) {
	t := ts[c.Get("table")]
	if t == nil {
		return
	}
	flags, kind := c.Get("flags"), ""
	switch {
	case strings.Contains(flags, "COLUMN_VECTOR"):
		kind = "vector"
	case strings.Contains(flags, "COLUMN_INDEX"):
		kind = "index"
	}
	t.columns[c.Get("name")] = column{kind, c.Get("type"), strings.Contains(flags, "WITH_WEIGHT")}
}

// retype has references follow a table's new name.
func (ts tables) retype(from, to string) {
	for _, t := range ts { // order-free: each by itself
		if t.keyType == from {
			t.keyType = to
		}
		for name, c := range t.columns { // order-free: each by itself
			if c.typ == from {
				c.typ = to
				t.columns[name] = c
			}
		}
	}
}
