package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ibuki-dev/ibuki/writelog/member"
	"github.com/ibuki-dev/ibuki/writelog/store"
)

var writeLogCommand = &command{
	name:     "write-log",
	synopsis: "Checks a gateway's log of writes",
	hidden:   true,
	argWords: []string{"check"},
	help: `
Usage: {prog} write-log check DIR

  Looks into the directory that a gateway's -log names. The gateway must not run.

  check says which entries are intact, and what is damaged, and where. It changes
  nothing. The exit code is 1 if anything is damaged.
`,
	run: runWriteLog,
}

func runWriteLog(e *env, args []string) int {
	if len(args) == 0 {
		return e.usage("Say what to do: check.")
	}
	fs := e.flags()
	if args[0] != "check" {
		if strings.HasPrefix(args[0], "-") && fs.Parse(args) != nil {
			return 1
		}
		return e.usage(fmt.Sprintf("There is no %q; it is check.", args[0]))
	}
	if fs.Parse(args[1:]) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("One directory has to be given.")
	}
	return checkLog(e, fs.Arg(0))
}

// checkLog says what a directory of -log has, and returns the exit code.
func checkLog(e *env, dir string) int {
	if _, err := os.Stat(filepath.Join(dir, member.IdentityName)); os.IsNotExist(err) {
		return e.fail("Error checking the log: %s is no directory of a gateway's -log: it has no %s", dir, member.IdentityName)
	}
	r, err := store.Check(dir)
	if err != nil {
		return e.fail("Error checking the log: %s", err)
	}
	e.say("%s of the replicated log of cluster %016x, member %016x", count(len(r.Segments), "file"), r.Identity.Cluster, r.Identity.Member)
	e.say("  term %d, committed up to entry %d, snapshot at entry %d", r.Term, r.Commit, r.Snapshot)
	for _, of := range r.Entries {
		e.say("  intact: entries %d to %d", of.First, of.Last)
	}
	if r.Torn > 0 {
		e.say("%d bytes at the end were never finished, and acknowledged to nobody", r.Torn)
	}
	if r.Damage == nil {
		return 0
	}
	for _, p := range r.Places {
		e.say("DAMAGED: %s at byte %d: %s", p.Segment, p.Offset, p.Reason)
	}
	e.say("%s", r.Damage)
	return 1
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
