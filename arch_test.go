package ibuki

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The policy: who may import whom. One line per package:
//
//	package: what of this module it may import | what of other modules
//
// Nothing else of either may be imported; the standard library is limited for
// the pure packages only (pureStdlib). Tests may also import what testPolicy
// allows them. To import one more is to change a line here, on purpose.
const policy = `
wire:       |
coordinate: |
live:       | github.com/go-json-experiment/json/jsontext github.com/DataDog/datadog-agent/pkg/template/text
atomicfile: |
livefile:   live atomicfile | github.com/fsnotify/fsnotify golang.org/x/sys/windows github.com/DataDog/datadog-agent/pkg/template/text
access:     |
catalog:    |
swim/broadcast: |
swim:       wire swim/broadcast |
serf:       wire swim swim/broadcast coordinate |
rpc:        access | github.com/hashicorp/go-msgpack/v2/codec
sock:       | golang.org/x/sys/unix
groonga:    groonga/groongatest |
groonga/groongatest: |
compare:    groonga groonga/groongatest |
dispatch:   backup live catalog sock groonga groonga/groongatest compare writelog writelog/applier writelog/fill writelog/member writelog/member/membertest | github.com/valyala/fasthttp github.com/google/renameio/v2/maybe golang.org/x/sys/unix
writelog:   | go.etcd.io/raft/v3 google.golang.org/protobuf/proto github.com/hashicorp/go-msgpack/v2/codec
writelog/applier: groonga groonga/groongatest |
writelog/fill: groonga groonga/groongatest writelog/applier |
backup:     groonga groonga/groongatest writelog/applier writelog/fill |
writelog/member/membertest: |
writelog/member: writelog writelog/member/membertest writelog/store | go.etcd.io/raft/v3 google.golang.org/protobuf/proto github.com/hashicorp/go-msgpack/v2/codec github.com/google/renameio/v2/maybe golang.org/x/sys/unix
writelog/store: | go.etcd.io/raft/v3 google.golang.org/protobuf/proto
gateway:    access backup live livefile catalog groonga groonga/groongatest compare dispatch sock writelog/member | github.com/valyala/fasthttp
sim:        wire swim serf coordinate live |
agent/handler: agent/logging wire serf live rpc |
agent/logging: printable swim serf atomicfile | gopkg.in/natefinch/lumberjack.v2
agent/snapshot: wire swim serf atomicfile |
agent/transport/transporttest: agent/transport |
agent/transport: | golang.org/x/sys/unix
agent:      printable agent/handler agent/logging agent/snapshot agent/transport agent/transport/transporttest wire swim serf coordinate live livefile atomicfile rpc access | github.com/hashicorp/mdns golang.org/x/sys/unix
settings:   agent agent/handler agent/logging agent/transport swim serf access rpc livefile wire |
dashboard:  live access rpc coordinate | github.com/prometheus/client_golang
plot:       |
droonga:    access groonga groonga/groongatest dispatch rpc | github.com/hashicorp/go-msgpack/v2/codec
terminal:   printable | charm.land/lipgloss/v2 golang.org/x/term
printable:  |
diagnose:   printable rpc coordinate |
lab:        catalog rpc terminal | charm.land/bubbletea/v2 charm.land/bubbles/v2 charm.land/lipgloss/v2
top:        rpc diagnose terminal | charm.land/bubbletea/v2 charm.land/bubbles/v2 charm.land/lipgloss/v2
netns:      |
logtest:    |
cmd/ibuki:  printable backup groonga groonga/groongatest compare writelog/member writelog/store agent/handler agent/logging swim live livefile catalog dispatch gateway droonga rpc access agent settings dashboard sim plot terminal diagnose lab top | github.com/coreos/go-systemd/v22/daemon
`

// testPolicy is what the tests of any package may import beyond its own line.
const testPolicy = `
pgregory.net/rapid
github.com/cockroachdb/datadriven
github.com/rogpeppe/go-internal
go.uber.org/goleak
github.com/chromedp/chromedp
github.com/chromedp/cdproto
github.com/hashicorp/go-msgpack/v2/codec
golang.org/x/sys/unix
`

// The size limits. Production functions and all files are measured in lines.
const (
	maxFuncLines     = 70
	maxFileLines     = 600
	maxTestFileLines = 900
)

// oversize lists what exceeds a limit today: "path" for a file, "path name" for
// a function, and its lines. It may only shrink: what grew, what is new and what
// is no longer too long all fail.
var oversize = map[string]int{}

const modulePath = "github.com/ibuki-dev/ibuki"

// sourceFile is one parsed Go file.
type sourceFile struct {
	path  string // slash-separated, from the root of the repository
	dir   string // its folder, the package's name in the policy; "." for the root
	test  bool
	lines int
	text  string
	ast   *ast.File
}

var fileSet = token.NewFileSet()

// goFiles returns all Go files of the repository, interop's included.
func goFiles(t *testing.T) []*sourceFile {
	t.Helper()
	files, err := parsedFiles()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var parsedFiles = sync.OnceValues(func() ([]*sourceFile, error) {
	paths, err := walk()
	if err != nil {
		return nil, err
	}
	var files []*sourceFile
	for _, p := range paths {
		if path.Ext(p) != ".go" {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		parsed, err := parser.ParseFile(fileSet, p, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, &sourceFile{
			path:  p,
			dir:   path.Dir(p),
			test:  strings.HasSuffix(p, "_test.go"),
			lines: strings.Count(string(text), "\n"),
			text:  string(text),
			ast:   parsed,
		})
	}
	return files, nil
})

// walk lists the files of the repository, sorted; hidden folders but .ci are left out.
func walk() (paths []string, err error) {
	err = filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") && name != "." && name != ".ci" || name == "build" {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			paths = append(paths, filepath.ToSlash(p))
		}
		return nil
	})
	return paths, err
}

// allowed are the imports that one package may have.
type allowed struct{ own, other []string }

func readPolicy(t *testing.T) map[string]allowed {
	t.Helper()
	rules := make(map[string]allowed)
	for line := range strings.Lines(strings.TrimSpace(policy)) {
		name, rest, ok := strings.Cut(line, ":")
		own, other, ok2 := strings.Cut(rest, "|")
		if !ok || !ok2 {
			t.Fatalf("policy line %q", line)
		}
		rules[name] = allowed{strings.Fields(own), strings.Fields(other)}
	}
	return rules
}

func TestImportsFollowThePolicy(t *testing.T) {
	rules := readPolicy(t)
	for _, f := range goFiles(t) {
		if f.dir == "." || inModule(f.dir, "interop") {
			continue
		}
		rule, ok := rules[f.dir]
		if !ok {
			t.Errorf("%s: package %s has no line in the policy of arch_test.go", f.path, f.dir)
			continue
		}
		for _, spec := range f.ast.Imports {
			p := importPath(spec)
			if reason := forbidden(f, rule, p); reason != "" {
				t.Errorf("%s imports %s: %s", position(spec), p, reason)
			}
		}
	}
}

// forbidden says why f may not import p; "" if it may.
func forbidden(f *sourceFile, rule allowed, p string) string {
	if own, ok := strings.CutPrefix(p, modulePath+"/"); ok {
		if f.test && (own == f.dir || own == "netns" || own == "logtest") || slices.Contains(rule.own, own) {
			return ""
		}
		return fmt.Sprintf("%s may import only %v of this module", f.dir, rule.own)
	}
	if isStandard(p) || below(p, rule.other) || f.test && below(p, strings.Fields(testPolicy)) {
		return ""
	}
	return fmt.Sprintf("%s may import only %v of other modules", f.dir, rule.other)
}

// below reports whether p is one of the paths or inside of one.
func below(p string, paths []string) bool {
	return slices.ContainsFunc(paths, func(q string) bool { return p == q || strings.HasPrefix(p, q+"/") })
}

func inModule(dir, name string) bool { return dir == name || strings.HasPrefix(dir, name+"/") }

func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser took it for a string
	}
	return p
}

func position(n ast.Node) string {
	p := fileSet.Position(n.Pos())
	return fmt.Sprintf("%s:%d", filepath.ToSlash(p.Filename), p.Line)
}

func TestEachPackageHasOneComment(t *testing.T) {
	comments := make(map[string][]string)
	names := make(map[string]string)
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		names[f.dir] = f.ast.Name.Name
		if f.ast.Doc != nil {
			comments[f.dir] = append(comments[f.dir], f.path)
			text := f.ast.Doc.Text()
			if name := f.ast.Name.Name; name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
				t.Errorf("%s: the package comment does not begin with %q", f.path, "Package "+name)
			}
		}
	}
	for _, dir := range sortedKeys(names) {
		if n := len(comments[dir]); n != 1 {
			t.Errorf("package %s has %d package comments, want one: %v", dir, n, comments[dir])
		}
	}
}

func TestExportedIsDocumented(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, n := range undocumented(d) {
				t.Errorf("%s: exported %s has no doc comment", position(n), n.Name)
			}
		}
	}
}

// undocumented returns the exported names of d that nothing documents; the
// comment of a group counts for all in it.
func undocumented(d ast.Decl) []*ast.Ident {
	var names []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		wellKnown := d.Recv != nil && (d.Name.Name == "String" || d.Name.Name == "Error")
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !wellKnown {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		if d.Doc != nil {
			return nil
		}
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Doc == nil && s.Name.IsExported() {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				if s.Doc == nil && s.Comment == nil && s.Names[0].IsExported() {
					names = append(names, s.Names[0])
				}
			}
		}
	}
	return names
}

// exportedReceiver reports whether a method's type, if d is a method, is exported.
func exportedReceiver(d *ast.FuncDecl) bool {
	return d.Recv == nil || ast.IsExported(receiverName(d))
}

// receiverName is the name of the type that d is a method of.
func receiverName(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch generic := t.(type) {
	case *ast.IndexExpr:
		t = generic.X
	case *ast.IndexListExpr:
		t = generic.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func TestSizesOnlyShrink(t *testing.T) {
	found := make(map[string]int)
	for _, f := range goFiles(t) {
		limit := maxFileLines
		if f.test {
			limit = maxTestFileLines
		}
		if f.lines > limit {
			found[f.path] = f.lines
		}
		if f.test || ast.IsGenerated(f.ast) {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if n := funcLines(fn); n > maxFuncLines {
					found[f.path+" "+fn.Name.Name] = n
				}
			}
		}
	}
	for _, what := range sortedKeys(found) {
		switch n, listed := oversize[what]; {
		case !listed:
			t.Errorf("%s has %d lines; the limits are %d for a function, %d for a file, %d for one of tests",
				what, found[what], maxFuncLines, maxFileLines, maxTestFileLines)
		case found[what] > n:
			t.Errorf("%s grew from %d to %d lines: what is too long may only shrink", what, n, found[what])
		case found[what] < n:
			t.Errorf("%s shrank to %d lines: write that into oversize", what, found[what])
		}
	}
	for _, what := range sortedKeys(oversize) {
		if found[what] == 0 {
			t.Errorf("%s is within the limits: take it out of oversize", what)
		}
	}
}

func funcLines(fn *ast.FuncDecl) int {
	return fileSet.Position(fn.End()).Line - fileSet.Position(fn.Pos()).Line + 1
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestPolicyIsChecked(t *testing.T) {
	rule := allowed{own: []string{"wire"}, other: []string{"example.org/a"}}
	for _, c := range []struct {
		test   bool
		path   string
		wanted bool
	}{
		{false, "fmt", true},
		{false, modulePath + "/wire", true},
		{false, modulePath + "/serf", false},
		{true, modulePath + "/serf", false},
		{false, modulePath + "/swim", false},
		{true, modulePath + "/swim", true}, // its own package, from swim_test
		{false, "example.org/a", true},
		{false, "example.org/a/b", true},
		{false, "example.org/ab", false},
		{false, "pgregory.net/rapid", false},
		{true, "pgregory.net/rapid", true},
	} {
		f := &sourceFile{dir: "swim", test: c.test}
		if reason := forbidden(f, rule, c.path); (reason == "") != c.wanted {
			t.Errorf("%s in a test %v: %q", c.path, c.test, reason)
		}
	}
}
