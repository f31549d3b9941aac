package main

import (
	"fmt"
	"strings"
)

var clusterCommand = &command{
	name:     "cluster",
	synopsis: "Shows and compares the servers that share the log of writes",
	hidden:   true,
	argWords: []string{"status"},
	help: `
Usage: {prog} cluster status [options]

  The gateways that keep one log of writes (ibuki gateway -log), and the Groonga
  servers that it is applied to.

  status says which gateways there are, who leads, how many may be away before
  writes stop, and how each server stands: whether it is read from, and how far
  it is behind. The exit code is 1 if writes cannot be done, or if a server is not
  as it should be.

Options:

  -gateway=127.0.0.1:10040  HOST:PORT of any gateway of the cluster (its -http). It
                            names the others, which are asked as well.
  -json                     The same for programs.
`,
	run: runCluster,
}

// clusterParts are the commands of the group, in the order of argWords. Each is in a file
// of its own.
var clusterParts = map[string]func(e *env, args []string) int{
	"status": runClusterStatus,
}

func runCluster(e *env, args []string) int {
	names := strings.Join(e.cmd.argWords, ", ")
	if len(args) == 0 {
		return e.usage(fmt.Sprintf("Say what to do: %s.", names))
	}
	if run := clusterParts[args[0]]; run != nil {
		return run(e, args[1:])
	}
	if strings.HasPrefix(args[0], "-") && e.flags().Parse(args) != nil {
		return 1
	}
	return e.usage(fmt.Sprintf("There is no %q; there is: %s.", args[0], names))
}
