package main

import (
	"os"
	"path/filepath"

	"github.com/ibuki-dev/ibuki/writelog/member"
	"github.com/ibuki-dev/ibuki/writelog/store"
)

// isLog reports whether a directory is one that -log names.
func isLog(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, member.IdentityName))
	return err == nil
}

// checkLog says what a directory of -log has, and returns the exit code.
func checkLog(e *env, dir string) int {
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
