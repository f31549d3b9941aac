package main

// version is this program's own; a release sets it when it is linked.
var version = "0.1.0-dev"

// serfVersion is the version of Serf whose command line this is. Called as
// serf, the program is this version of it with our own as the pre-release part,
// which programs that compare versions can read.
const serfVersion = "0.10.2"

// The range of Serf's protocol that the agent speaks.
const (
	protocolMax = 5
	protocolMin = 2
)

var versionCommand = &command{
	name:     "version",
	synopsis: "Shows the version",
	help: `
Usage: {prog} version

  Shows the version of the program and of Serf's protocol that it speaks.
`,
	run: runVersion,
}

func runVersion(e *env, _ []string) int {
	if e.name == "serf" {
		e.say("%s-ibuki.%s", serfVersion, version)
	} else {
		e.say("ibuki %s", version)
	}
	e.say("Agent Protocol: %d (Understands back to: %d)", protocolMax, protocolMin)
	return 0
}
