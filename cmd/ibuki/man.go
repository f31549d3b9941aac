package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

var manCommand = &command{
	name:     "man",
	synopsis: "Prints or writes the manual pages",
	hidden:   true,
	help: `
Usage: {prog} man [options] [command]

  Prints the manual page of the program or of one of its commands. Read it with

    {prog} man agent | man -l -

Options:

  -dir=DIR      Write all pages into this folder, which must be there, and print
                nothing.
`,
	run: runMan,
}

func runMan(e *env, args []string) int {
	fs := e.flags()
	dir := fs.String("dir", "", "")
	if fs.Parse(args) != nil {
		return 1
	}
	if *dir != "" {
		if fs.NArg() > 0 {
			return e.usage("With -dir all pages are written: name no command.")
		}
		return e.writeMan(*dir)
	}
	switch fs.NArg() {
	case 0:
		fmt.Fprint(e.stdout, e.manOverview())
	case 1:
		c := e.find(fs.Arg(0))
		if c == nil {
			return e.fail("There is no command %q.", fs.Arg(0))
		}
		fmt.Fprint(e.stdout, e.manPage(c))
	default:
		return e.usage("Name one command.")
	}
	return 0
}

// writeMan writes ibuki.1, ibuki-agent.1 and so on.
func (e *env) writeMan(dir string) int {
	pages := map[string]string{e.name: e.manOverview()}
	for _, c := range e.listed() {
		pages[e.name+"-"+c.name] = e.manPage(c)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(text), 0o644); err != nil {
			return e.fail("Cannot write the manual: %s", err)
		}
	}
	return 0
}

// manOverview is the page of the program: its commands, environment, exit codes.
func (e *env) manOverview() string {
	var b strings.Builder
	e.manHead(&b, e.name, "knows which nodes of a cluster are alive")
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I command\n[\\fIoptions\\fR] [\\fIarguments\\fR]\n", e.name)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range e.listed() {
		fmt.Fprintf(&b, ".TP\n.BR %s\\-%s (1)\n%s.\n", e.name, roff(c.name), roff(c.synopsis))
	}
	b.WriteString(".SH ENVIRONMENT\n.TP\n.B SERF_RPC_ADDR\nWhere the agent answers RPC, for commands without \\fB\\-rpc\\-addr\\fR.\n" +
		".TP\n.B SERF_RPC_AUTH\nKey for the agent's RPC, for commands without \\fB\\-rpc\\-auth\\fR.\n" +
		".SH EXIT STATUS\n0: done. 1: failed, or the command line is wrong. 2: too few answers to a query. 127: there is no such command.\n")
	return b.String()
}

// manPage is the page of a command: its help, set as a manual page.
func (e *env) manPage(c *command) string {
	help := e.text(c.help)
	usage, rest, _ := strings.Cut(help, "\n")
	var b strings.Builder
	e.manHead(&b, e.name+"-"+c.name, c.synopsis)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(strings.TrimPrefix(usage, "Usage: ")))
	about, _, hasOptions := strings.Cut(rest, "\nOptions:\n")
	b.WriteString(".SH DESCRIPTION\n")
	manText(&b, about)
	if hasOptions {
		b.WriteString(".SH OPTIONS\n")
		for _, o := range options(help) {
			fmt.Fprintf(&b, ".TP\n.B \\-%s\n%s\n", roff(o.name+o.arg), roff(o.text))
		}
		manText(&b, afterOptions(rest))
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", e.name)
	return b.String()
}

func (e *env) manHead(b *strings.Builder, name, does string) {
	fmt.Fprintf(b, ".TH %s 1 %q \"ibuki %s\"\n.SH NAME\n%s \\- %s\n",
		strings.ToUpper(roff(name)), commitDate(), roff(version), roff(name), roff(does))
}

// commitDate is the day of the pages: that of SOURCE_DATE_EPOCH (seconds; the
// convention of reproducible builds), or of the commit that the program was built
// from; "" if neither is known. It is never today's, so that a build can be repeated.
func commitDate() string {
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(s, 0).UTC().Format(time.DateOnly)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			day, _, _ := strings.Cut(s.Value, "T")
			return day
		}
	}
	return ""
}

// afterOptions is what follows the list of options in a help text.
func afterOptions(help string) string {
	_, list, _ := strings.Cut(help, "\nOptions:\n")
	lines := strings.SplitAfter(list, "\n")
	begun := false
	for i, line := range lines {
		switch isOption := optionRE.MatchString(strings.TrimRight(line, "\n")); {
		case isOption:
			begun = true
		case begun && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "    "):
			return strings.Join(lines[i:], "")
		}
	}
	return ""
}

// manText sets paragraphs: what is indented by four or more stands as it is, a
// line at the margin is a heading.
func manText(b *strings.Builder, text string) {
	between := "" // nothing right below a heading
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		part = strings.Trim(part, "\n")
		switch {
		case part == "":
		case !strings.HasPrefix(part, " "):
			fmt.Fprintf(b, ".SH %s\n", roff(strings.ToUpper(strings.TrimSuffix(part, ":"))))
			between = ""
			continue
		case strings.HasPrefix(part, "    "):
			fmt.Fprintf(b, "%s.nf\n%s\n.fi\n", between, roff(part))
		default:
			b.WriteString(between)
			for line := range strings.Lines(part) {
				fmt.Fprintf(b, "%s\n", roff(strings.TrimSpace(line)))
			}
		}
		between = ".PP\n"
	}
}

// roff writes text so that a formatter shows just that.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	var b strings.Builder
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			b.WriteString(`\&`)
		}
		b.WriteString(line)
	}
	return b.String()
}
