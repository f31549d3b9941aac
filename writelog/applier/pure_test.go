package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"pgregory.net/rapid"
)

const testSchema = `config_set ibuki.nonce n

plugin_register functions/math

table_create A TABLE_HASH_KEY ShortText
column_create A n COLUMN_SCALAR Int8
column_create A names COLUMN_VECTOR ShortText

table_create K TABLE_NO_KEY
column_create K v COLUMN_SCALAR ShortText

table_create N TABLE_HASH_KEY ShortText --normalizer NormalizerAuto

table_create X TABLE_HASH_KEY ShortText
column_create X text COLUMN_SCALAR Text

table_create Y TABLE_HASH_KEY UInt8
column_create Y text COLUMN_SCALAR Text

table_create Lex TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram --normalizer 'NormalizerTable("normalized", "Norm.normalized")'

table_create B TABLE_HASH_KEY A

column_create K ref COLUMN_SCALAR A

column_create Lex x COLUMN_INDEX|WITH_POSITION X text
column_create Lex y COLUMN_INDEX|WITH_POSITION Y text
`

func parsed(t testing.TB, line string) *groonga.Command {
	t.Helper()
	head, body, has := strings.Cut(line, "\n")
	c, err := groonga.ParseLine(head)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if has {
		c.Body = []byte(body)
	}
	return c
}

func learned(t testing.TB) (tables, *groups) {
	t.Helper()
	ts, gs, err := learn([]byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	return ts, gs
}

func TestGroupsAreWhatIsConnected(t *testing.T) {
	_, gs := learned(t)
	for _, c := range []struct {
		a, b string
		same bool
	}{{"A", "K", true}, {"A", "B", true}, {"X", "Y", true}, {"X", "Lex", true}, {"A", "X", false}, {"N", "A", false}} {
		if got := gs.find(c.a) == gs.find(c.b); got != c.same {
			t.Errorf("%s and %s in one group: %v", c.a, c.b, got)
		}
	}
	gs.reach(parsed(t, "column_create N r COLUMN_SCALAR X"))
	if gs.find("N") != gs.find("Y") {
		t.Error("a reference does not join")
	}
	gs.reach(parsed(t, `table_create Z TABLE_HASH_KEY ShortText --normalizer 'NormalizerTable("normalized","A.n")'`))
	if gs.find("Z") != gs.find("K") {
		t.Error("a table that a normalizer reads does not join")
	}
	if r := gs.reach(parsed(t, "table_copy --from_name Q --to_name X")); r.all || gs.find("Q") != gs.find("Lex") {
		t.Error("a copy does not join")
	}
}

func TestReachAndClass(t *testing.T) {
	ts, gs := learned(t)
	for _, c := range []struct {
		line  string
		class class
		all   bool
	}{
		{"load --table A\n[{\"_key\":\"a\"}]", blind, false},
		{"load --table A --each 'n = n + 1'\n[{\"_key\":\"a\"}]", once, true},
		{"load --table A --ifexists 'n > 1'\n[]", once, true},
		{"load --table None\n[]", blind, false},
		{"load --table K\n[{\"v\":\"a\"}]", count, false},
		{"load --table K\n[[\"v\"],[\"a\"]]", count, false},
		{"load --table K\n[[\"v\"],[\"a\",1]]", once, false},
		{"load --table K\n[5]", count, false}, // no record: a load of nothing
		{"load --table K\n[{\"_id\":1,\"v\":\"a\"}]", once, false},
		{"delete A a", blind, false},
		{"delete --table A --id 1", again, false},
		{"delete --table A --filter 'n < 1'", again, false},
		{"delete --table A --filter 'sub_filter(a, \"b\")'", again, true},
		{"truncate A", heavy, false},
		{"truncate A.n", heavy, false},
		{"table_create C", create, false},
		{"column_create A m COLUMN_SCALAR Int8", create, false},
		{"table_remove A", remove, false},
		{"object_remove --name A", remove, true},
		{"column_rename A n m", rename, false},
		{"table_rename A C", rename, false},
		{"column_copy --from_table A --from_name n --to_table A --to_name m", heavy, false},
		{"config_set --key a --value b", blind, false},
		{"something_new --table A", once, true},
	} {
		cmd := parsed(t, c.line)
		if got := ts.class(cmd); got != c.class {
			t.Errorf("%s: class %d, want %d", c.line, got, c.class)
		}
		if got := gs.reach(cmd); got.all != c.all || !c.all && len(got.tables) == 0 {
			t.Errorf("%s: reach %v", c.line, got)
		}
	}
}

func TestBatches(t *testing.T) {
	ts, _ := learned(t)
	const first = "load --table A\n[{\"_key\":\"a\",\"n\":1}]"
	for _, c := range []struct {
		a, b string
		join bool
	}{
		{first, "load --table A\n[{\"_key\":\"b\",\"names\":[\"x\",\"y\"]}]", true},
		{first, "load --table A --command_version 3\n[{\"_key\":\"b\"}]", false},
		{"load --table A --command_version 3\n[{\"_key\":\"a\"}]", "load --table A --command_version 3\n[{\"_key\":\"b\"}]", true}, // as gateways ask
		{first, "load --table A\n[{\"_key\":\"a\"}]", false},                                                                       // its key again
		{first, "load --table A\n[{\"_key\":\"b\",\"_key\":1}]", false},                                                            // not one value
		{first, "load --table A\n[{\"_key\":\"b\",\"n\":200}]", false},
		{first, "load --table A\n[{\"_key\":\"b\",\"n\":\"1\"}]", false},
		{first, "load --table A\n[{\"_key\":\"b\",\"none\":1}]", false},
		{first, "load --table A\n[{\"_key\":\"\"}]", false},
		{first, "load --table A\n[{\"_key\":1}]", false},
		{first, "load --table A\n[{\"n\":1}]", false},
		{first, "load --table A\n[3]", false},
		{first, "load --table A --columns _key\n[[\"c\"]]", false},
		{first, "load --table A --output_errors yes\n[{\"_key\":\"b\"}]", false},
		{first, "load --table X\n[{\"_key\":\"b\"}]", false},
		{first, "delete A b", false},
		{"load --table A --columns _key,n\n[[\"a\",1]]", "load --table A --columns _key,n\n[[\"b\",1]]", true},
		{"load --table A\n[[\"_key\",\"n\"],[\"a\",1]]", "load --table A\n[[\"_key\",\"n\"],[\"b\",1]]", true},
		{"load --table A\n[[\"_key\",\"n\"],[\"a\",1]]", "load --table A\n[[\"n\",\"_key\"],[1,\"b\"]]", false},
		{"load --table Y\n[{\"_key\":1}]", "load --table Y\n[{\"_key\":2}]", true},
		{"load --table Y\n[{\"_key\":1}]", "load --table Y\n[{\"_key\":256}]", false},
		{"load --table N\n[{\"_key\":\"a\"}]", "load --table N\n[{\"_key\":\"b\"}]", false}, // A and a are one key
		{"load --table K\n[{\"v\":\"a\"}]", "load --table K\n[{\"v\":\"b\"}]", false},
		{"load --table B\n[{\"_key\":\"a\"}]", "load --table B\n[{\"_key\":\"b\"}]", false},
	} {
		b := ts.newBatch(parsed(t, c.a))
		if got := b != nil && b.join(ts, parsed(t, c.b)); got != c.join {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		} else if got {
			both := b.command()
			var list []json.RawMessage
			if err := json.Unmarshal(both.Body, &list); err != nil || len(list) < 2 {
				t.Errorf("%s", both.Body)
			}
		}
	}
	b := ts.newBatch(parsed(t, first))
	b.join(ts, parsed(t, "load --table A\n[{\"_key\":\"b\"},{\"_key\":\"c\"}]"))
	answers := b.answers(groonga.Answer{Body: []byte("[[0,1.0,2.0],3]")})
	if len(answers) != 2 || string(answers[0].Body) != "[[0,1.0,2.0],1]" || string(answers[1].Body) != "[[0,1.0,2.0],2]" {
		t.Errorf("answers %v", answers)
	}
	if b.answers(groonga.Answer{Body: []byte("[[0,1.0,2.0],2]")}) != nil || b.answers(groonga.Answer{Code: -22, Body: []byte("[[-22,1.0,2.0],3]")}) != nil {
		t.Error("a batch that failed in part is answered")
	}
	b = ts.newBatch(parsed(t, first).Asked()) // as gateways ask
	b.join(ts, parsed(t, "load --table A\n[{\"_key\":\"b\"},{\"_key\":\"c\"}]").Asked())
	whole := `{"header":{"return_code":0,"start_time":1.0,"elapsed_time":2.0},"body":{"n_loaded_records":%d}}`
	answers = b.answers(groonga.Answer{Body: fmt.Appendf(nil, whole, 3)})
	if len(answers) != 2 || string(answers[0].Body) != fmt.Sprintf(whole, 1) || string(answers[1].Body) != fmt.Sprintf(whole, 2) {
		t.Errorf("answers %v", answers)
	}
	if b.answers(groonga.Answer{Body: fmt.Appendf(nil, whole, 2)}) != nil {
		t.Error("a batch that failed in part is answered")
	}
}

func TestIntentsAreJudged(t *testing.T) {
	sent := func(i intent) intent { i.Sent, i.Boot, i.Started = true, "b", "12"; return i }
	for _, c := range []struct {
		name        string
		class       class
		was         intent
		here, there string
		want        verdict
	}{
		{"not sent", create, intent{Boot: "b"}, "", "", redo},
		{"not sent, nobody knows", once, intent{Boot: "b"}, "", "", redo},
		{"answered", rename, intent{Boot: "b", Sent: true, Done: true, Started: "11"}, "y", "z", done},
		{"answered, other boot", rename, intent{Boot: "a", Sent: true, Done: true}, "", "", undecided},
		{"not sent, other boot", create, intent{Boot: "a"}, "", "", undecided},
		{"other server", create, intent{Sent: true, Boot: "b", Started: "11"}, "", "", undecided},
		{"in its first second", create, intent{Sent: true, Boot: "b"}, "", "", undecided},
		{"nothing made", create, sent(intent{}), "", "", redo},
		{"made", create, sent(intent{}), "x", "", done},
		{"was there", create, sent(intent{Here: "x"}), "x", "", redo},
		{"not removed", remove, sent(intent{Here: "x"}), "x", "", redo},
		{"removed", remove, sent(intent{Here: "x"}), "", "", done},
		{"removed in part", remove, sent(intent{Here: "x"}), "y", "", undecided},
		{"not renamed", rename, sent(intent{Here: "x"}), "x", "", redo},
		{"renamed", rename, sent(intent{Here: "x"}), "", "x", done},
		{"renamed in part", rename, sent(intent{Here: "x"}), "y", "z", undecided},
		{"the new name was there", rename, sent(intent{Here: "x", There: "x"}), "", "x", undecided},
		{"both gone", rename, sent(intent{Here: "x"}), "", "", undecided},
		{"copied or not", heavy, sent(intent{}), "", "", redo},
		{"nobody knows", once, sent(intent{}), "", "", undecided},
	} {
		if got := c.was.judge(c.class, c.here, c.there, "b", "12"); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		was     intent
		now     uint64
		in      int
		mend    bool
		verdict verdict
	}{
		{intent{Records: 5, Dense: true}, 5, 0, false, redo},
		{intent{Records: 5, Dense: true}, 7, 2, true, redo},
		{intent{Records: 5, Dense: true}, 8, 3, true, redo},
		{intent{Records: 5, Dense: true}, 9, 0, false, undecided},
		{intent{Records: 5, Dense: true}, 4, 0, false, undecided},
		{intent{Records: 5, Dense: true, Started: "12"}, 7, 2, false, redo},
		{intent{Records: 5}, 5, 0, false, redo},
		{intent{Records: 5}, 6, 0, false, undecided},
		{intent{Records: 5, Started: "11"}, 6, 0, false, undecided},
		{intent{Records: 5, Started: "12"}, 6, 1, false, redo},
		{intent{Records: 5, Started: "12"}, 8, 3, false, redo},
		{intent{Records: 5, Started: "12"}, 9, 0, false, undecided},
	} {
		if in, mend, v := c.was.rest(3, c.now, "12"); in != c.in || mend != c.mend || v != c.verdict {
			t.Errorf("%+v, now %d: %d %v %d", c.was, c.now, in, mend, v)
		}
	}
	o := objects{"T": true, "T.a": true, "T.b": true, "U": true, "Tx": true, "V.left": true}
	if o.shape("T") == o.shape("U") || o.shape("None") != "" || o.shape("V") == "" || o.shape("T") != (objects{"W": true, "W.a": true, "W.b": true}).shape("W") {
		t.Error("shapes")
	}
}

func TestPositionsAreJudged(t *testing.T) {
	good := Position{Cluster: 7, Epoch: 2, Index: 10, Last: 9, Term: 3, Seen: 10, Boot: "b", Nonce: "n"}
	change := func(f func(*Position)) string { p := good; f(&p); return p.Encode() }
	log := logState{cluster: 7, epoch: 2, began: 1, first: 1, begins: true, last: 20, boot: "b", term: func(uint64) (uint64, bool) { return 3, true }}
	for _, c := range []struct {
		name  string
		found found
		log   func(*logState)
		err   error
		says  string
		index uint64
	}{
		{name: "goes on", found: found{position: good.Encode(), nonce: "n"}, says: "from entry 11", index: 10},
		{name: "fresh", found: found{empty: true}, says: "from the first entry"},
		{name: "empty, the log begins later", found: found{empty: true}, log: func(l *logState) { l.first, l.begins = 5, false }, err: ErrSuspect, says: "log begins at entry 5"},
		{name: "tables and no position", found: found{}, err: ErrSuspect, says: "does not say how far"},
		{name: "marked", found: found{position: good.Encode(), nonce: "n", suspect: "why"}, err: ErrSuspect, says: "why"},
		{name: "no position at all", found: found{position: "x", nonce: "n"}, err: ErrSuspect, says: "cannot be read"},
		{name: "other cluster", found: found{position: change(func(p *Position) { p.Cluster = 8 }), nonce: "n"}, err: ErrRefused, says: "cluster 8"},
		{name: "newer epoch", found: found{position: change(func(p *Position) { p.Epoch = 3 }), nonce: "n"}, err: ErrRefused, says: "epoch 3"},
		{name: "older epoch, not ahead", found: found{position: change(func(p *Position) { p.Epoch = 1 }), nonce: "n"}, log: func(l *logState) { l.began = 11 }, index: 10},
		{name: "older epoch, ahead", found: found{position: change(func(p *Position) { p.Epoch = 1 }), nonce: "n"}, log: func(l *logState) { l.began = 10 }, err: ErrSuspect, says: "goes on from entry 10"},
		{name: "other database", found: found{position: good.Encode(), nonce: "m"}, err: ErrSuspect, says: "another database"},
		{name: "older than the log", found: found{position: good.Encode(), nonce: "n"}, log: func(l *logState) { l.first, l.begins = 12, false }, err: ErrSuspect, says: "log begins at 12"},
		{name: "nothing applied yet, the first entry is 2", found: found{position: change(func(p *Position) { p.Index, p.Last, p.Seen, p.Missing = 0, 0, 0, nil }), nonce: "n"}, log: func(l *logState) { l.first = 2 }, says: "from entry 1"},
		{name: "just not older", found: found{position: good.Encode(), nonce: "n"}, log: func(l *logState) { l.first = 11 }, index: 10},
		{name: "other history", found: found{position: change(func(p *Position) { p.Term = 2 }), nonce: "n"}, err: ErrSuspect, says: "term 2"},
		{name: "booted", found: found{position: change(func(p *Position) { p.Boot = "a" }), durable: change(func(p *Position) { p.Index, p.Last = 4, 4 }), nonce: "n"}, says: "host was booted: from entry 5", index: 4},
		{name: "booted, nothing durable", found: found{position: change(func(p *Position) { p.Boot = "a" }), nonce: "n"}, err: ErrSuspect, says: "booted"},
	} {
		l := log
		if c.log != nil {
			c.log(&l)
		}
		b, err := c.found.judge(&l)
		if !errors.Is(err, c.err) || err == nil && (!strings.Contains(b.why, c.says) || b.position.Index != c.index) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v", c.name, b, err)
		}
		if c.name == "booted" && b.position.Doubt != 20 {
			t.Errorf("doubt up to %d, want the end of the log", b.position.Doubt)
		}
	}
}

func TestReservedKeys(t *testing.T) {
	for line, want := range map[string]bool{
		"config_set --key ibuki.position --value 1": true, "config_get --key ibuki.": true, "config_delete --key ibuki.x": true,
		"config_set --key ibukix --value 1": false, "config_get --key mine": false, "table_create ibuki.x": false,
	} {
		if got := Reserved(parsed(t, line)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	for _, c := range [][2]string{
		{"config_set a b\n\ntable_create A\n", "config_set a b\n\ntable_create A\n"},
		{"config_set ibuki.a b\n\ntable_create A\n", "table_create A\n"},
		{"config_set a b\nconfig_set ibuki.a b\n\ntable_create A\n", "config_set a b\n\ntable_create A\n"},
		{"plugin_register p\n\nconfig_set ibuki.a b\n\ntable_create A\n\ntable_create B\n", "plugin_register p\n\ntable_create A\n\ntable_create B\n"},
		{"config_set ibuki.a b", ""},
		{"table_create A\nload --table A\n[\n[\"_key\"],\n[\"x config_set ibuki.a\"]\n]\n", "table_create A\nload --table A\n[\n[\"_key\"],\n[\"x config_set ibuki.a\"]\n]\n"},
	} {
		if got := string(StripDump([]byte(c[0]))); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestValuesThatAreNotWholeAreNone(t *testing.T) {
	s := sealed(12, `{"a":1}`)
	if n, v, ok := unseal(s); n != 12 || v != `{"a":1}` || !ok {
		t.Errorf("%d %s %v", n, v, ok)
	}
	for i := range len(s) {
		if _, _, ok := unseal(s[:i]); ok {
			t.Errorf("half of it, %q, is one", s[:i])
		}
	}
}

// TestQueueKeepsOrder runs random logs through the queue, with commands that end in any order, and
// checks the order within groups, and that a position never claims what is not applied.
func TestQueueKeepsOrder(t *testing.T) {
	ts, _ := learned(t)
	rapid.Check(t, func(rt *rapid.T) {
		_, gs := learned(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		var entries []Entry
		index := uint64(0)
		for range rapid.IntRange(1, 60).Draw(rt, "entries") {
			index += 1 + r.Uint64N(3)
			lines := []string{fmt.Sprintf("load --table A\n[{\"_key\":\"k%d\"}]", r.IntN(9)), fmt.Sprintf("load --table X\n[{\"_key\":\"k%d\"}]", r.IntN(9)),
				"delete Y 1", "delete N a", "load --table K\n[{}]", "column_create N r COLUMN_SCALAR X", "unknown_command", "table_create New"}
			entries = append(entries, Entry{Index: index, Term: 1, Command: parsed(t, lines[r.IntN(len(lines))])})
		}
		q := newQueue(gs, Position{})
		q.push(index, entries...)
		applied := make(map[uint64]bool)
		var running []*work
		for len(q.items) > 0 {
			list, _ := q.next(ts, time.Time{}, 3-len(running))
			running = append(running, list...)
			if len(running) == 0 {
				rt.Fatalf("nothing runs and %d wait", len(q.items))
			}
			for _, w := range list {
				for _, it := range w.items {
					for _, e := range entries { // what came before it in its group is done, or goes with it
						if e.Index < it.Index && !applied[e.Index] && !slices.ContainsFunc(w.items, func(o *item) bool { return o.Index == e.Index }) && conflict(q, e.Command, it.Command) {
							rt.Fatalf("entry %d (%s) before %d (%s)", it.Index, it.Command.Name, e.Index, e.Command.Name)
						}
					}
				}
			}
			i := r.IntN(len(running))
			for _, it := range running[i].items {
				it.applied = true
				applied[it.Index] = true
			}
			q.remove(running[i].items)
			running = slices.Delete(running, i, i+1)
			p, err := DecodePosition(withCluster(q.position()).Encode())
			if err != nil {
				rt.Fatal(err)
			}
			for _, e := range entries {
				if p.Covers(e.Index) != applied[e.Index] {
					rt.Fatalf("position %+v of entry %d", p, e.Index)
				}
			}
		}
		if p := q.position(); p.Index != index || p.Last != index || len(p.Missing) > 0 {
			rt.Fatalf("at the end %+v", p)
		}
	})
}

func withCluster(p Position) Position { p.Cluster = 1; return p }

func conflict(q *queue, a, b *groonga.Command) bool {
	x, y := q.groups.reach(a), q.groups.reach(b)
	if x.all || y.all {
		return true
	}
	for _, t := range x.tables {
		for _, u := range y.tables {
			if q.groups.find(t) == q.groups.find(u) {
				return true
			}
		}
	}
	return false
}

func TestPositionFits(t *testing.T) {
	p := Position{Cluster: 1<<64 - 1, Epoch: 1 << 60, Index: 1 << 60, Last: 1 << 60, Term: 1 << 60, Boot: strings.Repeat("b", 36), Nonce: strings.Repeat("n", 36), Doubt: 1 << 60}
	at := p.Index
	for range 3000 {
		at += 2000
		p.Missing = append(p.Missing, Run{at, at + 100})
		at += 100
	}
	p.Seen = at
	s := sealed(1<<60, p.Encode())
	if len(s) > 4091 {
		t.Errorf("%d bytes", len(s))
	}
	_, value, _ := unseal(s)
	q, err := DecodePosition(value)
	if err != nil {
		t.Fatal(err)
	}
	for i := p.Index; i < at; i += 50 {
		if q.Covers(i) && !p.Covers(i) {
			t.Fatalf("claims entry %d", i)
		}
	}
	if len(q.Missing) < maxGaps {
		t.Errorf("only %d runs fit", len(q.Missing))
	}
}
