package catalog

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// goldenKeys are the keys whose places testdata/golden.txt has.
func goldenKeys() (keys []any) {
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("key%d", i))
	}
	return append(keys, "", "a", "Groonga", "日本語", 1, 10, -7, "http://www.groonga.org/")
}

func TestPlacementIsTheOriginals(t *testing.T) {
	f, err := os.Open("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for in := bufio.NewScanner(f); in.Scan(); {
		if strings.HasPrefix(in.Text(), "#") {
			continue
		}
		lines++
		how, want, _ := strings.Cut(in.Text(), ": ")
		words := strings.Fields(how)
		var weights []string
		for i, w := range words[2:] {
			weights = append(weights, fmt.Sprintf(`{"weight": %s, "volume": {"address": "h%d:1/t.%d"}}`, w, i, i))
		}
		c, err := Parse(fmt.Appendf(nil, `{"version": 2, "datasets": {%q: {"replicas": [{"ties": %q, "slices": [%s]}]}}}`,
			words[1], words[0], strings.Join(weights, ",")))
		if err != nil {
			t.Fatal(err)
		}
		if got := places(t, c.Datasets[0]); got != want {
			t.Errorf("%s:\n got %s\nwant %s", how, got, want)
		}
	}
	if lines < 20 {
		t.Fatalf("only %d lines of golden values", lines)
	}
}

// places is the slice's number of each of goldenKeys, in base 36.
func places(t *testing.T, d *Dataset) string {
	t.Helper()
	var text strings.Builder
	for _, key := range goldenKeys() {
		i, err := d.Layouts[0].Find(Key(key))
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(strconv.FormatInt(int64(i), 36))
	}
	return text.String()
}

// TestPlacementOfVersion1: the points are named after the ring's entries.
func TestPlacementOfVersion1(t *testing.T) {
	data, err := os.ReadFile("testdata/version1.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	const want = "01011100000100011111001000110101010111011101111000011011000101010110"
	if got := places(t, c.Dataset("Test")); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestTiesAreLeftAsRuby18LeftThem: what a real Ruby 1.8.7 was seen to make of ten
// elements, some of them equal.
func TestTiesAreLeftAsRuby18LeftThem(t *testing.T) {
	var points []point
	for i, at := range []uint32{1, 5, 3, 1, 2, 6, 2, 7, 4, 3} {
		points = append(points, point{at, i + 1})
	}
	sortAsRuby22(points)
	var got []int
	for _, p := range points {
		got = append(got, p.slice)
	}
	if want := []int{1, 4, 7, 5, 3, 10, 9, 2, 6, 8}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestRubysSortSorts: whatever it does to ties.
func TestRubysSortSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]uint32{1, 3, 50, 1 << 31}).Draw(t, "most")
		var points []point
		for i, at := range rapid.SliceOfN(rapid.Uint32Range(0, most), 0, 500).Draw(t, "points") {
			points = append(points, point{at, i})
		}
		want := slices.Clone(points)
		slices.SortStableFunc(want, func(a, b point) int { return cmp.Compare(a.at, b.at) })
		sortAsRuby22(points)
		seen := make(map[int]bool)
		for i, p := range points {
			if p.at != want[i].at || seen[p.slice] {
				t.Fatalf("%v at %d", p, i)
			}
			seen[p.slice] = true
		}
	})
}
