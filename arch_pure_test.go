package ibuki

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/types"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// purePackages have no effect and no surprise: what they return follows from
// what they were given, bit for bit. In the order in which they import each other.
var purePackages = []string{"wire", "coordinate", "swim/broadcast", "swim", "serf", "catalog", "groonga"}

// pureStdlib is what they may use of the standard library. What is missing here
// can wait, look at a clock, reach outside or differ between two runs.
const pureStdlib = `
bytes cmp container/heap encoding/base64 encoding/binary encoding/json errors fmt
hash/crc32 iter maps math math/bits math/rand/v2 net/netip regexp regexp/syntax
slices sort strconv strings time unicode unicode/utf8
wire: bufio compress/lzw crypto/aes crypto/cipher hash io
catalog: crypto/sha1 io
groonga: io net/url
`

// pureUses lists what of a package may be used where not all of it may.
var pureUses = map[string]map[string]bool{
	// Types, and constructors of sources that are handed in; not the functions
	// that draw from the global source.
	"math/rand/v2": set("Rand", "Source", "New", "NewPCG", "PCG", "NewChaCha8", "ChaCha8"),
}

// impureUses lists what of a package may not be used, and why.
var impureUses = map[string]map[string]string{
	"time": {
		"Now": reasonClock, "Since": reasonClock, "Until": reasonClock,
		"Sleep": reasonWaits, "After": reasonWaits, "AfterFunc": reasonWaits, "Tick": reasonWaits,
		"NewTimer": reasonWaits, "NewTicker": reasonWaits, "Timer": reasonWaits, "Ticker": reasonWaits,
		"Local": "it depends on the host", "LoadLocation": "it reads files",
	},
	"maps": {"Keys": reasonOrder, "Values": reasonOrder, "All": reasonOrder},
	"fmt": {
		"Print": reasonOutput, "Println": reasonOutput, "Printf": reasonOutput,
		"Scan": reasonOutput, "Scanln": reasonOutput, "Scanf": reasonOutput,
	},
}

const (
	reasonClock  = "now is an argument"
	reasonWaits  = "the driver owns the only timer"
	reasonOrder  = "the order of a map must not show"
	reasonOutput = "the core does not print"

	// orderFree marks, on the line or the one above, a map range whose order
	// cannot be seen from outside; the reason follows it.
	orderFree = "// order-free: "
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool)
	for _, n := range names {
		m[n] = true
	}
	return m
}

// The race detector is spared the packages in which there is nothing to find.
func TestRaceLeavesOutThePure(t *testing.T) {
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nPURE = " + strings.Join(purePackages, "|") + "\n"; !strings.Contains(string(text), want) {
		t.Errorf("the Makefile does not say%s", want)
	}
}

// A test that the race detector is spared by name is one that there is.
func TestRaceLeavesOutTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "\nALONE = ")
	line, _, _ = strings.Cut(line, "\n")
	declared := declaredTests(t)
	for _, name := range strings.Split(line, "|") {
		if test, _, _ := strings.Cut(name, "/"); !declared[test] {
			t.Errorf("the Makefile spares the race detector %q, which is no test", test)
		}
	}
}

func TestPurePackagesArePure(t *testing.T) {
	byDir := make(map[string][]*sourceFile)
	for _, f := range goFiles(t) {
		if !f.test {
			byDir[f.dir] = append(byDir[f.dir], f)
		}
	}
	check := &types.Config{Importer: &ownFirst{
		own: make(map[string]*types.Package),
		std: standardLibrary(t),
	}}
	for _, dir := range purePackages {
		if len(byDir[dir]) == 0 {
			continue
		}
		faults, err := checkPure(check, dir, byDir[dir])
		if err != nil {
			t.Errorf("%s does not type-check: %v", dir, err)
		}
		for _, f := range faults {
			t.Error(f)
		}
	}
}

// standardLibrary imports from the sources of the standard library. A test that is
// built with -trimpath does not know where they are.
func standardLibrary(t *testing.T) types.Importer {
	t.Helper()
	if build.Default.GOROOT == "" {
		out, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			t.Fatal(err)
		}
		build.Default.GOROOT = strings.TrimSpace(string(out))
	}
	return importer.ForCompiler(fileSet, "source", nil)
}

// ownFirst imports the packages of this module that were checked already, and
// all others from the sources of the standard library.
type ownFirst struct {
	own map[string]*types.Package
	std types.Importer
}

func (o *ownFirst) Import(p string) (*types.Package, error) {
	if own := o.own[p]; own != nil {
		return own, nil
	}
	return o.std.Import(p)
}

// checkPure returns what is impure in the files of one package.
func checkPure(check *types.Config, dir string, files []*sourceFile) (faults []string, err error) {
	info := &types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue),
		Uses:  make(map[*ast.Ident]types.Object),
	}
	trees := make([]*ast.File, len(files))
	for i, f := range files {
		trees[i] = f.ast
	}
	importPath := modulePath + "/" + dir
	pkg, err := check.Check(importPath, fileSet, trees, info)
	if err != nil {
		return nil, err
	}
	check.Importer.(*ownFirst).own[importPath] = pkg
	for _, f := range files {
		p := &purity{file: f, info: info, pkg: pkg, marked: markedLines(f.text)}
		p.checkImports(dir)
		ast.Inspect(f.ast, p.visit)
		faults = append(faults, p.faults...)
	}
	return faults, nil
}

// purity looks for what a pure file must not do.
type purity struct {
	file   *sourceFile
	info   *types.Info
	pkg    *types.Package
	marked map[int]bool // lines that an orderFree comment covers
	faults []string
}

func (p *purity) fail(n ast.Node, format string, args ...any) {
	p.faults = append(p.faults, position(n)+": "+fmt.Sprintf(format, args...))
}

func (p *purity) checkImports(dir string) {
	var ok []string
	for line := range strings.Lines(pureStdlib) {
		owner, list, special := strings.Cut(line, ": ")
		switch {
		case !special:
			ok = append(ok, strings.Fields(line)...)
		case owner == dir:
			ok = append(ok, strings.Fields(list)...)
		}
	}
	for _, spec := range p.file.ast.Imports {
		if path := importPath(spec); isStandard(path) && !slices.Contains(ok, path) {
			p.fail(spec, "a pure package imports %s", path)
		}
	}
}

func (p *purity) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		p.fail(n, "go statement: nothing runs beside the driver")
	case *ast.SelectStmt:
		p.fail(n, "select: nothing waits")
	case *ast.ChanType:
		p.fail(n, "channel: inputs are calls, outputs are values")
	case *ast.SelectorExpr:
		p.selector(n)
	case *ast.RangeStmt:
		p.mapRange(n)
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			p.assigned(left)
		}
	case *ast.IncDecStmt:
		p.assigned(n.X)
	}
	return true
}

// selector checks package.Name against the lists.
func (p *purity) selector(n *ast.SelectorExpr) {
	id, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	pkg, ok := p.info.Uses[id].(*types.PkgName)
	if !ok {
		return
	}
	from, name := pkg.Imported().Path(), n.Sel.Name
	if only, ok := pureUses[from]; ok && !only[name] {
		p.fail(n, "%s.%s: randomness is handed in", path.Base(from), name)
	}
	if reason, ok := impureUses[from][name]; ok && (reason != reasonOrder || !p.orderFree(n)) {
		p.fail(n, "%s.%s: %s", path.Base(from), name, reason)
	}
}

func (p *purity) mapRange(n *ast.RangeStmt) {
	t := p.info.TypeOf(n.X)
	if t == nil {
		return
	}
	if _, ok := t.Underlying().(*types.Map); ok && !p.orderFree(n) {
		p.fail(n, "range over a map: %s; if it cannot, say why behind %q", reasonOrder, orderFree)
	}
}

func (p *purity) orderFree(n ast.Node) bool {
	return p.marked[fileSet.Position(n.Pos()).Line]
}

// assigned complains if what is assigned to is, or belongs to, a variable of
// the package: such a variable is state that no input shows.
func (p *purity) assigned(e ast.Expr) {
	for {
		switch x := e.(type) {
		case *ast.SelectorExpr:
			e = x.X
			continue
		case *ast.IndexExpr:
			e = x.X
			continue
		case *ast.StarExpr:
			e = x.X
			continue
		case *ast.ParenExpr:
			e = x.X
			continue
		case *ast.Ident:
			if v, ok := p.info.Uses[x].(*types.Var); ok && v.Parent() == p.pkg.Scope() {
				p.fail(x, "package variable %s changes", x.Name)
			}
		}
		return
	}
}

// markedLines returns the lines that an orderFree comment covers: its own and
// the next that is no comment.
func markedLines(text string) map[int]bool {
	marked := make(map[int]bool)
	open, number := false, 0
	for line := range strings.Lines(text) {
		number++
		open = open || strings.Contains(line, orderFree)
		if open {
			marked[number] = true
			open = strings.HasPrefix(strings.TrimSpace(line), "//")
		}
	}
	return marked
}

// TestPurityIsChecked shows that the check finds what it is for: each line of
// the source that ends in a want comment has that fault, no other line has one.
func TestPurityIsChecked(t *testing.T) {
	const source = `package sample
import (
	"maps"
	"math/rand/v2"
	"os" // want: imports os
	"slices"
	"time"
)
var calls int
var table = map[string][]int{}
func f(now time.Time, m map[string]int, rng *rand.Rand) time.Duration {
	go f(now, m, rng) // want: go statement
	var c chan int // want: channel
	select {} // want: select
	calls++ // want: package variable calls changes
	table["a"][0] = 1 // want: package variable table changes
	(table) = nil // want: package variable table changes
	local := rng.IntN(3)
	local++
	rand.IntN(local) // want: randomness is handed in
	for range m { // want: range over a map
	}
	// order-free: a sum, of whole numbers
	// (two lines of comment)
	for range m {
	}
	for range m { // order-free: nothing is done
	}
	slices.Collect(maps.Keys(m)) // want: order of a map
	slices.Sorted(maps.Keys(m)) // order-free: sorted
	os.Exit(<-c)
	time.Sleep(time.Since(now)) // want: the only timer, now is an argument
	return time.Second
}
`
	parsed, err := parser.ParseFile(fileSet, "sample.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	check := &types.Config{Importer: &ownFirst{make(map[string]*types.Package), standardLibrary(t)}}
	file := &sourceFile{path: "sample.go", dir: "sample", text: source, ast: parsed}
	faults, err := checkPure(check, "sample", []*sourceFile{file})
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	for line := range strings.Lines(source) {
		number++
		_, want, _ := strings.Cut(strings.TrimSpace(line), "// want: ")
		var got []string
		for _, f := range faults {
			if strings.HasPrefix(f, fmt.Sprintf("sample.go:%d: ", number)) {
				got = append(got, f)
			}
		}
		words := strings.Split(want, ", ")
		if want == "" {
			words = nil
		}
		if len(got) != len(words) {
			t.Errorf("line %d: faults %q, want %q", number, got, words)
			continue
		}
		for i, w := range words {
			if !strings.Contains(got[i], w) {
				t.Errorf("line %d: fault %q, want %q", number, got[i], w)
			}
		}
	}
}

// TestVirtualTimeStaysVirtual: sim and live get the time as an argument too, and
// what is tested by plain values needs no clock.
func TestVirtualTimeStaysVirtual(t *testing.T) {
	for _, f := range goFiles(t) {
		virtual := f.dir == "sim" || f.dir == "live"
		if !virtual && (!f.test || !slices.Contains(purePackages, f.dir)) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			id, ok := s.X.(*ast.Ident)
			if !ok || id.Name != "time" {
				return true
			}
			reason := impureUses["time"][s.Sel.Name]
			if reason == reasonWaits || reason == reasonClock && !f.test {
				t.Errorf("%s: time.%s: %s", position(s), s.Sel.Name, reason)
			}
			return true
		})
	}
}

// TestSimulationTouchesNothing: a simulated run must not reach the machine that
// it runs on.
func TestSimulationTouchesNothing(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.dir != "sim" || f.test {
			continue
		}
		for _, spec := range f.ast.Imports {
			switch p := importPath(spec); p {
			case "net", "net/http", "os", "os/exec", "os/signal", "syscall", "unsafe", "sync", "context":
				t.Errorf("%s: the simulation imports %s", position(spec), p)
			}
		}
	}
}
