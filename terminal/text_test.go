package terminal

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNaturalOrder(t *testing.T) {
	names := []string{"node10", "node2", "node1", "b", "node02", "10.0.0.10", "10.0.0.9", "node", "node1-a", "99999999999999999999", "100000000000000000000"}
	slices.SortFunc(names, Natural)
	want := "10.0.0.9 10.0.0.10 99999999999999999999 100000000000000000000 b node node1 node1-a node02 node2 node10"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestFlowBreaksBetweenItems(t *testing.T) {
	if got := Flow(9, "aaa", "", "bbb", "c", "dddddddddddd"); !slices.Equal(got, []string{"aaa · bbb", "c", "dddddddddddd"}) {
		t.Errorf("%q", got)
	}
}

func TestFit(t *testing.T) {
	for text, want := range map[string]string{"abcde": "abcde", "abcdef": "abcd…", "ノード": "ノー…"} { // order-free: independent
		if got := Fit(text, 5); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNamesThatFit(t *testing.T) {
	names := []string{"node0", "node1", "node2", "node3"}
	for width, want := range map[int]string{ // order-free: independent
		28: "node0, node1, node2, node3", 26: "node0, node1, node2, node3", 25: "node0, node1 and 2 more", 3: "node0 and 3 more",
	} {
		if got := Names(names, width); got != want {
			t.Errorf("%d: %q, want %q", width, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{ // order-free: independent
		59 * time.Second: "59s", 60 * time.Second: "1m0s", time.Hour - 1: "59m59s", 26 * time.Hour: "1d2h", 24*time.Hour - 1: "23h59m", time.Hour: "1h0m",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// No name moves the cursor of a screen, or begins a line on it.
func TestTableEscapes(t *testing.T) {
	for _, table := range []func([][]string) []string{Table, PlainTable} {
		lines := table([][]string{{"Name"}, {"a\n\x1b[2Jb"}})
		if len(lines) != 2 || !strings.HasSuffix(lines[1], `a\n\x1b[2Jb`) {
			t.Errorf("%q", lines)
		}
	}
}

func TestFitEscapes(t *testing.T) {
	if got := Fit("a\n\u202eb", 20); got != `a\n\u202eb` {
		t.Errorf("%q", got)
	}
}
