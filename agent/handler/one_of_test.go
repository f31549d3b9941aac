package handler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

func oneOf(t *testing.T, tags map[string]string) *OneOf {
	t.Helper()
	o, err := NewOneOf(tags, 0)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func viewOf(n int, dead ...int) *live.View {
	var entries []live.Entry
	for i := range n {
		status := live.Alive
		if slices.Contains(dead, i) {
			status = live.Failed
		}
		entries = append(entries, live.Entry{Name: fmt.Sprintf("node%02d", i), Status: status,
			Tags: []live.Tag{{Key: "role", Value: []string{"db", "web"}[i%2]}}})
	}
	var l live.List
	return l.Publish(time.Time{}, entries)
}

// P168: the events spread evenly; who is gone takes nothing from the others; and
// only those whose tags match are meant.
func TestOneOfRanks(t *testing.T) {
	o := oneOf(t, nil)
	got := map[string]int{}
	for i := range 10000 {
		event := fmt.Sprint("event", i)
		before, after := o.rank(viewOf(10), event), o.rank(viewOf(10, 3), event)
		got[before[0]]++
		if want := slices.DeleteFunc(slices.Clone(before), func(s string) bool { return s == "node03" }); after[0] != want[0] {
			t.Fatalf("%s was for %v, and is for %v without node03", event, before, after)
		}
		if len(before) != ranked {
			t.Fatalf("%d are remembered", len(before))
		}
	}
	for name, n := range got {
		if n < 850 || n > 1150 {
			t.Errorf("%s has %d of 10000 events", name, n)
		}
	}
	for i := range 100 {
		for _, name := range oneOf(t, map[string]string{"role": "d."}).rank(viewOf(10), fmt.Sprint(i)) {
			if (name[5]-'0')%2 != 0 {
				t.Fatalf("%s is no database", name)
			}
		}
	}
	if got := oneOf(t, map[string]string{"role": "d"}).rank(viewOf(10), "e"); len(got) != 0 {
		t.Errorf("an expression that matches a part: %v", got)
	}
}
