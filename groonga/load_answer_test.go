package groonga

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// loadForms are the forms in which the answer to a load may be wanted.
var loadForms = []string{
	"", "output_type=json", "command_version=2", "command_version=3", "command_version=3&output_ids=yes", "command_version=3&output_errors=yes",
	"command_version=3&output_ids=yes&output_errors=yes", "command_version=1&output_ids=yes", "command_version=0", "command_version=x", "command_version=3x",
	"output_type=xml", "output_type=xml&command_version=3&output_ids=yes&output_errors=yes",
	"output_type=tsv", "output_type=tsv&command_version=3&output_ids=yes&output_errors=yes",
	"output_type=msgpack", "output_type=msgpack&command_version=3&output_ids=yes&output_errors=yes", "output_type=msgpack&callback=cb",
	"callback=cb", "output_pretty=yes", "output_pretty=yes&command_version=3&output_ids=yes&output_errors=yes&callback=a.b", "output_type=XML", "output_type=nosuch",
}

// decimals are a header's times in text.
var decimals = regexp.MustCompile(`\d+\.\d+(e-\d+)?`)

// maskTimes takes the times from a document.
func maskTimes(doc []byte) string {
	doc = bytes.Clone(doc)
	for i := 0; i+8 < len(doc); i++ {
		if doc[i] == 0xcb && len(doc) > 0 && doc[0]&0x80 != 0 { // a float of MessagePack
			clear(doc[i+1 : i+9])
			i += 8
		}
	}
	return decimals.ReplaceAllString(string(doc), "TIME")
}

// What is put together here of a load's answer has the bytes that Groonga itself writes.
func TestLoadAnswersAreWrittenAsGroongaDoes(t *testing.T) {
	g := startGroonga(t)
	g.must("table_create T TABLE_HASH_KEY ShortText", "column_create T n COLUMN_SCALAR Int32")
	for _, load := range []string{
		"table=T&values=" + `[{"_key":"a","n":1},{"_key":"日本","n":2}]`,
		"table=T&values=" + `[{"_key":"a","n":"x"},{"n":3},{"_key":"b","zz":4},{"n":4},{"_key":"c"}]`,
		"table=T&values=[]",
		"table=nosuch<>\"\\%01%7f&é&values=" + `[{"_key":"a"}]`,
	} {
		for _, form := range loadForms {
			c, err := ParseURI("/d/load?" + load + "&" + form)
			if err != nil {
				t.Fatal(err)
			}
			c.query = ""
			want := g.do(c)
			asked := g.do(c.Asked())
			r, err := ReadLoad(Answer{Status: 200, Body: asked})
			if err != nil {
				t.Fatal(err, string(asked))
			}
			if got := r.Answer(c.Form()).Body; maskTimes(got) != maskTimes(want) {
				t.Errorf("%s %s:\n got %q\nwant %q", load, form, got, want)
			}
		}
	}
}

func TestNumbersAreAsShortAsMessagePackHasThem(t *testing.T) {
	for digits, want := range map[string]string{
		"0": "00", "127": "7f", "128": "cc80", "255": "ccff", "256": "cd0100", "65536": "ce00010000", "4294967296": "cf0000000100000000",
		"-1": "ff", "-32": "e0", "-33": "d0df", "-128": "d080", "-129": "d1ff7f", "-32769": "d2ffff7fff", "-2147483649": "d3ffffffff7fffffff",
		"18446744073709551615": "cfffffffffffffffff",
	} {
		if got := msgpackInteger(nil, digits); hexOf(got) != want {
			t.Errorf("%s: %s, want %s", digits, hexOf(got), want)
		}
	}
}

func hexOf(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteByte("0123456789abcdef"[c>>4])
		s.WriteByte("0123456789abcdef"[c&15])
	}
	return s.String()
}

func raw(values ...string) (list []json.RawMessage) {
	list = []json.RawMessage{}
	for _, v := range values {
		list = append(list, json.RawMessage(v))
	}
	return list
}

func TestLoadsOfSeveralServersAreOne(t *testing.T) {
	bad := &Fault{Message: "bad"}
	results := []LoadResult{
		{Header: Header{Code: -22, Fault: &Fault{Message: "worse"}}, Status: 400, Loaded: 1, IDs: raw("1", "0"), Errors: raw("a", "b")},
		{Header: Header{Code: -22, Fault: bad}, Status: 400, Loaded: 1, IDs: raw("7", "0"), Errors: raw("c", "d")},
		{Status: 200, Loaded: 1, IDs: raw("9"), Errors: raw("e")},
	}
	parts := []*Command{{}, {}, {}}
	whole := combineLoads(parts, results, [][]int{{0, 3}, {2, 4}, {1}})
	if whole.Loaded != 3 || whole.Code != -22 || whole.Status != 400 || whole.Fault != bad ||
		!slices.EqualFunc(whole.IDs, raw("1", "9", "7", "0", "0"), sameText) || !slices.EqualFunc(whole.Errors, raw("a", "e", "c", "b", "d"), sameText) {
		t.Errorf("%+v", whole)
	}
	results[1].IDs = raw()
	if whole = combineLoads(parts, results, [][]int{{0, 3}, {2, 4}, {1}}); !slices.EqualFunc(whole.IDs, raw("1", "0", "9"), sameText) {
		t.Errorf("%s", whole.IDs)
	}
	results[2].IDs = nil
	if whole = combineLoads(parts, results, [][]int{{0, 3}, {2, 4}, {1}}); whole.IDs != nil {
		t.Errorf("%s", whole.IDs)
	}
}

func sameText(a, b json.RawMessage) bool { return string(a) == string(b) }

func TestReturnCodes(t *testing.T) {
	for body, want := range map[string]int{
		"[[0,1,2],true]": 0, "[[-22,1,2]]": -22, `{"header":{"return_code":-77,"start_time":1}}`: -77, `{"header":{"return_code":0,`: 0, "": 0, "0\t1": 0,
	} {
		if got := ReturnCode(200, []byte(body)); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	if got := ReturnCode(400, []byte("-22\t1")); got != -1 {
		t.Errorf("of the status alone: %d", got)
	}
}

func TestTheLastFaultOfAllPartsIsAnswered(t *testing.T) {
	parts := []*Command{
		{Name: "load", Body: []byte(`[{"_key":"a","nosuch":1},{"_key":"b"}]`)},
		{Name: "load", Body: []byte(`[{"_key":"c","n":"x"},{"n":1},{"_key":"d"}]`)},
	}
	fault := func(message string) LoadResult {
		return LoadResult{Header: Header{Code: -22, Fault: &Fault{Message: message}}}
	}
	const column, key, cast = "[table][load][T] nonexistent column: <nosuch>", "[table][load][T] neither <_key> nor <_id> is specified", "<T.n>: failed to cast to <Int32>: <\"x\">"
	for _, c := range []struct {
		second string
		rows   [][]int
		want   string
	}{
		{key, [][]int{{3, 4}, {0, 1, 2}}, column}, {key, [][]int{{0, 4}, {1, 2, 3}}, key}, {cast, [][]int{{3, 4}, {2, 5, 6}}, column},
		{cast, [][]int{{0, 1}, {2, 3, 4}}, cast}, {"another", [][]int{{3, 4}, {0, 1, 5}}, "another"},
	} {
		whole := combineLoads(parts, []LoadResult{fault(column), fault(c.second)}, c.rows)
		if whole.Fault.Message != c.want {
			t.Errorf("%v: %s, want %s", c.rows, whole.Fault.Message, c.want)
		}
	}
}
