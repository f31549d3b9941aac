package groonga

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkMergeSelect merges two slices' answers to a search for the first ten of
// many, sorted, with eight columns of usual sizes and a drilldown of 50 groups.
func BenchmarkMergeSelect(b *testing.B) {
	c, err := ParseLine("select Docs --sort_keys -n,_key --output_columns _key,title,body,n --drilldown tag --drilldown_sort_keys -_nsubrecs,_key")
	if err != nil {
		b.Fatal(err)
	}
	var answers [][]byte
	for slice := range 2 {
		var text strings.Builder
		text.WriteString(`[[0,1700000000.5,0.001],[[[12345],[["n","Int32"],["_key","ShortText"],["_key","ShortText"],["title","ShortText"],["body","Text"],["n","Int32"]]`)
		for i := range 10 {
			fmt.Fprintf(&text, `,[%d,"key%d","key%d","a title of some length","%s",%d]`, 100-i, i*2+slice, i*2+slice, strings.Repeat("lorem ipsum ", 25), 100-i)
		}
		text.WriteString(`],[[50],[["_key","ShortText"],["_nsubrecs","Int32"],["_key","ShortText"],["_key","ShortText"],["_nsubrecs","Int32"]]`)
		for i := range 50 {
			fmt.Fprintf(&text, `,["tag%d",%d,"tag%d","tag%d",%d]`, i, i, i, i, i)
		}
		text.WriteString(`]]]`)
		answers = append(answers, []byte(text.String()))
	}
	b.SetBytes(int64(len(answers[0]) + len(answers[1])))
	b.ReportAllocs()
	for b.Loop() {
		p, err := PlanSelect(c, Cut{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Merge(answers); err != nil {
			b.Fatal(err)
		}
	}
}
