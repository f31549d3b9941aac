package compare

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

// slice are real servers, which are asked at one position when nobody writes.
type slice []*groongatest.Server

func (s slice) Count() int { return len(s) }

func (s slice) Ask(_ context.Context, i int, c *groonga.Command) (groonga.Answer, error) {
	resp, err := http.Get("http://" + s[i].Addr + c.URI())
	if err != nil {
		return groonga.Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return groonga.Answer{Status: resp.StatusCode, Body: body, Code: groonga.ReturnCode(resp.StatusCode, body)}, err
}

func (s slice) AskAt(ctx context.Context, c *groonga.Command) (list []groonga.Answer, err error) {
	for i := range s {
		a, err := s.Ask(ctx, i, c)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// do has servers carry out a command line; records are those of a load.
func do(t *testing.T, servers slice, line string, records ...string) {
	t.Helper()
	c, err := groonga.ParseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) > 0 {
		c.Body = []byte("[" + strings.Join(records, ",\n") + "]")
	}
	for _, s := range servers {
		if _, body := s.Ask(c, c.Body); !strings.HasPrefix(string(body), "[[0,") {
			t.Fatalf("%s: %.300s", line, body)
		}
	}
}

// keyTypes are those of Groonga 13.0.0, with keys of each.
var keyTypes = map[string][2]string{
	"Int8": {"-5", "5"}, "UInt8": {"5", "255"}, "Int16": {"-300", "300"}, "UInt16": {"1", "65535"},
	"Int32": {"-70000", "70000"}, "UInt32": {"1", "4294967295"}, "Int64": {"-9007199254740993", "9007199254740993"},
	"UInt64": {"1", "18446744073709551615"}, "Float": {"0.1", "-1e100"}, "Float32": {"0.1", "2.5"},
	"Time": {"1577934245.678901", "-1.5"}, "WGS84GeoPoint": {`"127980000x503560000"`, `"0x0"`},
	"TokyoGeoPoint": {`"127980000x503560000"`, `"1x1"`}, "Bool": {"true", "false"},
	"ShortText": {`"a \"quoted\\ key'"`, `"漢字\n\t, [1]"`}, "Refs": {`"r1"`, `"r 2"`},
}

// fill makes the same database of each server: all types of keys, all sorts of columns.
func fill(t *testing.T, servers slice) {
	do(t, servers, "table_create Refs TABLE_PAT_KEY ShortText")
	do(t, servers, "column_create Refs note COLUMN_SCALAR Text")
	for typ, keys := range keyTypes {
		do(t, servers, "table_create K"+typ+" TABLE_HASH_KEY "+typ)
		do(t, servers, "column_create K"+typ+" v COLUMN_SCALAR Int32")
		do(t, servers, "load --table K"+typ, fmt.Sprintf(`{"_key":%s,"v":1}`, keys[0]), fmt.Sprintf(`{"_key":%s,"v":1}`, keys[1]))
	}
	for _, line := range []string{
		"table_create Items TABLE_HASH_KEY ShortText", "table_create Dat TABLE_DAT_KEY ShortText", "table_create Log TABLE_NO_KEY",
		"table_create Valued TABLE_HASH_KEY ShortText --value_type Int32",
		"column_create Items title COLUMN_SCALAR ShortText", "column_create Items n COLUMN_SCALAR Int64", "column_create Items at COLUMN_SCALAR Time",
		"column_create Items place COLUMN_SCALAR WGS84GeoPoint", "column_create Items ref COLUMN_SCALAR Refs", "column_create Items refs COLUMN_VECTOR Refs",
		"column_create Items weights COLUMN_VECTOR|WITH_WEIGHT Refs", "column_create Items words COLUMN_VECTOR Text", "column_create Items f COLUMN_SCALAR Float",
		"column_create Items b COLUMN_SCALAR Bool", "column_create Dat n COLUMN_SCALAR Int32", "column_create Log line COLUMN_SCALAR Text", "column_create Valued x COLUMN_SCALAR Int8",
		"table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram --normalizer NormalizerAuto",
		"column_create Terms titles COLUMN_INDEX|WITH_POSITION Items title", "column_create Terms lines COLUMN_INDEX|WITH_POSITION Log line",
		"table_create Numbers TABLE_PAT_KEY Int64", "column_create Numbers n COLUMN_INDEX Items n",
		"column_create Refs by COLUMN_INDEX Items refs", "config_set --key app.version --value 1",
	} {
		do(t, servers, line)
	}
	var items, dat, lines []string
	for i := range 700 {
		items = append(items, fmt.Sprintf(`{"_key":"item%04d","title":"common title%d 花見","n":%d,"at":%d.5,"place":"%dx5","ref":"r1","refs":["r1","r%d"],"weights":{"r1":%d,"r2":2},"words":["a","b%d"],"f":%d.25,"b":%t}`,
			i, i%300, i%50, i, i, i%40, i, i, i, i%2 == 0))
		dat = append(dat, fmt.Sprintf(`{"_key":"d%d","n":%d}`, i*7919%700, i))
		lines = append(lines, fmt.Sprintf(`{"line":"line %d"}`, i%100))
	}
	do(t, servers, "load --table Items", items...)
	do(t, servers, "load --table Dat", dat...)
	do(t, servers, "load --table Log", lines...)
	do(t, servers, "load --table Valued", `{"_key":"v","_value":5,"x":1}`)
}

func run(t *testing.T, cfg Config) *Result {
	t.Helper()
	cfg.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	began := time.Now()
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records, %d terms in %v", r.Records, r.Terms, time.Since(began))
	return r
}

// TestEveryDifferenceIsFound: single differences of every kind that are put into one of three
// servers by hand are all found, and nothing else is named.
func TestEveryDifferenceIsFound(t *testing.T) {
	servers := slice{groongatest.Start(t), groongatest.Start(t), groongatest.Start(t)}
	fill(t, servers)
	if r := run(t, Config{Servers: servers, Full: true}); len(r.Differences)+len(r.Undecided) > 0 {
		t.Fatalf("equal servers differ: %+v %v", r.Differences, r.Undecided)
	}
	odd := servers[1:2]
	want := make(map[string]bool)
	change := func(where, line string, records ...string) {
		do(t, odd, line, records...)
		want[where] = true
	}
	for typ, keys := range keyTypes {
		change(fmt.Sprintf("table K%s, key %s, column v", typ, keys[0]), "load --table K"+typ, fmt.Sprintf(`{"_key":%s,"v":2}`, keys[0]))
	}
	for i, set := range []string{`"title":"common title1 花火"`, `"n":7`, `"at":1.25`, `"place":"1x6"`, `"ref":"r2"`, `"refs":["r2"]`, `"weights":{"r1":9,"r2":2}`, `"words":["a"]`, `"f":0.5`, `"b":false`} {
		column, _, _ := strings.Cut(set[1:], `"`)
		change(fmt.Sprintf(`table Items, key "item%04d", column %s`, 10*i, column), "load --table Items", fmt.Sprintf(`{"_key":"item%04d",%s}`, 10*i, set))
	}
	change(`table Items, key "item0333"`, "delete --table Items --key item0333")
	change(`table Items, key "item9999"`, "load --table Items", `{"_key":"item9999","title":"common"}`)
	change(`table Dat, key "d5"`, "delete --table Dat --key d5")
	change(`table Dat, key "more"`, "load --table Dat", `{"_key":"more"}`)
	change(`table Log, key 17, column line`, "load --table Log", `{"_id":17,"line":"other"}`)
	change(`table Log, key 701`, "load --table Log", `{"line":"more"}`)
	change(`table Valued, key "v", column _value`, "load --table Valued", `{"_key":"v","_value":6}`)
	change(`index Terms.lines, term "55"`, "delete --table Terms --key 55")
	want[`index Terms.titles, term "55"`] = true
	change("column Items.extra", "column_create Items extra COLUMN_SCALAR Int32")
	change("column Dat.more", "column_create Dat more COLUMN_SCALAR Int32")
	change("table Alone", "table_create Alone TABLE_NO_KEY")
	change("config app.version", "config_set --key app.version --value 2")
	r := run(t, Config{Servers: servers, Full: true})
	for i := range r.Differences {
		d := &r.Differences[i]
		where := d.Where()
		if !want[where] {
			t.Errorf("%s is named: %+v", where, d)
		}
		if !slices.Equal(d.Odd, []int{1}) {
			t.Errorf("%s: %v differ, want the second", where, d.Odd)
		}
		delete(want, where)
	}
	for where := range want {
		t.Errorf("%s is not found", where)
	}
	if len(r.Undecided) > 0 || r.More {
		t.Errorf("undecided: %v, more: %v", r.Undecided, r.More)
	}
}
