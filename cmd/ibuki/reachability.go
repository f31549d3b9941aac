package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// What the test may conclude, in Serf's words: people and scripts know them.
const (
	reachTooMany    = "This could mean Serf is detecting false-failures due to a misconfiguration or network issue."
	reachTooFew     = "This could mean Serf gossip packets are being lost due to a misconfiguration or network issue."
	reachDuplicates = "Duplicate responses means there is a misconfiguration. Verify that node names are unique."
	reachAdvice     = `
Troubleshooting tips:
* Ensure that the bind addr:port is accessible by all other nodes
* If an advertise address is set, ensure it routes to the bind address
* Check that no nodes are behind a NAT
* If nodes are behind firewalls or iptables, check that Serf traffic is permitted (UDP and TCP)
* Verify networking equipment is functional`
)

var reachabilityCommand = &command{
	name:     "reachability",
	synopsis: "Tests whether all live members can be reached",
	help: `
Usage: {prog} reachability [options]

  Asks all members for a sign of life and compares who answers with the list of
  live members. The exit code is 1 if an answer is missing, comes twice, or comes from
  a member that is not live. On a terminal it shows how far it is.

Options:

  -verbose                  Show each answer and the times.
` + rpcHelp,
	run: runReachability,
}

func runReachability(e *env, args []string) int {
	fs := e.flags()
	verbose := fs.Bool("verbose", false, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil || e.extra() {
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	members, err := c.Members(ctx)
	if err != nil {
		return e.fail("Error getting members: %s", err)
	}
	t := reachTest{env: e, verbose: *verbose, live: map[string]bool{}, acks: map[string]int{}}
	for _, m := range members {
		if m.Status == "alive" {
			t.live[m.Name] = true
		}
	}
	e.say("Total members: %d, live members: %d", len(members), len(t.live))
	q, err := c.Query(ctx, rpc.QueryRequest{Name: "_serf_ping", RequestAck: true})
	if ctx.Err() != nil {
		return e.fail("Test interrupted")
	}
	if err != nil {
		return e.fail("Error sending query: %s", err)
	}
	e.say("Starting reachability test...")
	switch err := t.collect(ctx, q); {
	case ctx.Err() != nil:
		return e.fail("Test interrupted")
	case err != nil:
		return e.fail("Query ended early: %s", err)
	}
	return t.verdict()
}

// reachTest is one run.
type reachTest struct {
	*env
	verbose bool
	live    map[string]bool // the members that should answer
	acks    map[string]int  // who did, and how often
	count   int
	begun   time.Time
	last    time.Duration // from the beginning to the last answer
}

// collect takes answers until the query ends.
func (t *reachTest) collect(ctx context.Context, q *rpc.Stream[rpc.QueryRecord]) error {
	t.begun = time.Now()
	const far = "%d of %d have answered"
	progress := t.showProgress(far, 0, len(t.live))
	defer progress.stop()
	for {
		rec, err := q.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if rec.Type != rpc.QueryRecordAck {
			continue
		}
		progress.pause()
		t.count++
		t.acks[rec.From]++
		t.last = time.Since(t.begun)
		if t.verbose {
			t.say("\tAck from '%s'", t.word(rec.From))
		}
		if t.acks[rec.From] > 1 {
			t.say("Duplicate response from '%s'", t.word(rec.From))
		}
		progress.resume(far, t.count, len(t.live))
	}
}

// verdict says what came out, and is the exit code.
func (t *reachTest) verdict() int {
	if t.verbose {
		t.say("Query time: %0.2f sec, time to last response: %0.2f sec", time.Since(t.begun).Seconds(), t.last.Seconds())
	}
	code := 0
	if t.count > len(t.acks) {
		t.say(reachDuplicates)
		code = 1
	}
	switch {
	case t.count > len(t.live):
		t.say("Received more acks than live nodes! Acks from non-live nodes:")
		t.list(maps.Keys(t.acks), func(name string) bool { return !t.live[name] })
		t.say(reachTooMany)
	case t.count < len(t.live):
		t.say("Received less acks than live nodes! Missing acks from:")
		t.list(maps.Keys(t.live), func(name string) bool { return t.acks[name] == 0 })
		t.say(reachTooFew)
	default:
		t.say("Successfully contacted all live nodes")
		return code
	}
	t.say(reachAdvice)
	return 1
}

// list prints the names that are wanted, sorted.
func (t *reachTest) list(names iter.Seq[string], want func(string) bool) {
	for _, name := range slices.Sorted(names) {
		if want(name) {
			t.say("\t%s", t.word(name))
		}
	}
}
