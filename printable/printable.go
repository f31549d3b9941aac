package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is a text as one line shows it: what is not to be seen (control characters, ends
// of lines, marks that change the direction of writing, bytes that are no UTF-8) is
// escaped as Go does it.
func Line(s string) string { return escape(s, func(r rune) bool { return unicode.IsGraphic(r) }) }

// Text is Line for several lines: ends of lines and tabs stay.
func Text(s string) string {
	return escape(s, func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsGraphic(r) })
}

func escape(s string, stays func(rune) bool) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !stays(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case stays(r):
			b.WriteString(s[:n])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}
