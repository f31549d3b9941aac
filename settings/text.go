package settings

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/agent"
)

const (
	// helpIndent is where the description of a flag begins in a help text, helpWidth
	// where its lines end.
	helpIndent = 28
	helpWidth  = 80
)

// Help describes all flags, as the help text of the agent lists them.
func Help() string {
	var b strings.Builder
	for i := range table {
		if s := &table[i]; s.flag != "" {
			s.writeHelp(&b)
		}
	}
	return b.String()
}

// writeHelp writes the flag and its value, and the description beside it, or below it if
// there is no room.
func (s *setting) writeHelp(b *strings.Builder) {
	head := "  -" + s.flag + s.arg
	if len(head) >= helpIndent {
		fmt.Fprintln(b, head)
		head = ""
	}
	for _, line := range wrap(s.help, helpWidth-helpIndent) {
		fmt.Fprintf(b, "%-*s%s\n", helpIndent, head, line)
		head = ""
	}
}

// wrap breaks text into lines of at most width bytes, between words.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// Explain says what the settings come to: rows of a constant's key in tuning, its
// value, and its effect; then of what the cluster will do at some sizes.
func Explain(c agent.Config) [][]string {
	l := c.WithDefaults()
	rows := [][]string{{"CONSTANT", "VALUE", "EFFECT"}}
	for i := range constants {
		if k := &constants[i]; !k.isSwitch() {
			rows = append(rows, []string{k.key, k.text(&l), k.effect})
		}
	}
	for _, n := range explainSizes {
		rows = append(rows, []string{fmt.Sprintf("%d nodes", n), "", explainAt(&c.Swim, n)})
	}
	return rows
}
