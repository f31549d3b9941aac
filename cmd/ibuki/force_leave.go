package main

import (
	"context"
	"slices"

	"github.com/ibuki-dev/ibuki/rpc"
)

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
	// Serf's agent takes any name, since another one may know it. To a person it is a typing error.
	if e.name != "serf" && !listed(ctx, c, fs.Arg(0)) {
		return e.fail("Error force leaving: no such member: %q. '%s members' lists them.", fs.Arg(0), e.name)
	}
	if err := c.ForceLeave(ctx, fs.Arg(0), *prune); err != nil {
		return e.fail("Error force leaving: %s", err)
	}
	return 0
}

// listed reports whether the agent lists a member of that name, or will not say.
func listed(ctx context.Context, c *rpc.Client, name string) bool {
	members, err := c.Members(ctx)
	return err != nil || slices.ContainsFunc(members, func(m rpc.Member) bool { return m.Name == name })
}
