package main

import "context"

var eventCommand = &command{
	name:     "event",
	synopsis: "Sends an event of your own to the whole cluster",
	help: `
Usage: {prog} event [options] name [payload]

  Sends a user event with the name and payload to every member.

Options:

  -coalesce=true/false      Whether agents may drop all but the last of the
                            events of this name that come within a short time.
                            True unless said otherwise.
` + rpcHelp,
	run: runEvent,
}

func runEvent(e *env, args []string) int {
	fs := e.flags()
	coalesce := fs.Bool("coalesce", true, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	switch {
	case fs.NArg() < 1:
		return e.usage("An event name must be specified.")
	case fs.NArg() > 2:
		return e.usage("Too many command line arguments. Only a name and payload must be specified.")
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	if err := c.UserEvent(ctx, fs.Arg(0), payload(fs.Args()), *coalesce); err != nil {
		return e.fail("Error sending event: %s", err)
	}
	e.say("Event '%s' dispatched! Coalescing enabled: %t", e.word(fs.Arg(0)), *coalesce)
	return 0
}

// payload is the second of the arguments, nil if there is none.
func payload(args []string) []byte {
	if len(args) < 2 {
		return nil
	}
	return []byte(args[1])
}
