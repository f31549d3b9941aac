package droonga

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

// searchOf makes a request of the JSON of a search's queries.
func searchOf(t testing.TB, queries string) *request {
	t.Helper()
	v, err := parseJSON([]byte(queries))
	if err != nil {
		t.Fatal(err)
	}
	return &request{kind: "search", dataset: "Default", body: map[string]any{"queries": v}}
}

const nothing = `[[0,1.5,0.25],[[[0],[]],{"groups":[[0],[]]}]]`

func TestSearchBecomesSelect(t *testing.T) {
	for _, c := range []struct{ queries, want string }{
		{`{"q":{"source":"T","output":{"elements":["count"]}}}`,
			`select --table 'T' --output_columns '_id' --offset '0' --limit '0'`},
		{`{"q":{"source":"T","output":{"elements":["records"],"attributes":["_key","*"]}}}`,
			`select --table 'T' --output_columns '_key,*' --offset '0' --limit '10'`},
		{`{"q":{"source":"T","sortBy":["-age","name"],"output":{"elements":["records"],"attributes":{"b":"name","a":{"source":"age"}},"offset":2,"limit":-1}}}`,
			`select --table 'T' --sort_keys '-age,name' --output_columns 'age,name' --offset '2' --limit '-1'`},
		{`{"q":{"source":"T","sortBy":{"keys":["a"],"offset":5,"limit":20},"output":{"elements":["records"],"attributes":["a"],"offset":15,"limit":10}}}`,
			`select --table 'T' --sort_keys 'a' --output_columns 'a' --offset '20' --limit '5'`},
		{`{"q":{"source":"T","condition":"age > 3 || a == 'b'","output":{"elements":["count"]}}}`,
			`select --table 'T' --filter '(age > 3 || a == 'b')' --output_columns '_id' --offset '0' --limit '0'`},
		{`{"q":{"source":"T","condition":{"query":"x y","matchTo":["a","b"],"defaultOperator":"||","allowLeadingNot":true,"allowPragma":false},"output":{"elements":["count"]}}}`,
			`select --table 'T' --query 'x y' --query_flags 'ALLOW_COLUMN|ALLOW_LEADING_NOT' --match_columns 'a||b' --default_operator 'OR' --output_columns '_id' --offset '0' --limit '0'`},
		{`{"q":{"source":"T","condition":["-",{"query":"x \"y\\","matchTo":"a"},["||","b == 1",{"script":"c == 2"}]],"output":{"elements":["count"]}}}`,
			`select --table 'T' --filter '(query("a", "x \"y\\", {"flags": "ALLOW_PRAGMA|ALLOW_COLUMN"}) &! ((b == 1) || (c == 2)))' --output_columns '_id' --offset '0' --limit '0'`},
		{`{"a":{"source":"T","condition":{"query":"x","matchTo":"n"}},"b":{"source":"a","condition":"n == 2"},"q":{"source":"b","condition":{"query":"y","matchTo":"m","allowPragma":false,"allowColumn":false},"output":{"elements":["count"]}}}`,
			`select --table 'T' --query 'x' --query_flags 'ALLOW_PRAGMA|ALLOW_COLUMN' --match_columns 'n' --filter '(n == 2) && query("m", "y", {"flags": "NONE"})' --output_columns '_id' --offset '0' --limit '0'`},
		{`{"q":{"source":"T","condition":"a","groupBy":"job","sortBy":["-_nsubrecs"],"output":{"elements":["count","records"],"attributes":["_key",{"label":"n","source":"_nsubrecs"}],"limit":3}}}`,
			`select --table 'T' --filter '(a)' --limit '0' --output_columns '_id' --drilldowns[groups].keys 'job' --drilldowns[groups].sort_keys '-_nsubrecs' --drilldowns[groups].output_columns '_key,_nsubrecs' --drilldowns[groups].offset '0' --drilldowns[groups].limit '3'`},
		{`{"q":{"source":"T","groupBy":{"key":"job"},"output":{"elements":["count"]}}}`,
			`select --table 'T' --limit '0' --output_columns '_id' --drilldowns[groups].keys 'job' --drilldowns[groups].output_columns '_key' --drilldowns[groups].offset '0' --drilldowns[groups].limit '0'`},
	} {
		doer := &fakeDoer{answer: func(*groonga.Command) (string, error) { return nothing, nil }}
		s := NewServer(Config{Doer: doer})
		if _, err := s.search(context.Background(), searchOf(t, c.queries)); err != nil {
			t.Errorf("%s: %v", c.queries, err)
			continue
		}
		if got := strings.Join(doer.asked, "\n"); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.queries, got, c.want)
		}
	}
}

func TestSearchFaults(t *testing.T) {
	for _, c := range []struct {
		queries, answer string
		status          int
		name            string
	}{
		{`{}`, "", 400, "NoQuery"},
		{`{"q":{}}`, "", 400, "MissingSourceParameter"},
		{`{"q":3}`, "", 400, "MissingSourceParameter"},
		{`{"q":{"source":"q"}}`, "", 400, "CyclicSource"},
		{`{"a":{"source":"b"},"b":{"source":"c"},"c":{"source":"a"}}`, "", 400, "CyclicSource"},
		{`{"q":{"source":"T","sortBy":3}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","sortBy":[3]}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","sortBy":{"keys":["a"],"limit":"many"}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","groupBy":3}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","groupBy":{"key":"a","maxNSubRecords":1}}}`, "", 400, "NotSupported"},
		{`{"q":{"source":"T","output":3}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","output":{"attributes":3}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","output":{"attributes":[{}]}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","output":{"attributes":["_subrecs"]}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","condition":3,"output":{}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","condition":["xor","a","b"],"output":{}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","condition":["&&"],"output":{}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","condition":{"query":"a","defaultOperator":"xor"},"output":{}}}`, "", 400, "BadRequest"},
		{`{"q":{"source":"T","condition":{"query":"a","matchTo":[1]},"output":{}}}`, "", 400, "BadRequest"},
		{`{"g":{"source":"T","groupBy":"a"},"q":{"source":"g","output":{}}}`, "", 400, "NotSupported"},
		{`{"q":{"source":"T","output":{}}}`, `[[-22,1.5,0.25,"[select][table] invalid name: <T>",[]]]`, 404, "UnknownSource"},
		{`{"q":{"source":"T","condition":"@@","output":{}}}`, `[[-63,1.5,0.25,"Syntax error: <||>",[]]]`, 400, "SyntaxError"},
		{`{"q":{"source":"T","output":{}}}`, `[[-1,1.5,0.25,"else",[]]]`, 400, "GroongaError"},
		{`{"q":{"source":"T","output":{}}}`, `no JSON`, 500, "InternalServerError"},
		{`{"q":{"source":"T","output":{}}}`, `[[0,1.5,0.25],[[[1],[["a"]]]]]`, 500, "InternalServerError"},
	} {
		doer := &fakeDoer{answer: func(*groonga.Command) (string, error) { return c.answer, nil }}
		r := searchOf(t, c.queries)
		_, err := NewServer(Config{Doer: doer}).search(context.Background(), r)
		if err == nil {
			t.Errorf("%s is accepted", c.queries)
			continue
		}
		if f := r.faultOf(err); f.status != c.status || f.name != c.name {
			t.Errorf("%s: %d %v", c.queries, f.status, f)
		}
		if c.answer == "" && len(doer.asked) > 0 {
			t.Errorf("%s: asked %v", c.queries, doer.asked)
		}
	}
}

func TestSearchAnswer(t *testing.T) {
	doer := &fakeDoer{answer: commands(
		"column_list", `[[0,1.5,0.25],[[],[1,"tags","","var","COLUMN_VECTOR"],[1,"at","","fix","COLUMN_SCALAR"]]]`,
		"drilldowns", `[[0,1.5,0.25],[[[9],[["_id","UInt32"]]],{"groups":[[2],[["_key","ShortText"],["_nsubrecs","Int32"]],["a",3],["b",1]]}]]`,
		"select", `[[0,1431129600.5,0.25],[[[7],[["at","Time"],["tags","ShortText"],["n","Int64"],["",null]],[1431129600.123456,["x"],9007199254740993,"Japan"]]]]`,
	)}
	s := NewServer(Config{Doer: doer})
	all := `"elements":["startTime","elapsedTime","count","attributes","records"]`
	got, err := s.search(context.Background(), searchOf(t, `{
		"simple":{"source":"T","output":{`+all+`,"attributes":["*",{"label":"country","source":"'Japan'"}]}},
		"complex":{"source":"T","output":{"format":"complex",`+all+`,"attributes":["at",{"label":"words","source":"tags"},"n",{"label":"country","source":"'Japan'"}]}},
		"grouped":{"source":"T","groupBy":"k","output":{"elements":["count","records","attributes"],"attributes":["_key",{"label":"n","source":"_nsubrecs"}]}},
		"bare":{"source":"T","output":{"elements":["records"]}},
		"silent":{"source":"T"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := parseJSON([]byte(`{
		"simple":{"count":7,"startTime":"2015-05-09T00:00:00.500000Z","elapsedTime":0.25,
			"attributes":[{"name":"at","type":"Time","vector":false},{"name":"tags","type":"ShortText","vector":true},{"name":"n","type":"Int64","vector":false},{"name":"country"}],
			"records":[["2015-05-09T00:00:00.123456Z",["x"],9007199254740993,"Japan"]]},
		"complex":{"count":7,"startTime":"2015-05-09T00:00:00.500000Z","elapsedTime":0.25,
			"attributes":{"at":{"type":"Time","vector":false},"words":{"type":"ShortText","vector":true},"n":{"type":"Int64","vector":false},"country":{}},
			"records":[{"at":"2015-05-09T00:00:00.123456Z","words":["x"],"n":9007199254740993,"country":"Japan"}]},
		"grouped":{"count":2,"records":[["a",3],["b",1]],
			"attributes":[{"name":"_key","type":"ShortText","vector":false},{"name":"n","type":"Int32","vector":false}]},
		"bare":{"records":[[]]}}`))
	if !same(got, want) {
		t.Errorf("got  %s\nwant %s", show(got), show(want))
	}
}

func TestFaultsOfDelivery(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		name   string
	}{
		{dispatch.ErrUnknownDataset, 404, "UnknownDataset"},
		{dispatch.ErrLogFull, 503, "BufferFull"},
		{dispatch.ErrNoReplica, 503, "Unavailable"},
		{dispatch.ErrNoMajority, 503, "Unavailable"},
		{dispatch.ErrGivenUp, 503, "Unavailable"},
		{dispatch.ErrNotSafe, 400, "BadRequest"},
		{dispatch.ErrOverload, 503, "Unavailable"},
		{groonga.ErrNotSupported, 400, "BadRequest"},
		{dispatch.ErrTimeout, 500, "SearchTimeout"},
		{context.DeadlineExceeded, 500, "SearchTimeout"},
		{errors.New("else"), 500, "InternalServerError"},
	} {
		r := request{kind: "search"}
		if f := r.faultOf(c.err); f.status != c.status || f.name != c.name {
			t.Errorf("%v: %d %v", c.err, f.status, f)
		}
	}
}
