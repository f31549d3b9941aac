package groonga

import (
	"errors"
	"strings"
	"testing"
)

// selectOf is the select of a command line.
func selectOf(t *testing.T, line string) *Command {
	t.Helper()
	c, err := ParseLine("select " + line)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func planOf(t *testing.T, line string) *SelectPlan {
	t.Helper()
	p, err := PlanSelect(selectOf(t, line), Cut{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSelectAsksEachSliceForTheFirstOnes(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"Docs", "table=Docs output_type=json offset=0 limit=10"},
		{"Docs --offset 5 --limit 3", "table=Docs offset=0 limit=8 output_type=json"},
		{"Docs --limit -2", "table=Docs limit=-1 output_type=json offset=0"},
		{"Docs --offset -2 --limit 1", "table=Docs offset=0 limit=-1 output_type=json"},
		{"Docs --sort_keys -n,title --output_columns _key", "table=Docs sort_keys=-n,title output_columns=n,title,_key output_type=json offset=0 limit=10"},
		{"Docs --sortby n", "table=Docs sortby=n output_type=json output_columns=n,_id, _key, * offset=0 limit=10"},
		{"Docs --callback f --output_pretty yes --offset 2147483647 --limit 9", "table=Docs offset=0 limit=2147483647 output_type=json"},
		{"Docs --query a", "table=Docs query=a output_type=json offset=0 limit=10 match_escalation_threshold=-1"},
		{"Docs --drilldown tag --drilldown_sort_keys -_nsubrecs", "table=Docs drilldown=tag drilldown_sort_keys=-_nsubrecs output_type=json offset=0 limit=10 " +
			"drilldown_output_columns=_key,_nsubrecs,_key,_nsubrecs drilldown_offset=0 drilldown_limit=-1"},
	} {
		var got []string
		for _, a := range planOf(t, c.line).Request().Args {
			got = append(got, a.Name+"="+a.Value)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestSelectRefusesWhatCannotBeMerged(t *testing.T) {
	for _, line := range []string{
		"Docs --sort_keys _id", "Docs --sort_keys tag._id", "Docs --sort_keys 'geo_distance(g, \"1x1\")'",
		"Docs --output_type xml --command_version 3", "Docs --load_table X", "Docs --output_type xml --slices[a].filter true", "Docs --slices[a].query x", "Docs --slices[a].filter 't @ \"x\"'",
		"Docs --slices[a].filter true --slices[a].adjuster x", "Docs --slices[a].filter true --slice[a].limit 1", "Docs --match_columns 'scorer_tf_idf(title)'",
		"Docs --columns[n].window.sort_keys _key", "Docs --columns[n].stage group", "Docs --drilldown tag --drilldown_filter '_nsubrecs > n'", "Docs --drilldown tag --drilldown_filter '_key @ \"x\"'",
		"Docs --drilldown tag --drilldown_filter 'n > 1 || _nsubrecs > 1'",
		"Docs --drilldowns[a].keys tag --drilldowns[b].keys n --drilldowns[b].table a",
		"Docs --drilldowns[a].keys tag,n", "Docs --drilldown tag --drilldown_output_columns '_key, _nsubrecs * 2'",
		"Docs --drilldowns[a].keys tag,n --drilldowns[a].output_columns _value.tag --drilldowns[a].sort_keys _key",
		"Docs --drilldown tag --drilldown_calc_types MEAN --drilldown_calc_target n",
	} {
		if _, err := PlanSelect(selectOf(t, line), Cut{}); !errors.Is(err, ErrNotSupported) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestSelectFiltersMergedGroups: what a filter says of keys is for the slices, and what it says
// of numbers for the groups of all of them.
func TestSelectFiltersMergedGroups(t *testing.T) {
	p := planOf(t, `Docs --limit 0 --drilldown tag --drilldown_sort_keys _key --drilldown_filter '_key != "b && _nsubrecs" && (_nsubrecs == 3 || !(_nsubrecs < 5))'`)
	if got := strings.TrimSpace(p.Request().Get("drilldown_filter")); got != `_key != "b && _nsubrecs"` {
		t.Errorf("slices are asked for %s", got)
	}
	const head, columns = `[[0,1,0.1],[[[0],[]],[[3],`, `[["_key","ShortText"],["_key","ShortText"],["_nsubrecs","Int32"],["_nsubrecs","Int32"],["_key","ShortText"],["_nsubrecs","Int32"]]`
	got, err := p.Merge([][]byte{
		[]byte(head + columns + `,["a","a",1,1,"a",1],["c","c",4,4,"c",4],["d","d",2,2,"d",2]]]]`),
		[]byte(head + columns + `,["a","a",2,2,"a",2],["c","c",1,1,"c",1],["e","e",1,1,"e",1]]]]`),
	})
	if want := `[[0,1,0.1000000000000001],[[[0],[]],[[2],[["_key","ShortText"],["_nsubrecs","Int32"]],["a",3],["c",5]]]]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

// TestSelectSortsByIDsThatServersShare: records of another table are sorted by their numbers,
// unless servers number them otherwise.
func TestSelectSortsByIDsThatServersShare(t *testing.T) {
	schema, err := ReadSchema([]byte(`[[0,1,0.1],{"Docs":{"type":{"name":"table:hash_key"}},"Tags":{"type":{"name":"table:hash_key"}},"Docs.tag":{"type":{"name":"column:fix_size"},"range":{"name":"Tags"}}}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ second, want string }{
		{`[1,"x","b"],[3,"z","d"]`, `["b"],["a"],["d"]`}, {`[2,"x","b"]`, ""}, {`[1,"y","b"]`, ""},
	} {
		p, err := PlanSelect(selectOf(t, "Docs --sort_keys tag --output_columns _key"), Cut{Fact: "Docs", Schema: schema})
		if err != nil || p.Request().Get("output_columns") != "tag._id,tag._key,_key" {
			t.Fatal(p, err)
		}
		const columns = `[["tag._id","UInt32"],["tag._key","ShortText"],["_key","ShortText"]]`
		got, err := p.Merge([][]byte{[]byte(`[[0,1,0.1],[[[1],` + columns + `,[2,"y","a"]]]]`), []byte(`[[0,1,0.1],[[[2],` + columns + "," + c.second + `]]]`)})
		if c.want == "" && !errors.Is(err, ErrNotSupported) || c.want != "" && !strings.Contains(string(got), c.want) {
			t.Errorf("%s: %s, %v", c.second, got, err)
		}
	}
}

func TestSelectMergesByTheSortKeys(t *testing.T) {
	p := planOf(t, "Docs --sort_keys -n,_key --output_columns _key --offset 1 --limit 2")
	got, err := p.Merge([][]byte{
		[]byte(`[[0,10.5,0.5],[[[3],[["n","Int32"],["_key","ShortText"],["_key","ShortText"]],[9,"a","a"],[5,"c","c"],[1,"e","e"]]]]`),
		[]byte(`[[0,10.25,0.25],[[[2],[["n","Int32"],["_key","ShortText"],["_key","ShortText"]],[5,"b","b"],[-5,"d","d"]]]]`),
	})
	if want := `[[0,10.25,0.75],[[[5],[["_key","ShortText"]],["b"],["c"]]]]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestSelectPassesAFailureOn(t *testing.T) {
	p := planOf(t, "Docs --callback f")
	const failed = `[[-22,1.5,0.1,"no such table",[["execute","proc_select.cpp",1]]]]`
	got, err := p.Merge([][]byte{[]byte(`[[0,1,0.1],[[[0],[]]]]`), []byte(failed)})
	if err != nil || string(got) != "f("+failed+");" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSelectRefusesToSortByAReference(t *testing.T) {
	p := planOf(t, "Docs --sort_keys tag --output_columns _key")
	_, err := p.Merge([][]byte{[]byte(`[[0,1,0.1],[[[1],[["tag","Tags"],["_key","ShortText"]],["x","a"]]]]`)})
	if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), "tag._key") {
		t.Error(err)
	}
}

func TestSelectAsksLessStrictlyOnlyIfAllFoundNothing(t *testing.T) {
	none, one := []byte(`[[0,1,0.1],[[[0],[]]]]`), []byte(`[[0,1,0.1],[[[1],[],[]]]]`)
	const column = "Docs --match_columns title "
	for _, c := range []struct {
		line  string
		found string // by both slices in the rounds: 0 nothing, 1 by one of them, 2 by each
		want  string // what the rounds after the first ask
	}{
		{column + "--query a", "1", ""},
		{column + "--query a", "00", "loose"},
		{column + "--query 'a b'", "1", ""},
		{column + "--query 'a b'", "01", "first"},
		{column + "--query 'a b'", "000", "first loose"},
		{column + "--query a --filter 'n > 1'", "01", "first"},
		{column + "--query 'a OR b'", "11", "first"},
		{column + "--query 'a OR b'", "100", "first count refused"},
		{column + "--query 'a OR b'", "101", "first count"},
		{column + "--query 'a -b'", "11", "count"},
		{column + "--query 'a -b'", "12", "count refused"},
		{"Docs --match_columns 'title || body' --query a", "11", "count"},
		{"Docs --filter 'title @ \"a\"'", "00", "loose"},
		{"Docs --filter 'title @ \"a\" && n > 1'", "01", "first"},
		{"Docs --filter 'n > 1 && title @ \"a\"'", "00", "count"},
	} {
		p := planOf(t, c.line)
		var asked []string
		for _, found := range c.found {
			answers := [][]byte{none, none}
			if found > '0' {
				answers[1] = one
			}
			if found > '1' {
				answers[0] = one
			}
			if !p.Again(answers) {
				if _, err := p.search.answers(answers); err != nil {
					asked = append(asked, "refused")
				}
				break
			}
			switch r := p.Request(); {
			case r.Get("match_escalation_threshold") == "-1":
				asked = append(asked, "first")
			case r.Get("limit") == "0":
				asked = append(asked, "count")
			default:
				asked = append(asked, "loose")
			}
		}
		if got := strings.Join(asked, " "); got != c.want {
			t.Errorf("%s, found %s: asked %q, want %q", c.line, c.found, got, c.want)
		}
	}
}

func TestFloatsAreWrittenAsGroongaDoes(t *testing.T) {
	for f, want := range map[float64]string{
		3: "3.0", 0: "0.0", -0.1: "-0.1", 1.0 / 3: "0.3333333333333333", 1e300: "1.0e+300", 123456789.123456789: "123456789.1234568",
		9.223372036854776e+18: "9.223372036854776e+18", 5.15 / 3: "1.716666666666667", 9007199254740992: "9007199254740992.0", 100000: "100000.0",
	} {
		if got := formatFloat(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}
