package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/ibuki-dev/ibuki/sim"
)

var simCommand = &command{
	name:     "sim",
	synopsis: "Plays a cluster in virtual time",
	hidden:   true,
	help: `
Usage: {prog} sim [options] [script]
       {prog} sim scale [options]
       {prog} sim lifeguard [options]

  Plays a whole cluster in virtual time, in this process alone: no socket is
  opened. What happens depends on nothing but the seed or the script, so the
  same call always prints the same.

  With -seed, the seed draws the number of nodes, the faults of the network and
  what is done to the nodes; at the end all views have to agree with the truth.
  The exit code is 1 if a rule was broken.

  With a script, plays its commands (those of sim/testdata in the source tree;
  what is below ---- is left out) and prints their transcript. - is stdin.

Options:

  -seed=1       The first seed to play.
  -count=1      How many seeds to play, one after the other.
  -quiet        One line a seed, no transcript.

Script commands:

` + sim.Commands() + simScaleHelp + simLifeguardHelp,
	run: runSim,
}

func runSim(e *env, args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "scale":
			return e.simScale(args[1:])
		case "lifeguard":
			return e.simLifeguard(args[1:])
		}
	}
	fs := e.flags()
	seed := fs.Uint64("seed", 1, "")
	count := fs.Uint64("count", 1, "")
	quiet := fs.Bool("quiet", false, "")
	if err := fs.Parse(args); err != nil {
		return 1
	}
	switch fs.NArg() {
	case 0:
		return e.simSeeds(*seed, *count, *quiet)
	case 1:
		return e.simScript(fs.Arg(0))
	}
	return e.usage("Too many command line arguments. Only one script can be played.")
}

// simSeeds plays seeds until one breaks a rule.
func (e *env) simSeeds(from, count uint64, quiet bool) int {
	out := bufio.NewWriter(e.stdout)
	defer out.Flush()
	for seed := from; seed-from < count; seed++ {
		var r sim.Result
		if quiet {
			r = sim.Run(seed, nil)
		} else {
			r = sim.Run(seed, out)
		}
		if r.Err != nil {
			fmt.Fprintf(out, "seed %d: %v\n", seed, r.Err)
			return 1
		}
		fmt.Fprintf(out, "seed %d: %d nodes for %v, %d datagrams (%d lost); all views agreed %v after the network was healed\n",
			seed, r.Plan.Nodes, r.Virtual, r.Packets, r.Lost, r.Agreed)
	}
	return 0
}

// simScript plays the commands of a file.
func (e *env) simScript(name string) int {
	in := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return e.fail("Error reading the script: %s", err)
		}
		defer f.Close()
		in = f
	}
	if err := sim.Play(in, e.stdout); err != nil {
		return e.fail("Error: %s", err)
	}
	return 0
}
