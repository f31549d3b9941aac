package applier

import (
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// class is how a command behaves when it is done again after a crash.
type class uint8

const (
	// blind: what it leaves does not depend on what it found. It may be done again, with
	// everything of its group that came after it.
	blind class = iota
	// again: it reads what it changes. It may be done again at once, not after what came later.
	again
	// count: a load into a table without keys, of which the number of records says how far it came.
	count
	// once: nobody can tell whether it was done.
	once
	// heavy is as again, and rare: what it changes is on the disk before the next one.
	heavy
	// create, remove and rename change what exists, which says what was done.
	create
	remove
	rename
)

// schema reports whether what it changes has to be on the disk before and after it.
func (k class) schema() bool { return k >= heavy }

// reach is what of the data a command touches.
type reach struct {
	tables []string // by name
	all    bool     // or all of it
}

// settings is the name of a group of its own: no table can have it.
const settings = "\x00settings"

// reach tells which tables a command touches, and joins the groups of those that it brings
// together. It is asked once for each entry, in the order of the log.
func (g *groups) reach(c *groonga.Command) reach {
	switch c.Name {
	case "load":
		if c.Get("each") != "" || c.Get("ifexists") != "" || c.Get("table") == "" {
			return reach{all: true} // an expression may read any table
		}
		return reach{tables: []string{c.Get("table")}}
	case "delete":
		if strings.Contains(c.Get("filter"), "(") || c.Get("table") == "" {
			return reach{all: true} // so may a function
		}
		return reach{tables: []string{c.Get("table")}}
	case "truncate":
		if name, _, _ := strings.Cut(truncated(c), "."); name != "" {
			return reach{tables: []string{name}}
		}
	case "config_set", "config_delete", differs:
		return reach{tables: []string{settings}}
	case "select":
		if question(c) {
			return reach{tables: []string{c.Get("table")}}
		}
	}
	if names := g.pass(c); len(names) > 0 && c.Name != "object_remove" {
		return reach{tables: names}
	}
	return reach{all: true}
}

// truncated is the name of what a truncate empties: table is the argument's old name.
func truncated(c *groonga.Command) string {
	if name := c.Get("target_name"); name != "" {
		return name
	}
	return c.Get("table")
}

// class tells how a command behaves by the tables as they are when it is its turn.
func (ts tables) class(c *groonga.Command) class {
	if question(c) {
		return blind // it leaves nothing
	}
	switch c.Name {
	case "load":
		return ts.loadClass(c)
	case "delete":
		if c.Get("key") != "" && c.Get("id") == "" && c.Get("filter") == "" {
			return blind
		}
		return again
	case "config_set", "config_delete", differs, pauses:
		return blind
	case "table_create", "column_create":
		return create
	case "table_remove", "column_remove", "object_remove":
		return remove
	case "table_rename", "column_rename":
		return rename
	case "truncate", "table_copy", "column_copy", "reindex", "defrag", "plugin_register", "plugin_unregister",
		"object_set_visibility", "logical_table_remove":
		return heavy
	}
	return once
}

func (ts tables) loadClass(c *groonga.Command) class {
	if c.Get("each") != "" || c.Get("ifexists") != "" {
		return once
	}
	t := ts[c.Get("table")]
	if t == nil || !t.keyless {
		return blind // of a table that is not there, it does nothing
	}
	rows, err := readRows(c)
	if err != nil || !rows.add() {
		return once
	}
	return count
}
