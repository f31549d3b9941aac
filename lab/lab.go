package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/terminal"
)

// Options say what cluster is made and what is done with it.
type Options struct {
	Nodes   int    // how many agents
	Groonga bool   // beside each agent a Groonga server and a gateway
	Play    string // the script to play; "": none
	Plain   bool   // lines also on a terminal
	Program string // what is run as the agents; "": this program
}

// Validate returns the first fault, in the words of the command's flags.
func (o Options) Validate() error {
	switch {
	case o.Nodes < 1 || o.Nodes > MaxNodes:
		return fmt.Errorf("-nodes=%d: between 1 and %d are possible", o.Nodes, MaxNodes)
	case o.Play != "" && o.Play != "walkthrough":
		return fmt.Errorf("-play=%s: there is only walkthrough", o.Play)
	case o.Play != "" && o.Nodes < 3:
		return fmt.Errorf("-nodes=%d: -play=%s needs at least 3", o.Nodes, o.Play)
	case o.Groonga && (o.Play != "" || o.Program != ""):
		return errors.New("-groonga goes with neither -play nor -program")
	}
	if _, err := o.path(); err != nil {
		return fmt.Errorf("-program=%s: %w", o.Program, err)
	}
	return nil
}

// path is where the program for the agents is; "" for this one.
func (o Options) path() (string, error) {
	if o.Program == "" {
		return "", nil
	}
	return exec.LookPath(o.Program)
}

// Streams are where a person or a script is.
type Streams struct {
	In  io.Reader
	Out io.Writer
}

// Run makes a cluster and lets a person, a script or lines of input do what they
// want with it, until they or ctx end it. Nothing of the cluster is left then.
func Run(ctx context.Context, s Streams, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o.Program, _ = o.path() // Validate found it
	ctx, orphaned := context.WithCancel(ctx)
	defer orphaned()
	followParent(ctx, orphaned)
	switch {
	case o.Play != "":
		return runPlay(ctx, s, o)
	case !o.Plain && terminal.Is(s.In) && terminal.Is(s.Out):
		return runScreen(ctx, s, o)
	}
	return runPlain(ctx, s, o)
}

// followParent ends dev when it was started by `go run` and that is killed:
// go run passes no signal on. A parent of another kind may well end before us.
func followParent(ctx context.Context, orphaned func()) {
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

// startCluster makes the cluster whose nodes find each other by themselves.
func startCluster(o Options, tell func(notice)) (*cluster, error) {
	c, err := newCluster(o.Program, o.Nodes, tell)
	if err != nil {
		return nil, err
	}
	c.watching = true
	if o.Groonga {
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

func (c *cluster) startAll() error {
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
func (c *cluster) pageURL() string {
	if c.program != c.self {
		return ""
	}
	return "http://" + c.nodes[0].place.httpAddr() + "/"
}

// pageArgs make an agent serve its dashboard, with the gateway beside it. Another
// program has none.
func (c *cluster) pageArgs(n *node) []string {
	switch {
	case c.pageURL() == "":
		return nil
	case c.search == nil:
		return []string{"-http=" + n.place.httpAddr()}
	}
	return []string{"-http=" + n.place.httpAddr(), "-gateway-status=" + addrAt(n, gatewayPort)}
}

// runPlain is dev without a terminal: lines in, lines out.
func runPlain(ctx context.Context, s Streams, o Options) error {
	c, err := startCluster(o, func(n notice) {
		if !n.view || o.Nodes <= matrixNodes {
			fmt.Fprintln(s.Out, n)
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
	lines := inputLines(ctx, s.In)
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
			if errors.Is(err, errQuit) || ctx.Err() != nil {
				return nil
			}
			if err != nil {
				c.say("", "%v", err)
			}
		}
	}
}

// inputLines reads lines until the end of the input.
func inputLines(ctx context.Context, in io.Reader) <-chan string {
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
