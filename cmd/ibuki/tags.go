package main

import "context"

var tagsCommand = &command{
	name:     "tags",
	synopsis: "Changes the tags of the agent's node",
	help: `
Usage: {prog} tags [options]

  Sets and deletes tags of a running agent's node. Both options may be given
  more than once.

Options:

  -set key=value            Give the tag this value; the value begins after
                            the first '='.
  -delete key               Delete the tag, if there is one.
` + rpcHelp,
	run: runTags,
}

func runTags(e *env, args []string) int {
	fs := e.flags()
	var set, del listFlag
	fs.Var(&set, "set", "")
	fs.Var(&del, "delete", "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil || e.extra() {
		return 1
	}
	if len(set) == 0 && len(del) == 0 {
		return e.fail("%s", e.text(e.cmd.help))
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	tags, err := parseTags(set)
	if err != nil {
		return e.fail("Error: %s", err)
	}
	if err := c.UpdateTags(ctx, tags, del); err != nil {
		return e.fail("Error setting tags: %s", err)
	}
	e.say("Successfully updated agent tags")
	return 0
}
