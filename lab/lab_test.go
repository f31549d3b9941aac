package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/terminal"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want string // joined by |
		err  bool
	}{
		{"", "", false},
		{"  kill   node1\t", "kill|node1", false},
		{`event "my event" 'it "is"'`, `event|my event|it "is"`, false},
		{`event x ""`, "event|x|", false},
		{`a"b c"d`, "ab cd", false},
		{`event "open`, "", true},
	} {
		words, err := splitWords(c.line)
		if (err != nil) != c.err || strings.Join(words, "|") != c.want {
			t.Errorf("%q: %q, %v", c.line, words, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	one, hold, err := findPlaces(3)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	two, hold2, err := findPlaces(3)
	if err != nil {
		t.Fatal(err)
	}
	defer hold2.Close()
	ports, err := placesByPort(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range append(append(one, two...), ports...) {
		for _, addr := range []string{p.bind(), p.rpcAddr(), p.httpAddr()} {
			if seen[addr] {
				t.Errorf("%s twice", addr)
			}
			seen[addr] = true
		}
		if err := p.free(); err != nil {
			t.Error(err)
		}
	}
}

func TestTableOfMany(t *testing.T) {
	rows := make([]row, matrixNodes+1)
	for i := range rows {
		rows[i] = row{name: fmt.Sprintf("node%d", i), seen: []string{"alive", "alive", "failed", "-", ""}}
	}
	if got := terminal.PlainTable(cells(rows, 0))[1]; !strings.HasSuffix(got, "alive 2, failed 1") {
		t.Errorf("%q", got)
	}
}

// TestSweepSpares: the mark of one cluster, or of one of its nodes, is no other's.
func TestSweepSpares(t *testing.T) {
	for _, c := range []struct {
		environ string
		mark    string
		want    bool
	}{
		{"A=1\x00IBUKI_DEV=M/node1\x00", "M", true},
		{"A=1\x00IBUKI_DEV=M/node1\x00", "M/node1", true},
		{"A=1\x00IBUKI_DEV=M/node1\x00", "M/node", false},
		{"A=1\x00IBUKI_DEV=MM/node1\x00", "M", false},
		{"IBUKI_DEVX=M\x00", "M", false},
		{"", "M", false},
	} {
		if got := hasMark(c.environ, c.mark); got != c.want {
			t.Errorf("%q has %q: %v", c.environ, c.mark, got)
		}
	}
}
