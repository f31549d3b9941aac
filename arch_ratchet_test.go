package ibuki

import (
	"fmt"
	"go/ast"
	"maps"
	"testing"
)

// The limits of a type and of a folder. A type with more methods, or a struct with
// more fields, owns more than one thing; so does a folder with more files.
const (
	maxMethods = 60
	maxFields  = 30
	maxFiles   = 40 // without tests

	// ratchetSlack is how much lower than its number in overgrown a thing may be: so
	// far, not each method that goes is a change of the list.
	ratchetSlack = 5
)

// overgrown lists what exceeds these limits today, and how much it may have. It may
// only shrink: what grew beyond it, what is new, and what is far below it all fail.
var overgrown = map[string]int{
	"fields of agent.Agent":      62,
	"fields of agent.Config":     53,
	"fields of settings.Options": 72,
	"fields of serf.Config":      36,
	"fields of serf.Machine":     43,
	"fields of sim.Node":         39,
	"fields of swim.Machine":     56,
	"files in cmd/ibuki":         48,
	"files in swim":              45,
	"methods of agent.Agent":     140,
	"methods of serf.Machine":    151,
	"methods of swim.Machine":    210,
}

func TestTypesAndFoldersOnlyShrink(t *testing.T) {
	files := goFiles(t)
	over := make(map[string]int)
	maps.Copy(over, exceeding("methods of ", methodsOfTypes(files), maxMethods))
	maps.Copy(over, exceeding("fields of ", fieldsOfStructs(files), maxFields))
	maps.Copy(over, exceeding("files in ", filesOfFolders(files), maxFiles))
	for _, fault := range ratchet(over, overgrown) {
		t.Error(fault)
	}
}

// ratchet says where the counts that exceed a limit differ from the list of those that may.
func ratchet(over, listed map[string]int) (faults []string) {
	for _, what := range sortedKeys(over) {
		switch n, ok := listed[what]; {
		case !ok:
			faults = append(faults, fmt.Sprintf("%d %s; the limits are %d methods, %d fields and %d files",
				over[what], what, maxMethods, maxFields, maxFiles))
		case over[what] > n:
			faults = append(faults, fmt.Sprintf("%d %s: they may only become fewer than %d", over[what], what, n))
		case over[what] < n-ratchetSlack:
			faults = append(faults, fmt.Sprintf("only %d %s: write that into overgrown in place of %d", over[what], what, n))
		}
	}
	for _, what := range sortedKeys(listed) {
		if over[what] == 0 {
			faults = append(faults, fmt.Sprintf("the %s are within the limit: take them out of overgrown", what))
		}
	}
	return faults
}

// exceeding is what has more than most, under a name that says what was counted.
func exceeding(what string, counts map[string]int, most int) map[string]int {
	over := make(map[string]int)
	for name, n := range counts {
		if n > most {
			over[what+name] = n
		}
	}
	return over
}

// methodsOfTypes counts the methods that are declared on each type, tests' left out.
func methodsOfTypes(files []*sourceFile) map[string]int {
	counts := make(map[string]int)
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				if name := receiverName(fn); name != "" {
					counts[f.dir+"."+name]++
				}
			}
		}
	}
	return counts
}

// fieldsOfStructs counts the fields of each named struct; an embedded type is one.
func fieldsOfStructs(files []*sourceFile) map[string]int {
	counts := make(map[string]int)
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range group.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					if structure, ok := s.Type.(*ast.StructType); ok {
						counts[f.dir+"."+s.Name.Name] += structure.Fields.NumFields()
					}
				}
			}
		}
	}
	return counts
}

// filesOfFolders counts the Go files of each folder, tests left out.
func filesOfFolders(files []*sourceFile) map[string]int {
	counts := make(map[string]int)
	for _, f := range files {
		if !f.test {
			counts[f.dir]++
		}
	}
	return counts
}

func TestRatchetTurnsOneWay(t *testing.T) {
	listed := map[string]int{"files in a": 50}
	for n, want := range map[int]int{51: 1, 50: 0, 50 - ratchetSlack: 0, 50 - ratchetSlack - 1: 1} {
		if faults := ratchet(map[string]int{"files in a": n}, listed); len(faults) != want {
			t.Errorf("%d of 50: %q", n, faults)
		}
	}
	if faults := ratchet(nil, listed); len(faults) != 1 {
		t.Errorf("within the limit: %q", faults)
	}
	if faults := ratchet(map[string]int{"files in b": 41}, nil); len(faults) != 1 {
		t.Errorf("not listed: %q", faults)
	}
	const most = maxFiles
	if over := exceeding("files in ", map[string]int{"a": most, "b": most + 1}, most); len(over) != 1 || over["files in b"] != most+1 {
		t.Errorf("over the limit: %v", over)
	}
}
