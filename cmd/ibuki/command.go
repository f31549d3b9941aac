package main

import (
	"fmt"
	"io"
)

// env is what a subcommand may touch of the process.
type env struct {
	name   string // what the program was called as: ibuki or serf
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// command is one subcommand. Each lives in a file of its own and is listed in
// commands.
type command struct {
	name     string
	synopsis string // one line, in the list of commands
	help     string // the whole help text
	run      func(e *env, args []string) int
	hidden   bool // only under the name ibuki (not Serf's)
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fmt.Fprintln(stderr, "unwritten")
	return 1
}
