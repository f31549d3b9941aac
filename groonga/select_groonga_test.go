package groonga

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// groongaSchema is what the tests' records live in.
var groongaSchema = []string{
	"table_create Tags TABLE_HASH_KEY ShortText",
	"column_create Tags label COLUMN_SCALAR ShortText",
	"table_create Nums TABLE_PAT_KEY Int32",
	"table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram --normalizer NormalizerAuto",
}

// docsOf are the commands that make one of the tables of documents.
func docsOf(name, keys string) []string {
	return []string{
		"table_create " + name + " " + keys,
		"column_create " + name + " title COLUMN_SCALAR ShortText",
		"column_create " + name + " n COLUMN_SCALAR Int32",
		"column_create " + name + " u COLUMN_SCALAR UInt64",
		"column_create " + name + " f COLUMN_SCALAR Float",
		"column_create " + name + " t COLUMN_SCALAR Time",
		"column_create " + name + " b COLUMN_SCALAR Bool",
		"column_create " + name + " tag COLUMN_SCALAR Tags",
		"column_create " + name + " num COLUMN_SCALAR Nums",
		"column_create " + name + " tags COLUMN_VECTOR Tags",
		"column_create Terms " + name + "_title COLUMN_INDEX|WITH_POSITION " + name + " title",
	}
}

var words = []string{"foo", "food", "bar", "barn", "Zoo", "日本", "日本語", "é", "hello", "x"}

// randomDoc is one record. Its floats are sums of halves, so that sums and averages
// do not depend on the order of adding.
func randomDoc(r *rand.Rand, i int) map[string]any {
	title := make([]string, r.IntN(4))
	for k := range title {
		title[k] = words[r.IntN(len(words))]
	}
	tags := make([]string, r.IntN(3))
	for k := range tags {
		tags[k] = fmt.Sprintf("t%d", r.IntN(6))
	}
	d := map[string]any{
		"_key": fmt.Sprintf("%s%d", words[r.IntN(len(words))], i), "title": strings.Join(title, " "),
		"n": r.IntN(9) - 4, "u": r.Uint64() >> r.IntN(64), "f": float64(r.IntN(40)-20) / 4,
		"t": float64(r.IntN(1e9)) + float64(r.IntN(1e6))/1e6, "b": r.IntN(2) == 0, "tags": tags,
	}
	if r.IntN(4) > 0 {
		d["tag"] = fmt.Sprintf("t%d", r.IntN(5))
	}
	if r.IntN(4) > 0 {
		d["num"] = r.IntN(5) - 2
	}
	return d
}

// splitGroonga is one server with all of the data, and servers that share it.
type splitGroonga struct {
	whole  *testGroonga
	slices []*testGroonga
	tables []string
}

// newSplitGroonga loads tables of several sizes.
func newSplitGroonga(t *testing.T) *splitGroonga {
	s := &splitGroonga{whole: startGroonga(t)}
	for range 3 {
		s.slices = append(s.slices, startGroonga(t))
	}
	r := rand.New(rand.NewPCG(4, 2))
	for _, g := range append(s.slices, s.whole) {
		g.must(groongaSchema...)
	}
	for i, n := range []int{0, 1, 12, 300, 100} {
		table, keys := fmt.Sprintf("Docs%d", i), "TABLE_HASH_KEY ShortText"
		if i == 4 {
			keys = "TABLE_PAT_KEY Int64"
		}
		s.tables = append(s.tables, table)
		all := make([]any, n)
		parts := make([][]any, len(s.slices))
		for k := range all {
			doc := randomDoc(r, k)
			if i == 4 {
				doc["_key"] = r.Int64N(1<<62) - 1<<61
			}
			at := r.IntN(4) % len(s.slices) // the first has twice as many
			all[k], parts[at] = doc, append(parts[at], doc)
		}
		s.whole.load(table, keys, all)
		for k, g := range s.slices {
			g.load(table, keys, parts[k])
		}
	}
	return s
}

func (g *testGroonga) load(table, keys string, docs []any) {
	g.TB.Helper()
	g.must(docsOf(table, keys)...)
	body, err := json.Marshal(docs)
	if err != nil {
		g.TB.Fatal(err)
	}
	answer := g.do(&Command{Name: "load", Args: []Arg{{"table", table}}, Body: body})
	if a, err := readAnswer(answer); err != nil || string(a.body) != fmt.Sprint(len(docs)) {
		g.TB.Fatalf("load: %s %v", answer, err)
	}
}

// selectAll asks the slices and merges.
func (s *splitGroonga) selectAll(c *Command) ([]byte, error) {
	p, err := PlanSelect(c, Cut{})
	if err != nil {
		return nil, err
	}
	answers := s.ask(p.Request())
	for p.Again(answers) {
		answers = s.ask(p.Request())
	}
	return p.Merge(answers)
}

func (s *splitGroonga) ask(c *Command) (answers [][]byte) {
	for _, g := range s.slices {
		answers = append(answers, g.do(c))
	}
	return answers
}

// genSelect draws a select whose answer is determined: it sorts by the key at last,
// or wants everything.
func genSelect(tables []string) *rapid.Generator[*Command] {
	return rapid.Custom(func(t *rapid.T) *Command {
		c := &Command{Name: "select"}
		set := func(name, value string) { c.Args = append(c.Args, Arg{name, value}) }
		pick := func(what string, list ...string) string { return rapid.SampledFrom(list).Draw(t, what) }
		sorted := func(what, last string, columns ...string) string {
			keys := rapid.SliceOfNDistinct(rapid.SampledFrom(columns), 0, 3, rapid.ID[string]).Draw(t, what)
			for i := range keys {
				keys[i] = pick("sign", "", "-", "+") + keys[i]
			}
			return strings.Join(append(keys, last), ",")
		}
		windowed := func(prefix string) {
			if rapid.Bool().Draw(t, prefix+"offset?") {
				set(prefix+"offset", fmt.Sprint(rapid.IntRange(-20, 30).Draw(t, prefix+"offset")))
			}
			if rapid.Bool().Draw(t, prefix+"limit?") {
				set(prefix+"limit", fmt.Sprint(rapid.IntRange(-20, 30).Draw(t, prefix+"limit")))
			}
		}
		set("table", pick("table", tables...))
		set("output_columns", pick("columns", "_key", "_key,title,n,u,f,t,b,tag,num,tags", "n, _key, _score", "tag.label,_key,nope,*", "f*2,_key", "title _key *"))
		set("command_version", pick("version", "1", "2", "3"))
		switch pick("search", "no", "query", "filter", "both") {
		case "query":
			set("match_columns", "title")
			set("query", pick("query", append([]string{"foo OR bar", "foo bar", "fo bar", "foo -bar", "title:^fo", "zoo OR nix"}, words...)...))
		case "filter":
			set("filter", pick("filter", "n > 0", "b", `title @ "fo"`, `tag == "t1" || f < 0`, "n > 100"))
		case "both":
			set("match_columns", "title * 3")
			set("query", pick("query", append([]string{"foo OR bar", "foo bar", "fo bar", "foo -bar", "title:^fo", "zoo OR nix"}, words...)...))
			set("filter", pick("filter", "n > 0", "b"))
		}
		if pick("sort", "by", "not") == "by" {
			set("sort_keys", sorted("keys", pick("last", "_key", "-_key"), "title", "n", "u", "f", "t", "b", "_score", "tag._key", "nope"))
			windowed("")
		} else {
			set("limit", "-1")
		}
		genDrilldown(t, set, pick, sorted, windowed)
		return c
	})
}

func genDrilldown(t *rapid.T, set func(string, string), pick func(string, ...string) string, sorted func(string, string, ...string) string, windowed func(string)) {
	one := func(prefix, last, key string) {
		columns := key + ",_nsubrecs"
		keys := []string{"_nsubrecs"}
		if rapid.Bool().Draw(t, prefix+"calc?") {
			types := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"MIN", "MAX", "SUM", "AVG", "COUNT"}), 1, 5, rapid.ID[string]).Draw(t, prefix+"types")
			set(prefix+"calc_types", strings.Join(types, ","))
			set(prefix+"calc_target", pick(prefix+"target", "n", "f"))
			columns += ",_min,_max,_sum,_avg"
			for _, name := range types {
				// Not by averages: Groonga's have rounding errors that decide between equals.
				if name != "COUNT" && name != "AVG" {
					keys = append(keys, "_"+strings.ToLower(name))
				}
			}
		}
		set(prefix+"output_columns", columns)
		set(prefix+"sort_keys", sorted(prefix+"keys", last, keys...))
		windowed(prefix)
	}
	switch pick("drilldown", "no", "one", "labelled") {
	case "one":
		set("drilldown", pick("keys", "tag", "tags", "n,tag", "num,nope,b", "title", "tag.label", "t,f", "u,_key"))
		one("drilldown_", "_key", "_key")
	case "labelled":
		set("drilldowns[A].keys", pick("keys A", "tag", "num", "title"))
		one("drilldowns[A].", "_key", "_key")
		set("drilldowns[B].keys", "n,b")
		one("drilldowns[B].", "_value.n,_value.b", "_value.b,_value.n")
	}
}

// comparable is an answer without its times; what was not sorted is sorted here.
func comparable(t *rapid.T, data []byte, sorted bool) any {
	var document any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	var records []any
	switch d := document.(type) {
	case map[string]any:
		head := d["header"].(map[string]any)
		delete(head, "start_time")
		delete(head, "elapsed_time")
		if body, ok := d["body"].(map[string]any); ok {
			records = body["records"].([]any)
		}
	case []any:
		head := d[0].([]any)
		head[1], head[2] = 0, 0
		if len(d) > 1 {
			records = d[1].([]any)[0].([]any)[2:]
		}
	}
	if !sorted {
		sort.Slice(records, func(i, k int) bool { return fmt.Sprint(records[i]) < fmt.Sprint(records[k]) })
	}
	return document
}

// equal compares decoded JSON. Groonga adds up an average step by step, which leaves
// the last digits to the order of the records.
func equal(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Abs(a-b) <= 1e-12*math.Max(1, math.Abs(a))
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	return a == b
}

// TestMergedSelectsAreThoseOfOneServer: documents over three slices, and one server
// with all of them, give equal answers to random selects.
func TestMergedSelectsAreThoseOfOneServer(t *testing.T) {
	s := newSplitGroonga(t)
	refused, empty, total := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := genSelect(s.tables).Draw(t, "select")
		got, err := s.selectAll(c)
		if errors.Is(err, ErrNotSupported) {
			refused++
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		total++
		want := s.whole.do(c)
		sorted := c.Get("sort_keys") != ""
		if !equal(comparable(t, got, sorted), comparable(t, want, sorted)) {
			t.Fatalf("%s\n got %s\nwant %s", c.URI(), got, want)
		}
		if a, _ := readAnswer(got); a.code != 0 {
			empty++
		}
	})
	t.Logf("%d equal answers, %d of them failures; %d refused", total, empty, refused)
}
