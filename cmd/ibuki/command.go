package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/settings"
	"github.com/ibuki-dev/ibuki/terminal"
)

// commands are all subcommands. Each is a variable in a file of its own.
var commands = []*command{
	agentCommand,
	catalogCommand,
	clusterCommand,
	completionCommand,
	configCommand,
	devCommand,
	devHandlerCommand,
	devKeeperCommand,
	doctorCommand,
	eventCommand,
	forceLeaveCommand,
	gatewayCommand,
	handleSerfEventCommand,
	helpCommand,
	infoCommand,
	joinCommand,
	keygenCommand,
	keysCommand,
	leaveCommand,
	manCommand,
	membersCommand,
	monitorCommand,
	queryCommand,
	reachabilityCommand,
	restartWindowCommand,
	rttCommand,
	simCommand,
	tagsCommand,
	topCommand,
	versionCommand,
	whyCommand,
	writeLogCommand,
}

// env is what a subcommand may touch of the process.
type env struct {
	name   string // what the program was called as: ibuki or serf
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	screen bool          // stdout is a terminal: what cannot be seen is escaped
	all    []*command    // commands
	cmd    *command      // the running one
	set    *flag.FlagSet // what flags made last
}

// command is one subcommand. Each lives in a file of its own and is listed in
// commands. In its texts, {prog} stands for the name of the program.
type command struct {
	name     string
	synopsis string // one line, in the list of commands; "": in no list
	help     string // the whole help text
	run      func(e *env, args []string) int
	hidden   bool // only under the name ibuki (not Serf's)

	// What completions offer as arguments: these words, or names of members.
	argWords []string
	argNodes bool
}

// say prints a line to stdout.
func (e *env) say(format string, args ...any) { e.print(fmt.Sprintf(format, args...) + "\n") }

// print prints a text to stdout. A terminal gets nothing that moves its cursor; programs
// that read a pipe get every byte, as from Serf's.
func (e *env) print(text string) {
	if e.screen {
		text = printable.Text(text)
	}
	_, _ = io.WriteString(e.stdout, text)
}

// word is a text of others, such as a name, as a part of a line: it must not end it.
func (e *env) word(s string) string {
	if e.screen {
		return printable.Line(s)
	}
	return s
}

// text is a help text as it is printed.
func (e *env) text(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(s, "{prog}", e.name))
}

// run is the whole program. It returns the exit code: 127 for a command that
// there is not.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{name: "ibuki", stdin: stdin, stdout: stdout, stderr: stderr, screen: terminal.Is(stdout), all: commands}
	switch name := strings.TrimSuffix(filepath.Base(args[0]), ".exe"); name {
	case "serf":
		e.name = name
	case eventHandlerName: // the name is the command
		args = append([]string{name, handleSerfEventCommand.name}, args[1:]...)
	}
	line := splitLine(args[1:])
	e.cmd = e.find(line.command)
	switch {
	case line.help && line.command == "":
		fmt.Fprintln(stderr, e.overview())
		return 0
	case e.cmd == nil:
		fmt.Fprintln(stderr, e.unknown(line.command))
		return 127
	case line.help:
		fmt.Fprintln(stderr, e.text(e.cmd.help))
		return 0
	case len(line.misplaced) > 0:
		fmt.Fprintf(stderr, "Flags of a command have to come after it: %s\n\n%s\n",
			strings.Join(line.misplaced, " "), e.text(e.cmd.help))
		return 1
	}
	return e.cmd.run(e, line.args)
}

// commandLine is a command line taken apart by Serf's rules.
type commandLine struct {
	command   string
	args      []string // all that comes after the command
	help      bool
	misplaced []string // flags before the command
}

// splitLine finds the command. Before "--", a help flag counts anywhere, and
// --version or -v anywhere is the version command.
func splitLine(args []string) commandLine {
	if slices.Contains(args, "-v") || slices.Contains(args, "--version") {
		return commandLine{command: versionCommand.name, help: slices.ContainsFunc(args, isHelp)}
	}
	var line commandLine
	for i, arg := range args {
		switch {
		case arg == "--":
			return line
		case isHelp(arg):
			line.help = true
		case line.command != "" || arg == "" || arg == "-version":
		case arg[0] == '-':
			line.misplaced = append(line.misplaced, arg)
		default:
			line.command, line.args = arg, args[i+1:]
		}
	}
	return line
}

func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// find returns the command of that name, nil if there is none under the name
// that the program was called by.
func (e *env) find(name string) *command {
	for _, c := range e.all {
		if c.name == name && e.shows(c) {
			return c
		}
	}
	return nil
}

// unknown says what is wrong with a command that there is not. Serf's has only the list.
func (e *env) unknown(name string) string {
	if e.asSerf() || name == "" {
		return e.overview()
	}
	hint := ""
	var names []string
	for _, c := range e.listed() {
		names = append(names, c.name)
	}
	if near := settings.Nearest(name, names); near != "" {
		hint = fmt.Sprintf(" Did you mean %q?", near)
	}
	return fmt.Sprintf("There is no command %q.%s '%s -h' lists them all.", name, hint, e.name)
}

func (e *env) shows(c *command) bool { return !c.hidden || !e.asSerf() }

// overview is the help text of the program.
func (e *env) overview() string {
	var names []*command
	width := 0
	for _, c := range e.listed() {
		names = append(names, c)
		width = max(width, len(c.name))
	}
	slices.SortFunc(names, func(a, b *command) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n", e.name)
	for _, c := range names {
		fmt.Fprintf(&b, "    %-*s    %s\n", width, c.name, c.synopsis)
	}
	return b.String()
}
