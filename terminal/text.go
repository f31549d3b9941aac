package terminal

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/printable"
)

// Flow puts items on lines of at most width columns, " · " between those of one
// line. An item that is longer than a line is a line of its own.
func Flow(width int, items ...string) []string {
	var lines []string
	for _, item := range items {
		if item == "" {
			continue
		}
		if last := len(lines) - 1; last >= 0 && lipgloss.Width(lines[last]+" · "+item) <= width {
			lines[last] += " · " + item
			continue
		}
		lines = append(lines, item)
	}
	return lines
}

// Fit cuts a text without colours to width columns; a cut one ends in "…". What cannot
// be seen of it is escaped.
func Fit(text string, width int) string {
	text = printable.Line(text)
	if lipgloss.Width(text) <= width {
		return text
	}
	var b strings.Builder
	used := 0
	for _, r := range text {
		w := lipgloss.Width(string(r))
		if used+w > width-1 {
			break
		}
		used += w
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// Names lists as many names as fit into width columns, at least one, and says how
// many more there are.
func Names(names []string, width int) string {
	all := strings.Join(names, ", ")
	if len(names) < 2 || lipgloss.Width(all) <= width {
		return all
	}
	for n := len(names) - 1; n > 1; n-- {
		text := fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
		if lipgloss.Width(text) <= width {
			return text
		}
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// Age is a duration in its two largest units: 3m20s, 4h5m, 12d3h.
func Age(d time.Duration) string {
	switch s := int(d.Seconds()); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
	}
}

// Natural compares names as people read them: node2 comes before node10.
func Natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n == 0 || m == 0 {
			if c := cmp.Compare(x[0], y[0]); c != 0 {
				return c
			}
			x, y = x[1:], y[1:]
			continue
		}
		p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
		if c := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q)); c != 0 {
			return c
		}
		x, y = x[n:], y[m:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits is how many digits a text begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
