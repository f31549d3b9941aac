package gateway

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

var (
	randomCommands = flag.Int("commands", 100, "TestRandomCommandsBesideOneServer: how many commands are drawn")
	randomSeed     = flag.Uint64("from", 2, "TestRandomCommandsBesideOneServer: the first seed of a schema with its data")
)

// commandsOfWorld is how many commands one schema with its data gets.
const commandsOfWorld = 100

// TestRandomCommandsBesideOneServer draws schemas, data and commands. Each command goes to
// gateways before one, two and three slices, and to a server with all the data beside each:
// the answers are equal, or the gateway refuses with a reason.
func TestRandomCommandsBesideOneServer(t *testing.T) {
	tally := make(map[string]int)
	reasons := make(map[string]int)
	for seed := *randomSeed; tally["commands"] < *randomCommands && tally["different"] < 20; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { playWorld(t, seed, tally, reasons) })
	}
	t.Logf("%d commands; answers equal %d, refused %d, different %d", tally["commands"], tally["equal"], tally["refused"], tally["different"])
	for _, reason := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return reasons[b] - reasons[a] }) {
		t.Logf("%5d refused: %s", reasons[reason], reason)
	}
}

func playWorld(t *testing.T, seed uint64, tally, reasons map[string]int) {
	w := newWorld(rand.New(rand.NewPCG(seed, 12)))
	var all []*beside
	for n := 1; n <= 3; n++ {
		all = append(all, newBeside(t, n, w.fact))
	}
	w.schema()
	for range commandsOfWorld {
		w.command()
	}
	tally["commands"] += commandsOfWorld
	for i, b := range all {
		for _, c := range w.commands {
			verdict, reason := b.judge(c)
			if verdict == "equal" && c.writes() {
				verdict, reason = b.judgeRecords(verdict)
			}
			tally[verdict]++
			if verdict == "refused" && strings.HasPrefix(reason, "no-replica") {
				if b.alive() {
					t.Errorf("%d slices: the servers live, and the gateway says that none answers: %s", i+1, c)
				} else {
					t.Logf("%d slices: a server of Groonga's has ended by itself", i+1)
				}
				break
			}
			if verdict == "refused" {
				reasons[reason]++
				if strings.Contains(reason, "were loaded") {
					break // a part of the load was done, which the other side has not seen
				}
			}
			if verdict == "different" {
				t.Errorf("%d slices, fact %q: %s\n%s", i+1, w.fact, c, reason)
				if c.writes() {
					break // what follows would differ, too
				}
			}
		}
	}
}

// alive reports whether all servers behind the gateway answer.
func (b *beside) alive() bool {
	for _, addr := range b.slices {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}

// drawn is a command that was drawn.
type drawn struct {
	name string
	args [][2]string
	body string // of a load
	// loose: the records have no order that a client could rely on. whole: but all are asked for.
	loose, whole bool
}

func (c *drawn) set(name, value string) { c.args = append(c.args, [2]string{name, value}) }

func (c *drawn) get(name string) string {
	for _, a := range c.args {
		if a[0] == name {
			return a[1]
		}
	}
	return ""
}

func (c *drawn) uri() string {
	var args []string
	for _, a := range c.args {
		args = append(args, url.QueryEscape(a[0])+"="+url.QueryEscape(a[1]))
	}
	return "/d/" + c.name + "?" + strings.Join(args, "&")
}

func (c *drawn) request() string {
	if c.body != "" {
		return post(c.uri(), "application/json", c.body)
	}
	return get(c.uri())
}

func (c *drawn) writes() bool {
	return regexp.MustCompile(`^(load|delete|truncate|table_c|table_r|column_c|column_r|reindex)`).MatchString(c.name) && c.name != "column_list"
}

func (c *drawn) String() string {
	var b strings.Builder
	b.WriteString(c.name)
	for _, a := range c.args {
		fmt.Fprintf(&b, " --%s '%s'", a[0], a[1])
	}
	if c.body != "" {
		b.WriteString("\n" + c.body)
	}
	return b.String()
}

// ofServer is what each server says in its own words: where it keeps its objects, and of an
// unknown command whatever goes wrong first, of a table how many records it has, and
// the numbers of what was made for the one command.
var ofServer = regexp.MustCompile(`[^"\s<>]*/db[^"/\s<>]*|failed to add: (<|&lt;)[^>&]*(>|&gt;)|\[hash\]\[add\].*"hash.c",\d+|invalid command name: .*"ctx.c",\d+|size:\d+ columns:.*?\.\.\.\(\d+\)|\b21474836\d\d\b`)

// judge has a command done on both sides. reason is what was refused, or what differs.
func (b *beside) judge(c *drawn) (verdict, reason string) {
	verdict, got, want := b.compare(c.request())
	got.body, want.body = ofServer.ReplaceAllString(got.body, "OWN"), ofServer.ReplaceAllString(want.body, "OWN")
	switch {
	case verdict == "refused" && got.fault == "unknown":
		return "different", fmt.Sprintf("%+v", got)
	case verdict == "refused":
		return verdict, refusedBecause(got)
	case got == want || got.kind == want.kind && got.status == want.status && sameBut(c, got.body, want.body):
		return "equal", ""
	}
	return verdict, fmt.Sprintf(" got %d %s %s %+q\nwant %d %s %s %+q", got.status, got.kind, got.fault, got.body, want.status, want.kind, want.fault, want.body)
}

// reasonOf is what a refusal says, without numbers and names in quotes.
var reasonOf = regexp.MustCompile(`not supported over several slices:? ?[^\\"<\n]*|(answer of|not a command|a record|the write)[^\\"<\n]*`)

func refusedBecause(s said) string {
	if strings.Contains(s.body, "were loaded") {
		s.fault += ", after records were loaded"
	}
	return s.fault + ": " + regexp.MustCompile(`\d+`).ReplaceAllString(reasonOf.FindString(s.body), "N")
}

// judgeRecords compares what a write has left of the table that most are about.
func (b *beside) judgeRecords(verdict string) (string, string) {
	all := &drawn{name: "select", whole: true}
	all.set("table", "Facts")
	all.set("limit", "-1")
	if held, reason := b.judge(all); held == "different" {
		return held, "the records after it:\n" + reason
	}
	return verdict, ""
}

// sameBut compares answers but for ids of records, the order of records that a client cannot
// rely on, and the last digits of what is added up.
func sameBut(c *drawn, got, want string) bool {
	var a, b any
	if decode(got, &a) != nil || decode(want, &b) != nil {
		return false
	}
	return sameNumbers(c.plain(a), c.plain(b))
}

func decode(text string, v *any) error {
	text = strings.ReplaceAll(text, "TIME", "0")
	if i := strings.IndexByte(text, '('); i >= 0 && strings.HasSuffix(text, ");") {
		text = text[i+1 : len(text)-2]
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	return d.Decode(v)
}

// plain takes away what may differ.
func (c *drawn) plain(document any) any {
	if c.name == "load" {
		c.plainLoad(document)
		return document
	}
	if c.name != "select" {
		return document
	}
	switch d := document.(type) {
	case map[string]any:
		if body, ok := d["body"].(map[string]any); ok {
			var columns []string
			list, _ := body["columns"].([]any)
			for _, column := range list {
				columns = append(columns, fmt.Sprint(column.(map[string]any)["name"]))
			}
			if records, ok := body["records"].([]any); ok {
				body["records"] = c.plainRecords(columns, records)
			}
		}
	case []any:
		if len(d) < 2 {
			break
		}
		main, _ := d[1].([]any)
		if len(main) == 0 {
			break
		}
		result, _ := main[0].([]any)
		if len(result) < 2 {
			break
		}
		var columns []string
		for _, column := range result[1].([]any) {
			columns = append(columns, fmt.Sprint(column.([]any)[0]))
		}
		main[0] = append(result[:2:2], c.plainRecords(columns, result[2:])...)
	}
	return document
}

func (c *drawn) plainLoad(document any) {
	d, _ := document.(map[string]any)
	body, _ := d["body"].(map[string]any)
	ids, _ := body["loaded_ids"].([]any)
	for i, id := range ids {
		if fmt.Sprint(id) != "0" {
			ids[i] = "id"
		}
	}
}

func (c *drawn) plainRecords(columns []string, records []any) []any {
	for _, r := range records {
		values, _ := r.([]any)
		for i := range values {
			if i < len(columns) && columns[i] == "_id" {
				values[i] = "id"
			}
		}
	}
	switch {
	case c.whole:
		sort.Slice(records, func(i, k int) bool { return fmt.Sprint(records[i]) < fmt.Sprint(records[k]) })
	case c.loose:
		return []any{len(records)}
	}
	return records
}

// sameNumbers compares decoded JSON; fractions may differ in their last digits.
func sameNumbers(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		if !ok || a == b || !strings.ContainsAny(string(a)+string(b), ".e") {
			return ok && a == b
		}
		x, _ := a.Float64()
		y, _ := b.Float64()
		return math.Abs(x-y) <= 1e-12*math.Max(1, math.Abs(x))
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameNumbers)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, sameNumbers)
	}
	return a == b
}
