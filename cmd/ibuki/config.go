package main

import (
	"os"
	"strings"

	"github.com/ibuki-dev/ibuki/settings"
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
	e.say("%s", strings.TrimRight(e.columns(settings.Explain(cfg)), "\n"))
	return 0
}

// configRows are the keys that are set, their values, and where from.
func (r *agentRun) configRows(opts settings.Options) [][]string {
	flags, files, _ := r.parse() // has been read once without a fault
	fromFiles, _ := settings.Read(files)
	fromEnv, _ := settings.FromEnviron(os.Environ())
	layers := []struct {
		name string
		keys map[string]string
	}{{"a flag", settings.NonZero(flags)}, {"the environment", settings.NonZero(fromEnv)}, {"a file", settings.NonZero(fromFiles)}}
	rows := [][]string{{"KEY", "VALUE", "FROM"}}
	all := settings.NonZero(opts)
	for _, key := range settings.Keys() {
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
		rows = append(rows, []string{key, value, strings.Join(from, ", ")})
	}
	return rows
}
