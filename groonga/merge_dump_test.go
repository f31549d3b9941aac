package groonga

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestDumpAsksOneSliceForTheSchema(t *testing.T) {
	for _, c := range []struct{ line, rest string }{
		{"dump", "/d/dump?tables=Docs&dump_plugins=no&dump_schema=no&dump_indexes=no&dump_configs=no"},
		{"dump --tables Tags,Docs", "/d/dump?tables=Docs&dump_plugins=no&dump_schema=no&dump_indexes=no&dump_configs=no"},
		{"dump --tables Tags", ""},
		{"dump --dump_records no", ""},
	} {
		command, err := ParseLine(c.line)
		if err != nil {
			t.Fatal(err)
		}
		rest, asked := "", command.URI()
		first, others := PlanDump(command, "Docs")
		if others != nil {
			rest = others.URI()
		}
		if rest != c.rest || first.URI() != asked {
			t.Errorf("%s: %s", c.line, rest)
		}
	}
}

// TestADumpOfTablesThatAreAllCut: each slice gives its records of all tables, unless one refers
// to another.
func TestADumpOfTablesThatAreAllCut(t *testing.T) {
	command, err := ParseLine("dump --tables Tags")
	if err != nil {
		t.Fatal(err)
	}
	if _, rest := PlanDump(command, ""); rest == nil || rest.URI() != "/d/dump?tables=Tags&dump_plugins=no&dump_schema=no&dump_indexes=no&dump_configs=no" {
		t.Error(rest)
	}
	const tables = "table_create A TABLE_HASH_KEY ShortText\ncolumn_create A n COLUMN_SCALAR Int32\n\ntable_create B TABLE_PAT_KEY "
	for schema, refused := range map[string]bool{
		tables + "ShortText\n": false, tables + "A\n": true, tables + "ShortText\n\ncolumn_create A b COLUMN_VECTOR B\n": true, tables + "Int32 --normalizer A\n": false,
	} {
		if err := CheckDump([]byte(schema)); errors.Is(err, ErrNotSupported) != refused {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

// TestNumbersAreNotDumped: of records without keys of what is cut.
func TestNumbersAreNotDumped(t *testing.T) {
	const dump = "table_create Docs TABLE_NO_KEY\n\nload --table Docs\n[\n[\"_id\",\"n\"],\n[1,\"a,b\"],\n[7,2]\n]\n\nload --table Tags\n[\n[\"_id\",\"n\"],\n[1,1]\n]\n"
	const docs, tags = "load --table Docs\n[\n[\"n\"],\n[\"a,b\"],\n[2]\n]\n", "load --table Tags\n[\n[\"n\"],\n[1]\n]\n"
	if got := string(JoinDumps([]string{dump}, "Docs")); !strings.Contains(got, docs) || strings.Contains(got, tags) {
		t.Error(got)
	}
	if got := string(JoinDumps([]string{dump, ""}, "")); !strings.Contains(got, docs) || !strings.Contains(got, tags) {
		t.Error(got)
	}
}

// TestAJoinedDumpRestoresAllSlices: two servers' dumps, joined and loaded into a third,
// make it hold the records of both.
func TestAJoinedDumpRestoresAllSlices(t *testing.T) {
	a, b, restored := startGroonga(t), startGroonga(t), startGroonga(t)
	for _, g := range []*testGroonga{a, b} {
		g.must("table_create Tags TABLE_HASH_KEY ShortText", "column_create Tags label COLUMN_SCALAR ShortText",
			"table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram --normalizer NormalizerAuto",
			"table_create Docs TABLE_HASH_KEY ShortText", "column_create Docs title COLUMN_SCALAR ShortText", "column_create Docs tag COLUMN_SCALAR Tags",
			"column_create Terms docs_title COLUMN_INDEX|WITH_POSITION Docs title",
			`load --table Tags --values '[{"_key":"t","label":"a label"}]'`)
	}
	a.must(`load --table Docs --values '[{"_key":"1","title":"first text","tag":"t"},{"_key":"2","title":"other","tag":"t"}]'`)
	b.must(`load --table Docs --values '[{"_key":"3","title":"third text","tag":"t"}]'`)
	first, rest := PlanDump(&Command{Name: "dump"}, "Docs")
	dump := string(JoinDumps([]string{string(a.do(first)), string(b.do(rest))}, "Docs"))
	for _, g := range splitDump(t, dump) {
		restored.do(g)
	}
	for line, want := range map[string]string{
		"select Docs --match_columns title --query text --output_columns _key,tag.label --sort_keys _key": `[[[2],[["_key","ShortText"],["tag.label","ShortText"]],["1","a label"],["3","a label"]]]`,
		"select Docs --limit 0 --output_columns _key":                                                     `[[[3],[["_key","ShortText"]]]]`,
	} {
		answer, err := readAnswer(restored.do(selectOf(t, strings.TrimPrefix(line, "select "))))
		if err != nil || string(answer.body) != want {
			t.Errorf("%s: %s %v\nof the dump\n%s", line, answer.body, err, dump)
		}
	}
}

// splitDump makes commands of a dump: a line each, and the records after a load.
func splitDump(t *testing.T, dump string) (commands []*Command) {
	t.Helper()
	lines := strings.Split(dump, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		c, err := ParseLine(lines[i])
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == "load" {
			end := i + slices.Index(lines[i:], "]")
			c.Body = []byte(strings.Join(lines[i+1:end+1], "\n"))
			i = end
		}
		commands = append(commands, c)
	}
	return commands
}
