package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// listedCommands are those that ibuki shows.
func listedCommands() []*command {
	return (&env{name: "ibuki", all: commands}).listed()
}

// What looks like a flag in a help text is one that the command takes, and is
// found by options: completions and manual pages show it.
func TestOptionsOfEveryHelp(t *testing.T) {
	lineRE := regexp.MustCompile(`(?m)^  -([a-z][a-z0-9-]*)`)
	for _, c := range listedCommands() {
		var want, got []string
		for _, m := range lineRE.FindAllStringSubmatch(c.help, -1) {
			want = append(want, m[1])
		}
		for _, o := range options(c.help) {
			got = append(got, o.name)
			if o.text == "" {
				t.Errorf("%s -%s has no description", c.name, o.name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: options are %q, the help shows %q", c.name, got, want)
		}
	}
}

func TestOptionForms(t *testing.T) {
	got := options(`
Usage: x

Options:

  -plain           Stands alone.
  -value=PATH      Has a value,
                   in two lines.
  -event-handler=[TYPE=]CMD One space.
  -tag KEY=VALUE   After a space.
  -long-name-without-room=true
                   On the next line.

Not an option:

  -this
`)
	want := []option{
		{"plain", "", "Stands alone."},
		{"value", "=PATH", "Has a value, in two lines."},
		{"event-handler", "=[TYPE=]CMD", "One space."},
		{"tag", " KEY=VALUE", "After a space."},
		{"long-name-without-room", "=true", "On the next line."},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// shell returns the path of a shell and of a file with its completions, and puts
// an ibuki on the PATH that knows two members.
func shell(t *testing.T, name string, write func(io.Writer, string, []*command)) (program, file string) {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s", name)
	}
	dir := t.TempDir()
	file = filepath.Join(dir, "completion")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	write(f, "ibuki", listedCommands())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	fake := "#!/bin/sh\nprintf 'anna  10.0.0.1:7946  alive\\nbert  10.0.0.2:7946  failed\\n'\n"
	if err := os.WriteFile(filepath.Join(dir, "ibuki"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("HOME", dir)
	return program, file
}

// completed is what a shell offers, one a line.
func completed(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestBashCompletion(t *testing.T) {
	bash, file := shell(t, "bash", bashCompletion)
	for _, c := range []struct{ words, want string }{
		{"force", "force-leave"},
		{"members -format = j", "json"},
		{"members -format j", "json"},
		{"agent -log-level d", "debug"},
		{"agent -sn", "-snapshot"},
		{"force-leave b", "bert"},
		{"query -node a", "anna"},
		{"agent -node a", ""},
		{"completion z", "zsh"},
	} {
		args := append([]string{"-c", `source "$0"; COMP_WORDS=(ibuki "$@"); COMP_CWORD=$#; _ibuki; echo "${COMPREPLY[@]}"`, file},
			strings.Fields(c.words)...)
		if got := completed(t, bash, args...); got != c.want {
			t.Errorf("ibuki %s: %q, want %q", c.words, got, c.want)
		}
	}
}

func TestFishCompletion(t *testing.T) {
	fish, file := shell(t, "fish", fishCompletion)
	for line, want := range map[string]string{
		"ibuki forc":               "force-leave",
		"ibuki members -format j":  "json",
		"ibuki members -format=j":  "-format=json",
		"ibuki agent -log-level d": "debug",
		"ibuki force-leave b":      "bert",
		"ibuki query -node a":      "anna",
		"ibuki completion z":       "zsh",
	} {
		got := completed(t, fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2] | string replace -r '\t.*' ''; true`, file, line)
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// zsh's completions run only in its line editor: the script has to load, and what
// it hands to _arguments is looked at instead.
func TestZshCompletion(t *testing.T) {
	zsh, file := shell(t, "zsh", zshCompletion)
	const script = `
compdef() { :; }; compadd() { print -r -- ${(P)2}; }; _describe() { print -r -- ${(P)2}; }
_arguments() { print -r -l -- "$@"; }
source $1
words=(ibuki ${@[2,-1]}); CURRENT=${#words}
_ibuki`
	for words, wants := range map[string][]string{
		"m":                 {"members:Lists the members of the cluster", "force-leave:"},
		"members -":         {"*-format=[Form of the output", ":format:(text json)", "*-detailed["},
		"agent -":           {"*-snapshot=[", ":snapshot:_files", "*-syslog["},
		"query -":           {"*-node=[", ":node:_ibuki_members"},
		"force-leave b":     {"*:member:_ibuki_members"},
		"completion z":      {"1:one of:(bash zsh fish)"},
		"reachability -ver": {"*-verbose["},
	} {
		args := append([]string{"-f", "-c", script, "zsh", file}, strings.Fields(words)...)
		got := completed(t, zsh, args...)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("ibuki %s: no %q in %q", words, want, got)
			}
		}
	}
	got := completed(t, zsh, "-f", "-c", `compdef() { :; }; compadd() { print -r -- ${(P)2}; }; source $1; _ibuki_members`, "zsh", file)
	if got != "anna bert" {
		t.Errorf("members are %q", got)
	}
}
