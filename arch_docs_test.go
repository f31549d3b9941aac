package ibuki

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// pages are the texts whose links have to lead somewhere.
func pages(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "contrib/*/*.md", "findings/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			files = append(files, filepath.ToSlash(f))
		}
	}
	return files
}

// prose is a page without its blocks of code.
func prose(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

var (
	headingRE = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
	inText    = regexp.MustCompile("\\[([^\\]]*)\\]\\([^)]*\\)|[`*]") // what is not seen of a heading
	notInName = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
	statusRE  = regexp.MustCompile(`^\*\*Status\.\*\* (Accepted|Proposed|Superseded by)\b.*\.$`)
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
)

// anchors are the names of the headings of a page, as GitHub makes them.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, m := range headingRE.FindAllStringSubmatch(prose(t, file), -1) {
		text := notInName.ReplaceAllString(strings.ToLower(inText.ReplaceAllString(m[1], "$1")), "")
		name := strings.ReplaceAll(text, " ", "-")
		for n, base := 1, name; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		names[name] = true
	}
	return names
}

// badLink says what is wrong with a link in a page; "" if nothing is.
func badLink(t *testing.T, page, link string) string {
	t.Helper()
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return "" // not ours to keep
	}
	name, heading, _ := strings.Cut(link, "#")
	file := page
	if name != "" {
		file = path.Join(path.Dir(page), name)
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "there is no " + file
	case heading == "":
		return ""
	case info.IsDir() || path.Ext(file) != ".md":
		return file + " has no headings"
	case !anchors(t, file)[heading]:
		return file + " has no heading #" + heading
	}
	return ""
}

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		text := codeSpan.ReplaceAllString(prose(t, page), "code")
		for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
			links++
			if why := badLink(t, page, m[1]); why != "" {
				t.Errorf("%s: the link %s: %s", page, m[1], why)
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
	for _, bad := range []string{"nosuch.md", "README.md#nosuch", "dist/build.sh#x"} {
		if badLink(t, "README.md", bad) == "" {
			t.Errorf("the link %s passes", bad)
		}
	}
}

// builds are commands that make the program, for a reader or for a release.
var builds = regexp.MustCompile(`(?m)^.*\b(?:go|\$\(GO\)) (?:build|install)\b.*\bcmd/ibuki\b.*$`)

// With a C compiler on the host, Go links the host's C library unless it is told not
// to, and the file that comes of it starts on no other system.
func TestBuildsAreStatic(t *testing.T) {
	commands := 0
	for _, file := range trackedFiles(t) {
		if strings.HasSuffix(file, ".go") {
			continue // tests run what they build where they build it
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue // removed, and not committed yet
		}
		exported := strings.Contains(string(text), "\nexport CGO_ENABLED=0 ")
		for _, command := range builds.FindAllString(string(text), -1) {
			commands++
			if !exported && !strings.Contains(command, "CGO_ENABLED=0 ") {
				t.Errorf("%s: without CGO_ENABLED=0, this makes no static file: %s", file, strings.TrimSpace(command))
			}
		}
	}
	if commands < 6 {
		t.Errorf("only %d commands were found", commands)
	}
}

// The index has each page once, and README leads to it.
func TestDocsHaveAnIndex(t *testing.T) {
	index := prose(t, "docs/README.md")
	var listed []string
	for _, m := range linkTarget.FindAllStringSubmatch(index, -1) {
		listed = append(listed, m[1])
	}
	for _, page := range pages(t) {
		name, ok := strings.CutPrefix(page, "docs/")
		if !ok || name == "README.md" || strings.Contains(name, "/") {
			continue
		}
		if n := strings.Count(" "+strings.Join(listed, " ")+" ", " "+name+" "); n != 1 {
			t.Errorf("docs/README.md leads to %s %d times", name, n)
		}
	}
	if !strings.Contains(prose(t, "README.md"), "(docs/README.md)") {
		t.Error("README.md does not lead to docs/README.md")
	}
}

// The words that the glossary says the code uses are in the code.
func TestGlossaryIsOfThisCode(t *testing.T) {
	_, rest, ok := strings.Cut(prose(t, "ARCHITECTURE.md"), "\n## Glossary\n")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no glossary")
	}
	table, _, _ := strings.Cut(rest, "\n## ")
	words := make(map[string]bool)
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		for _, word := range codeSpan.FindAllString(cells[len(cells)-1], -1) {
			words[strings.Trim(word, "`")] = false
		}
	}
	if len(words) < 20 {
		t.Errorf("only %d words were found", len(words))
	}
	for _, f := range goFiles(t) {
		for word := range words {
			name := word[strings.LastIndexByte(word, '.')+1:]
			if !f.test && !words[word] && regexp.MustCompile(`\b`+name+`\b`).MatchString(f.text) {
				words[word] = true
			}
		}
	}
	for _, word := range sortedKeys(words) {
		if !words[word] {
			t.Errorf("the glossary names %q, which no file has", word)
		}
	}
}

// plainPages have prose of at most 120 columns, so that a diff of them can be read. The
// list only grows; tables, blocks of code and lines that are one link are left out.
var plainPages = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/dependencies.md", "findings/README.md"}

const maxColumns = 120

func TestProseIsNarrow(t *testing.T) {
	for _, page := range plainPages {
		for line := range strings.Lines(prose(t, page)) {
			line = strings.TrimRight(line, "\n")
			if n := utf8.RuneCountInString(line); n > maxColumns && !strings.HasPrefix(line, "|") {
				t.Errorf("%s: %d columns, of at most %d: %.60s…", page, n, maxColumns, line)
			}
		}
	}
}

// Each finding is a script that can be run, and has a row.
func TestFindingsAreListed(t *testing.T) {
	scripts, err := filepath.Glob("findings/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d findings, %v", len(scripts), err)
	}
	list := prose(t, "findings/README.md")
	for _, script := range scripts {
		if info, err := os.Stat(script); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be run: %v", script, err)
		}
		if name := filepath.Base(script); strings.Count(list, "("+name+")") != 1 {
			t.Errorf("findings/README.md has no row for %s", name)
		}
	}
}

// The root's doc.go names every package.
func TestPackagesAreIntroduced(t *testing.T) {
	introduced, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sortedKeys(readPolicy(t)) {
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).Match(introduced) {
			t.Errorf("doc.go does not name the package %s", name)
		}
	}
}

// Every decision has a number of its own, which its heading repeats, and a status below it.
func TestDecisionsAreNumbered(t *testing.T) {
	files, err := filepath.Glob("docs/adr/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d decisions, %v", len(files), err)
	}
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%04d-", i+1)
		if !strings.HasPrefix(filepath.Base(file), want) || !strings.HasPrefix(string(text), fmt.Sprintf("# %d. ", i+1)) {
			t.Errorf("%s: the decision after %d others is not number %d, in its name and its heading", file, i, i+1)
		}
		if lines := strings.SplitN(string(text), "\n", 4); len(lines) < 4 || !statusRE.MatchString(lines[2]) {
			t.Errorf("%s: below the heading stands no line like: **Status.** Accepted.", file)
		}
	}
}

// TestDifferencesAreRun: each row of "Different on purpose" names tests that there are. Of
// TestDifferences it names a subtest, and each of these has a row.
func TestDifferencesAreRun(t *testing.T) {
	text := prose(t, "docs/serf-compat.md")
	_, text, _ = strings.Cut(text, "## Different on purpose")
	text, _, _ = strings.Cut(text, "\n## ")
	tests, seen := declaredTests(t), make(map[string]bool)
	rows := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")
		if len(cells) != 6 || strings.HasPrefix(line, "| what ") || strings.HasPrefix(line, "| --- ") {
			continue
		}
		rows++
		named := codeSpan.FindAllString(cells[4], -1)
		if len(named) == 0 {
			t.Errorf("no test: %s", line)
		}
		for _, name := range named {
			if name = strings.Trim(name, "`"); !tests[name] {
				t.Errorf("there is no %s", name)
			}
			seen[name] = true
		}
	}
	if rows < 20 {
		t.Errorf("only %d rows: the test does not read the table", rows)
	}
	for name := range tests { // order-free: each is an error of its own
		if strings.HasPrefix(name, "TestDifferences/") && !seen[name] {
			t.Errorf("%s has no row", name)
		}
	}
}

// declaredTests are the names of all tests, and of the subtests of TestDifferences.
func declaredTests(t *testing.T) map[string]bool {
	names := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	row := regexp.MustCompile(`(?m)^\t\{"([^"]+)", \w+, `)
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		if filepath.ToSlash(path) == "interop/differences_test.go" {
			for _, m := range row.FindAllSubmatch(text, -1) {
				names["TestDifferences/"+string(m[1])] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
