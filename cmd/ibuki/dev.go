package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const devHelpText = `Usage: {prog} dev [options]

  Starts a cluster of real agents on this machine's loopback addresses and shows
  who sees whom, and every event, as they change: as a table with an input line on
  a terminal, as plain lines otherwise. Commands (help lists them) kill, freeze and
  restart agents and send events and queries. Each agent has a dashboard for the
  browser, whose address is printed. Nothing is left behind at the end,
  however it comes.

Options:

  -nodes=3                 How many agents.
  -groonga                 Beside each agent a Groonga server and a gateway, sample
                           data in them, and searches and writes without end,
                           counted while you break things. Needs groonga.
  -play=NAME               Play a script by itself and exit: 0 only if all that it
                           expects has happened. The scripts: walkthrough.
  -plain                   Plain lines also on a terminal.
  -program=ibuki           The program to run as the agents and their commands, for
                           instance serf.
`

var devCommand = &command{
	name:     "dev",
	synopsis: "Starts a cluster of agents on this machine, to play with",
	help:     devHelpText,
	run:      devMain,
	hidden:   true,
}

// devHandlerCommand and devKeeperCommand are what dev runs of itself. Without a
// synopsis they are in no list.
var (
	devHandlerCommand = &command{name: devHandlerName, help: devHandlerUsage, run: devHandlerMain, hidden: true}
	devKeeperCommand  = &command{name: devKeeperName, help: devKeeperUsage, run: devKeeperRun, hidden: true}
)

type devOptions struct {
	nodes   int
	groonga bool
	play    string
	plain   bool
	program string
}

func devParse(e *env, args []string) (devOptions, error) {
	var o devOptions
	flags := e.flags()
	flags.IntVar(&o.nodes, "nodes", 3, "")
	flags.BoolVar(&o.groonga, "groonga", false, "")
	flags.StringVar(&o.play, "play", "", "")
	flags.BoolVar(&o.plain, "plain", false, "")
	flags.StringVar(&o.program, "program", "", "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.nodes < 1 || o.nodes > devMaxNodes {
		return o, fmt.Errorf("-nodes=%d: between 1 and %d are possible", o.nodes, devMaxNodes)
	}
	if o.play != "" && o.play != "walkthrough" {
		return o, fmt.Errorf("-play=%s: there is only walkthrough", o.play)
	}
	if o.play != "" && o.nodes < 3 {
		return o, fmt.Errorf("-nodes=%d: -play=%s needs at least 3", o.nodes, o.play)
	}
	if o.groonga && (o.play != "" || o.program != "") {
		return o, errors.New("-groonga goes with neither -play nor -program")
	}
	if o.program != "" {
		path, err := exec.LookPath(o.program)
		if err != nil {
			return o, fmt.Errorf("-program=%s: %w", o.program, err)
		}
		o.program = path
	}
	return o, nil
}

func devMain(e *env, args []string) int {
	o, err := devParse(e, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, orphaned := context.WithCancel(ctx)
	defer orphaned()
	devFollowParent(ctx, orphaned)
	switch {
	case o.play != "":
		err = devPlay(ctx, e, o)
	case !o.plain && isTerminal(e.stdin) && isTerminal(e.stdout):
		err = devScreen(ctx, e, o)
	default:
		err = devPlain(ctx, e, o)
	}
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return 1
	}
	return 0
}

// devFollowParent ends dev when it was started by `go run` and that is killed:
// go run passes no signal on. A parent of another kind may well end before us.
func devFollowParent(ctx context.Context, orphaned func()) {
	exe, err := os.Executable()
	if err != nil || !strings.Contains(exe, string(os.PathSeparator)+"go-build") {
		return
	}
	parent := os.Getppid()
	go func() {
		for ctx.Err() == nil {
			if os.Getppid() != parent {
				orphaned()
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
}

// devStart makes the cluster whose nodes find each other by themselves.
func devStart(o devOptions, tell func(devNews)) (*devCluster, error) {
	c, err := newDevCluster(o.program, o.nodes, tell)
	if err != nil {
		return nil, err
	}
	c.watching = true
	if o.groonga {
		if err := c.addGroonga(); err != nil {
			c.close()
			return nil, err
		}
	}
	for _, n := range c.nodes {
		handler, err := c.handler(n)
		if err != nil {
			c.close()
			return nil, err
		}
		n.args = c.localArgs(n, slices.Concat(c.joinArgs(n), []string{"-event-handler=" + handler}, c.listArgs(n), c.pageArgs(n))...)
	}
	return c, nil
}

func (c *devCluster) startAll() error {
	for _, n := range c.processes() {
		if err := c.start(n); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	if c.search != nil {
		return c.search.begin()
	}
	return nil
}

// pageURL is where the first node's dashboard is, "" if there is none.
func (c *devCluster) pageURL() string {
	if c.program != c.self {
		return ""
	}
	return "http://" + c.nodes[0].place.httpAddr() + "/"
}

// pageArgs make an agent serve its dashboard, with the gateway beside it. Another
// program has none.
func (c *devCluster) pageArgs(n *devNode) []string {
	switch {
	case c.pageURL() == "":
		return nil
	case c.search == nil:
		return []string{"-http=" + n.place.httpAddr()}
	}
	return []string{"-http=" + n.place.httpAddr(), "-gateway-status=" + devAt(n, devGatewayPort)}
}

// devPlain is dev without a terminal: lines in, lines out.
func devPlain(ctx context.Context, e *env, o devOptions) error {
	c, err := devStart(o, func(n devNews) {
		if !n.view || o.nodes <= devMatrixNodes {
			fmt.Fprintln(e.stdout, n)
		}
	})
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.startAll(); err != nil {
		return err
	}
	for _, n := range c.nodes {
		c.say(n.name, "started on %s, RPC on %s", n.place.bind(), n.place.rpcAddr())
	}
	if at := c.pageURL(); at != "" {
		c.say("", "the dashboard: %s (every node has one, on its own address)", at)
	}
	c.say("", "logs are in %s; commands: help", c.dir)
	lines := devLines(ctx, e.stdin)
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				c.say("", "no more commands; running until interrupted")
				lines = nil
				continue
			}
			c.say("", "> %s", line)
			err := c.do(ctx, line)
			if errors.Is(err, errDevQuit) || ctx.Err() != nil {
				return nil
			}
			if err != nil {
				c.say("", "%v", err)
			}
		}
	}
}

// devLines reads lines until the end of the input.
func devLines(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for input := bufio.NewScanner(in); input.Scan(); {
			select {
			case lines <- input.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
