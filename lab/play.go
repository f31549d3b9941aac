package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// play runs a script against a cluster of real processes and says for each step
// what was expected and what happened. It sees only what an administrator sees:
// the output and exit codes of commands, and what the event handlers got.
type play struct {
	ctx   context.Context
	out   io.Writer
	c     *cluster
	limit time.Duration // how long a step waits for what it expects

	steps  int
	failed int
	began  time.Time
	mark   map[*node]int // how many handler records each node had when the step began

	reset   func(*node) error // a host stops at once; nil: freeze the agent, then kill it
	restore func(*node) error // the host is back; its agent does not run yet
}

// errPlayStop ends a script early: what follows cannot hold.
var errPlayStop = errors.New("stopped")

// runPlay is dev -play.
func runPlay(ctx context.Context, s Streams, o Options) error {
	c, err := newCluster(o.Program, o.Nodes, func(n notice) { fmt.Fprintln(s.Out, "     ", n) })
	if err != nil {
		return err
	}
	defer c.close()
	p := &play{ctx: ctx, out: s.Out, c: c, limit: 30 * time.Second}
	for _, n := range c.nodes {
		handler, err := c.handler(n)
		if err != nil {
			return err
		}
		n.args = c.localArgs(n, "-event-handler="+handler)
	}
	fmt.Fprintf(s.Out, "The walkthrough of M2 to M11 with %d agents. Each runs as\n  %s %s\n", len(c.nodes),
		c.program, strings.Join(c.nodes[0].args, " "))
	return p.walkthrough()
}

// step runs one step. what returns what happened; the first error stops the
// script, as later steps build on earlier ones.
func (p *play) step(id, title, expected string, what func() (string, error)) error {
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	fmt.Fprintf(p.out, "\n%-4s %s\n     expected: %s\n", id, title, expected)
	p.steps++
	p.began = time.Now()
	if err := p.markRecords(); err != nil {
		return err
	}
	happened, err := what()
	took := time.Since(p.began).Seconds()
	if err != nil {
		p.failed++
		fmt.Fprintf(p.out, "     FAILED after %.3fs: %v\n", took, err)
		return fmt.Errorf("%s: %w", id, errPlayStop)
	}
	fmt.Fprintf(p.out, "     ok %.3fs: %s\n", took, happened)
	return nil
}

// finish says how it went.
func (p *play) finish(err error) error {
	if err == nil {
		fmt.Fprintf(p.out, "\nAll %d steps held.\n", p.steps)
		return nil
	}
	if p.ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d steps", p.steps)
	}
	for _, n := range p.c.nodes {
		fmt.Fprintf(p.out, "\nthe last lines of %s:\n", n.name)
		for _, line := range tail(n.log, 12) {
			fmt.Fprintln(p.out, "  |", line)
		}
	}
	return fmt.Errorf("%d steps held, then one failed: %w", p.steps-p.failed, err)
}

func (p *play) markRecords() error {
	p.mark = map[*node]int{}
	for _, n := range p.c.nodes {
		recs, err := readRecords(n.record)
		if err != nil {
			return err
		}
		p.mark[n] = len(recs)
	}
	return nil
}

// fresh are the handler's records of a node since the step began.
func (p *play) fresh(n *node) ([]handlerRecord, error) {
	recs, err := readRecords(n.record)
	if err != nil || len(recs) <= p.mark[n] {
		return nil, err
	}
	return recs[p.mark[n]:], nil
}

// await polls until check returns nil; then its time. Its last error otherwise.
func (p *play) await(check func() error) (float64, error) {
	for {
		err := check()
		if err == nil {
			return time.Since(p.began).Seconds(), nil
		}
		if time.Since(p.began) > p.limit {
			return 0, err
		}
		if dead := p.c.died(); dead != nil {
			return 0, fmt.Errorf("%s: the agent ended by itself%s", dead.name, lastLine(dead.log))
		}
		if err := p.pause(20 * time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// holds demands that check stays nil for a while: for what must not happen.
func (p *play) holds(d time.Duration, check func() error) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := check(); err != nil {
			return err
		}
		if err := p.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) pause(d time.Duration) error {
	select {
	case <-p.ctx.Done():
		return p.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// commandResult is how a command ended.
type commandResult struct {
	line   string
	stdout string
	stderr string
	code   int
}

func (r commandResult) String() string {
	return fmt.Sprintf("%s: exit %d, %q", r.line, r.code, strings.TrimSpace(r.stdout+r.stderr))
}

// command runs a command line of the program against a node's agent.
func (p *play) command(n *node, args ...string) (commandResult, error) {
	if n.place.rpc != 0 {
		args = append([]string{args[0], "-rpc-addr=" + n.place.rpcAddr()}, args[1:]...)
	}
	cmd := p.c.command(n, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	r := commandResult{line: strings.Join(args, " ")}
	if err := p.c.spawner.start(cmd); err != nil {
		return r, err
	}
	timer := time.AfterFunc(p.limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	r.stdout, r.stderr, r.code = stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, err
	}
	return r, nil
}

// succeed runs a command that has to exit with 0.
func (p *play) succeed(n *node, args ...string) (commandResult, error) {
	r, err := p.command(n, args...)
	if err == nil && r.code != 0 {
		err = errors.New(r.String())
	}
	return r, err
}

// members is the list that a node's members command prints: name → "addr:port status".
func (p *play) members(n *node) (map[string]string, error) {
	r, err := p.succeed(n, "members")
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	for _, line := range strings.Split(r.stdout, "\n") {
		if f := strings.Fields(line); len(f) >= 3 {
			list[f[0]] = f[1] + " " + f[2]
		}
	}
	return list, nil
}

// lists demands that the observers' lists show exactly the nodes of want, with
// their addresses and the given status.
func (p *play) lists(observers []*node, want map[*node]string) error {
	for _, observer := range observers {
		list, err := p.members(observer)
		if err != nil {
			return err
		}
		for n, status := range want { // order-free: any mismatch fails
			if list[n.name] != n.place.bind()+" "+status {
				return fmt.Errorf("%s lists %s as %q, not %q", observer.name, n.name, list[n.name], n.place.bind()+" "+status)
			}
		}
		if len(list) != len(want) {
			return fmt.Errorf("%s lists %d members, not %d", observer.name, len(list), len(want))
		}
	}
	return nil
}

// told demands that the handlers of the observers got the member event for every
// one of the nodes since the step began.
func (p *play) told(observers []*node, event string, about ...*node) error {
	for _, observer := range observers {
		recs, err := p.fresh(observer)
		if err != nil {
			return err
		}
		for _, n := range about {
			if n != observer && !hasMember(recs, event, n) {
				return fmt.Errorf("%s's handler got no %s of %s", observer.name, event, n.name)
			}
		}
	}
	return nil
}

// hasMember looks for the line NAME<tab>ADDRESS… on the stdin of such an event.
func hasMember(recs []handlerRecord, event string, n *node) bool {
	for _, rec := range recs {
		if rec.Env["SERF_EVENT"] != event {
			continue
		}
		for _, line := range strings.Split(rec.Stdin, "\n") {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == n.name && f[1] == n.place.host {
				return true
			}
		}
	}
	return false
}
