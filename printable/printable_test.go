package printable

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLineAndText(t *testing.T) {
	for _, c := range []struct{ in, line, text string }{
		{"node10", "node10", "node10"},
		{"ノード é €  ", "ノード é €  ", "ノード é €  "},
		{"a\nb\tc", `a\nb\tc`, "a\nb\tc"},
		{"\x1b[31mred\x07\r", `\x1b[31mred\a\r`, `\x1b[31mred\a\r`},
		{"\x9b31m\xff", `\x9b31m\xff`, `\x9b31m\xff`},
		{"\u009b31m", `\u009b31m`, `\u009b31m`},
		{"a\u202eb\u2066c\ufeff", `a\u202eb\u2066c\ufeff`, `a\u202eb\u2066c\ufeff`},
		{"�\x00\x7f", `�\x00\x7f`, `�\x00\x7f`},
		{"\u2028x\u2029", `\u2028x\u2029`, `\u2028x\u2029`},
	} {
		if got := Line(c.in); got != c.line {
			t.Errorf("Line(%q) = %q, want %q", c.in, got, c.line)
		}
		if got := Text(c.in); got != c.text {
			t.Errorf("Text(%q) = %q, want %q", c.in, got, c.text)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b]0;x\x07\xc2\x9b")
	f.Fuzz(func(t *testing.T, s string) {
		got := Line(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is no UTF-8", got)
		}
		for _, r := range got {
			if !unicode.IsGraphic(r) {
				t.Errorf("%q has %q", got, r)
			}
		}
		if Line(got) != got || Line(Text(s)) != got {
			t.Errorf("%q: %q, again %q, of the text %q", s, got, Line(got), Line(Text(s)))
		}
	})
}
