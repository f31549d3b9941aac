package groonga

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestCommandsAreParsed(t *testing.T) {
	for _, c := range []struct {
		text string
		name string
		args []Arg
		kind Kind
	}{
		{"/d/status", "status", nil, Read},
		{"/d/select.xml?table=T&query=a+b%26c&x", "select",
			[]Arg{{"table", "T"}, {"query", "a b&c"}, {"x", ""}, {"output_type", "xml"}}, Read},
		{"/d/select.xml?output_type=tsv", "select", []Arg{{"output_type", "tsv"}}, Read},
		{"/d/select?table=T&&limit=%zz", "select", []Arg{{"table", "T"}, {"&limit", "%zz"}}, Read},
		{"/d/select?table=T;limit=1&query=a%20%zz%4+b%2b%", "select", []Arg{{"table", "T"}, {"limit", "1"}, {"query", "a %zz%4 b+%"}}, Read},
		{"/d/select?ta%62le=a=b&x=%00%fF", "select", []Arg{{"table", "a=b"}, {"x", "\x00\xff"}}, Read},
		{"/d/select?load_table=U", "select", []Arg{{"load_table", "U"}}, Write},
		{"/d/load?table=T&values=[]", "load", []Arg{{"table", "T"}, {"values", "[]"}}, Write},
		{"/d/never_heard_of", "never_heard_of", nil, Unknown},
		{"/d/shutdown?mode=immediate", "shutdown", []Arg{{"mode", "immediate"}}, Forbidden},
		{"/d/cache_limit", "cache_limit", nil, Read},
		{"/d/cache_limit?max=10", "cache_limit", []Arg{{"max", "10"}}, Everywhere},
		{"/d/table_tokenize?mode=ADD", "table_tokenize", []Arg{{"mode", "ADD"}}, Write},
		{"/d/table_tokenize?mode=GET", "table_tokenize", []Arg{{"mode", "GET"}}, Read},
		{"/d/request_cancel?id=a", "request_cancel", []Arg{{"id", "a"}}, Everywhere},
		{"select T --query 'a \"b\"' --limit -1", "select", []Arg{{"table", "T"}, {"query", `a "b"`}, {"limit", "-1"}}, Read},
		{`delete T a\ b`, "delete", []Arg{{"table", "T"}, {"key", "a b"}}, Write},
		{"table_create T TABLE_HASH_KEY --key_type ShortText", "table_create", []Arg{{"name", "T"}, {"flags", "TABLE_HASH_KEY"}, {"key_type", "ShortText"}}, Write},
	} {
		got, err := ParseLine(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got.Name != c.name || !reflect.DeepEqual(got.Args, c.args) || got.Kind() != c.kind {
			t.Errorf("%s: %s %q %v", c.text, got.Name, got.Args, got.Kind())
		}
		again, err := ParseURI(got.URI())
		if err != nil || !reflect.DeepEqual(again.Args, got.Args) {
			t.Errorf("%s: its URI %s has %q, %v", c.text, got.URI(), again.Args, err)
		}
	}
}

func TestWhatIsNoCommand(t *testing.T) {
	for text, want := range map[string]error{
		"": ErrBadCommand, "/d/": ErrBadCommand, "/d/a%2Fb": ErrBadCommand, "/d/%z": ErrBadCommand, "select 'T": ErrBadCommand,
		"select --table": ErrBadCommand, "status x": ErrBadCommand, "sel/ect": ErrBadCommand,
		strings.Repeat("x", MaxCommandName+1):            ErrTooLong,
		"/d/select?" + strings.Repeat("a=b&", MaxArgs+1): ErrTooLong,
		"/d/select?" + strings.Repeat("x", MaxURI):       ErrTooLong,
		"select" + strings.Repeat(" --a b", MaxArgs+1):   ErrTooLong,
	} {
		if _, err := ParseLine(text); !errors.Is(err, want) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func TestArgumentsAreChanged(t *testing.T) {
	c, err := ParseURI("/d/select?table=T&limit=1&limit=2")
	if err != nil {
		t.Fatal(err)
	}
	d := c.Clone()
	if c.Get("limit") != "2" {
		t.Errorf("of two the later counts: %s", c.Get("limit"))
	}
	d.Set("limit", "5 6")
	d.Del("table")
	d.Set("x", "é")
	if got := d.URI(); got != "/d/select?limit=1&limit=5+6&x=%C3%A9" {
		t.Errorf("changed: %s", got)
	}
	if got := c.URI(); got != "/d/select?table=T&limit=1&limit=2" {
		t.Errorf("the original became %s", got)
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"/d/select.json?table=T&query=a%20b", "select T --query 'a b'", `load --table T --values '[{"_key":"a"}]'`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseLine(text)
		if err != nil {
			if !errors.Is(err, ErrBadCommand) && !errors.Is(err, ErrTooLong) {
				t.Errorf("a fault of no kind: %v", err)
			}
			return
		}
		c.query = "" // written anew
		again, err := ParseURI(c.URI())
		if errors.Is(err, ErrTooLong) {
			return // escaped, it is longer
		}
		if err != nil || again.Name != c.Name || len(again.Args) != len(c.Args) {
			t.Fatalf("%q became %q: %v", text, c.URI(), err)
		}
		for i, a := range again.Args {
			if a != c.Args[i] {
				t.Errorf("%q became %q", c.Args[i], a)
			}
		}
		if c.Name == "load" {
			_, _ = Records(c)
		}
	})
}

func TestARequestIsCancelledIfOneServerSaysSo(t *testing.T) {
	c := &Command{Name: "request_cancel"}
	for _, notation := range [][2]string{
		{`[[0,1,1],{"id":"canceled","canceled":false}]`, `[[0,1,1],{"id":"canceled","canceled":true}]`},
		{"\x82\xa2id\xa1a\xa8canceled\xc2", "\x82\xa2id\xa1a\xa8canceled\xc3"},
		{"<TEXT>canceled</TEXT>\n<BOOL>false</BOOL>", "<TEXT>canceled</TEXT>\n<BOOL>true</BOOL>"},
		{"\"canceled\"\tfalse", "\"canceled\"\ttrue"},
	} {
		no, yes := Answer{Body: []byte(notation[0])}, Answer{Body: []byte(notation[1])}
		for _, answers := range [][]Answer{{no, yes, no}, {yes, no}, {yes}} {
			if got := JoinEverywhere(c, answers); string(got.Body) != notation[1] {
				t.Errorf("%q", got.Body)
			}
		}
		if got := JoinEverywhere(c, []Answer{no, no}); string(got.Body) != notation[0] {
			t.Errorf("%q", got.Body)
		}
	}
	failed := Answer{Code: -2, Body: []byte("bad")}
	if got := JoinEverywhere(&Command{Name: "lock_acquire"}, []Answer{{Body: []byte("good")}, failed}); got.Code != -2 {
		t.Errorf("%+v", got)
	}
}

// Arguments are read as Groonga reads them: what is read here and written anew has the same
// answer.
func TestArgumentsAreReadAsGroongaReadsThem(t *testing.T) {
	g := startGroonga(t)
	loadTable(g, "T")
	g.must(`load --table T --values '[{"_key":"a b","s":"100%","n":1},{"_key":"c+d","s":"%zz","n":2},{"_key":"e;f","n":3}]'`)
	for _, uri := range []string{
		"/d/select?table=T;limit=1&sort_keys=n", "/d/select?table=T&limit=1;;&&limit=2&sort_keys=n", "/d/select?limit=2&table=nosuch&table=T&sort_keys=n", "/d/select?ta%62le=T&sort_keys=n",
		`/d/select?table=T&filter=s+==+"100%"`, `/d/select?table=T&filter=s==%22%zz%22`, `/d/select?table=T&filter=_key==%22a+b%22`, `/d/select?table=T&filter=_key==%22c%2Bd%22`,
		`/d/select?table=T&filter=_key==%22c%2bd%22`, `/d/select?table=T&filter=_key==%22e%3Bf%22`, "/d/select?table=T&query=_key:a%2", "/d/select?table=T&query=_key:a%", "/d/select?table=T&filter=n==1=2",
		"/d/select?table&limit", "/d/select?=T", "/d/select?table=T&output_columns=_key,n&sort_keys=-n&limit=%31", "/d/select?table=T&x=%00&limit=1&sort_keys=n",
	} {
		c, err := ParseURI(uri)
		if err != nil {
			t.Fatal(err)
		}
		want := maskTimes(g.do(c))
		c.query = "" // written anew
		if got := maskTimes(g.do(c)); got != want {
			t.Errorf("%s became %s:\n got %s\nwant %s", uri, c.URI(), got, want)
		}
	}
}

// docs/gateway.md has the same rows.
func TestWhereCommandsAboutServersGo(t *testing.T) {
	for kind, lines := range map[Kind]string{
		Everywhere: `request_cancel --id a; lock_acquire --target_name T; lock_release; lock_clear; io_flush; reference_acquire; reference_release; log_level --level warning;
			log_put --level warning --message a; log_reopen; query_log_flags_set --flags NONE; query_log_flags_add --flags NONE; query_log_flags_remove --flags NONE; thread_dump;
			thread_limit --max 4; cache_limit --max 10; logical_parameters --range_index never`,
		Read:      `thread_limit; cache_limit; query_log_flags_get; config_get --key a; select --table T --request_timeout 1; status`,
		Write:     `config_set --key a --value b; config_delete --key a; plugin_register --name a; plugin_unregister --name a; load --table T --request_timeout 1`,
		Forbidden: `shutdown; quit; database_unmap`,
	} {
		for line := range strings.SplitSeq(lines, ";") {
			c, err := ParseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Kind(); got != kind {
				t.Errorf("%s: %v, want %v", line, got, kind)
			}
			if kind == Read && c.Name != "select" && !SameEverywhere(c.Name) {
				t.Errorf("%s: one server cannot answer it for those that share the data", line)
			}
		}
	}
}
