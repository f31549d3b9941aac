package groonga

import "testing"

func TestWritesByNumber(t *testing.T) {
	for line, want := range map[string]bool{
		`delete T --id 5`: true, `delete T --key 5`: false, `delete T --filter '_id < 5'`: false, `select T`: false,
		`load --table T --values '[{"_id":1}]'`: true, `load --table T --values '[{"_key":"_id"}]'`: false, `load --table T --values '[{"_key":1}]'`: false,
		`load --table T --columns _id,a --values [[1,2]]`: true, `load --table T --columns _key,a --values [[1,2]]`: false,
		`load --table T --values '[{"\\u005fid":1}]'`: true, `load --table T --values '[["_id"],[1]]'`: true,
	} {
		c, err := ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.ByNumber(); got != want || err != nil {
			t.Errorf("%s: %v %v", line, got, err)
		}
	}
}

func TestAKeyIsFoundByNumber(t *testing.T) {
	for line, want := range map[string]string{
		"delete T --id 7": "/d/select?table=T&filter=_id+%3D%3D+7&output_columns=_key", "delete T --id 7x": "", "delete T --id -1": "", "delete T --id 7 --filter true": "", "delete T k --id 7": "",
		`load '[{"_id":7}]' T`: "",
	} {
		c, err := ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if find, ok := c.FindByNumber(); ok != (want != "") || ok && find.URI() != want {
			t.Errorf("%s: %v %v", line, find, ok)
		}
	}
	const head = `[[0,1,0.1],[[[1],[`
	for doc, want := range map[string]string{
		head + `["_key","ShortText"]],["a \"b"]]]]`: `a "b`, head + `["_key","Int64"]],[-7]]]]`: "-7", head + `["_key","Float"]],[0.1]]]]`: "", head + `]]]]`: "",
		`[[0,1,0.1],[[[0],[["_key","Int64"]]]]]`: "", `[[-22,1,0.1,"no"]]`: "", "x": "",
	} {
		if got, ok := KeyFound([]byte(doc)); got != want && ok || ok != (want != "") {
			t.Errorf("%s: %q %v", doc, got, ok)
		}
	}
}
