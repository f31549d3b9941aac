package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/terminal"
)

// verb is one command that dev takes at its prompt.
type verb struct {
	name string
	args string
	what string
	run  func(ctx context.Context, c *cluster, args []string) error
}

// errQuit ends dev.
var errQuit = errors.New("quit")

// verbs is a function because help lists them.
func verbs() []verb {
	return []verb{
		{"kill", "NODE…", "kill -9 the agent", each((*cluster).kill)},
		{"freeze", "NODE…", "stop the agent in its tracks (SIGSTOP)", each((*cluster).freeze)},
		{"thaw", "NODE…", "let it go on (SIGCONT)", each((*cluster).thaw)},
		{"leave", "NODE…", "leave the cluster; the agent ends", leaveNodes},
		{"start", "NODE…", "start the agent again", each((*cluster).start)},
		{"event", "[-from=NODE] NAME [DATA]", "send an event to every node", sendEvent},
		{"query", "[-node=NODE]… [-from=NODE] NAME [DATA]", "ask all nodes, or those named", ask},
		{"members", "", "the table: each node, and how each sees it", showMembers},
		{"log", "NODE", "the last lines that the agent printed", showLog},
		{"wait", "NODE STATUS [SECONDS]", "until all see the node as alive, failed or left", awaitStatus},
		{"counts", "", "-groonga: searches and writes, each server's records", showCounts},
		{"complete", "[SECONDS]", "-groonga: until every server has all records", awaitComplete},
		{"help", "", "this list", showHelp},
		{"quit", "", "end every agent and dev itself", func(context.Context, *cluster, []string) error { return errQuit }},
	}
}

// do runs one line of input. Its error is for the person who typed it, or
// errQuit.
func (c *cluster) do(ctx context.Context, line string) error {
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return err
	}
	for _, v := range verbs() {
		if v.name == words[0] || words[0] == "exit" && v.name == "quit" {
			err := v.run(ctx, c, words[1:])
			if errors.Is(err, errUsage) {
				return fmt.Errorf("usage: %s %s", v.name, v.args)
			}
			return err
		}
	}
	return fmt.Errorf("unknown command %q; help lists them", words[0])
}

var errUsage = errors.New("usage")

// splitWords splits a line at blanks; single or double quotes keep a word together.
func splitWords(line string) ([]string, error) {
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

// each makes a verb of something done to each named node; "all" names all.
// With -groonga that is its agent and the processes beside it, or one of them:
// node1.agent, node1.groonga, node1.gateway. Of several, those count that it can be
// done to.
func each(f func(*cluster, *node) error) func(context.Context, *cluster, []string) error {
	return func(_ context.Context, c *cluster, args []string) error {
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
func (c *cluster) named(args []string) ([][]*node, error) {
	if len(args) == 0 {
		return nil, errUsage
	}
	var groups [][]*node
	if len(args) == 1 && args[0] == "all" {
		for _, n := range c.nodes {
			groups = append(groups, append([]*node{n}, n.beside...))
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
func (c *cluster) group(name string) ([]*node, error) {
	n, err := c.node(name)
	if err == nil {
		return append([]*node{n}, n.beside...), nil
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
		return []*node{n}, nil
	}
	for _, p := range n.beside {
		if p.part == part {
			return []*node{p}, nil
		}
	}
	return nil, err
}

func leaveNodes(ctx context.Context, c *cluster, args []string) error {
	return each(func(c *cluster, n *node) error {
		if n.part != "" {
			return fmt.Errorf("%s cannot leave: it is no agent", n.name)
		}
		return c.leave(ctx, n)
	})(ctx, c, args)
}

// message is the common part of event and query.
type message struct {
	from *node
	to   []string
	name string
	data string
}

func (c *cluster) message(args []string) (message, error) {
	var m message
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag, value, ok := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
		if !ok || flag != "from" && flag != "node" {
			return m, errUsage
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
		return m, errUsage
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

func (c *cluster) firstRunning() *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.state == stateRunning {
			return n
		}
	}
	return nil
}

func sendEvent(ctx context.Context, c *cluster, args []string) error {
	m, err := c.message(args)
	if err != nil {
		return err
	}
	return c.event(ctx, m.from, m.name, m.data)
}

func ask(ctx context.Context, c *cluster, args []string) error {
	m, err := c.message(args)
	if err != nil {
		return err
	}
	return c.query(ctx, m.from, m.to, m.name, m.data)
}

func showLog(_ context.Context, c *cluster, args []string) error {
	groups, err := c.named(args)
	if err != nil {
		return err
	}
	for _, n := range slices.Concat(groups...) {
		for _, line := range tail(n.log, 20) {
			c.say(n.name, "| %s", line)
		}
	}
	return nil
}

func showHelp(_ context.Context, c *cluster, _ []string) error {
	for _, line := range c.helpLines() {
		c.say("", "%s", line)
	}
	return nil
}

// helpLines fit into 80 columns.
func (c *cluster) helpLines() []string {
	var lines []string
	for _, v := range verbs() {
		usage := v.name + " " + v.args
		if lipgloss.Width(usage) > helpIndent-2 {
			lines = append(lines, usage)
			usage = ""
		}
		lines = append(lines, fmt.Sprintf("%-*s%s", helpIndent, usage, v.what))
	}
	lines = append(lines, "NODE is a name or a number (node1 or 1), or all.")
	if c.search != nil {
		lines = append(lines, "That is its agent, Groonga server and gateway; node1.agent, node1.groonga,",
			"node1.gateway are one of them.")
	}
	return lines
}

// helpIndent is where the descriptions begin.
const helpIndent = 28

func showMembers(_ context.Context, c *cluster, _ []string) error {
	for _, line := range terminal.PlainTable(cells(c.rows(), 0)) {
		c.say("", "%s", line)
	}
	return nil
}

// awaitStatus waits until every running node lists the named node with the status.
func awaitStatus(ctx context.Context, c *cluster, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errUsage
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
			return errUsage
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
func (c *cluster) allSee(target, status string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := 0
	for _, observer := range c.nodes {
		if observer.state != stateRunning {
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
