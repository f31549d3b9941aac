package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var infoCommand = &command{
	name:     "info",
	synopsis: "Shows figures of the agent, for operators",
	help: `
Usage: {prog} info [options]

  Shows figures of a running agent that help to see how it is doing.

Options:

  -format=text              Form of the output: 'text' or 'json'.
` + rpcHelp,
	run: runInfo,
}

func runInfo(e *env, args []string) int {
	fs := e.flags()
	format := fs.String("format", "text", "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil || e.extra() {
		return 1
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	stats, err := c.Stats(ctx)
	if err != nil {
		return e.fail("Error querying agent: %s", err)
	}
	out, err := formatOutput(stats, func() string { return e.figures(stats) }, *format)
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", out)
	return 0
}

// figures is the text format: figures by section and name.
func (e *env) figures(s map[string]map[string]string) string {
	var b strings.Builder
	for _, section := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s:\n", e.word(section))
		for _, name := range slices.Sorted(maps.Keys(s[section])) {
			fmt.Fprintf(&b, "\t%s = %s\n", e.word(name), e.word(s[section][name]))
		}
	}
	return b.String()
}
