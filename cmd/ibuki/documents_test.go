package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandLines are the lines of a page that call the program: those of blocks of code, and
// what stands between backquotes.
func commandLines(text string) (lines []string) {
	fenced, long := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "    ")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case fenced || indented:
			if cut, more := strings.CutSuffix(line, "\\"); more {
				long += cut + " "
				continue
			}
			lines = append(lines, long+line)
			long = ""
		default:
			for _, m := range regexp.MustCompile("`((?:ibuki|serf) [a-z][a-z-]*[^`]*)`").FindAllStringSubmatch(line, -1) {
				lines = append(lines, m[1])
			}
		}
	}
	return lines
}

// shellWords splits a line as a shell would, up to where the command ends.
func shellWords(line string) (words []string) {
	word, quote, begun := "", rune(0), false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word += string(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == ' ' || c == '\t':
			if begun {
				words = append(words, word)
			}
			word, begun = "", false
		case strings.ContainsRune("|;&<>()…", c) || c == '#' && !begun:
			if begun && !strings.ContainsRune("<>", c) || begun && strings.Trim(word, "012") != "" {
				words = append(words, word)
			}
			return words
		default:
			word, begun = word+string(c), true
		}
	}
	if begun {
		words = append(words, word)
	}
	return words
}

// programArgs finds a call of the program in a line: its name and arguments.
func programArgs(line string) (name string, args []string) {
	words := shellWords(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
	for len(words) > 0 && (words[0] == "sudo" || regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0])) {
		words = words[1:]
	}
	if len(words) > 3 && slices.Equal(words[:3], []string{"go", "run", "./cmd/ibuki"}) {
		return "ibuki", words[3:]
	}
	if len(words) > 1 && (filepath.Base(words[0]) == "ibuki" || words[0] == "serf") {
		return filepath.Base(words[0]), words[1:]
	}
	return "", nil
}

// flagSet are the flags of a command, as it makes them itself: called with one that
// there is not, it does nothing else. sub is the part of the arguments that are words
// of the command, as in config check.
func flagSet(t *testing.T, prog string, c *command, args []string) (fs *flag.FlagSet, sub int) {
	t.Helper()
	const none = "-no-such-flag"
	e := &env{name: prog, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, all: commands, cmd: c}
	made := func(args ...string) *flag.FlagSet {
		e.set = nil
		inner := *e // config has its own copy
		if c == configCommand {
			inner.cmd = agentCommand
			r := &agentRun{env: &inner, args: []string{none}}
			_, _, _ = r.parse()
			return inner.set
		}
		if code := c.run(&inner, args); code != 1 {
			t.Errorf("%s %v ends with %d", c.name, args, code)
		}
		return inner.set
	}
	words := append(slices.Clone(c.argWords), map[string][]string{"sim": {"scale", "lifeguard"}}[c.name]...)
	if len(args) > 0 && slices.Contains(words, args[0]) {
		return made(args[0], none), 1
	}
	return made(none), 0
}

// wrongCall says what is wrong with a call, "" if nothing. spoken: it stands in a
// sentence, where a flag may be named without its value.
func wrongCall(t *testing.T, prog string, args []string, spoken bool) string {
	t.Helper()
	line := splitLine(args)
	if line.help {
		return ""
	}
	e := &env{name: prog, all: commands}
	c := e.find(line.command)
	switch {
	case c == nil:
		return prog + " has no command " + line.command
	case len(line.misplaced) > 0:
		return "flags before the command"
	case c == keygenCommand || c == versionCommand: // they look at no arguments
		return strings.Join(line.args, " ")
	case c == completionCommand || c == devHandlerCommand || c == devKeeperCommand:
		return ""
	}
	fs, sub := flagSet(t, prog, c, line.args)
	if fs == nil {
		return "no flags of " + c.name
	}
	var fault bytes.Buffer
	fs.SetOutput(&fault)
	fs.Usage = func() {}
	// Values that stand for something else in a text are not to be judged.
	var given []string
	for _, a := range line.args[sub:] {
		if name, value, ok := strings.Cut(a, "="); ok && strings.HasPrefix(a, "-") && regexp.MustCompile(`^[A-Z]+$`).MatchString(value) {
			if f := fs.Lookup(strings.TrimLeft(name, "-")); f != nil {
				continue
			}
		}
		given = append(given, a)
	}
	if fs.Parse(given) != nil && !(spoken && strings.Contains(fault.String(), "needs an argument: "+given[len(given)-1])) {
		return strings.TrimSpace(fault.String())
	}
	if i := slices.IndexFunc(fs.Args(), func(a string) bool { return len(a) > 1 && a[0] == '-' }); i >= 0 && !slices.Contains(given, "--") {
		return "the flag " + fs.Args()[i] + " comes after an argument"
	}
	return ""
}

// Every call of the program in the documents is one that there is: command and flags.
func TestCommandsInDocuments(t *testing.T) {
	t.Parallel()
	calls := make(map[string]int)
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../contrib/*/*.md"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range commandLines(string(text)) {
				prog, args := programArgs(line)
				if prog == "" {
					continue
				}
				calls[prog]++
				if why := wrongCall(t, prog, args, strings.HasPrefix(line, prog)); why != "" {
					t.Errorf("%s: %s: %s", filepath.Base(file), strings.TrimSpace(line), why)
				}
			}
		}
	}
	if calls["ibuki"] < 60 || calls["serf"] < 15 {
		t.Errorf("only %v calls were found", calls)
	}
	var grouped, shown []string
	for _, g := range helpGroups {
		grouped = append(grouped, g.names...)
	}
	for _, c := range commands {
		if c.synopsis != "" {
			shown = append(shown, c.name)
		}
	}
	slices.Sort(grouped)
	slices.Sort(shown)
	if !slices.Equal(grouped, shown) {
		t.Errorf("help groups %v, there are %v", grouped, shown)
	}
	for _, bad := range []string{"ibuki membres", "ibuki members -statsu=alive", "serf why node1", "ibuki query name -node=x", "ibuki sim scale -nosuch"} {
		prog, args := programArgs(bad)
		if wrongCall(t, prog, args, false) == "" {
			t.Errorf("%q passes", bad)
		}
	}
}

// The table of exit codes has every command; what can be tried without an agent ends as
// it says.
func TestExitCodesInDocuments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1])
	}
	for _, c := range commands {
		if c.synopsis != "" {
			want = append(want, c.name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("docs/commands.md lists %v, there are %v", listed, want)
	}
	quiet := func(args ...string) int {
		return run(append([]string{"ibuki"}, args...), strings.NewReader(""), io.Discard, io.Discard)
	}
	for _, c := range commands {
		if code := quiet(c.name, "-h"); code != 0 {
			t.Errorf("%s -h ends with %d", c.name, code)
		}
		if c.synopsis == "" || c == keygenCommand || c == versionCommand { // they look at no arguments
			continue
		}
		if code := quiet(c.name, "-no-such-flag"); code != 1 {
			t.Errorf("%s with a wrong flag ends with %d", c.name, code)
		}
	}
	nobody := "-rpc-addr=127.62.255.254:1" // where nobody answers
	for _, c := range [][]string{{"event", nobody, "e"}, {"force-leave", nobody, "n"}, {"info", nobody}, {"join", nobody, "a"}, {"keys", nobody, "-list"},
		{"leave", nobody}, {"members", nobody}, {"members", "-watch", nobody}, {"monitor", nobody}, {"query", nobody, "q"}, {"query", "-min=1", nobody, "q"},
		{"reachability", nobody}, {"restart-window", nobody, "1s"}, {"rtt", nobody, "a"}, {"tags", nobody, "-set=a=b"}, {"why", nobody, "n"},
		{"catalog", "check", "nosuch.json"}, {"config", "check", "-bind=x"}, {"sim", "nosuch"}} {
		if code := quiet(c...); code != 1 {
			t.Errorf("%v ends with %d", c, code)
		}
	}
	for _, c := range [][]string{{"version"}, {"keygen"}, {"completion", "bash"}, {"config", "check"}, {"sim", "-quiet"}, {"help"}, {"help", "why"}} {
		if code := quiet(c...); code != 0 {
			t.Errorf("%v ends with %d", c, code)
		}
	}
	if code := quiet("nosuch"); code != 127 {
		t.Errorf("an unknown command ends with %d", code)
	}
}
