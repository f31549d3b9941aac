package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/dispatch"
)

var bufferCommand = &command{
	name:     "buffer",
	synopsis: "Checks or salvages a gateway's write buffer",
	hidden:   true,
	argWords: []string{"check", "salvage"},
	help: `
Usage: {prog} buffer check DIR
       {prog} buffer salvage DIR

  Looks into the directory that a gateway's -buffer names, or check also into that
  of its -log. The gateway must not run.

  check says which servers how many writes wait for, and what is damaged: where,
  which writes may be lost, and which servers may lack them. It changes nothing.
  The exit code is 1 if anything is damaged.

  salvage makes a new buffer of all that can be read, in its order, and puts it
  in the place of the damaged one, which is kept beside it. Servers that
  may lack writes then need the data of one that has all of them.
`,
	run: runBuffer,
}

func runBuffer(e *env, args []string) int {
	if len(args) == 0 {
		return e.usage("Say what to do: check or salvage.")
	}
	fs := e.flags()
	what := args[0]
	if what != "check" && what != "salvage" {
		if strings.HasPrefix(what, "-") && fs.Parse(args) != nil {
			return 1
		}
		return e.usage(fmt.Sprintf("There is no %q; it is check or salvage.", what))
	}
	if fs.Parse(args[1:]) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("One directory has to be given.")
	}
	dir := fs.Arg(0)
	if what == "check" && isLog(dir) {
		return checkLog(e, dir)
	}
	if what == "check" {
		report, err := dispatch.CheckBuffer(dir)
		if err != nil {
			return e.fail("Error checking the buffer: %s", err)
		}
		sayBuffer(e, report)
		if len(report.Damage) > 0 {
			return 1
		}
		return 0
	}
	report, kept, err := dispatch.SalvageBuffer(dir)
	if err != nil {
		return e.fail("Error salvaging the buffer: %s", err)
	}
	sayBuffer(e, report)
	if kept == "" {
		e.say("Nothing is damaged: nothing was done.")
		return 0
	}
	e.say("Salvaged: %s. The damaged buffer is kept as %s", count(report.Kept, "write"), kept)
	return 0
}

// sayBuffer says what was found.
func sayBuffer(e *env, r *dispatch.BufferReport) {
	e.say("%s, %s; still to be delivered: %d", count(r.Files, "file"), count(r.Writes, "intact write"), r.Kept)
	for _, name := range slices.Sorted(maps.Keys(r.Waiting)) {
		e.say("  for %s: %d", name, r.Waiting[name])
	}
	if r.Nameless > 0 {
		e.say("  for servers whose names are lost: at most %d", r.Nameless)
	}
	if r.Torn > 0 {
		e.say("%d bytes at the end were never finished, and acknowledged to nobody", r.Torn)
	}
	for i := range r.Damage {
		sayLoss(e, &r.Damage[i])
	}
}

func sayLoss(e *env, l *dispatch.BufferLoss) {
	where := fmt.Sprintf("at byte %d", l.Offset)
	if l.Bytes > 0 {
		where = fmt.Sprintf("%d bytes at byte %d", l.Bytes, l.Offset)
	}
	e.say("DAMAGED: %s, %s: %s", l.File, where, l.Reason)
	switch {
	case l.Open:
		e.say("  lost: any writes from number %d on", l.First)
	case l.Last < l.First:
		e.say("  lost: no write; some may be delivered again")
		return
	case l.Last == l.First:
		e.say("  lost: at most write %d", l.First)
	default:
		e.say("  lost: at most writes %d to %d", l.First, l.Last)
	}
	if len(l.Lacking) == 0 {
		e.say("  no server that is known needed them")
		return
	}
	e.say("  may be lacking on: %s", strings.Join(l.Lacking, ", "))
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
