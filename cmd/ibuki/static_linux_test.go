package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What README's own command makes needs no loader and no library of its host, so it can be
// copied to any. And the linker could leave out what is not used.
func TestProgramIsStatic(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := ""
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " go build ") {
			command, _, _ = strings.Cut(strings.TrimSpace(line), "  ")
		}
	}
	file := filepath.Join(t.TempDir(), "serf")
	build := exec.Command("/bin/sh", "-c", strings.Replace(command, " -o serf ", " -o '"+file+"' ", 1))
	build.Dir = "../.."
	build.Env = append(os.Environ(), "GOFLAGS=-trimpath") // as releases are built: compiled once for both
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s: the program has a segment %v", command, p.Type)
		}
	}
	symbols, err := program.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == "text/template.(*state).evalField" {
			t.Error("the program holds a call of methods by name, so the linker kept all methods there are: see decision 32")
		}
	}
}
