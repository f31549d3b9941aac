package compare

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/groonga"
)

func answer(body string) *groonga.Answer {
	return &groonga.Answer{Status: 200, Body: []byte("[[0,1.0,0.1]," + body + "]")}
}

// TestRowsOfAPage: keys are taken as they stand, whatever is in them.
func TestRowsOfAPage(t *testing.T) {
	p, err := readPage(answer(`[[[7],[["_key","ShortText"],["n","Int32"]],["a\"],[\\",1],[-1.5,2],[true,[3]]]]`))
	if err != nil || p.hits != 7 {
		t.Fatalf("%d hits, %v", p.hits, err)
	}
	rows, err := p.rows()
	want := []row{{`"a\"],[\\"`, `["a\"],[\\",1]`}, {"-1.5", "[-1.5,2]"}, {"true", "[true,[3]]"}}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("rows %v, %v", rows, err)
	}
	if rows[2].content() != ",[3]]" {
		t.Errorf("content %q", rows[2].content())
	}
	for _, bad := range []string{`true`, `[[[x],[]]]`, `[[[7`, `[]`, `{}`} {
		if p, err := readPage(answer(bad)); err == nil {
			t.Errorf("%s is read: %v", bad, p)
		}
	}
}

// FuzzPage: whatever a server answers, it is read or refused.
func FuzzPage(f *testing.F) {
	f.Add(`[[[1],[["_key","ShortText"]],["a"]]]`)
	f.Add(`[[[1],[],5]]`)
	f.Add(`[[[1],"`)
	f.Fuzz(func(_ *testing.T, body string) {
		if p, err := readPage(answer(body)); err == nil {
			_, _ = p.rows()
		}
	})
}

func TestLiteral(t *testing.T) {
	for _, c := range [][3]string{
		{`"a"`, "ShortText", `"a"`}, {`"a\"\\\n"`, "ShortText", "\"a\\\"\\\\\n\""}, {"5", "Int64", "5"},
		{"18446744073709551615", "UInt64", `"18446744073709551615"`}, {"1.5", "Time", "1.5"}, {"true", "Bool", "true"},
	} {
		if got := literal(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// TestOdd: who differs from more than half is odd; where nobody has more than half, nobody is.
func TestOdd(t *testing.T) {
	for _, c := range []struct {
		values string
		want   []int
	}{
		{"a a b", []int{2}}, {"b a a", []int{0}}, {"a b", nil}, {"a b c", nil}, {"a a b b", nil}, {"a b a a c", []int{1, 4}}, {"a a a", nil},
	} {
		if got := odd(strings.Fields(c.values)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.values, got, c.want)
		}
	}
}

// TestPool: what all have alike leaves the pool, in whatever order it comes; the rest stays,
// in lists that are bounded by number and by bytes; what is too much is told.
func TestPool(t *testing.T) {
	p := newPool(3, 1<<20)
	add := func(server int, key, text string) { p.add(server, &row{key, text}) }
	for i := range 100 {
		add(0, fmt.Sprint(i), "same")
		add(1, fmt.Sprint(99-i), "same")
	}
	for i := range 100 {
		add(2, fmt.Sprint(i), "same")
	}
	if len(p.pending) != 0 || p.bytes != 0 {
		t.Fatalf("%d are left, of %d bytes", len(p.pending), p.bytes)
	}
	for server, text := range []string{"x", "x", "y"} {
		add(server, "differs", text)
	}
	add(1, "alone", strings.Repeat("long", 100))
	add(0, "two", "x")
	add(2, "two", "x")
	if got := p.keys(2, 1<<20, 1<<10); len(got) != 2 || !slices.Equal(slices.Concat(got...), []string{"alone", "differs", "two"}) {
		t.Errorf("by number: %v", got)
	}
	if got := p.keys(10, 300, 1<<10); len(got) != 2 || len(got[0]) != 1 {
		t.Errorf("by bytes of records: %v", got)
	}
	if got := p.keys(10, 1<<20, 12); len(got) != 2 || len(got[0]) != 2 {
		t.Errorf("by bytes of keys: %v", got)
	}
	add(2, "differs", "x") // as it is by now
	if p.pending["differs"] != nil {
		t.Error("what is the same by now stays")
	}
	small := newPool(2, 3*overhead)
	for i := range 10 {
		small.add(0, &row{fmt.Sprint(i), ""})
	}
	if !small.overflow || len(small.pending) > 4 {
		t.Errorf("overflow %v with %d", small.overflow, len(small.pending))
	}
}

// TestSchemas: tables, columns, plugins and settings that differ are named; the order of a
// dump, and keys of ibuki's own, are not.
func TestSchemas(t *testing.T) {
	read := func(dump string) *schema {
		s, err := readSchema([]byte(dump))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := read("plugin_register functions/math\n\nconfig_set ibuki.position.0 1\nconfig_set x.y 1\n\ntable_create A TABLE_HASH_KEY ShortText\ntable_create B TABLE_NO_KEY\ncolumn_create A b COLUMN_SCALAR B\ncolumn_create A a COLUMN_SCALAR Int8\n")
	b := read("config_set ibuki.position.0 2\nconfig_set x.y 2\n\ntable_create B TABLE_NO_KEY\ntable_create A TABLE_HASH_KEY ShortText\ncolumn_create A a COLUMN_SCALAR Int16\ncolumn_create A b COLUMN_SCALAR B\n")
	var got []string
	for _, d := range diffSchemas([]*schema{a, b}) {
		got = append(got, d.Where())
	}
	if want := []string{"column A.a", "config x.y", "plugin functions/math"}; !slices.Equal(got, want) {
		t.Errorf("%q differ, want %q", got, want)
	}
	if list := common([]*schema{a, b}, []string{"A"}); len(list) != 1 || !slices.Equal(list[0].columns, []string{"a", "b"}) {
		t.Errorf("%+v", list)
	}
	if _, err := readSchema([]byte("column_create 'x\n")); err == nil {
		t.Error("a line that is none is read")
	}
}
