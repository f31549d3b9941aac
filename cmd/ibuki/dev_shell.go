package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// devVerb is one command that dev takes at its prompt.
type devVerb struct {
	name string
	args string
	what string
	run  func(ctx context.Context, c *devCluster, args []string) error
}

// errDevQuit ends dev.
var errDevQuit = errors.New("quit")

// devVerbs is a function because help lists them.
func devVerbs() []devVerb {
	return []devVerb{
		{"kill", "NODE…", "kill -9 the agent", devEach((*devCluster).kill)},
		{"freeze", "NODE…", "stop the agent in its tracks (SIGSTOP)", devEach((*devCluster).freeze)},
		{"thaw", "NODE…", "let it go on (SIGCONT)", devEach((*devCluster).thaw)},
		{"leave", "NODE…", "leave the cluster; the agent ends", devLeave},
		{"start", "NODE…", "start the agent again", devEach((*devCluster).start)},
		{"event", "[-from=NODE] NAME [DATA]", "send an event to every node", devSendEvent},
		{"query", "[-node=NODE]… [-from=NODE] NAME [DATA]", "ask all nodes, or those named", devAsk},
		{"members", "", "the table: each node, and how each node sees it", devShowMembers},
		{"log", "NODE", "the last lines that the agent printed", devShowLog},
		{"wait", "NODE STATUS [SECONDS]", "until all that run see the node so (alive, failed, left)", devWait},
		{"counts", "", "with -groonga: the searches and writes so far, and each server's records", devShowCounts},
		{"complete", "[SECONDS]", "with -groonga: until every server has all records that were written", devComplete},
		{"help", "", "this list", devHelp},
		{"quit", "", "end every agent and dev itself", func(context.Context, *devCluster, []string) error { return errDevQuit }},
	}
}

// do runs one line of input. Its error is for the person who typed it, or
// errDevQuit.
func (c *devCluster) do(ctx context.Context, line string) error {
	words, err := devWords(line)
	if err != nil || len(words) == 0 {
		return err
	}
	for _, v := range devVerbs() {
		if v.name == words[0] || words[0] == "exit" && v.name == "quit" {
			err := v.run(ctx, c, words[1:])
			if errors.Is(err, errDevUsage) {
				return fmt.Errorf("usage: %s %s", v.name, v.args)
			}
			return err
		}
	}
	return fmt.Errorf("unknown command %q; help lists them", words[0])
}

var errDevUsage = errors.New("usage")

// devWords splits a line at blanks; single or double quotes keep a word together.
func devWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inside = r, true
		case r == ' ' || r == '\t' || r == '\r':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// devEach makes a verb of something done to each named node; "all" names all.
// With -groonga that is its agent and the processes beside it, or one of them:
// node1.agent, node1.groonga, node1.gateway. Of several, those count that it can be
// done to.
func devEach(f func(*devCluster, *devNode) error) func(context.Context, *devCluster, []string) error {
	return func(_ context.Context, c *devCluster, args []string) error {
		groups, err := c.named(args)
		if err != nil {
			return err
		}
		for _, group := range groups {
			done := false
			var first error
			for _, n := range group {
				if err := f(c, n); err == nil {
					done = true
				} else if first == nil {
					first = err
				}
			}
			if !done {
				return first
			}
		}
		return nil
	}
}

// named are the processes of each named node.
func (c *devCluster) named(args []string) ([][]*devNode, error) {
	if len(args) == 0 {
		return nil, errDevUsage
	}
	var groups [][]*devNode
	if len(args) == 1 && args[0] == "all" {
		for _, n := range c.nodes {
			groups = append(groups, append([]*devNode{n}, n.beside...))
		}
		return groups, nil
	}
	for _, a := range args {
		group, err := c.group(a)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// group are the processes that NODE or NODE.PART names.
func (c *devCluster) group(name string) ([]*devNode, error) {
	n, err := c.node(name)
	if err == nil {
		return append([]*devNode{n}, n.beside...), nil
	}
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return nil, err
	}
	n, err2 := c.node(name[:at])
	if err2 != nil {
		return nil, err
	}
	part := name[at+1:]
	if part == "agent" {
		return []*devNode{n}, nil
	}
	for _, p := range n.beside {
		if p.part == part {
			return []*devNode{p}, nil
		}
	}
	return nil, err
}

func devLeave(ctx context.Context, c *devCluster, args []string) error {
	return devEach(func(c *devCluster, n *devNode) error {
		if n.part != "" {
			return fmt.Errorf("%s cannot leave: it is no agent", n.name)
		}
		return c.leave(ctx, n)
	})(ctx, c, args)
}

// devMessage is the common part of event and query.
type devMessage struct {
	from *devNode
	to   []string
	name string
	data string
}

func (c *devCluster) message(args []string) (devMessage, error) {
	var m devMessage
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag, value, ok := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
		if !ok || flag != "from" && flag != "node" {
			return m, errDevUsage
		}
		n, err := c.node(value)
		if err != nil {
			return m, err
		}
		if flag == "from" {
			m.from = n
		} else {
			m.to = append(m.to, n.name)
		}
		args = args[1:]
	}
	if len(args) == 0 || len(args) > 2 {
		return m, errDevUsage
	}
	m.name = args[0]
	if len(args) == 2 {
		m.data = args[1]
	}
	if m.from != nil {
		return m, nil
	}
	m.from = c.firstRunning()
	if m.from == nil {
		return m, errors.New("no node is running")
	}
	return m, nil
}

func (c *devCluster) firstRunning() *devNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.state == devRunning {
			return n
		}
	}
	return nil
}

func devSendEvent(ctx context.Context, c *devCluster, args []string) error {
	m, err := c.message(args)
	if err != nil {
		return err
	}
	return c.event(ctx, m.from, m.name, m.data)
}

func devAsk(ctx context.Context, c *devCluster, args []string) error {
	m, err := c.message(args)
	if err != nil {
		return err
	}
	return c.query(ctx, m.from, m.to, m.name, m.data)
}

func devShowLog(_ context.Context, c *devCluster, args []string) error {
	groups, err := c.named(args)
	if err != nil {
		return err
	}
	for _, n := range slices.Concat(groups...) {
		for _, line := range devTail(n.log, 20) {
			c.say(n.name, "| %s", line)
		}
	}
	return nil
}

func devHelp(_ context.Context, c *devCluster, _ []string) error {
	for _, v := range devVerbs() {
		c.say("", "%-8s %-40s %s", v.name, v.args, v.what)
	}
	c.say("", "NODE is a name or a number (node1 or 1), or all")
	if c.search != nil {
		c.say("", "that is its agent, Groonga server and gateway; node1.agent, node1.groonga, node1.gateway are one of them")
	}
	return nil
}

func devShowMembers(_ context.Context, c *devCluster, _ []string) error {
	for _, line := range devTable(c.rows()) {
		c.say("", "%s", line)
	}
	return nil
}

// devWait waits until every running node lists the named node with the status.
func devWait(ctx context.Context, c *devCluster, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errDevUsage
	}
	target, status, limit := args[0], args[1], 30.0
	if target != "all" {
		n, err := c.node(target)
		if err != nil {
			return err
		}
		target = n.name
	}
	if len(args) == 3 {
		var err error
		if limit, err = strconv.ParseFloat(args[2], 64); err != nil {
			return errDevUsage
		}
	}
	began := time.Now()
	for end := began.Add(time.Duration(limit * float64(time.Second))); time.Now().Before(end); {
		if c.allSee(target, status) {
			c.say("", "%s: %s everywhere after %.3fs", target, status, time.Since(began).Seconds())
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s: not %s everywhere after %gs", target, status, limit)
}

// allSee tells whether at least one node runs and all that run list the target
// ("all": every node) with the status.
func (c *devCluster) allSee(target, status string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := 0
	for _, observer := range c.nodes {
		if observer.state != devRunning {
			continue
		}
		running++
		for _, n := range c.nodes {
			if (target == "all" || n.name == target) && observer.seen[n.name] != status {
				return false
			}
		}
	}
	return running > 0
}
