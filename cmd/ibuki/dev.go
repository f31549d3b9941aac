package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ibuki-dev/ibuki/lab"
)

const devHelpText = `Usage: {prog} dev [options]

  Starts a cluster of real agents on this machine's loopback addresses and shows
  who sees whom, and every event, as they change: as a table with an input line on
  a terminal, as plain lines otherwise. Commands (help lists them) kill, freeze and
  restart agents and send events and queries. Each agent has a dashboard for the
  browser, whose address is printed. Nothing is left behind at the end,
  however it comes.

Options:

  -nodes=3                 How many agents.
  -groonga                 Beside each agent a Groonga server and a gateway, sample
                           data in them, and searches and writes without end,
                           counted while you break things. Needs groonga.
  -play=NAME               Play a script by itself and exit: 0 only if all that it
                           expects has happened. The scripts: walkthrough.
  -plain                   Plain lines also on a terminal.
  -program=ibuki           The program to run as the agents and their commands, for
                           instance serf.
`

var devCommand = &command{
	name:     "dev",
	synopsis: "Starts a cluster of agents on this machine, to play with",
	help:     devHelpText,
	run:      devMain,
	hidden:   true,
}

// devHandlerCommand and devKeeperCommand are what dev runs of itself. Without a
// synopsis they are in no list.
var (
	devHandlerCommand = &command{name: lab.HandlerCommand, run: devHandlerMain, hidden: true, help: `Usage: {prog} dev-handler [-answer] FILE

  The event handler of dev's nodes: appends what it is given to a file.`}
	devKeeperCommand = &command{name: lab.KeeperCommand, run: devKeeperMain, hidden: true, help: `Usage: {prog} dev-keeper

  Cleans up after dev when its standard input ends.`}
)

func devMain(e *env, args []string) int {
	var o lab.Options
	flags := e.flags()
	flags.IntVar(&o.Nodes, "nodes", 3, "")
	flags.BoolVar(&o.Groonga, "groonga", false, "")
	flags.StringVar(&o.Play, "play", "", "")
	flags.BoolVar(&o.Plain, "plain", false, "")
	flags.StringVar(&o.Program, "program", "", "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		err = lab.Run(ctx, lab.Streams{In: e.stdin, Out: e.stdout}, o)
	}
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return 1
	}
	return 0
}

// devHandlerMain is an event handler whose file is its last argument.
func devHandlerMain(e *env, args []string) int {
	answer := len(args) > 0 && args[0] == "-answer"
	if answer {
		args = args[1:]
	}
	if len(args) != 1 {
		return e.usage("One file is needed.")
	}
	if err := lab.Handle(e.stdin, e.stdout, args[0], answer); err != nil {
		fmt.Fprintln(e.stderr, err)
		return 1
	}
	return 0
}

func devKeeperMain(e *env, _ []string) int {
	lab.Keep(e.stdin)
	return 0
}
