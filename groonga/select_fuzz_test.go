package groonga

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzSplit: what is JSON is taken apart as encoding/json does it, and nothing panics.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`[]`, ` [ 1 , "a\"]" ,[2,{"x":[]}], null ] `, `{"a":1,"b\\":"\\"}`, `{}`, `[1,]`, `[,1]`, `["a`, `[[}]`, `[1 2]`, `{"a" 1}`, `{1:2}`, `[-1.5e+300,true]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		elements, isArray := splitArray(data)
		fields, isObject := splitObject(data)
		if !json.Valid(data) {
			return
		}
		var array []json.RawMessage
		if json.Unmarshal(data, &array) == nil && array != nil && !deep(data) {
			if !isArray || len(elements) != len(array) {
				t.Fatalf("%d elements, want %d", len(elements), len(array))
			}
			for i := range array {
				if string(elements[i]) != string(array[i]) {
					t.Fatalf("element %d is %s, want %s", i, elements[i], array[i])
				}
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) == nil && object != nil && !deep(data) {
			last := make(map[string]string)
			for _, f := range fields {
				last[f.name] = string(f.value)
			}
			// Names that are no UTF-8 differ by how they are mended.
			if !isObject || len(last) > len(fields) || len(fields) < len(object) {
				t.Fatalf("%d fields, want %d", len(fields), len(object))
			}
		}
	})
}

// deep reports whether data is nested deeper than we follow.
func deep(data []byte) bool {
	depth, most := 0, 0
	for _, b := range data {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		most = max(most, depth)
	}
	return most > maxNesting
}

// FuzzMerge: no answers, however wrong, make a merge panic; what it makes of right
// ones is JSON.
func FuzzMerge(f *testing.F) {
	good := `[[0,1.5,0.1],[[[1],[["n","Int32"],["_key","ShortText"],["title","ShortText"]],[1,"a","x"]],[[1],[["_key","ShortText"],["_nsubrecs","Int32"],["_nsubrecs","Int32"],["_sum","Int64"],["_key","ShortText"],["_avg","Float"]],["t",1,1,5,"t",5.0]]]]`
	f.Add(good, good)
	f.Add(`{"header":{"return_code":0,"start_time":1,"elapsed_time":1},"body":{"n_hits":0,"columns":[],"records":[],"drilldowns":{}}}`, good)
	noStart := `{"header":{"return_code":0,"elapsed_time":1},"body":{"n_hits":0,"columns":[["n","Int32"]],"records":[],"drilldowns":{}}}`
	f.Add(noStart, noStart)
	f.Add(`[[0,1,1],[[[9223372036854775807],[["n","Int32"],["_key","ShortText"]]],{}]]`, `[[0,1,1],[[[0],[["n","Int32"],["_key","ShortText"]]],{}]]`)
	f.Add(`[[0,1e308,1e308],[[[0],[]],{}]]`, `[[0,-1e308,1e308],[[[0],[]],{}]]`)
	huge := `[[0,1,1],[[[0],[["n","Int32"],["_key","ShortText"],["title","ShortText"]]],[[1],[["_key","ShortText"],["_nsubrecs","Int32"],["_nsubrecs","Int32"],["_sum","Float"],["_key","ShortText"],["_avg","Float"]],["t",1,1,1e308,"t",1e308]]]]`
	f.Add(huge, huge)
	none := strings.ReplaceAll(huge, "1,1,1e308,", "0,0,0.0,")
	f.Add(none, none)
	f.Add(`[[-22,1,1,"no"]]`, ``)
	f.Add("\x92\x93\x00\xcb\x41\xda\xc3\xc3\x5b\x23\xb0\xe5\xca\x3f\x5b\x72\x00\x91\x92\x91\x00\x90", good)
	f.Add(`[[0,1,1],[[[1],[["n","Int32"]],["x"]],{"a":[[1],[["_key","ShortText"]],["k"],{"b":[[0],[]]}]}]]`, `[[0,1,1],[[[1],[]],{"a":[[1],[]]}]]`)
	c, err := ParseLine("select Docs --sort_keys n,_key --output_columns title --drilldown tag --drilldown_sort_keys _nsubrecs " +
		"--drilldown_calc_types AVG --drilldown_calc_target n --drilldown_output_columns _key,_avg --offset -3")
	if err != nil {
		f.Fatal(err)
	}
	xml, err1 := ParseLine("select Docs --output_type xml --drilldown tag --drilldown_filter '_nsubrecs > 1 && !(_nsubrecs == 7)'")
	sliced, err2 := ParseLine("select Docs --slices[a].filter true --slices[a].drilldowns[b].keys tag")
	if err1 != nil || err2 != nil {
		f.Fatal(err1, err2)
	}
	merge := func(t *testing.T, c *Command, texts ...string) ([]byte, error) {
		p, err := PlanSelect(c, Cut{})
		if err != nil {
			t.Fatal(err)
		}
		var answers [][]byte
		for _, text := range texts {
			answer, err := p.Document([]byte(text))
			if err != nil {
				return nil, err
			}
			answers = append(answers, answer)
		}
		p.Again(answers)
		return p.Merge(answers)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		_, _ = merge(t, xml, a, b)
		_, _ = merge(t, sliced, a, b)
		merged, err := merge(t, c, a, b)
		if err == nil && json.Valid([]byte(a)) && json.Valid([]byte(b)) && !json.Valid(merged) {
			t.Fatalf("merged to %s", merged)
		}
	})
}
