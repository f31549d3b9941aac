package live

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// follower is who has a list by a Reader, and checks it against Parse.
type follower struct {
	Reader
	List
}

// read reads a version as a watcher of a file does, and tells how many nodes were decoded; an
// error is that of Parse, with which all stays as it was.
func (f *follower) read(t testing.TB, text []byte) (decoded int, err error) {
	t.Helper()
	now := time.Unix(1, 0)
	want, wantErr := Parse(text)
	before := f.Current()
	r, spare, err := f.Read(bytes.Clone(text))
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("%v, of Parse %v: %.300q", err, wantErr, text)
	}
	if err != nil {
		if f.Current() != before {
			t.Fatal("changed with an error")
		}
		return 0, err
	}
	for i := range spare {
		spare[i] = '!' // it is ours now
	}
	if r.Whole {
		f.Load(now, r.Entries)
	} else {
		f.Amend(now, r.Gone, r.Entries)
	}
	var whole List
	whole.Load(now, want)
	got := slices.Collect(f.Current().All())
	same := slices.EqualFunc(got, slices.Collect(whole.Current().All()), func(a, b *Entry) bool {
		return a.same(b) && a.Since.Equal(b.Since)
	})
	if !same || r.Nodes != len(want) || !f.Same(text) {
		t.Fatalf("%d nodes, want %d, of %.300q", len(got), len(want), text)
	}
	return len(r.Entries), nil
}

// listText renders nodes of these names in this order, one a line.
func listText(names []string, port func(string) int) []byte {
	var lines []string
	for _, n := range names {
		lines = append(lines, fmt.Sprintf("\n  %q: {\"address\":\"10.0.0.1\",\"port\":%d,\"tags\":{\"a\":\"b\"}}", n, port(n)))
	}
	return []byte("{" + strings.Join(lines, ",") + "\n}\n")
}

// TestReaderReadsWhatIsNew: nodes come, go, change and move, and only a few are decoded each time.
func TestReaderReadsWhatIsNew(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("node%03d", i))
	}
	ports := make(map[string]int)
	port := func(n string) int { return ports[n] }
	var f follower
	if n, err := f.read(t, listText(names, port)); n != 200 || err != nil {
		t.Fatal(n, err)
	}
	for step := range 500 {
		at := random.IntN(len(names))
		switch step % 5 {
		case 0, 1:
			ports[names[at]] = random.IntN(10_000)
		case 2:
			names = slices.Delete(names, at, min(at+1+random.IntN(3), len(names)))
		case 3:
			names = slices.Insert(names, at, fmt.Sprint("new", step), fmt.Sprint("more", step))
		case 4: // one at either end
			names = append(names[1:], fmt.Sprint("last", step))
		}
		n, err := f.read(t, listText(names, port))
		if err != nil {
			t.Fatal(err)
		}
		if n > 8 && step%5 != 4 {
			t.Errorf("step %d: %d nodes were decoded", step, n)
		}
	}
}

// TestReaderIsParse: of pieces put together at random, sense and nonsense, the Reader says
// what Parse says.
func TestReaderIsParse(t *testing.T) {
	pieces := []string{
		"{", "}", ",", "\n", " ", `"a":{}`, `"a":{"port":1}`, `"b":{}`, `"b":null`, `"c":{"status":"failed"}`, `"c":{"x":{"y":[1,2]}}`,
		`,"d":{}`, `,"e":{"port":70000}`, `"":{}`, "x", "null", `"f":1`, `"g":{"port":12}`, `{"a":{},"b":{}}`, `,"h":{"port":1},"i":{}`,
	}
	random := rand.New(rand.NewPCG(2, 2))
	good := 0
	for range 300 {
		var f follower
		// A list long enough that a part of it is read alone, and with something in the midst.
		long := strings.Split(string(listText(strings.Fields("n o p q r s t u v w y z"), func(string) int { return 7 })), ",\n")
		if _, err := f.read(t, []byte(strings.Join(long, ",\n"))); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			parts := slices.Clone(long)
			for range 1 + random.IntN(2) {
				at := random.IntN(len(parts))
				piece := ""
				for range random.IntN(4) {
					piece += pieces[random.IntN(len(pieces))]
				}
				switch random.IntN(4) {
				case 0:
					parts[at] = piece
				case 1:
					parts[at] += piece
				case 2:
					parts[at] = piece + parts[at]
				case 3:
					parts = slices.Insert(parts, at, piece)
				}
			}
			if _, err := f.read(t, []byte(strings.Join(parts, ",\n"))); err == nil {
				good++
			}
		}
	}
	if good < 100 {
		t.Errorf("only %d versions were good", good)
	}
}

func FuzzReader(f *testing.F) {
	a := string(listText([]string{"a", "b", "c", "d", "e", "f"}, func(string) int { return 1 }))
	f.Add(a, strings.Replace(a, `"port":1`, `"port":2`, 1))
	f.Add(a, strings.Replace(a, "c", "b", 1))
	f.Add(a, a+"x")
	f.Add(a, strings.Replace(a, `"d": {`, `"d": {"x":{`, 1))
	f.Fuzz(func(t *testing.T, a, b string) {
		var one follower
		for _, text := range []string{a, b, a} {
			_, _ = one.read(t, []byte(text))
		}
	})
}
