package terminal

import (
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/ibuki-dev/ibuki/printable"
)

// Is reports whether a person is at the other end of a stream.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// The styles of headings and of what matters less.
var (
	Title = lipgloss.NewStyle().Bold(true)
	Faint = lipgloss.NewStyle().Faint(true)
)

var states = map[string]lipgloss.Style{
	"alive":   lipgloss.NewStyle().Foreground(lipgloss.Color("2")),
	"running": lipgloss.NewStyle().Foreground(lipgloss.Color("2")),
	"failed":  lipgloss.NewStyle().Foreground(lipgloss.Color("1")).Bold(true),
	"down":    lipgloss.NewStyle().Foreground(lipgloss.Color("1")),
	"frozen":  lipgloss.NewStyle().Foreground(lipgloss.Color("6")).Bold(true),
	"left":    lipgloss.NewStyle().Foreground(lipgloss.Color("3")),
	"leaving": lipgloss.NewStyle().Foreground(lipgloss.Color("3")),
	"-":       Faint,
}

// State is the style of a state of a member ("alive") or of a process
// ("running"); one without a colour for any other word.
func State(word string) lipgloss.Style { return states[word] }

// Table aligns rows of cells, the first of which is the heading, and colours the
// cells that are a state. What cannot be seen of a cell is escaped.
func Table(cells [][]string) []string {
	return align(cells, func(row int, cell string) string {
		if row == 0 {
			return Title.Render(cell)
		}
		if style, ok := states[strings.TrimRight(cell, " ")]; ok {
			return style.Render(cell)
		}
		return cell
	})
}

// PlainTable is Table without a colour.
func PlainTable(cells [][]string) []string {
	return align(cells, func(_ int, cell string) string { return cell })
}

// align escapes and pads each cell to its column's width; paint may colour it after that.
func align(cells [][]string, paint func(row int, cell string) string) []string {
	width := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			line[i] = printable.Line(cell)
			width[i] = max(width[i], lipgloss.Width(line[i]))
		}
	}
	lines := make([]string, len(cells))
	for row, line := range cells {
		var b strings.Builder
		for i, cell := range line {
			if i > 0 {
				b.WriteString("  ")
			}
			padded := cell + strings.Repeat(" ", width[i]-lipgloss.Width(cell))
			b.WriteString(paint(row, padded))
		}
		lines[row] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
