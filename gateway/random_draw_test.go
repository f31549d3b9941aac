package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// world is a schema that was drawn, with the commands about it.
type world struct {
	*rand.Rand
	fact     string // what the catalog names; "": nothing
	keyType  string // of Facts; "": it has no keys
	columns  map[string]string
	extra    int // columns made since
	commands []*drawn
}

func newWorld(r *rand.Rand) *world {
	w := &world{Rand: r, columns: make(map[string]string)}
	if r.IntN(3) > 0 {
		w.fact = "Facts"
	}
	return w
}

func (w *world) pick(list ...string) string { return list[w.IntN(len(list))] }

func (w *world) one(in int) bool { return w.IntN(in) == 0 }

// add draws no more: it notes a command.
func (w *world) add(name string, args ...string) *drawn {
	c := &drawn{name: name}
	for i := 0; i < len(args); i += 2 {
		c.set(args[i], args[i+1])
	}
	w.commands = append(w.commands, c)
	return c
}

func (w *world) table(name, flags, key string, more ...string) {
	args := []string{"name", name, "flags", flags}
	if key != "" {
		args = append(args, "key_type", key)
	}
	w.add("table_create", append(args, more...)...)
}

func (w *world) column(table, name, flags, typ string, more ...string) {
	w.add("column_create", append([]string{"table", table, "name", name, "flags", flags, "type", typ}, more...)...)
	if table == "Facts" {
		w.columns[name] = typ
		if flags != "COLUMN_SCALAR" {
			w.columns[name] += "[]"
		}
	}
}

// schema draws tables: one of facts, those that it refers to, and lexicons.
func (w *world) schema() {
	w.table("Tags", w.pick("TABLE_HASH_KEY", "TABLE_PAT_KEY", "TABLE_DAT_KEY"), "ShortText")
	w.column("Tags", "label", "COLUMN_SCALAR", "ShortText")
	w.column("Tags", "rank", "COLUMN_SCALAR", "Int32")
	w.table("Nums", "TABLE_PAT_KEY", "Int32")
	w.keyType = w.pick("ShortText", "ShortText", "ShortText", "Int32", "Int64", "UInt32", "UInt8", "Float", "Time", "Bool", "")
	switch {
	case w.keyType == "":
		// With a value: of one without, Groonga may give an id twice (findings/groonga-no-key-ids.sh).
		w.table("Facts", "TABLE_NO_KEY", "", "value_type", "UInt32")
	case w.keyType == "ShortText" && w.one(4):
		w.table("Facts", w.pick("TABLE_HASH_KEY", "TABLE_PAT_KEY"), w.keyType, "normalizer", "NormalizerAuto")
	default:
		w.table("Facts", w.pick("TABLE_HASH_KEY", "TABLE_PAT_KEY"), w.keyType)
	}
	w.column("Facts", "title", "COLUMN_SCALAR", w.pick("ShortText", "Text"))
	w.column("Facts", "n", "COLUMN_SCALAR", w.pick("Int8", "Int16", "Int32", "Int64"))
	w.column("Facts", "u", "COLUMN_SCALAR", w.pick("UInt8", "UInt64"))
	w.column("Facts", "f", "COLUMN_SCALAR", w.pick("Float", "Float32"))
	w.column("Facts", "t", "COLUMN_SCALAR", "Time")
	w.column("Facts", "b", "COLUMN_SCALAR", "Bool")
	w.column("Facts", "tag", "COLUMN_SCALAR", "Tags")
	w.column("Facts", "num", "COLUMN_SCALAR", "Nums")
	w.column("Facts", "tags", "COLUMN_VECTOR", "Tags")
	w.column("Facts", "ns", "COLUMN_VECTOR", "Int32")
	w.column("Facts", "geo", "COLUMN_SCALAR", "WGS84GeoPoint")
	if w.one(3) {
		w.column("Facts", "weights", "COLUMN_VECTOR|WITH_WEIGHT", "Tags")
	}
	if w.one(4) && w.keyType != "" {
		w.column("Facts", "next", "COLUMN_SCALAR", "Facts")
	}
	if w.one(3) {
		w.table("Others", "TABLE_NO_KEY", "")
		w.column("Others", "fact", "COLUMN_SCALAR", "Facts")
		w.column("Others", "v", "COLUMN_SCALAR", "Int32")
	}
	w.table("Terms", "TABLE_PAT_KEY", "ShortText", "default_tokenizer", "TokenBigram", "normalizer", "NormalizerAuto")
	w.column("Terms", "title", "COLUMN_INDEX|WITH_POSITION", "Facts", "source", "title")
	if w.one(2) {
		w.column("Tags", "facts", "COLUMN_INDEX", "Facts", "source", "tag")
	}
	if w.one(2) {
		w.column("Nums", "facts", "COLUMN_INDEX", "Facts", "source", "num")
	}
	if w.one(3) {
		w.table("Ns", "TABLE_PAT_KEY", strings.TrimSuffix(w.columns["n"], "[]"))
		w.column("Ns", "facts", "COLUMN_INDEX", "Facts", "source", "n")
	}
	if w.one(2) {
		w.loadTags(5)
	}
	w.loadFacts([]int{0, 1, 10, 60, 200}[w.IntN(5)])
}

var randomWords = []string{"foo", "food", "bar", "barn", "Zoo", "日本", "日本語", "é", "hello", "x", "A b", `q"uo'te`, "100%", "a&b;c"}

func (w *world) text() string {
	list := make([]string, w.IntN(4))
	for i := range list {
		list[i] = w.pick(randomWords...)
	}
	return strings.Join(list, " ")
}

func (w *world) tag() string { return fmt.Sprintf("t%d", w.IntN(7)) }

// key draws a key of Facts as it is written in JSON.
func (w *world) key() any {
	switch w.keyType {
	case "ShortText":
		if w.one(12) {
			return w.pick(randomWords...)
		}
		return fmt.Sprintf("%s%d", w.pick("k", "k", "K", "日"), w.IntN(120))
	case "Float":
		return w.number(w.IntN(40), float64(w.IntN(80))/4)
	case "Time":
		if w.one(8) {
			return fmt.Sprintf("2026-01-%02d 00:00:00", 1+w.IntN(28))
		}
		return w.number(w.IntN(100), float64(w.IntN(200))/4)
	case "Bool":
		return []any{true, false, 1, 0, "true", "false", ""}[w.IntN(7)]
	case "UInt8", "UInt32":
		return w.number(w.IntN(200), float64(w.IntN(200)))
	}
	return w.number(w.IntN(200)-100, float64(w.IntN(100)))
}

// number writes a number as some client may.
func (w *world) number(i int, f float64) any {
	switch w.IntN(12) {
	case 0:
		return fmt.Sprint(i)
	case 1:
		return f
	case 2:
		return fmt.Sprintf("%03d", i)
	case 3:
		return json.RawMessage(fmt.Sprintf("%d.0", i))
	}
	return i
}

// record draws a record of Facts. Its floats are sums of quarters, so that sums do not
// depend on the order of adding.
func (w *world) record() map[string]any {
	d := make(map[string]any)
	if w.keyType != "" && !w.one(60) {
		d["_key"] = w.key()
	}
	some := func(name string, value any) {
		if _, there := w.columns[name]; there && !w.one(5) {
			d[name] = value
		}
	}
	some("title", w.text())
	some("n", w.number(w.IntN(9)-4, 2))
	some("u", w.IntN(200))
	some("f", float64(w.IntN(40)-20)/4)
	some("t", float64(w.IntN(1e9))+float64(w.IntN(1e6))/1e6)
	some("b", w.one(2))
	some("tag", w.tag())
	some("num", w.IntN(6)-2)
	some("tags", []string{w.tag(), w.tag(), w.tag()}[:w.IntN(4)])
	some("ns", []int{w.IntN(5), w.IntN(5)}[:w.IntN(3)])
	some("geo", fmt.Sprintf("%dx%d", 128000000+w.IntN(1e6), 503000000+w.IntN(1e6)))
	some("weights", map[string]int{w.tag(): w.IntN(9)})
	if w.keyType != "" {
		some("next", w.key())
	}
	if w.one(30) {
		d[w.pick("nosuch", "tag", "n", "geo", "t", "tags", "_id")] = w.pick("", "x", "12abc", "1x")
	}
	return d
}

func (w *world) load(table string, list []any) {
	c := w.add("load", "table", table)
	if w.one(4) {
		c.set("command_version", "3")
		c.set(w.pick("output_ids", "output_errors"), "yes")
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	c.body = string(text)
}

func (w *world) loadFacts(n int) {
	list := make([]any, n)
	for i := range list {
		list[i] = w.record()
	}
	if w.one(6) && n > 0 {
		rows := []any{[]any{"_key", "title", "tag"}}
		if w.keyType == "" {
			rows[0] = []any{"n", "title", "tag"}
		}
		for range list {
			var key any = w.IntN(9)
			if w.keyType != "" {
				key = w.key()
			}
			rows = append(rows, []any{key, w.text(), w.tag()})
		}
		list = rows
	}
	w.load("Facts", list)
}

func (w *world) loadTags(n int) {
	list := make([]any, n)
	for i := range list {
		list[i] = map[string]any{"_key": w.tag(), "label": w.text(), "rank": w.IntN(5)}
	}
	w.load("Tags", list)
}

// command draws a command.
func (w *world) command() {
	switch n := w.IntN(100); {
	case n < 66:
		w.search()
	case n < 76:
		w.loadFacts(1 + w.IntN(6))
	case n < 79:
		w.loadTags(1 + w.IntN(3))
	case n < 80:
		w.load("Others", []any{map[string]any{"fact": w.key(), "v": w.IntN(9)}})
	case n < 85:
		w.remove()
	case n < 92:
		w.asks()
	default:
		w.changes()
	}
}

func (w *world) keyText() string {
	key := w.key()
	if w.keyType == "" {
		key = "1"
	}
	if raw, ok := key.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(key)
}

// remove draws a delete.
func (w *world) remove() {
	switch w.IntN(8) {
	case 0:
		w.add("delete", "table", "Facts", "filter", w.pick("n > 3", `title @ "foo"`, `tag == "t1"`, "b && f < -4", "nosuch == 1"))
	case 1:
		w.add("delete", "table", "Tags", "key", w.tag())
	case 2:
		w.add("delete", "table", "Facts", "filter", "n < 0", "limit", "1")
	case 3:
		w.add("delete", "table", "Facts", "id", "1")
	case 4:
		w.add("delete", "table", w.pick("Facts", "Nosuch"))
	default:
		w.add("delete", "table", "Facts", "key", w.keyText())
	}
}

// asks draws a command that reads, other than select.
func (w *world) asks() {
	form := func(c *drawn) {
		if w.one(3) {
			c.set("command_version", w.pick("1", "2", "3"))
		}
		if w.one(4) {
			c.set("output_type", w.pick("json", "xml", "tsv", "msgpack", "nosuch"))
		}
		if w.one(6) {
			c.set("callback", "cb")
		}
		if w.one(6) {
			c.set("output_pretty", "yes")
		}
	}
	switch w.IntN(12) {
	case 0:
		form(w.add("table_list"))
	case 1:
		form(w.add("column_list", "table", w.pick("Facts", "Tags", "Terms", "Nosuch")))
	case 2:
		form(w.add("object_exist", "name", w.pick("Facts", "Facts.n", "select", "nosuch")))
	case 3:
		form(w.add("normalize", "normalizer", "NormalizerAuto", "string", w.text()))
	case 4:
		form(w.add("tokenize", "tokenizer", "TokenBigram", "normalizer", "NormalizerAuto", "string", w.text()))
	case 5:
		form(w.add(w.pick("selct", "Select", "load_")))
	case 6:
		form(w.add("table_tokenize", "table", "Terms", "string", w.text(), "mode", "GET"))
	case 7:
		w.add("dump", "dump_records", "no")
	case 8:
		form(w.add("config_get", "key", "nosuch"))
	case 9:
		form(w.add("object_inspect", "name", w.pick("Facts", "Facts.n", "Tags", "Terms.title", "nosuch")))
	case 10:
		form(w.add("logical_count", "logical_table", "Facts", "shard_key", "t"))
	case 11:
		form(w.add("range_filter", "table", "Facts", "column", "n", "limit", "2"))
	}
}

// changes draws a command about the schema, or about many records.
func (w *world) changes() {
	switch w.IntN(10) {
	case 0, 1, 2:
		w.extra++
		name := fmt.Sprintf("x%d", w.extra)
		w.column("Facts", name, w.pick("COLUMN_SCALAR", "COLUMN_VECTOR"), w.pick("Int32", "ShortText", "Tags", "Nosuch", "Float"))
	case 3:
		name := w.pick("x1", "f", "u", "nosuch")
		w.add("column_remove", "table", "Facts", "name", name)
		delete(w.columns, name)
	case 4:
		w.add("column_rename", "table", "Facts", "name", w.pick("x2", "nosuch"), "new_name", "x9")
	case 5:
		w.add("column_copy", "from_table", "Facts", "from_name", w.pick("n", "title", "u"), "to_table", "Facts", "to_name", w.pick("x1", "x2", "f", "tag"))
	case 6:
		w.add("truncate", "target_name", w.pick("Facts", "Tags", "Facts.title", "nosuch"))
	case 7:
		w.table(w.pick("Copy", "Facts"), "TABLE_HASH_KEY", "ShortText")
	case 8:
		w.add("table_copy", "from_name", w.pick("Facts", "Tags"), "to_name", "Copy")
	case 9:
		w.add("reindex", "target_name", w.pick("Terms.title", "Terms", "nosuch"))
	}
}
