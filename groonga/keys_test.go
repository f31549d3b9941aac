package groonga

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// keyTexts are keys as somebody may write them in JSON.
var keyTexts = []string{
	`7`, `7.0`, `7.5`, `-1`, `300`, `"7"`, `"007"`, `"+7"`, `" 7"`, `"7.5"`, `"7x"`, `"x"`, `""`, `true`, `false`, `"true"`, `"false"`, `1e3`, `"1e3"`, `"0x10"`, `0.0`,
	`18446744073709551615`, `"2026-01-01 00:00:00"`, `1.123456789`, `1.123457`, `0.1`, `"0.10"`, `"128x503"`, `"128,503"`, `"35.5x139.5"`, `"ABC"`, `"abc"`, `"a b"`, `"ＡＢＣ"`, `"1.0"`, `1000`, `1000.0`,
}

// TestKeysArePlacedAsGroongaMakesThem loads keys into tables of each type, two at a time: what
// makes one record has one place, and what makes two need not. What is no key, any place.
func TestKeysArePlacedAsGroongaMakesThem(t *testing.T) {
	g := startGroonga(t)
	for i, c := range []struct{ typ, more string }{
		{"ShortText", ""}, {"ShortText", " --normalizer NormalizerAuto"}, {"Int8", ""}, {"UInt8", ""}, {"Int64", ""}, {"UInt64", ""}, {"Float", ""}, {"Time", ""}, {"Bool", ""}, {"WGS84GeoPoint", ""},
	} {
		table := fmt.Sprintf("T%d", i)
		g.must("table_create " + table + " TABLE_PAT_KEY " + c.typ + c.more)
		keys := ReadKeys(g.do(KeysCommand(table)), table)
		if keys.Type != c.typ || (keys.Normalizer != "") != (c.more != "") {
			t.Fatalf("%+v", keys)
		}
		places := make(map[string]string) // by the key that Groonga has made
		refused := 0
		for _, text := range keyTexts {
			load := &Command{Name: "load", Args: []Arg{{"table", table}}, Body: []byte(`[{"_key":` + text + `}]`)}
			place, err := placeOf(g, keys, load, text)
			if errors.Is(err, ErrNotSupported) {
				refused++
				continue
			}
			if err != nil {
				t.Fatalf("%s %s: %v", table, text, err)
			}
			made := g.made(table, load)
			if keys.makes(json.RawMessage(text)) != (made != "") {
				t.Errorf("%s %s: a record is made: %q", c.typ, text, made)
			}
			if other, ok := places[made]; made != "" && ok && other != place {
				t.Errorf("%s %s: %s is placed by %q and by %q", c.typ, text, made, place, other)
			}
			places[made] = place
		}
		if c.typ != "WGS84GeoPoint" && c.typ != "Time" && refused > 4 {
			t.Errorf("%s%s: %d of %d keys are refused", c.typ, c.more, refused, len(keyTexts))
		}
	}
}

func placeOf(g *testGroonga, keys Keys, load *Command, text string) (string, error) {
	unknown, err := keys.Unknown(load)
	if err != nil {
		return "", err
	}
	keys.Normalized = make(map[string]string)
	for _, u := range unknown {
		if keys.Normalized[u], err = ReadNormal(g.do(keys.NormalCommand(u))); err != nil {
			return "", err
		}
	}
	if err := keys.Check(load); err != nil {
		return "", err
	}
	return keys.Place(scalarOf(json.RawMessage(text)))
}

// made is the key of the record that a load makes; "" if it makes none.
func (g *testGroonga) made(table string, load *Command) string {
	g.TB.Helper()
	g.must("truncate " + table)
	g.do(load)
	a, err := readAnswer(g.do(&Command{Name: "select", Args: []Arg{{"table", table}, {"output_columns", "_key"}}}))
	if err != nil {
		g.TB.Fatal(err)
	}
	r, err := a.result()
	if err != nil || len(r.records) == 0 {
		return ""
	}
	return string(r.records[0])
}

func TestReferredRecordsAreFound(t *testing.T) {
	schema, err := ReadSchema([]byte(cutSchema))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ fact, load, want string }{
		{"Items", `[{"_key":"a","tag":"x"},{"_key":"b","tag":"y"},{"_key":"c","tag":"x"},{"_key":"d","tag":""},{"_key":"e"}]`, `Tags "x" "y"`},
		{"Items", `[["_key","tag"],["a","x"],["b",7]]`, `Tags "x" 7`},
		{"Items", `[{"_key":"a","tag":["x",{"y":3}]}]`, `Tags "x" "y"`},
		{"Items", `[{"tag":"x"},{"_key":"","tag":"y"}]`, ``}, // makes no record
		{"Items", `[{"_key":"a","n":1}]`, ``},
		{"", `[{"_key":"a","tag":"x"}]`, ``}, // each server has some of them, and nobody may ask for all
	} {
		load := &Command{Name: "load", Args: []Arg{{"table", "Items"}}, Body: []byte(c.load), Keys: Keys{Type: "ShortText"}}
		referred, err := Cut{Fact: c.fact, Schema: schema}.Referred(load)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range referred {
			got = append(got, r.Table)
			for _, key := range r.Keys {
				got = append(got, string(key))
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.load, got, c.want)
		}
	}
	load := &Command{Name: "load", Args: []Arg{{"table", "Items"}, {"ifexists", "n > 1"}}, Body: []byte(`[{"_key":"a","tag":"x"}]`), Keys: Keys{Type: "ShortText"}}
	if _, err := (Cut{Fact: "Items", Schema: schema}).Referred(load); !errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
	for body, want := range map[string]bool{`[{"_key":"a","tag":"x"}]`: false, `[{"_key":"a","tog":"x"}]`: true, `[["_key","n.x","no"]]`: true, `[["_key","n"]]`: false} {
		load.Body = []byte(body)
		if got, err := (Cut{Schema: schema}).UnknownColumns(load); got != want || err != nil {
			t.Errorf("%s: %v %v", body, got, err)
		}
	}
}

func TestManyReferredRecordsAreAskedForInParts(t *testing.T) {
	r := Referred{Table: "Tags"}
	for i := range 250 {
		r.Keys = append(r.Keys, json.RawMessage(fmt.Sprintf(`"%s%d"`, strings.Repeat("é", i%2*400), i)))
	}
	count := 0
	for _, p := range r.Parts() {
		if n := len(p.Find().URI()); n > 32<<10 {
			t.Errorf("a question of %d bytes", n)
		}
		count += len(p.Keys)
	}
	if count != len(r.Keys) {
		t.Errorf("%d of %d", count, len(r.Keys))
	}
}
