package gateway

import (
	"fmt"
	"strings"
)

// search draws a select.
func (w *world) search() {
	table := "Facts"
	if w.one(6) {
		table = w.pick("Tags", "Tags", "Nums", "Terms", "Others", "Copy", "Nosuch")
	}
	c := w.add("select", "table", table)
	w.selectColumns(c, table)
	w.selectFilter(c, table)
	w.selectOrder(c, table)
	w.selectDynamic(c)
	if table == "Facts" && w.one(3) {
		w.selectGroups(c)
	}
	if w.one(3) {
		c.set("command_version", w.pick("1", "2", "3"))
	}
	if columns := c.get("output_columns"); !c.loose && !c.whole && columns != "" && !strings.Contains(columns, "_id") {
		if w.one(6) {
			c.set("output_type", w.pick("json", "xml", "tsv", "msgpack"))
		}
		if w.one(10) {
			c.set("callback", "cb")
		}
		if w.one(10) {
			c.set("output_pretty", "yes")
		}
	}
}

func (w *world) selectColumns(c *drawn, table string) {
	if w.one(12) {
		return
	}
	columns := []string{"_key", "title", "n", "u", "f", "t", "b", "tag", "num", "tags", "ns", "geo", "_score", "nosuch", "tag.label", "tag._key", "tags.rank",
		"n*2", "_id", "weights", "next", "next.title", "x1", "snippet_html(title)", "highlight_html(title)", "title, n", "tag.facts", "strlen(title)", "string_length(title)", "_nsubrecs"}
	if table != "Facts" {
		columns = []string{"_key", "label", "rank", "_id", "*", "facts", "fact", "v", "fact.title"}
	}
	list := make([]string, 1+w.IntN(4))
	for i := range list {
		list[i] = columns[w.IntN(len(columns))]
		if w.one(3) {
			list[i] = "_key"
		}
	}
	c.set("output_columns", strings.Join(list, w.pick(",", ", ")))
}

func (w *world) selectFilter(c *drawn, table string) {
	if table != "Facts" {
		if w.one(3) {
			c.set("filter", w.pick("rank > 1", `_key @^ "t"`, "v > 3", `label == ""`))
		}
		return
	}
	if w.one(3) {
		c.set("match_columns", w.pick("title", "title * 3", "title||tag", "Terms.title", "title || _key"))
		c.set("query", w.pick("foo", "foo OR bar", "foo bar", "fo bar", "foo -bar", "title:^fo", "zoo OR nix", "日本", "n:>1", "tag:t1", "title:@foo", "é", "f*", "*D foo", "(", "_key:k1", "_id:1", "x"))
		if w.one(5) {
			c.set("query_flags", w.pick("ALLOW_COLUMN|ALLOW_LEADING_NOT", "NONE", "ALLOW_PRAGMA", "nosuch"))
		}
	}
	if w.one(2) {
		c.set("filter", w.pick("n > 0", "b", `title @ "fo"`, `tag == "t1" || f < 0`, "n > 100", "nosuch == 1", "true", "n != 1 && u > 100", `tags @ "t1"`, `title @^ "fo"`,
			`between(n, 0, "include", 3, "include")`, `in_values(tag, "t1", "t2")`, `num == 1`, "n + 1 > u", `tag.label == "foo"`, `tag.rank > 1`, `title @~ "^f"`, "_id < 5",
			`geo_in_circle(geo, "128500000x503500000", 10000)`, `ns @ 3`, `sub_filter(tag, "rank > 1")`, `next.n > 0`, `title == "foo"`, "_key == 1", `_key @^ "k1"`, "t > 1000000", "(n", `title @* "foo bar"`,
			`number_classify(n, 2) == 2`, `query("title", "foo OR bar")`, `weights @ "t1"`, `vector_size(tags) > 1`, `string_length(title) > 4`, "x1 > 0"))
	}
	if w.one(10) {
		c.set("scorer", w.pick("_score = n", "_score += u", "_score = f"))
	}
	if w.one(12) {
		c.set("adjuster", `tag @ "t1" * 3`)
	}
	if w.one(12) {
		c.set("post_filter", w.pick("n > 0", "_score > 1"))
	}
	if w.one(20) {
		c.set("match_escalation_threshold", w.pick("-1", "0", "10"))
	}
}

func (w *world) selectOrder(c *drawn, table string) {
	if w.one(3) {
		c.whole = true
		c.set("limit", "-1")
		return
	}
	if w.one(6) {
		c.loose = true
	} else {
		var keys []string
		columns := []string{"title", "n", "u", "f", "t", "b", "_score", "tag._key", "tag", "num", "tags", "geo", "ns", "weights", "nosuch", "tag.rank", "_id", "next", "x1"}
		if table != "Facts" {
			columns = []string{"label", "rank", "v", "fact"}
		}
		if w.one(20) { // alone: Groonga may sort by an index
			c.loose = true
			c.set("sort_keys", w.pick("", "-")+w.pick(columns...))
			w.window(c, "")
			return
		}
		for range w.IntN(3) {
			keys = append(keys, w.pick("", "-", "+")+columns[w.IntN(len(columns))])
		}
		if w.one(15) {
			keys = append(keys, `geo_distance(geo, "128500000x503500000")`)
		}
		last := "_key"
		if table == "Facts" && w.keyType == "" || table == "Others" || table == "Copy" {
			c.loose = true
			last = "n"
		}
		c.set(w.pick("sort_keys", "sort_keys", "sortby"), strings.Join(append(keys, w.pick("", "-")+last), ","))
	}
	w.window(c, "")
}

func (w *world) window(c *drawn, prefix string) {
	if w.one(2) {
		c.set(prefix+"offset", fmt.Sprint(w.IntN(50)-20))
	}
	if w.one(2) {
		c.set(prefix+"limit", fmt.Sprint(w.IntN(50)-20))
	}
}

// selectDynamic draws columns that are computed, and slices.
func (w *world) selectDynamic(c *drawn) {
	if w.one(10) {
		prefix := "columns[d]."
		c.set(prefix+"stage", w.pick("initial", "filtered", "output"))
		c.set(prefix+"type", w.pick("Int32", "ShortText", "Float"))
		c.set(prefix+"value", w.pick("n * 2", "string_length(title)", "tag.rank", "_id", "1"))
		if w.one(4) {
			c.set(prefix+"value", w.pick("record_number()", "window_count()", "window_record_number()", "window_sum(n)"))
			c.set(prefix+"window.sort_keys", "n")
		}
		for i, a := range c.args {
			if a[0] == "output_columns" {
				c.args[i][1] = "d," + a[1]
			}
		}
	}
	if w.one(8) {
		w.selectSlice(c, "slices[s].")
		if w.one(3) {
			w.selectSlice(c, w.pick("slices[other].", "slice[third]."))
		}
	}
}

// selectSlice draws a part of what is found as a list of its own.
func (w *world) selectSlice(c *drawn, prefix string) {
	c.set(prefix+"filter", w.pick("n > 0", "b", "f < 0 && !b", "nosuch == 1", `title @ "foo"`, `tag == "t1"`, `title @^ "fo"`, "tag.rank > 1"))
	if w.one(10) {
		c.set("match_escalation_threshold", "-1")
		c.set(prefix+"match_columns", "title")
		c.set(prefix+"query", w.pick("foo", "bar OR x"))
	}
	last := "_key"
	if w.keyType == "" {
		c.loose, last = true, "n"
	}
	c.set(prefix+"sort_keys", w.pick("", "n,", "-f,", "tag,", "geo,", "ns,")+last)
	c.set(prefix+"output_columns", w.pick("_key,n", "n,title", "_key,_score", "tag.label,t", "_key,nosuch"))
	w.window(c, prefix)
	if w.one(3) {
		c.set(prefix+"drilldowns[E].keys", w.pick("tag", "b", "n"))
		c.set(prefix+"drilldowns[E].sort_keys", w.pick("_key", "-_nsubrecs,_key"))
		if w.one(3) {
			c.set(prefix+"drilldowns[E].filter", w.pick("_nsubrecs > 1", `_key > "t1"`))
		}
	}
}

// selectGroups draws drilldowns, whose groups are in an order.
func (w *world) selectGroups(c *drawn) {
	one := func(prefix, last string) {
		columns, keys := []string{last, "_nsubrecs"}, []string{"_nsubrecs", "-_nsubrecs"}
		if w.one(2) {
			var types []string
			for _, name := range []string{"MIN", "MAX", "SUM", "AVG", "COUNT"} {
				if w.one(2) {
					types = append(types, name)
				}
			}
			c.set(prefix+"calc_types", strings.Join(types, ","))
			c.set(prefix+"calc_target", w.pick("n", "f", "u", "nosuch", "ns"))
			columns = append(columns, "_min", "_max", "_sum", "_avg")
			keys = append(keys, "_min", "-_max", "_sum")
		}
		if w.one(4) {
			columns = append(columns, w.pick("label", "*", "_id", "nosuch", "_nsubrecs * 2", "_key"))
		}
		if w.one(4) {
			c.set(prefix+"filter", w.pick("_nsubrecs > 1", `_key == "t1"`, `_key != "t2" && _nsubrecs >= 2`, "_nsubrecs == 1 || _nsubrecs > 3", "!(_nsubrecs < 3)", "_sum > 0 && _nsubrecs != 2",
				"_max >= 2.5", "_avg < 1", "_nsubrecs > 1.5", "rank > 1 && _nsubrecs > 1", `_key @^ "t"`, `_key @ "1"`, "nosuch > 1", "_nsubrecs > _key", `_value.n > 0`, `"_nsubrecs" == _key || _min < 3`))
		}
		if !w.one(5) {
			c.set(prefix+"output_columns", strings.Join(columns, ","))
		}
		c.set(prefix+"sort_keys", w.pick(keys...)+","+last)
		w.window(c, prefix)
	}
	switch w.IntN(3) {
	case 0:
		c.set("drilldown", w.pick("tag", "tags", "n,tag", "num,nosuch,b", "title", "tag.label", "t,f", "u,_key", "ns", "geo", "nosuch", "next", "weights", "n"))
		one("drilldown_", "_key")
	case 1:
		c.set("drilldowns[A].keys", w.pick("tag", "num", "title", "tags", "nosuch"))
		one("drilldowns[A].", "_key")
		if w.one(3) {
			c.set("drilldowns[C].table", "A")
			c.set("drilldowns[C].keys", "rank")
			one("drilldowns[C].", "_key")
		}
	default:
		keys := w.pick("n,b", "tag,b", "b,num")
		c.set("drilldowns[B].keys", keys)
		one("drilldowns[B].", "_value."+strings.ReplaceAll(keys, ",", ",_value."))
		c.set("drilldowns[B].limit", "-1")
	}
}
