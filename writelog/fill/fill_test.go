package fill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
	"github.com/ibuki-dev/ibuki/writelog/applier"
)

// real is a Groonga server as a Server.
type real struct{ *groongatest.Server }

func (r real) Do(_ context.Context, c *groonga.Command) (groonga.Answer, error) {
	resp, body := r.Ask(c, c.Body)
	return groonga.Answer{Status: resp.StatusCode, Body: body, Code: groonga.ReturnCode(resp.StatusCode, body)}, nil
}

func (r real) run(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		c, err := groonga.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if a, _ := r.Do(t.Context(), c); a.Code != 0 {
			t.Fatalf("%s: %s", line, a.Body)
		}
	}
}

func (r real) dump(t *testing.T) string {
	t.Helper()
	a, _ := r.Do(t.Context(), command("dump"))
	return string(a.Body)
}

// everything has a table of each kind, references in a circle, weights, gaps in ids, settings and text with all that a
// dump has to escape.
var everything = []string{
	"plugin_register functions/vector",
	`config_set --key a.b --value "some value"`,
	`config_set --key "a key" --value x`,
	"config_set --key ibuki.position.1 --value nothing",
	"table_create Tags TABLE_PAT_KEY ShortText --normalizer NormalizerAuto",
	"table_create T TABLE_HASH_KEY ShortText",
	"table_create D TABLE_DAT_KEY ShortText",
	"table_create N TABLE_HASH_KEY UInt32 --value_type Int32",
	"table_create K TABLE_NO_KEY",
	"table_create G TABLE_NO_KEY",
	"column_create G m COLUMN_SCALAR Text",
	`load --table G --values '[{"m":"1"},{"m":"2"},{"m":"3"},{"m":"4"},{"m":"5"}]'`,
	"delete G --id 2", "delete G --id 3",
	"table_create Empty TABLE_HASH_KEY Time",
	"column_create T v COLUMN_SCALAR Int32",
	"column_create T f COLUMN_SCALAR Float",
	"column_create T at COLUMN_SCALAR Time",
	"column_create T geo COLUMN_SCALAR WGS84GeoPoint",
	"column_create T t COLUMN_SCALAR Text",
	"column_create T tags COLUMN_VECTOR Tags",
	"column_create T w COLUMN_VECTOR|WITH_WEIGHT Tags",
	"column_create T k COLUMN_SCALAR K",
	"column_create K m COLUMN_SCALAR Text",
	"column_create K ref COLUMN_SCALAR T",
	"column_create Tags idx COLUMN_INDEX T tags",
	`table_create Terms TABLE_PAT_KEY ShortText --default_tokenizer 'TokenNgram("n", 2)' --normalizer NormalizerAuto`,
	"column_create Terms idx COLUMN_INDEX|WITH_POSITION T t",
	`load --table K --values '[{"m":"1"},{"m":"2"},{"m":"3\\nx"},{"m":"4"},{"m":"5"}]'`,
	`load --table T --values '[{"_key":"a","v":1,"f":0.1,"at":1.5,"geo":"128514964x502419287","t":"hello \\"you\\"\\nworld ] ,\\t","tags":["x","Y"],"w":{"p":3,"q":1},"k":4},{"_key":"b,]","v":2}]'`,
	`load --table K --values '[{"m":"6","ref":"a"}]'`,
	`load --table N --values '[{"_key":7,"_value":9}]'`,
	`load --table D --values '[{"_key":"日本"}]'`,
}

// A copy has all that the source has, whatever the target had before.
func TestACopyIsEqual(t *testing.T) {
	from, to := real{groongatest.Start(t)}, real{groongatest.Start(t)}
	from.run(t, everything...)
	to.run(t, "config_set --key ibuki.filling --value 1", `config_set --key "old one" --value "of a client"`,
		"table_create Tags TABLE_HASH_KEY ShortText", "table_create Old TABLE_PAT_KEY Tags", "table_create Older TABLE_PAT_KEY ShortText", "column_create Older back COLUMN_INDEX Tags _key", "column_create Tags o COLUMN_SCALAR Old")
	if err := Empty(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if dump := to.dump(t); strings.TrimSpace(dump) != "config_set ibuki.filling 1" {
		t.Errorf("an emptied database has %s", dump)
	}
	rows := 0
	if err := Load(t.Context(), from, to, strings.NewReader(from.dump(t)), func(n int) { rows += n }); err != nil {
		t.Fatal(err)
	}
	if want := 2 + 6 + 1 + 1; rows < want { // and perhaps keys that come before the records
		t.Errorf("%d records were loaded, want %d", rows, want)
	}
	has := strings.NewReplacer("config_set ibuki.filling 1\n", "", "config_set ibuki.dense.K 1\n", "").Replace(to.dump(t))
	want := strings.ReplaceAll(from.dump(t), "config_set ibuki.position.1 nothing\n", "")
	if has != want {
		t.Errorf("the copy has\n%s\nthe source\n%s", has, want)
	}
	a, _ := to.Do(t.Context(), command("select", "table", "T", "query", "t:@world", "limit", "0"))
	if !bytes.Contains(a.Body, []byte("[[[1]")) {
		t.Errorf("a search through the copy's index: %s", a.Body)
	}
}

// asks answers as a server that takes everything, and keeps what it was sent.
type asks struct {
	lines []string
	said  map[string]string
}

func (s *asks) Do(_ context.Context, c *groonga.Command) (groonga.Answer, error) {
	s.lines = append(s.lines, c.URI()+" "+string(c.Body))
	body, ok := s.said[c.Name]
	if !ok {
		body = "true"
	}
	return groonga.Answer{Status: 200, Body: []byte("[[0,0.0,0.0]," + body + "]")}, nil
}

// A dump that does not come to its end is none, and so is one of which a record is refused.
func TestHalfADumpIsNone(t *testing.T) {
	whole := "table_create T TABLE_HASH_KEY ShortText\n\nload --table T\n[\n[\"_key\"],\n[\"a\"],\n[\"b\"]\n]\n"
	for dump, want := range map[string]error{ // order-free: each by itself
		whole:                              nil,
		strings.TrimSuffix(whole, "]\n"):   ErrDump,
		strings.TrimSuffix(whole, "\n"):    nil,
		"load --table T\n":                 ErrDump,
		"load --table T\n[\n":              ErrDump,
		"shutdown\n":                       ErrDump,
		"delete --table T --key x\n":       ErrDump,
		"column_create T 'never ended\n":   ErrDump,
		"[[-13,0.0,0.0,\"cancelled\"]]\n":  ErrDump,
		"\n\n":                             nil,
		"config_set ibuki.position.0 abc ": nil,
	} {
		s := &asks{said: map[string]string{"load": "2"}}
		if err := Load(t.Context(), s, s, strings.NewReader(dump), func(int) {}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", dump, err, want)
		}
	}
	s := &asks{}
	numbers := "table_create K TABLE_NO_KEY\ntable_create T TABLE_HASH_KEY ShortText\ncolumn_create T k COLUMN_SCALAR K\n\ndelete --table K --id 2\n"
	if err := Load(t.Context(), s, s, strings.NewReader(numbers), func(int) {}); !errors.Is(err, ErrNumbers) {
		t.Errorf("numbers that are referred to, and will not stay the same: %v", err)
	}
	s.lines = nil
	gaps := "table_create K TABLE_NO_KEY\ntable_create T TABLE_HASH_KEY ShortText\ntable_create L TABLE_NO_KEY\n\ndelete --table L --id 2\n"
	err := Load(t.Context(), s, s, strings.NewReader(gaps), func(int) {})
	if said := strings.Join(s.lines, "\n"); err != nil || !strings.Contains(said, applier.KeyDense+"K") || strings.Count(said, applier.KeyDense) != 1 {
		t.Errorf("of a table without gaps, and of no other, that is said: %s (%v)", said, err)
	}
	for name, said := range map[string]string{"load": "1", "table_create": "false"} { // order-free: each by itself
		s := &asks{said: map[string]string{"load": "2", name: said}}
		if err := Load(t.Context(), s, s, strings.NewReader(whole), func(int) {}); err == nil {
			t.Errorf("a %s that is answered with %s is taken for done", name, said)
		}
	}
}

// Records go out in pieces, ids that follow each other are deleted together where they are many.
func TestPiecesAndGaps(t *testing.T) {
	var dump strings.Builder
	fmt.Fprintf(&dump, "load --table T\n[\n[\"_id\",\"v\"],\n")
	record := strings.Repeat("x", 1000)
	for i := range 5000 {
		fmt.Fprintf(&dump, "[%d,%q],\n", i+1, record)
	}
	fmt.Fprintf(&dump, "[5001,\"\"]\n]\n")
	for i := range manyIDs {
		fmt.Fprintf(&dump, "delete --table T --id %d\n", i+1)
	}
	fmt.Fprintf(&dump, "delete --table T --id %d\ndelete --table T --id %d\n", manyIDs+2, manyIDs+3)
	var loads, rows, deletes int
	s := server(func(c *groonga.Command) string {
		switch c.Name {
		case "load":
			list, err := groonga.Records(c)
			if err != nil || len(list.Columns) != 2 {
				t.Fatalf("a piece is no load: %v", err)
			}
			loads++
			rows += len(list.Rows)
			return fmt.Sprint(len(list.Rows))
		case "delete":
			deletes++
			if f := c.Get("filter"); deletes == 1 && f != fmt.Sprintf("_id >= 1 && _id <= %d", manyIDs) {
				t.Errorf("many ids are deleted by %q", f)
			}
		}
		return "true"
	})
	heard := 0
	if err := Load(t.Context(), s, s, strings.NewReader(dump.String()), func(n int) { heard += n }); err != nil {
		t.Fatal(err)
	}
	if loads != 3 || rows != 5001 || heard != rows || deletes != 3 {
		t.Errorf("%d pieces of %d records (heard of %d), %d deletes", loads, rows, heard, deletes)
	}
}

// server answers by a function.
type server func(c *groonga.Command) string

func (f server) Do(_ context.Context, c *groonga.Command) (groonga.Answer, error) {
	return groonga.Answer{Status: 200, Body: []byte("[[0,0.0,0.0]," + f(c) + "]")}, nil
}

// What is written to a spool is read, in order, while it is written; a fault ends it at once.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	s, err := NewSpool(dir, 100)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range 1000 {
			fmt.Fprintf(s, "%d\n", i)
		}
		s.End(nil)
		s.End(errors.New("too late"))
	}()
	all, err := io.ReadAll(s)
	if lines := bytes.Count(all, []byte("\n")); err != nil || lines != 1000 || !bytes.HasSuffix(all, []byte("\n999\n")) {
		t.Errorf("%d lines, %v", lines, err)
	}
	if of, err := s.file.Stat(); err != nil || of.Size() > 100 {
		t.Errorf("it has %d bytes, may have 100: %v", of.Size(), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = NewSpool(dir, 5); err != nil {
		t.Fatal(err)
	}
	full := make(chan error, 1)
	go func() {
		_, err := fmt.Fprint(s, "more than there is room for")
		full <- err
	}()
	for s.size() < 5 {
		time.Sleep(time.Millisecond)
	}
	s.End(io.ErrUnexpectedEOF)
	if err := <-full; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a writer that waits for room hears of the end: %v", err)
	}
	if b, err := io.ReadAll(s); !errors.Is(err, io.ErrUnexpectedEOF) || len(b) != 0 {
		t.Errorf("%q, %v", b, err)
	}
	s.file.Close()
	if err := RemoveSpools(dir); err != nil {
		t.Error(err)
	}
}

// A filling that fails is tried again, later each time; one that somebody asks for begins at once.
func TestSchedule(t *testing.T) {
	var s Schedule
	now := time.Unix(1000, 0)
	wait := func(want time.Duration) {
		t.Helper()
		if w := s.Wait(now); w != want {
			t.Errorf("it waits %v, want %v", w, want)
		}
	}
	wait(0)
	s.Ended(now, io.EOF)
	wait(tryFirst)
	s.Ended(now, io.EOF)
	wait(2 * tryFirst)
	for range 100 {
		s.Ended(now, io.EOF)
	}
	wait(tryMost)
	s.Ask()
	wait(0)
	s.Ended(now, io.EOF)
	wait(tryFirst)
	now = now.Add(tryFirst)
	wait(0)
	if w := s.WaitDiffering(now); w != 0 {
		t.Errorf("one that differs and was never filled waits %v", w)
	}
	s.Ended(now, nil)
	wait(againFirst)
	if w := s.WaitDiffering(now.Add(againFirst)); w != notDiffering-againFirst {
		t.Errorf("one that differs again waits %v", w)
	}
	s.Ended(now, nil)
	wait(2 * againFirst)
	now = now.Add(calm - 1)
	wait(0)
	s.Ended(now, nil)
	wait(4 * againFirst)
	for range 100 {
		s.Ended(now, nil)
	}
	wait(tryMost)
	now = now.Add(calm)
	s.Ended(now, nil)
	wait(againFirst)
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		list []Replica
		want string
	}{
		{nil, ""},
		{[]Replica{{"a", false, true, 0}, {"b", true, false, 0}}, ""},
		{[]Replica{{"a", false, true, 0}, {"b", true, true, 9}}, "b"},
		{[]Replica{{"a", true, true, 3}, {"b", true, true, 2}, {"c", true, true, 2}}, "b c a"},
	} {
		if got := strings.Join(Sources(c.list), " "); got != c.want {
			t.Errorf("of %v %q are chosen, want %q", c.list, got, c.want)
		}
	}
}

// size is how many bytes were written.
func (s *Spool) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}
