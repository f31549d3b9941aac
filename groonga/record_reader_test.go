package groonga

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll reads the records of a body as they would be sent on.
func readAll(body string) (rows []string, err error) {
	in := NewRecordReader(iotest.OneByteReader(strings.NewReader(body)), 1<<20)
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, string(row))
	}
}

func TestRecordsAreReadAsGroongaReadsThem(t *testing.T) {
	for body, want := range map[string]string{
		"":                                       "",
		" \n ":                                   "",
		"[":                                      "",
		"[]":                                     "",
		`[{"_key":"a"},{"_key":"b","n":-1.5e3}]`: `{"_key":"a"} {"_key":"b","n":-1.5e3}`,
		`{"_key":"a"}`:                           `{"_key":"a"}`,
		`[["_key","n"],["a",1],[]]`:              `["_key","n"] ["a",1] []`,
		`[17,"x ]",é,{"_key":"c"},null`:          `{"_key":"c"}`,
		`[{"_key":"h",}]`:                        `{"_key":"h"}`,
		`[{_key:'i',n:1}]`:                       `{"_key":"i","n":1}`,
		`[{"_key":j n:+5}]`:                      `{"_key":"j","n":"+5"}`,
		`[{"_key":"l" "n" 5}]`:                   `{"_key":"l","n":5}`,
		`[{"_key":"k","n":-007,"m":1-2,"o":0.50}]`:     `{"_key":"k","n":-7,"m":"1-2","o":0.50}`,
		`[;{"_key":"n"}#]`:                             `{"_key":"n"}`,
		`[{"a":[1,[2 {"b":null}]],"c":true,"d":nope}]`: `{"a":[1,[2,{"b":null}]],"c":true,"d":"nope"}`,
		"[{\"s\":\"a\n\t\x01\x7fb\"}]":                 `{"s":"a\n\t\u0001\u007Fb"}`,
		`[{"s":"\'\q\"\\\/\u00e9\n\é"}]`:               `{"s":"'q\"\\/\u00e9\né"}`,
		"[{\"日本\":\"語�\"é}]":                           `{"日本":"語�"}`,
	} {
		rows, err := readAll(body)
		if got := strings.Join(rows, " "); err != nil || got != want {
			t.Errorf("%s:\n got %s %v\nwant %s", body, got, err, want)
		}
	}
	for body, want := range map[string]string{
		"x": "must start", "17": "must start", "{": "cut off", `[{"_key":"a`: "cut off", `[{]`: "closes", `[}`: "without", `[{"a"}]`: "no value",
		"[{\"a\":\"\xff\"}]": "UTF-8", "[{\"a\":\"\xe3\"}]": "UTF-8", `[{"a":"\u12g4"}]`: "hexadecimal", `{"a":1}{`: "follows", `[] x`: "follows",
		strings.Repeat("[", 80): "deeper", `[{"a":"` + strings.Repeat("x", 1<<20) + `"}]`: "more than",
	} {
		if rows, err := readAll(body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %.80s %v", body, rows, err)
		}
	}
}

func TestIdentifiersAreScalars(t *testing.T) {
	for body, want := range map[string]bool{
		`[{"a":[1]}]`: true, `[{"b":1,"a":{}}]`: true, `[{"\u0061":[]}]`: true, `[{"b":{"a":[1]}}]`: true, `[{a[]}]`: true,
		`[{"a":1,"b":[{"c":"a"}]}]`: false, `[{"b":["a",[1]]}]`: false, `[["a",[1]]]`: false,
	} {
		in := NewRecordReader(strings.NewReader(body), 100)
		in.scalars = map[string]bool{"a": true}
		if _, err := in.Next(); errors.Is(err, ErrRecord) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	if !identifiers["_key"] || !identifiers["_id"] {
		t.Errorf("%v", identifiers)
	}
}

// loadTable is what bodies are loaded into.
func loadTable(g *testGroonga, name string) {
	g.must("table_create "+name+" TABLE_HASH_KEY ShortText", "column_create "+name+" s COLUMN_SCALAR Text", "column_create "+name+" n COLUMN_SCALAR Int32",
		"column_create "+name+" f COLUMN_SCALAR Float", "column_create "+name+" b COLUMN_SCALAR Bool", "column_create "+name+" v COLUMN_VECTOR Text")
}

// soup draws a body of what may be in one.
func soup(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	comma := func() string { return pick(",", ",", ",", ",", ", ", " ", ",,", ",\t") }
	value := func() string {
		return pick(`"text"`, `"a b"`, `"\u00e9\n\t\"\\\/"`, `"日本\q"`, `'x'`, "word", "1", "-1", "0", "007", "-0", "1.5", "-2.25e2", "1E3", "5.", "1e400", "99999999999",
			"18446744073709551615", "18446744073709551616", "9223372036854775808", "+5", "1-2", "null", "true", "false", "nil", "[1,2]", `["a" "b"]`, "[]", `"12"`, `"true"`, "#5", `"`+"\t"+`"`)
	}
	if r.IntN(8) > 0 {
		b.WriteString(pick("[", "[", " [ ", "[;"))
	}
	for i := range r.IntN(5) {
		if i > 0 {
			b.WriteString(comma())
		}
		if r.IntN(10) == 0 {
			b.WriteString(value())
			continue
		}
		if r.IntN(6) == 0 {
			b.WriteString(pick(`["_key","n"]`, `["_key","s","f"]`, `["n"]`, `["a",1]`, `["b","x",2.5]`, `["c"]`))
			continue
		}
		b.WriteString("{" + pick(`"_key"`, `"_key"`, "_key", `'_key'`) + pick(":", ":", " ", " : ") + pick(`"k1"`, `"k2"`, `"k3"`, "k4", "17", "-3", `"k\u0035"`))
		for range r.IntN(4) {
			b.WriteString(comma() + pick(`"s"`, `"n"`, `"f"`, `"b"`, `"v"`, "s", "n", "f", `"nosuch"`) + pick(":", ":", " ", "::") + value())
		}
		b.WriteString(pick("}", "}", "}", ",}"))
	}
	b.WriteString(pick("]", "]", "]", ",]", "", " ]"))
	return b.String()
}

var bodies = flag.Int("bodies", 150, "how many bodies are compared with Groonga's own reader")

// TestBodiesAreLoadedAsGroongaLoadsThem: a body as it is, and what the reader makes of it,
// leave the same records and the same answer.
func TestBodiesAreLoadedAsGroongaLoadsThem(t *testing.T) {
	g := startGroonga(t)
	loadTable(g, "A")
	loadTable(g, "B")
	r := rand.New(rand.NewPCG(7, 12))
	equalOnes, refusedOnes := 0, 0
	for range *bodies {
		body := soup(r)
		rows, err := readAll(body)
		if err != nil {
			refusedOnes++
			continue
		}
		equalOnes++
		compareLoads(t, g, body, rows)
	}
	t.Logf("%d equal, %d refused", equalOnes, refusedOnes)
}

var tableName = regexp.MustCompile(`\b[AB]\b`)

func compareLoads(t *testing.T, g *testGroonga, body string, rows []string) {
	t.Helper()
	load := func(table string, text []byte) string {
		c := &Command{Name: "load", Body: text}
		c.Set("table", table)
		c.Set("command_version", "3")
		c.Set("output_errors", "yes")
		return tableName.ReplaceAllString(maskTimes(g.do(c)), "T")
	}
	list := NewRecordList(&Command{})
	for _, row := range rows {
		if err := list.Add([]byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	anew := list.Command(&Command{Name: "load"}, list.Rows).Body
	want, got := load("A", []byte(body)), load("B", anew)
	if got != want {
		t.Fatalf("%s became %s:\n got %s\nwant %s", body, anew, got, want)
	}
	var held [2][]byte
	for i, table := range []string{"A", "B"} {
		c := &Command{Name: "select"}
		c.Set("table", table)
		c.Set("limit", "-1")
		c.Set("sort_keys", "_key")
		c.Set("output_columns", "_key,s,n,f,b,v")
		answer, err := Result(g.do(c))
		if err != nil {
			t.Fatal(err)
		}
		held[i] = answer
	}
	if !bytes.Equal(held[0], held[1]) {
		t.Fatalf("%s became %s:\n got %s\nwant %s", body, anew, held[1], held[0])
	}
}

// FuzzRecords: whatever a body is, what goes on is nothing but records.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{`[{"_key":"a"},["b",1]]`, "{_key:'a'\n}", "[[\"\\u00e9\\\"\xff", "]\nshutdown\n", `[1-2,-007,{"a" nil}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		rows, err := readAll(body)
		for _, row := range rows {
			again, err := readAll("[" + row + "]")
			if err != nil || len(again) != 1 || again[0] != row {
				t.Fatalf("%s became %q: %v", row, again, err)
			}
			if strings.ContainsAny(row, "\n\r\x00") {
				t.Fatalf("%q is more than a line", row)
			}
		}
		whole, err2 := Records(&Command{Name: "load", Body: []byte(body)})
		if (err == nil) != (err2 == nil) {
			t.Fatalf("in one piece: %v, byte by byte: %v", err2, err)
		}
		if err == nil {
			_ = whole.ByID()
			_ = fmt.Sprint(whole.Record([]byte(`{"_key":1}`)))
		}
	})
}
