package groonga

import (
	"slices"
	"strings"
)

// PlanDump splits a dump over slices: first is what one slice is asked, the schema and
// all tables, rest what each of the others is asked, the records of the fact table
// alone. A nil rest means that one slice has all that is asked for. Commands that
// follow each other make one dump: the others' records are loaded last.
//
// It takes a fact table. Where all tables are cut, a slice also has the records that
// its records refer to, empty ones, and a restored dump would write those over the
// real ones.
func PlanDump(c *Command, fact string) (first, rest *Command) {
	if c.Get("dump_records") == "no" {
		return c, nil
	}
	if tables := c.Get("tables"); tables != "" && !slices.Contains(splitColumns(tables), fact) {
		return c, nil
	}
	rest = c.Clone()
	rest.Set("tables", fact)
	for _, part := range []string{"plugins", "schema", "indexes", "configs"} {
		rest.Set("dump_"+part, "no")
	}
	return c, rest
}

// JoinDumps puts the slices' dumps one after the other.
func JoinDumps(dumps []string) []byte {
	var whole strings.Builder
	for _, d := range dumps {
		if d = strings.Trim(d, "\n"); d != "" {
			whole.WriteString(d + "\n\n")
		}
	}
	return []byte(whole.String())
}
