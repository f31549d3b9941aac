package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/terminal"
	"github.com/ibuki-dev/ibuki/top"
)

var topCommand = &command{
	name:     "top",
	synopsis: "Shows the cluster live on the terminal",
	hidden:   true,
	help: `
Usage: {prog} top [options]

  Shows the members that an agent knows, and events and queries as they pass, on
  the terminal, live. The worst are first. SINCE is when the status became what it
  is, FLAPS how often the member failed while this program ran; round-trip times
  are estimated from network coordinates. The connection to an agent that stops
  answering is retried until the agent is back.

  Keys: h lists them all; s, w, n, t, r and f sort, / filters by name, status or
  tag, up, down, page up and page down scroll, q quits.

Options:

` + rpcHelp,
	run: runTop,
}

func runTop(e *env, args []string) int {
	fs := e.flags()
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() > 0 {
		return e.usage("Too many command line arguments.")
	}
	if !terminal.Is(e.stdout) {
		return e.fail("top wants a terminal; 'members -watch' prints lines.")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := agent.connect(ctx, e) // the first time, so that a wrong address is said and not looked for
	if c == nil {
		return 1
	}
	c.Close()

	dial := func(ctx context.Context) (*rpc.Client, error) { return agent.dial(ctx) }
	if err := top.Run(ctx, e.stdin, e.stdout, *agent.addr, dial); err != nil {
		return e.fail("The screen failed: %s", err)
	}
	return 0
}
