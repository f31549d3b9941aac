package ibuki

import (
	"bytes"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const protocolPath = "docs/protocol.md"

// untested lists the statements of docs/protocol.md that no test cites yet. It
// may only shrink.
const untested = ``

var (
	statementRE = regexp.MustCompile(`(?m)^- \*\*P(\d+)\*\* \S`)
	// A number, or a range of them: P12, P31-P33, P31–33.
	citationRE = regexp.MustCompile(`\bP([1-9]\d{0,2})(?:[-–]P?([1-9]\d{0,2}))?\b`)
	testNameRE = regexp.MustCompile(`^Test(P\d+)_`)
)

// citation is one place that names a statement.
type citation struct {
	number int
	where  string
	test   bool
}

func TestProtocolNumbers(t *testing.T) {
	known := statements(t)
	tested := make(map[int]bool)
	for _, c := range citations(t) {
		if !known[c.number] {
			t.Errorf("%s cites P%d, which %s does not have", c.where, c.number, protocolPath)
		}
		if c.test {
			tested[c.number] = true
		}
	}
	var want []string
	for n := range 1000 {
		if known[n] && !tested[n] {
			want = append(want, strconv.Itoa(n))
		}
	}
	listed := strings.Fields(untested)
	for _, n := range want {
		if !slices.Contains(listed, n) {
			t.Errorf("no test cites P%s", n)
		}
	}
	for _, n := range listed {
		if !slices.Contains(want, n) {
			t.Errorf("P%s is tested, or is no statement: take it out of untested", n)
		}
	}
}

// statements returns the numbers of the protocol document, which must rise.
func statements(t *testing.T) map[int]bool {
	t.Helper()
	text, err := os.ReadFile(protocolPath)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[int]bool)
	last := 0
	for _, m := range statementRE.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if n <= last {
			t.Errorf("%s: P%d stands behind P%d", protocolPath, n, last)
		}
		last = n
		known[n] = true
	}
	if len(known) == 0 {
		t.Fatalf("%s has no statement", protocolPath)
	}
	return known
}

// citations finds statements in the comments of Go files, in the names of tests,
// and in the scripts under testdata.
func citations(t *testing.T) []citation {
	t.Helper()
	var all []citation
	for _, f := range goFiles(t) {
		if f.dir == "." {
			continue // what these tests say of numbers is about none
		}
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				all = append(all, cited(c.Text, position(c), f.test)...)
			}
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !f.test {
				continue
			}
			if m := testNameRE.FindStringSubmatch(fn.Name.Name); m != nil {
				all = append(all, cited(m[1], position(fn), true)...)
			}
		}
	}
	paths, err := walk()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if !strings.Contains(p, "testdata/") || path.Ext(p) != ".txt" && path.Ext(p) != ".txtar" {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if bytes.HasPrefix(line, []byte("#")) {
				all = append(all, cited(string(line), p, true)...)
			}
		}
	}
	return all
}

func cited(text, where string, test bool) []citation {
	var all []citation
	for _, m := range citationRE.FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(m[1])
		last := first
		if m[2] != "" {
			last, _ = strconv.Atoi(m[2])
		}
		for n := first; n <= last; n++ {
			all = append(all, citation{n, where, test})
		}
	}
	return all
}

func TestCitationsAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"// P12":                     "[12]",
		"// as P31–P33 and P40 say":  "[31 32 33 40]",
		"// P31-33":                  "[31 32 33]",
		"// XP12, P1200, P0, the PP": "[]",
	} {
		var got []int
		for _, c := range cited(text, "", false) {
			got = append(got, c.number)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%q cites %v, want %s", text, got, want)
		}
	}
}

// localTraces are what must not get into the repository: paths of one machine,
// hosts that packages were fetched from. Each is split, so that this file has none.
var localTraces = []string{
	"/work" + "/", "/root" + "/", "/tmp/" + "peer", "/home" + "/",
	"proxy." + "golang.org", "goproxy" + ".", "sum." + "golang.org",
	"registry." + "npmjs", "arti" + "factory", "pypi." + "org",
}

func TestNoLocalTraces(t *testing.T) {
	for _, p := range trackedFiles(t) {
		text, err := os.ReadFile(p)
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue // no text
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			for _, trace := range localTraces {
				if bytes.Contains(line, []byte(trace)) {
					t.Errorf("%s:%d: holds %q, which belongs to one machine", p, number, trace)
				}
			}
		}
	}
}

// What a merge has left undone is not sent.
func TestNoConflictMarkers(t *testing.T) {
	for _, p := range trackedFiles(t) {
		text, err := os.ReadFile(p)
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, strings.Repeat("<", 7)+" ") || strings.HasPrefix(line, strings.Repeat(">", 7)+" ") {
				t.Errorf("%s:%d: %s", p, i+1, line)
			}
		}
	}
}

// trackedFiles are those that git knows; without git, all files here.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		paths, err := walk()
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	return slices.DeleteFunc(files, func(p string) bool { return p == "" })
}
