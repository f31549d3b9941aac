package ibuki

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dependenciesPath = "docs/dependencies.md"

var (
	requirementRE = regexp.MustCompile(`(?m)^(?:\t|require )(\S+\.\S+) v\S+`)
	dependencyRE  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\S \\|$")
)

// requirements are the modules that go.mod requires, sorted.
func requirements(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range requirementRE.FindAllStringSubmatch(string(text), -1) {
		modules = append(modules, m[1])
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// Each module has one row, which says why it is there.
func TestDependenciesHaveReasons(t *testing.T) {
	text, err := os.ReadFile(dependenciesPath)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range dependencyRE.FindAllStringSubmatch(string(text), -1) {
		if slices.Contains(listed, m[1]) {
			t.Errorf("%s lists %s twice", dependenciesPath, m[1])
		}
		listed = append(listed, m[1])
	}
	required := requirements(t)
	if len(required) < 20 {
		t.Fatalf("only %d requirements were found", len(required))
	}
	for _, m := range without(required, listed) {
		t.Errorf("go.mod requires %s: give it a row with its reason in %s", m, dependenciesPath)
	}
	for _, m := range without(listed, required) {
		t.Errorf("%s lists %s, which go.mod does not require", dependenciesPath, m)
	}
}

// What only tests need is in no release, nor in a program that imports our packages.
func TestTestModulesAreNotLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	linked := strings.Fields(string(out))
	for _, m := range testModules(t) {
		if slices.Contains(linked, m) {
			t.Errorf("%s is for tests only, but a package imports it", m)
		}
	}
}

// testModules are the rows of the table of what only tests require.
func testModules(t *testing.T) (modules []string) {
	t.Helper()
	text, err := os.ReadFile(dependenciesPath)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## Required by tests only\n")
	if !ok {
		t.Fatalf("%s has no table of what only tests require", dependenciesPath)
	}
	table, _, _ := strings.Cut(rest, "\n## ")
	for _, m := range dependencyRE.FindAllStringSubmatch(table, -1) {
		modules = append(modules, m[1])
	}
	return modules
}
