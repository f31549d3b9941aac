package compare

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

// where are the places that a pass has found, sorted.
func where(r *Result) (list []string) {
	for i := range r.Differences {
		list = append(list, r.Differences[i].Where())
	}
	slices.Sort(list)
	return list
}

// TestManyDifferences: a thousand single differences in records are all found in one pass,
// and nothing else is named; a pass that has found as many as it may says that there are more.
func TestManyDifferences(t *testing.T) {
	servers := slice{groongatest.Start(t), groongatest.Start(t)}
	do(t, servers, "table_create Items TABLE_PAT_KEY ShortText")
	do(t, servers, "column_create Items a COLUMN_SCALAR Int32")
	do(t, servers, "column_create Items b COLUMN_VECTOR Int32")
	var records []string
	for i := range 10000 {
		records = append(records, fmt.Sprintf(`{"_key":"k%d","a":%d,"b":[%d,1]}`, i, i, i))
	}
	do(t, servers, "load --table Items", records...)
	random := rand.New(rand.NewPCG(1, 2))
	var want, changed []string
	for _, i := range random.Perm(9990)[:1000] {
		i += 10
		at := fmt.Sprintf(`table Items, key "k%d"`, i)
		switch i % 4 {
		case 0:
			changed = append(changed, fmt.Sprintf(`{"_key":"k%d","a":-1}`, i))
			at += ", column a"
		case 1:
			changed = append(changed, fmt.Sprintf(`{"_key":"k%d","b":[1,%d]}`, i, i))
			at += ", column b"
		case 2:
			changed = append(changed, fmt.Sprintf(`{"_key":"more%d"}`, i))
			at = fmt.Sprintf(`table Items, key "more%d"`, i)
		case 3:
			do(t, servers[1:], fmt.Sprintf("delete --table Items --key k%d", i))
		}
		want = append(want, at)
	}
	do(t, servers[1:], "load --table Items", changed...)
	slices.Sort(want)
	if got := where(run(t, Config{Servers: servers, MaxDifferences: 5000})); !slices.Equal(got, want) {
		named := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return slices.Contains(want, s) })
		missed := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
		t.Errorf("%d differences, want %d; named: %q; not found: %q", len(got), len(want), named, missed)
	}
	do(t, servers, "table_create All TABLE_HASH_KEY UInt32")
	do(t, servers, "column_create All a COLUMN_SCALAR Int32")
	for i := range servers { // every record, at whatever place of a page
		var records []string
		for key := range 1500 {
			records = append(records, fmt.Sprintf(`{"_key":%d,"a":%d}`, key, i))
		}
		do(t, servers[i:i+1], "load --table All", records...)
	}
	if all := run(t, Config{Servers: servers, MaxDifferences: 5000, Tables: []string{"All"}}); len(all.Differences) != 1500 {
		t.Errorf("of 1500 records that all differ, %d are found", len(all.Differences))
	}
	r := run(t, Config{Servers: servers, MaxDifferences: 10})
	if len(r.Differences) != 10 || !r.More || len(r.Differences[0].Odd) > 0 {
		t.Errorf("%d differences, more: %v, odd: %v", len(r.Differences), r.More, r.Differences[0].Odd)
	}
}

// TestIndexEntries: an entry that an index lacks, in terms that find other records as well,
// and only that, is found; so is the same seen from the other side: one too much.
func TestIndexEntries(t *testing.T) {
	servers := slice{groongatest.Start(t), groongatest.Start(t), groongatest.Start(t)}
	for _, line := range []string{
		"table_create Items TABLE_HASH_KEY ShortText", "column_create Items title COLUMN_SCALAR Text", "column_create Items n COLUMN_SCALAR Int32",
		"table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer TokenDelimit", "column_create Terms titles COLUMN_INDEX|WITH_POSITION Items title",
		"table_create Numbers TABLE_PAT_KEY Int32", "column_create Numbers n COLUMN_INDEX Items n",
	} {
		do(t, servers, line)
	}
	var records []string
	for i := range 600 {
		records = append(records, fmt.Sprintf(`{"_key":"k%d","title":"all g%d","n":%d}`, i, i%100, i%10))
	}
	do(t, servers, "load --table Items", records...)
	// All but one record are indexed anew after the index was emptied.
	lacking := servers[2:]
	without := slices.Delete(slices.Clone(records), 305, 306)
	do(t, lacking, "truncate --target_name Terms.titles")
	do(t, lacking, "load --table Items", mapped(without, func(s string) string { return strings.Replace(s, `"all g`, `"x`, 1) })...)
	do(t, lacking, "load --table Items", without...)
	for _, full := range []bool{false, true} {
		want := []string{`index Terms.titles, term "all"`, `index Terms.titles, term "g5"`}
		r := run(t, Config{Servers: servers, Full: full})
		if got := where(r); !slices.Equal(got, want) || !slices.Equal(r.Odd(), []int{2}) {
			t.Errorf("%q at %v, want %q", got, r.Odd(), want)
		}
	}
	// The two others lack it: then the third has one too much.
	others := slice{servers[0], servers[1]}
	do(t, others, "truncate --target_name Terms.titles")
	do(t, others, "load --table Items", mapped(without, func(s string) string { return strings.Replace(s, `"all g`, `"x`, 1) })...)
	do(t, others, "load --table Items", without...)
	do(t, lacking, "load --table Items", `{"_key":"k305","title":""}`)
	do(t, lacking, "load --table Items", records[305])
	r := run(t, Config{Servers: servers})
	if got, want := where(r), []string{`index Terms.titles, term "all"`, `index Terms.titles, term "g5"`}; !slices.Equal(got, want) || !slices.Equal(r.Odd(), []int{2}) {
		t.Errorf("%q at %v, want %q", got, r.Odd(), want)
	}
}

func mapped(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

// TestOtherOrder: servers that have the same under other ids and in another order are equal,
// with little memory as well; a record without a key too much is found.
func TestOtherOrder(t *testing.T) {
	servers := slice{groongatest.Start(t), groongatest.Start(t)}
	var items, lines []string
	for i := range 3000 {
		items = append(items, fmt.Sprintf(`{"_key":"k%d","n":%d}`, i, i))
		lines = append(lines, fmt.Sprintf(`{"line":"line %d"}`, i%100))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range servers {
		one := servers[i : i+1]
		for _, line := range []string{
			"table_create Items TABLE_HASH_KEY ShortText", "column_create Items n COLUMN_SCALAR Int32",
			"table_create Log TABLE_NO_KEY", "column_create Log line COLUMN_SCALAR Text",
			"table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram", "column_create Terms lines COLUMN_INDEX|WITH_POSITION Log line",
		} {
			do(t, one, line)
		}
		random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		do(t, one, "load --table Items", items...)
		do(t, one, "load --table Log", lines...)
	}
	for _, bytes := range []int{0, 60000} {
		if r := run(t, Config{Servers: servers, MaxBytes: bytes}); len(r.Differences) > 0 || len(r.Undecided) > 0 {
			t.Errorf("%d bytes: %v, %v", bytes, r.Differences, r.Undecided)
		}
	}
	do(t, servers[:1], "load --table Items", `{"_key":"k77","n":-1}`)
	do(t, servers[:1], "load --table Log", `{"line":"line 5"}`)
	want := []string{`table Items, key "k77", column n`, "the records of table Log"}
	for _, bytes := range []int{0, 60000} {
		got := slices.DeleteFunc(where(run(t, Config{Servers: servers, MaxBytes: bytes, Tables: []string{"Items", "Log"}})), func(s string) bool { return strings.HasPrefix(s, "index") })
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes: %q, want %q", bytes, got, want)
		}
	}
}

// moving are servers of which one is a moment behind the other whenever they are not asked at
// one position.
type moving struct {
	slice
	t *testing.T
	n int
}

func (m *moving) Ask(ctx context.Context, i int, c *groonga.Command) (groonga.Answer, error) {
	if i == 1 && c.Name == "select" {
		m.n++
		record := fmt.Sprintf(`{"_key":"k%d","n":%d,"title":"word%d"}`, m.n%20, m.n, m.n%7)
		do(m.t, m.slice[1:], "load --table Items", record)
		defer do(m.t, m.slice[:1], "load --table Items", record)
	}
	return m.slice.Ask(ctx, i, c)
}

// TestOnlyOnePositionCounts: what differs whenever it is asked for, and not at one position of
// all servers, is no difference.
func TestOnlyOnePositionCounts(t *testing.T) {
	servers := slice{groongatest.Start(t), groongatest.Start(t)}
	for _, line := range []string{
		"table_create Items TABLE_HASH_KEY ShortText", "column_create Items n COLUMN_SCALAR Int32", "column_create Items title COLUMN_SCALAR Text",
		"table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram", "column_create Terms titles COLUMN_INDEX|WITH_POSITION Items title",
	} {
		do(t, servers, line)
	}
	m := &moving{slice: servers, t: t}
	for range 3 {
		if r := run(t, Config{Servers: m}); len(r.Differences) > 0 {
			t.Errorf("%+v", r.Differences)
		}
	}
	if m.n < 20 {
		t.Errorf("only %d writes came in between", m.n)
	}
}
