package groonga

import (
	"errors"
	"strings"
	"testing"
)

// cutSchema is a fact table Items that refers to Tags, with an index of it there, an index
// for searching, and tables that have nothing to do with Items.
const cutSchema = `{"header":{"return_code":0,"start_time":1,"elapsed_time":1},"body":{
	"Items":{"type":{"name":"table:hash_key"}},"Items.title":{"type":{"name":"column:var_size"},"range":{"name":"ShortText"}},
	"Items.tag":{"type":{"name":"column:fix_size"},"range":{"name":"Tags"}},"Items.n":{"type":{"name":"column:fix_size"},"range":{"name":"Int32"}},
	"Items.ns":{"type":{"name":"column:var_size"},"flags":{"names":"COLUMN_VECTOR|PERSISTENT"},"range":{"name":"Int32"}},
	"Tags":{"type":{"name":"table:hash_key"}},"Tags.label":{"type":{"name":"column:var_size"},"range":{"name":"ShortText"}},
	"Tags.items":{"type":{"name":"column:index"},"range":{"name":"Items"},"sources":[{"name":"Items.tag"}]},
	"Tags.kind":{"type":{"name":"column:fix_size"},"range":{"name":"Kinds"}},
	"Kinds":{"type":{"name":"table:hash_key"}},"Kinds.tags":{"type":{"name":"column:index"},"range":{"name":"Tags"},"sources":[{"name":"Tags.kind"}]},
	"Terms":{"type":{"name":"table:pat_key"}},"Terms.title":{"type":{"name":"column:index"},"range":{"name":"Items"},"sources":[{"name":"Items.title"}]},
	"Int32":{"type":{"name":"type"}},"ShortText":{"type":{"name":"type"}},"substring":null}}`

// TestWhatSlicesCannotDoIsRefused: "" is refused in no way, "fact" although the catalog
// names the fact table, "none" only if it names none.
func TestWhatSlicesCannotDoIsRefused(t *testing.T) {
	schema, err := ReadSchema([]byte(cutSchema))
	if err != nil {
		t.Fatal(err)
	}
	for line, refused := range map[string]string{
		`select Items`: "",
		`select Items --output_columns _id,_key,title --sort_keys -n --drilldown tag`:             "",
		`select Items --filter 'n < 5 && title @ "my _id < 5 and a.b"'`:                           "",
		`select Items --query 'title:@a tag._key:x'`:                                              "",
		`select Items --match_columns Terms.title --query 'a _id'`:                                "",
		`select Items --filter '_id < 5'`:                                                         "fact",
		`select Items --filter 'tag._id == 5'`:                                                    "fact",
		`select Items --query '_id:<5'`:                                                           "fact",
		`select Items --query 'a (tag._id:5)'`:                                                    "fact",
		`select Items --output_columns '_id + 1'`:                                                 "fact",
		`select Items --drilldown _id`:                                                            "fact",
		`select Items --drilldowns[a].keys tag._id`:                                               "fact",
		`select Items --columns[a].value _id --columns[a].stage initial`:                          "fact",
		`select Items --scorer '_score = _id'`:                                                    "fact",
		`select Items --filter 'title @* "a text"'`:                                               "fact",
		`select Items --query '*S"a text"' --match_columns title`:                                 "fact",
		`select Items --filter 'in_records(T, "a", "==", "b")'`:                                   "fact",
		`select Items --output_columns tag.items`:                                                 "fact",
		`select Items --output_columns tag.kind.tags`:                                             "none",
		`select Items --drilldown tag --drilldown_output_columns _key,items`:                      "fact",
		`select Items --drilldown tag --drilldown_output_columns *`:                               "fact",
		`select Items --drilldown tag --drilldown_output_columns _key,label`:                      "none",
		`select Items --drilldowns[a].keys tag --drilldowns[a].output_columns label`:              "none",
		`select Items --drilldown title --drilldown_output_columns _key,label`:                    "",
		`select Items --output_columns tag.label`:                                                 "none",
		`select Items --filter 'tag.label @^ "a"'`:                                                "none",
		`select Items --query 'tag.label:@a'`:                                                     "none",
		`select Items --filter 'sub_filter(tag, "x")'`:                                            "none",
		`select Items --sort_keys tag.label`:                                                      "none",
		`select Items --query a --query_expander Words.others`:                                    "none",
		`select Items --query a --query_expander Items.others`:                                    "fact",
		`select Items --load_table Found`:                                                         "fact",
		`select Tags --load_table Found --limit 0`:                                                "none",
		`select Tags --load_table Items`:                                                          "fact",
		`select Tags`:                                                                             "fact",
		`select Tags --limit 0`:                                                                   "none",
		`select Tags --output_columns _key,label`:                                                 "none",
		`select Tags --output_columns items`:                                                      "fact",
		`select Kinds`:                                                                            "none",
		`delete Items --filter 'n < 5'`:                                                           "",
		`delete Items --filter 'n < 5' --limit -1`:                                                "",
		`delete Items --filter 'n < 5' --limit 2`:                                                 "fact",
		`delete Tags --filter 'label == "a"' --limit 2`:                                           "none",
		`delete Items --filter 'title @ "a"'`:                                                     "fact",
		`delete Tags --filter 'label @ "a"' --limit 2`:                                            "none",
		`column_create Items other COLUMN_SCALAR Items`:                                           "fact",
		`column_create Items tag2 COLUMN_VECTOR Tags`:                                             "none",
		`column_create Tags items2 COLUMN_INDEX Items tag`:                                        "",
		`column_create Kinds parent COLUMN_SCALAR Kinds`:                                          "none",
		`table_create More TABLE_HASH_KEY Items`:                                                  "fact",
		`table_create More TABLE_HASH_KEY Tags`:                                                   "none",
		`table_create More TABLE_HASH_KEY ShortText`:                                              "",
		`select Terms --output_columns _key`:                                                      "fact",
		`delete Terms --key a`:                                                                    "fact",
		`table_tokenize --table Terms --string a`:                                                 "fact",
		`column_copy --from_table Items --from_name title --to_table Items --to_name n`:           "fact",
		`column_copy --from_table Items --from_name n --to_table Items --to_name tag`:             "fact",
		`column_copy --from_table Items --from_name n --to_table Items --to_name n`:               "",
		`select Items --drilldown n --drilldown_calc_target ns --drilldown_calc_types 'SUM, MIN'`: "fact",
		`select Items --drilldown n --drilldown_calc_target ns --drilldown_calc_types SUM`:        "",
		`delete Items --filter '_id < 5'`:                                                         "fact",
		`delete Items --id 5`:                                                                     "fact",
		`load --table Items --columns _id,n --values [[1,2]]`:                                     "fact",
		`load --table Tags --values '[{"_id":1,"label":"x"}]'`:                                    "fact",
		`load --table Items --each '_key + tag.label'`:                                            "none",
		`table_copy --from_name Items --to_name Tags`:                                             "fact only",
		`table_copy --from_name Tags --to_name Kinds`:                                             "",
		`column_copy --from_table Items --from_name a --to_table Items --to_name b`:               "",
		`column_copy --from_table Items --from_name a --to_table Tags --to_name b`:                "fact",
		`column_copy --from_table Kinds --from_name a --to_table Tags --to_name b`:                "none",
		`logical_count --logical_table Ite`:                                                       "fact",
		`logical_count --logical_table Logs`:                                                      "none",
		`suggest --table Items`:                                                                   "fact",
		`suggest --table Words`:                                                                   "none",
		`index_column_diff --table Terms --name title`:                                            "fact",
		`object_inspect --name Items.n`:                                                           "fact",
		`object_inspect --name Terms`:                                                             "fact",
		`object_inspect --name Terms.title`:                                                       "fact",
		`select Items --post_filter 'n > 1' --offset 2`:                                           "fact",
		`select Items --post_filter 'n > 1' --limit 2`:                                            "",
		`object_inspect --name Tags`:                                                              "none",
		`range_filter --table Items`:                                                              "",
	} {
		c, err := ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		for fact, want := range map[string]bool{"Items": strings.HasPrefix(refused, "fact"), "": refused == "fact" || refused == "none"} {
			err := Cut{Fact: fact, Schema: schema}.Check(c)
			if got := err != nil; got != want || got && !errors.Is(err, ErrNotSupported) {
				t.Errorf("%s with the fact table %q: %v", line, fact, err)
			}
		}
	}
}

func TestLoadsByIDAreSeen(t *testing.T) {
	for text, want := range map[string]bool{
		`[{"_key":"a"},{"_id":1}]`: true, `[["_key","_id"],["a",1]]`: true, `[["_key"],["_id"]]`: false, `[{"x":{"_id":1}}]`: false, `[]`: false,
	} {
		l, err := Records(&Command{Name: "load", Body: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.ByID(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
