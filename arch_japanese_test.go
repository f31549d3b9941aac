package ibuki

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// translations are the pages that exist in two languages. Who changes one changes
// the other: headings, commands and links have to be the same.
var translations = map[string]string{
	"README.md":       "README.ja.md",
	"docs/droonga.md": "docs/droonga.ja.md",
}

// outline is what has to be the same in each language.
type outline struct {
	headings []string // their levels
	commands []string // lines of console blocks, and indented ones without their remarks
	links    []string // where they lead
	rows     int      // of tables
}

var (
	linkTarget  = regexp.MustCompile(`\]\(([^)]+)\)`)
	remark      = regexp.MustCompile(`\s+# .*$`)
	programName = regexp.MustCompile(`^(CGO_ENABLED=0|ibuki|serf|go|make|[0-9.]+) `)
)

func outlineOf(t *testing.T, file string) (o outline) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		indented, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			if block != "" {
				block = ""
			} else {
				block = line
			}
		case block == "```console":
			o.commands = append(o.commands, line)
		case block != "":
		case strings.HasPrefix(line, "#"):
			level, _, _ := strings.Cut(line, " ")
			o.headings = append(o.headings, level)
		case isIndented && programName.MatchString(indented):
			o.commands = append(o.commands, remark.ReplaceAllString(indented, ""))
		case strings.HasPrefix(line, "|"):
			o.rows++
		}
		if block == "" {
			for _, m := range linkTarget.FindAllStringSubmatch(line, -1) {
				// A translated page may lead to translated pages.
				o.links = append(o.links, strings.Replace(m[1], ".ja.md", ".md", 1))
			}
		}
	}
	return o
}

func TestTranslationsAreInStep(t *testing.T) {
	for _, file := range sortedKeys(translations) {
		ours, theirs := outlineOf(t, file), outlineOf(t, translations[file])
		if !slices.Equal(ours.headings, theirs.headings) {
			t.Errorf("%s and %s differ in their headings: %v, %v", file, translations[file], ours.headings, theirs.headings)
		}
		for i := range max(len(ours.commands), len(theirs.commands)) {
			x, y := "nothing", "nothing"
			if i < len(ours.commands) {
				x = ours.commands[i]
			}
			if i < len(theirs.commands) {
				y = theirs.commands[i]
			}
			if x != y {
				t.Errorf("%s has %q where %s has %q", file, x, translations[file], y)
				break
			}
		}
		if ours.rows != theirs.rows {
			t.Errorf("%s has %d rows of tables, %s has %d", file, ours.rows, translations[file], theirs.rows)
		}
		// Each leads to the other at its top; other links are compared in order.
		if x, y := ours.links[1:], theirs.links[1:]; !slices.Equal(x, y) {
			t.Errorf("the links of %s and %s are not the same, in the same order; only the first has %v, only the second %v",
				file, translations[file], without(x, y), without(y, x))
		}
	}
}

// without is what of list is not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
