package interop

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is the real program's own text, from which its lists are read.
type source struct {
	t     *testing.T
	serf  string // directory of the module
	ml    string // of memberlist
	files map[string][]*ast.File
}

// realSource finds the modules that go.mod names.
func realSource(t *testing.T) *source {
	t.Helper()
	s := &source{t: t, files: map[string][]*ast.File{}}
	for module, dir := range map[string]*string{ // order-free: two of them
		"github.com/hashicorp/serf": &s.serf, "github.com/hashicorp/memberlist": &s.ml,
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if *dir = strings.TrimSpace(string(out)); err != nil || *dir == "" {
			t.Skipf("needs the source of %s: %v", module, err)
		}
	}
	return s
}

// parse reads the files that match, tests left out.
func (s *source) parse(dir, pattern string) []*ast.File {
	s.t.Helper()
	key := filepath.Join(dir, pattern)
	if f, ok := s.files[key]; ok {
		return f
	}
	names, err := filepath.Glob(key)
	if err != nil || len(names) == 0 {
		s.t.Fatalf("no files %s: %v", key, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			s.t.Fatal(err)
		}
		s.files[key] = append(s.files[key], f)
	}
	return s.files[key]
}

// inspect shows f every node.
func inspect(files []*ast.File, f func(ast.Node)) {
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				f(n)
			}
			return true
		})
	}
}

// literal is the value of a string literal.
func literal(n ast.Node) (string, bool) {
	l, ok := n.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

// called is the name of the called function, without what it is called on.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// commands are the names in the program's table.
func (s *source) commands() (names []string) {
	inspect(s.parse(s.serf, "cmd/serf/commands.go"), func(n ast.Node) {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			if name, ok := literal(kv.Key); ok {
				names = append(names, name)
			}
		}
	})
	return names
}

// flagCalls are the functions that define a flag, with the place of its name
// among the arguments.
var flagCalls = regexp.MustCompile(`^(Bool|Duration|Int|String|Uint|Int64|Float64)?(Var)?$`)

// flags are the flags of the command whose file it is, as "COMMAND -FLAG".
func (s *source) flags() (names []string) {
	for _, name := range s.commands() {
		file := strings.ReplaceAll(name, "-", "_") + ".go"
		if name == "agent" {
			file = "agent/command.go"
		}
		inspect(s.parse(s.serf, "cmd/serf/command/"+file), func(n ast.Node) {
			if c, ok := n.(*ast.CallExpr); ok {
				for _, f := range flagsOf(c) {
					names = append(names, name+" -"+f)
				}
			}
		})
	}
	return names
}

// flagsOf are the flags that a call defines.
func flagsOf(c *ast.CallExpr) []string {
	switch name := called(c); {
	case name == "RPCAddrFlag":
		return []string{"rpc-addr"}
	case name == "RPCAuthFlag":
		return []string{"rpc-auth"}
	case name == "" || !flagCalls.MatchString(name):
		return nil
	}
	on, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || len(c.Args) < 3 {
		return nil
	}
	if set, ok := on.X.(*ast.Ident); !ok || !strings.Contains(strings.ToLower(set.Name), "flags") {
		return nil
	}
	for _, arg := range c.Args[:2] { // Var functions have the variable first
		if f, ok := literal(arg); ok {
			return []string{f}
		}
	}
	return nil
}

// keys are the keys of a configuration file.
func (s *source) keys() []string { return s.fields("Config", "") }

func (s *source) fields(typeName, prefix string) (names []string) {
	inspect(s.parse(s.serf, "cmd/serf/command/agent/config.go"), func(n ast.Node) {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != typeName {
			return
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			name := f.Names[0].Name
			if f.Tag != nil {
				text, _ := literal(f.Tag)
				name = reflect.StructTag(text).Get("mapstructure")
			}
			if inner, ok := f.Type.(*ast.Ident); ok && strings.HasSuffix(inner.Name, "Config") {
				names = append(names, s.fields(inner.Name, name+".")...)
			} else if name != "-" {
				names = append(names, prefix+name)
			}
		}
	})
	return names
}

// consts are the constants whose names match, with their values if those are
// strings.
func (s *source) consts(dir, pattern string, name *regexp.Regexp) (values []string) {
	inspect(s.parse(dir, pattern), func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !name.MatchString(spec.Names[0].Name) {
			return
		}
		if v, ok := literal(spec.Values[0]); ok {
			values = append(values, v)
		}
	})
	return values
}

// enum are the names of the constants of a type, in the order of their values.
func (s *source) enum(dir, pattern, typeName string) (names []string) {
	inspect(s.parse(dir, pattern), func(n ast.Node) {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return
		}
		in := false
		for _, sp := range decl.Specs {
			spec := sp.(*ast.ValueSpec)
			if id, ok := spec.Type.(*ast.Ident); ok {
				in = id.Name == typeName
			} else if len(spec.Values) > 0 {
				in = false
			}
			if in {
				names = append(names, spec.Names[0].Name)
			}
		}
	})
	return names
}

// rpcCommands are those that the RPC server knows.
func (s *source) rpcCommands() []string {
	return slices.DeleteFunc(s.consts(s.serf, "cmd/serf/command/agent/ipc.go", regexp.MustCompile(`Command$`)),
		func(v string) bool { return strings.Contains(v, " ") }) // the error text unsupportedCommand
}

// rpcTexts are the other constants of the RPC server: kinds of records, and the
// errors that clients compare.
func (s *source) rpcTexts() (texts []string) {
	commands := s.rpcCommands()
	all := s.consts(s.serf, "cmd/serf/command/agent/ipc.go", regexp.MustCompile(`.`))
	return slices.DeleteFunc(all, func(v string) bool { return slices.Contains(commands, v) })
}

// eventTypes are the types that an event handler or a stream may ask for.
func (s *source) eventTypes() (names []string) {
	inspect(s.parse(s.serf, "cmd/serf/command/agent/event_handler.go"), func(n ast.Node) {
		if c, ok := n.(*ast.CaseClause); ok {
			for _, e := range c.List {
				if name, ok := literal(e); ok {
					names = append(names, name)
				}
			}
		}
	})
	return names
}

var variable = regexp.MustCompile(`^(SERF_[A-Z_]+)(%s)?(=|$)`)

// variables are the environment variables that are read or set.
func (s *source) variables() (names []string) {
	for _, dir := range []string{"cmd/serf/command/*.go", "cmd/serf/command/agent/*.go"} {
		inspect(s.parse(s.serf, dir), func(n ast.Node) {
			text, _ := literal(n)
			if m := variable.FindStringSubmatch(text); m != nil {
				names = append(names, m[1]+strings.ReplaceAll(m[2], "%s", "*"))
			}
		})
	}
	return names
}

// snapshotLines are the kinds of lines that a snapshot may have.
func (s *source) snapshotLines() (kinds []string) {
	inspect(s.parse(s.serf, "serf/snapshot.go"), func(n ast.Node) {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name := called(n); (name == "CutPrefix" || name == "HasPrefix") && len(n.Args) == 2 {
				if kind, ok := literal(n.Args[1]); ok {
					kinds = append(kinds, strings.TrimSpace(kind))
				}
			}
		case *ast.BinaryExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "line" && n.Op == token.EQL {
				if kind, ok := literal(n.Y); ok {
					kinds = append(kinds, kind)
				}
			}
		}
	})
	return kinds
}

// metrics are the names of the metrics; * is what is not constant.
func (s *source) metrics() (names []string) {
	files := slices.Concat(s.parse(s.serf, "serf/*.go"), s.parse(s.serf, "coordinate/*.go"),
		s.parse(s.serf, "cmd/serf/command/agent/*.go"), s.parse(s.ml, "*.go"))
	inspect(files, func(n ast.Node) {
		c, ok := n.(*ast.CallExpr)
		if !ok || len(c.Args) < 2 {
			return
		}
		on, ok := c.Fun.(*ast.SelectorExpr)
		if !ok {
			return
		}
		parts, ok := c.Args[0].(*ast.CompositeLit)
		if pkg, isID := on.X.(*ast.Ident); !ok || !isID || pkg.Name != "metrics" {
			return
		}
		var words []string
		for _, e := range parts.Elts {
			word, ok := literal(e)
			if !ok {
				word = "*"
			}
			words = append(words, word)
		}
		names = append(names, strings.Join(words, "."))
	})
	return names
}
