package main

import (
	"fmt"
	"strings"
)

var helpCommand = &command{
	name:     "help",
	synopsis: "Shows what there is to do, or all about a command",
	hidden:   true,
	help: `
Usage: {prog} help [command]

  Shows the commands by what they are for; with a command, its help text.
`,
	run: runHelp,
}

// helpGroups are the commands by what they are for.
var helpGroups = []struct {
	title string
	names []string
}{
	{"Try it", []string{"dev", "sim"}},
	{"Run a node", []string{"agent", "config", "join", "leave", "restart-window", "tags", "keygen", "keys"}},
	{"See how the cluster is", []string{"members", "top", "why", "doctor", "info", "monitor", "reachability", "rtt"}},
	{"Tell and ask all nodes", []string{"event", "query", "force-leave"}},
	{"Search clusters of Groonga servers", []string{"catalog", "cluster", "gateway", "handle-serf-event", "write-log"}},
	{"About the program", []string{"help", "version", "man", "completion"}},
}

func runHelp(e *env, args []string) int {
	if len(args) == 0 {
		e.say("%s", strings.TrimRight(e.groupedOverview(), "\n"))
		return 0
	}
	fs := e.flags()
	if fs.Parse(args) != nil {
		return 1
	}
	c := e.find(fs.Arg(0))
	if c == nil {
		return e.fail("There is no command '%s'.", fs.Arg(0))
	}
	e.say("%s", e.text(c.help))
	return 0
}

func (e *env) groupedOverview() string {
	width := 0
	for _, c := range e.listed() {
		width = max(width, len(c.name))
	}
	var b strings.Builder
	b.WriteString(e.text(`
{prog} knows which nodes of a cluster are alive, and runs your programs when that changes.

  {prog} dev                              a cluster on this machine, to play with
  {prog} agent -bind=192.168.100.50       a node
  {prog} join 192.168.100.51              joins it to others, by any of them
  {prog} members                          who is alive
`) + "\n")
	for _, g := range helpGroups {
		fmt.Fprintf(&b, "\n%s:\n", g.title)
		for _, name := range g.names {
			if c := e.find(name); c != nil {
				fmt.Fprintf(&b, "    %-*s    %s\n", width, c.name, c.synopsis)
			}
		}
	}
	fmt.Fprintf(&b, "\n'%s help COMMAND' or '%s COMMAND -h' has all about one, and 'man %s-COMMAND' where the package is installed.\n", e.name, e.name, e.name)
	return b.String()
}
