package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// wellFormed fails unless s is XML, and counts its elements.
func wellFormed(t *testing.T, s string) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, s)
		}
		if e, ok := tok.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestLines(t *testing.T) {
	c := Chart{Title: "a < b & c", X: "nodes", Y: "s", Series: []Series{
		{"plain", []Point{{3, 7}, {64, 9}, {1000, 13.5}}},
		{"native", []Point{{3, 0.05}, {64, 0}, {1000, 0.1}}},
	}}
	s := c.Lines()
	n := wellFormed(t, s)
	if n["polyline"] != 2 || n["circle"] != 5 {
		t.Errorf("%d lines with %d points, want 2 with 5", n["polyline"], n["circle"])
	}
	for _, want := range []string{"a &lt; b &amp; c", ">1,000<", ">0.01<", ">native<"} {
		if !strings.Contains(s, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if s != c.Lines() {
		t.Error("the same chart is drawn differently")
	}
}

func TestBars(t *testing.T) {
	c := Chart{Title: "t", X: "", Y: "ms", Names: []string{"crash", "a rather long name of a bar"}, Series: []Series{
		{"Serf", []Point{{0, 7000}, {0, 90}}}, {"ibuki", []Point{{0, 12}}},
	}}
	n := wellFormed(t, c.Bars())
	if bars := n["rect"] - 1 - 2; bars != 3 { // but the background and the legend
		t.Errorf("%d bars, want 3", bars)
	}
}

func TestEmpty(t *testing.T) {
	c := Chart{Series: []Series{{"none", nil}}}
	wellFormed(t, c.Lines())
	wellFormed(t, c.Bars())
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.001: "0.001", 0.12345: "0.123", 12: "12", 123.4: "123", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
