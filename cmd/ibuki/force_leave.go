package main

import "context"

var forceLeaveCommand = &command{
	name:     "force-leave",
	synopsis: `Moves a failed member to the "left" state`,
	help: `
Usage: {prog} force-leave [options] name

  Moves a member that failed to the "left" state, so that the others stop
  trying to reach it. Meant for nodes that will not come back; a node that is
  alive after all says so and is a member again.

Options:

  -prune                    Drop the member from the list altogether.
` + rpcHelp,
	run:      runForceLeave,
	argNodes: true,
}

func runForceLeave(e *env, args []string) int {
	fs := e.flags()
	prune := fs.Bool("prune", false, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("A node name must be specified to force leave.")
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	if err := c.ForceLeave(ctx, fs.Arg(0), *prune); err != nil {
		return e.fail("Error force leaving: %s", err)
	}
	return 0
}
