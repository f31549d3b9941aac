package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/ibuki-dev/ibuki/agent"
)

var configCommand = &command{
	name:     "config",
	synopsis: "Checks and shows an agent's configuration",
	hidden:   true,
	argWords: []string{"check", "show"},
	help: `
Usage: {prog} config check|show [options of agent]

  Reads flags, the environment and files as the agent would, and starts nothing.

  check says what is wrong, all of it at once; the exit code is 0 if an agent could
  start with it, else 1.

  show prints what is set and by whom, then the constants of the protocol as they
  come to be, and what they mean for the cluster. Secrets are not shown.

    {prog} config check -config-dir=/etc/ibuki/agent.d
    {prog} config show -profile=wan -detect-within=5s
`,
	run: runConfig,
}

func runConfig(e *env, args []string) int {
	if len(args) == 0 {
		return e.usage("Say check or show.")
	}
	what, rest := args[0], args[1:]
	if what != "check" && what != "show" {
		return e.usage("Say check or show, not '" + what + "'.")
	}
	agentEnv := *e
	agentEnv.cmd = agentCommand
	r := &agentRun{env: &agentEnv, args: rest}
	opts, cfg, ok := r.read()
	if !ok {
		return 1
	}
	if what == "check" {
		e.say("The configuration is good.")
		return 0
	}
	e.say("%s", strings.TrimRight(e.columns(r.configRows(opts)), "\n"))
	e.say("")
	e.say("%s", strings.TrimRight(e.columns(agent.Explain(cfg)), "\n"))
	return 0
}

// secretKeys are never shown.
var secretKeys = map[string]bool{"encrypt_key": true, "rpc_auth": true, "tokens": true}

// configRows are the keys that are set, their values, and where from.
func (r *agentRun) configRows(opts agent.Options) [][]string {
	flags, files, _ := r.parse() // has been read once without a fault
	fromFiles, _ := agent.ReadOptions(files)
	fromEnv, _ := agent.EnvOptions(os.Environ())
	layers := []struct {
		name string
		keys map[string]json.RawMessage
	}{{"a flag", agent.Said(flags)}, {"the environment", agent.Said(fromEnv)}, {"a file", agent.Said(fromFiles)}}
	rows := [][]string{{"KEY", "VALUE", "FROM"}}
	all := agent.Said(opts)
	for _, key := range agent.OptionKeys() {
		value, ok := all[key]
		if !ok {
			continue
		}
		var from []string
		for _, l := range layers {
			if _, ok := l.keys[key]; ok {
				from = append(from, l.name)
			}
		}
		text := string(value)
		if secretKeys[key] {
			text = "(not shown)"
		}
		rows = append(rows, []string{key, text, strings.Join(from, ", ")})
	}
	return rows
}
