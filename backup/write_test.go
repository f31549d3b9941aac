package backup

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/writelog/fill"
)

// Of several slices, a file has no record twice: none that is another slice's, and no numbers that others have too.
func TestAFileOfASlice(t *testing.T) {
	dump := "table_create T TABLE_HASH_KEY ShortText\n\nload --table T\n[\n[\"_key\",\"v\"],\n[\"own\",0],\n[\"strange\",0],\n[\"strange, with a value\",7]\n]\n" +
		"load --table K\n[\n[\"_id\",\"m\"],\n[1,\"a\"],\n[],\n[3,\"c\"]\n]\ndelete --table K --id 2\n" +
		"load --table W\n[\n[\"_id\",\"m\"],\n[1,\"a\"]\n]\n"
	slice := &Slice{
		Cut: func(table string) bool { return table != "W" },
		Home: func(_ context.Context, _ string, _ []string, row []byte) (bool, error) {
			return !strings.Contains(string(row), "strange"), nil
		},
	}
	for _, s := range []*Slice{nil, slice} {
		var out strings.Builder
		var f File
		if err := Write(t.Context(), nil, strings.NewReader(dump), &out, &f, s); err != nil {
			t.Fatal(err)
		}
		want := dump
		if s != nil {
			want = strings.NewReplacer("[\"strange\",0],\n", "", `["_id","m"],
[1,"a"],
[],
[3,"c"]`, `["m"],
["a"],
["c"]`, "delete --table K --id 2\n", "").Replace(dump)
		}
		if out.String() != want || f.Bytes != int64(len(want)) || f.Records["K"] != 2 || f.Records["T"] != 3-f.LeftOut || (f.LeftOut == 1) != (s != nil) {
			t.Errorf("%+v:\n%s\nwant\n%s", f, out.String(), want)
		}
	}
	var f File
	if err := Write(t.Context(), nil, strings.NewReader(dump[:60]), new(strings.Builder), &f, nil); !errors.Is(err, fill.ErrDump) {
		t.Errorf("half a dump: %v", err)
	}
}
