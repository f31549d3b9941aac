package groonga

import (
	"slices"
	"strings"
)

// PlanDump splits a dump over slices: first is what one slice is asked, the schema and
// all tables, rest what each of the others is asked, the records of the fact table
// alone, or of all tables where all are cut. A nil rest means that one slice has all that is
// asked for. Commands that follow each other make one dump: the others' records are loaded last.
func PlanDump(c *Command, fact string) (first, rest *Command) {
	if c.Get("dump_records") == "no" {
		return c, nil
	}
	if tables := c.Get("tables"); fact != "" && tables != "" && !slices.Contains(splitColumns(tables), fact) {
		return c, nil
	}
	rest = c.Clone()
	if fact != "" {
		rest.Set("tables", fact)
	}
	for _, part := range []string{"plugins", "schema", "indexes", "configs"} {
		rest.Set("dump_"+part, "no")
	}
	return c, rest
}

// DumpSchemaCommand asks for what CheckDump looks at.
func DumpSchemaCommand() *Command {
	return &Command{Name: "dump", Args: []Arg{{"dump_plugins", "no"}, {"dump_records", "no"}, {"dump_indexes", "no"}, {"dump_configs", "no"}}}
}

// CheckDump refuses a dump of servers that share all tables where one of these refers to
// another: a slice then also has the records that its own refer to, empty ones, and a
// restored dump would write those over the real ones.
func CheckDump(schema []byte) error {
	isTable := make(map[string]bool)
	for line := range strings.SplitSeq(string(schema), "\n") {
		c, err := ParseLine(line)
		if err != nil {
			continue
		}
		switch c.Name {
		case "table_create":
			isTable[c.Get("name")] = true
			if isTable[c.Get("key_type")] {
				return refuse("a dump of %s, whose keys refer to records of %s, where all tables are cut into slices: name a fact table in the catalog", c.Get("name"), c.Get("key_type"))
			}
		case "column_create":
			if isTable[c.Get("type")] {
				return refuse("a dump of %s.%s, which refers to records of %s, where all tables are cut into slices: name a fact table in the catalog", c.Get("table"), c.Get("name"), c.Get("type"))
			}
		}
	}
	return nil
}

// JoinDumps puts the slices' dumps one after the other. Records without keys lose their
// numbers, which are those of their own server: loaded with them, those of one slice would be
// written over those of another.
func JoinDumps(dumps []string, fact string) []byte {
	var whole strings.Builder
	for _, d := range dumps {
		if d = strings.Trim(d, "\n"); d != "" {
			whole.WriteString(withoutNumbers(d, fact) + "\n\n")
		}
	}
	return []byte(whole.String())
}

// withoutNumbers takes _id from the records of the tables that are cut. A dump has a line for
// each record.
func withoutNumbers(dump, fact string) string {
	const header = `["_id",`
	if !strings.Contains(dump, header) {
		return dump
	}
	lines := strings.Split(dump, "\n")
	numbered := false
	for i, line := range lines {
		table, isLoad := strings.CutPrefix(line, "load --table ")
		switch {
		case isLoad:
			numbered = (fact == "" || table == fact) && i+2 < len(lines) && strings.HasPrefix(lines[i+2], header)
		case line == "]":
			numbered = false
		case numbered && line != "[":
			_, rest, _ := strings.Cut(line, ",")
			lines[i] = "[" + rest
		}
	}
	return strings.Join(lines, "\n")
}
