package catalog

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
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
