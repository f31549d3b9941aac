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
