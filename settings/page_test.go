package settings

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/configuration.md anew")

// The tables of the page are those that the program makes.
func TestConfigurationPage(t *testing.T) {
	const path = "../docs/configuration.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	now := string(text)
	for _, want := range []string{page(), pageOfConstants()} {
		head, _, _ := strings.Cut(want, "\n")
		before, rest, ok := strings.Cut(now, "\n"+head+"\n")
		if !ok {
			t.Fatalf("the page has no table that begins with %q", head)
		}
		_, after, _ := strings.Cut(rest, "\n\n")
		now = before + "\n" + want + "\n" + after
	}
	if now == string(text) {
		return
	}
	if !*rewrite {
		t.Fatal("the tables of the page are not those of the program: go test ./settings -run ConfigurationPage -rewrite")
	}
	if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Each setting says what it does; each flag has its line in the help text, which fits a
// terminal.
func TestEverySettingIsDescribed(t *testing.T) {
	help := Help()
	for line := range strings.Lines(help) {
		if len(strings.TrimRight(line, "\n")) > helpWidth {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	seen := make(map[string]bool)
	for i := range table {
		s := &table[i]
		for _, name := range []string{s.key, "-" + s.flag} {
			if name != "" && name != "-" && seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		switch {
		case s.key == "mdns": // its parts are described
		case s.flag == "" && s.page == "", s.flag != "" && s.help == "":
			t.Errorf("%s %s is not described", s.key, s.flag)
		case s.flag != "" && !strings.Contains(help, "\n  -"+s.flag+s.arg) && !strings.HasPrefix(help, "  -"+s.flag+s.arg):
			t.Errorf("-%s is not in the help text", s.flag)
		}
		if s.key != "" && s.value == nil || s.key == "" && s.value != nil {
			t.Errorf("%s %s has a key or a field only", s.key, s.flag)
		}
	}
}

// page is the table of all settings for docs/configuration.md, in Markdown.
func page() string {
	var b strings.Builder
	b.WriteString("| flag | key | default | effect |\n| --- | --- | --- | --- |\n")
	for i := range table {
		s := &table[i]
		if s.flag == "" && s.page == "" {
			continue // an object whose parts have rows of their own
		}
		effect := cmp.Or(s.page, s.help)
		if s.ours {
			effect += " (Ours.)"
		}
		if s.reloaded {
			effect += " *Reloaded.*"
		}
		fmt.Fprintf(&b, "|%s|%s|%s| %s |\n", cell(code("-", s.flag)), cell(code("", s.key)), cell(s.standard), effect)
	}
	return b.String()
}

// pageOfConstants is the table of the protocol's constants for docs/configuration.md.
func pageOfConstants() string {
	c := serf.Config{Swim: swim.LAN()}.WithDefaults()
	var b strings.Builder
	b.WriteString("| key | default | effect |\n| --- | --- | --- |\n")
	for i := range constants {
		k := &constants[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.key, k.text(&c), k.effect)
	}
	return b.String()
}

// cell is the inside of a table's cell.
func cell(text string) string {
	if text == "" {
		return " "
	}
	return " " + text + " "
}

// code is name as Markdown shows code, "" if there is no name.
func code(prefix, name string) string {
	if name == "" {
		return ""
	}
	return "`" + prefix + name + "`"
}
