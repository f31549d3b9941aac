package main

import (
	"context"
	"strings"
)

var joinCommand = &command{
	name:     "join",
	synopsis: "Makes the agent join a cluster",
	help: `
Usage: {prog} join [options] address ...

  Makes a running agent join the cluster of any of the addresses. One of them
  is enough; it fails if none can be joined. On a terminal it shows how long it takes.

Options:

  -replay                   Deliver the user events from before the join, too.
` + rpcHelp,
	run: runJoin,
}

func runJoin(e *env, args []string) int {
	fs := e.flags()
	replay := fs.Bool("replay", false, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() == 0 {
		return e.usage("At least one address to join must be specified.")
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	progress := e.showProgress("The agent joins %s", strings.Join(fs.Args(), ", "))
	n, err := c.Join(ctx, fs.Args(), *replay)
	progress.stop()
	if err != nil {
		return e.fail("Error joining the cluster: %s", err)
	}
	e.say("Successfully joined cluster by contacting %d nodes.", n)
	return 0
}
