package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/settings"
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
	to := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("A node name must be specified to force leave.")
	}
	ctx := context.Background()
	c := to.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	// Serf's agent takes any name, since another one may know it. To a person it is a typing error.
	if !e.knows(ctx, c, "Error force leaving", fs.Arg(0)) {
		return 1
	}
	if err := c.ForceLeave(ctx, fs.Arg(0), *prune); err != nil {
		return e.fail("Error force leaving: %s", err)
	}
	return 0
}

// knows reports whether the agent lists members of these names, or will not say; if not, it
// says so. Under Serf's name nobody looks.
func (e *env) knows(ctx context.Context, c *rpc.Client, what string, names ...string) bool {
	if e.asSerf() || len(names) == 0 {
		return true
	}
	members, err := c.Members(ctx)
	if err != nil {
		return true
	}
	var all []string
	for _, m := range members {
		all = append(all, m.Name)
	}
	for _, name := range names {
		if slices.Contains(all, name) {
			continue
		}
		hint := fmt.Sprintf("'%s members' lists them.", e.name)
		if near := settings.Nearest(name, all); near != "" {
			hint = fmt.Sprintf("Did you mean %q?", near)
		}
		e.fail("%s: no such member: %q. %s", what, name, hint)
		return false
	}
	return true
}
