package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// formatOutput renders v in one of the formats of -format; text renders it as text.
func formatOutput(v any, text func() string, format string) (string, error) {
	switch format {
	case "text":
		return strings.TrimSpace(text()), nil
	case "json":
		out, err := json.MarshalIndent(v, "", "  ")
		return string(out), err
	}
	return "", fmt.Errorf("Invalid output format \"%s\"", format)
}

// columns is alignColumns for cells that others may have written.
func (e *env) columns(rows [][]string) string {
	for _, row := range rows {
		for i := range row {
			row[i] = e.word(row[i])
		}
	}
	return alignColumns(rows)
}

// alignColumns lays out rows: each column as wide as its widest cell and two
// spaces, the last cell of a row as it is.
func alignColumns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
