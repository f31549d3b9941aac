package main

import (
	"context"

	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/rpc"
)

var rttCommand = &command{
	name:     "rtt",
	synopsis: "Estimates the round-trip time between two nodes",
	help: `
Usage: {prog} rtt [options] node1 [node2]

  Estimates the round-trip time between two nodes from their network coordinates;
  nothing is measured. Without a second name, it is the agent's own node. Names
  are those that 'members' shows.

Options:

` + rpcHelp,
	run:      runRTT,
	argNodes: true,
}

func runRTT(e *env, args []string) int {
	fs := e.flags()
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	nodes := fs.Args()
	switch len(nodes) {
	case 1:
		stats, err := c.Stats(ctx)
		if err != nil {
			return e.fail("Error querying agent: %s", err)
		}
		nodes = append(nodes, stats["agent"]["name"])
	case 2:
	default:
		return e.usage("One or two node names must be specified")
	}
	var at [2]*rpc.Coordinate
	for i, node := range nodes {
		got, err := c.Coordinate(ctx, node)
		if err != nil {
			return e.fail("Error getting coordinates: %s", err)
		}
		if got == nil {
			return e.fail("Could not find a coordinate for node %q", node)
		}
		at[i] = got
	}
	took, ok := diagnose.RoundTrip(at[0], at[1])
	if !ok {
		return e.fail("Error getting coordinates: those of %q and %q have different dimensions", nodes[0], nodes[1])
	}
	e.say("Estimated %s <-> %s rtt: %.3f ms", e.word(nodes[0]), e.word(nodes[1]), took.Seconds()*1000)
	return 0
}
