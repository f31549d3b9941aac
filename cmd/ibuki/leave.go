package main

import "context"

var leaveCommand = &command{
	name:     "leave",
	synopsis: "Makes the agent leave its cluster and end",
	help: `
Usage: {prog} leave [options]

  Makes the agent tell its cluster that it leaves, and end.

Options:

` + rpcHelp,
	run: runLeave,
}

func runLeave(e *env, args []string) int {
	fs := e.flags()
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
	if err := c.Leave(ctx); err != nil {
		return e.fail("Error leaving: %s", err)
	}
	e.say("Graceful leave complete")
	return 0
}
