package main

import (
	"context"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/rpc"
)

var whyCommand = &command{
	name:     "why",
	synopsis: "Explains why a member failed or was suspected",
	hidden:   true,
	argNodes: true,
	help: `
Usage: {prog} why [options] node

  Asks all members that can tell what they have seen of one: who accused it, by
  which way it was tried, who agreed, whether it refuted, and what it says of that
  time itself. Says what most likely was the cause of the last incident.

  Agents of Serf are not asked; what they said counts as others have heard it.
  Members forget: an agent keeps some thousand records.

Options:

  -since=1h                 How far back.
  -format=text              Form of the output: 'text' or 'json'.
  -gateway=127.0.0.1:10040  HOST:PORT of a gateway with a log of writes: as text, what
                            is wrong with the Groonga servers on that node is said as
                            well. If none answers there, nothing is.
` + rpcHelp,
	run: runWhy,
}

func runWhy(e *env, args []string) int {
	fs := e.flags()
	since := fs.Duration("since", time.Hour, "")
	format := fs.String("format", "text", "")
	gateway := fs.String("gateway", defaultGateway, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("Name one node.")
	}
	if *since <= 0 {
		return e.fail("-since has to be more than 0.")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	node := fs.Arg(0)
	histories, asked, err := c.History(ctx, node)
	if err != nil {
		return e.fail("Error asking about %s: %s", node, err)
	}
	members, err := c.Members(ctx)
	if err != nil {
		return e.fail("Error retrieving members: %s", err)
	}
	status, hosts := "", []string{node}
	if i := slices.IndexFunc(members, func(m rpc.Member) bool { return m.Name == node }); i >= 0 {
		status = members[i].Status
		hosts = append(hosts, members[i].Addr.String())
	}
	report := diagnose.NewCase(node, status, histories, asked, time.Now().Add(-*since)).Report()
	out, err := formatOutput(report, report.String, *format)
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", out)
	if *format == "text" {
		for _, line := range serverFaults(*gateway, hosts) {
			e.say("%s", e.word(line))
		}
	}
	return 0
}
