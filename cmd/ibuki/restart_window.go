package main

import (
	"context"
	"time"
)

var restartWindowCommand = &command{
	name:     "restart-window",
	synopsis: "Announces a restart of the agent",
	hidden:   true,
	help: `
Usage: {prog} restart-window [options] duration

  Tells the others that the agent may be away for the given time from now on, for
  instance 30s; at most 1h. Until then the nodes of ibuki report no member-failed
  of it: if it is back by then they report a member-update, else the member-failed
  at the end. Their lists of live nodes leave it out while it is away. To agents of
  Serf it is a tag, ibuki-restart, and its failure is one.

  Until then the agent also ends without a leave by an interrupt or SIGTERM, and so
  is back by its snapshot. 0 takes all that back.

Options:

` + rpcHelp,
	run: runRestartWindow,
}

func runRestartWindow(e *env, args []string) int {
	fs := e.flags()
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("Say for how long.")
	}
	text := fs.Arg(0)
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return e.fail("Invalid duration: '%s'", text)
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	if err := c.RestartWindow(ctx, d); err != nil {
		return e.fail("Error announcing a restart: %s", err)
	}
	if d == 0 {
		e.say("No restart is announced any more")
	} else {
		e.say("The others hold back a failure of this node for %s", d)
	}
	return 0
}
