package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// The states of a node's process.
const (
	stateDown    = "down"
	stateRunning = "running"
	stateFrozen  = "frozen"
)

// node is one agent process of the dev cluster, and what it last said of the
// others; with -groonga also one of the processes beside an agent. Its changing
// fields belong to the cluster's lock.
type node struct {
	name   string
	place  place
	part   string       // which process beside an agent it is; "" for the agent
	beside []*node      // the processes beside this agent
	before func() error // what has to be done before each start; may be nil
	prefix []string     // put before every command line of this node: ip netns exec NS
	other  string       // the program, if it is not the cluster's
	args   []string     // the process's arguments, of an agent "agent" first
	log    string       // file: what the process prints
	record string       // file: what its handler saw

	state string
	since time.Time
	pid   int
	asked bool          // the end of the process was asked for
	died  bool          // it ended although nobody asked
	gone  chan struct{} // closed when the process has ended and was reaped
	code  int           // how it ended, -1 by a signal
	seen  map[string]string
}

// start begins the node's process. The cluster's lock is held.
func (c *cluster) startLocked(n *node) error {
	if n.state != stateDown {
		return fmt.Errorf("%s is %s already", n.name, n.state)
	}
	if n.before != nil {
		if err := n.before(); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := c.command(n, n.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := c.spawner.start(cmd); err != nil {
		return err
	}
	c.keeper.started(cmd.Process.Pid)
	n.state, n.since, n.pid = stateRunning, time.Now(), cmd.Process.Pid
	n.asked, n.died = false, false
	n.gone, n.seen = make(chan struct{}), nil
	go c.reap(n, cmd, n.gone)
	if c.watching && n.part == "" {
		go c.watch(n, n.gone)
	}
	return nil
}

// command makes a command line of the cluster's program for a node.
func (c *cluster) command(n *node, args ...string) *exec.Cmd {
	program := c.program
	if n.other != "" {
		program = n.other
	}
	argv := append(append(append([]string(nil), n.prefix...), program), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), c.env...), MarkEnv+"="+c.mark+"/"+n.name)
	cmd.Dir = c.dir
	return cmd
}

// reap waits for the process and notes how it ended.
func (c *cluster) reap(n *node, cmd *exec.Cmd, gone chan struct{}) {
	err := cmd.Wait()
	c.keeper.reaped(cmd.Process.Pid)
	c.mu.Lock()
	n.state, n.since, n.pid, n.seen = stateDown, time.Now(), 0, nil
	n.code = cmd.ProcessState.ExitCode()
	n.died = !n.asked && !c.closing
	surprise := n.died
	c.mu.Unlock()
	close(gone)
	if surprise {
		why := "exit status 0"
		if err != nil {
			why = err.Error()
		}
		what := "the agent"
		if n.part != "" {
			what = n.name
		}
		c.say(n.name, "%s ended by itself: %s%s", what, why, lastLine(n.log))
	}
}

// lastLine is the last thing that an agent said, ready to be added to a line.
func lastLine(file string) string {
	lines := tail(file, 1)
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(lines[0])
}

// tail returns the last lines of a file, looking at its last 64 KiB.
func tail(file string, count int) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	from := max(0, info.Size()-64<<10)
	buf := make([]byte, info.Size()-from)
	got, _ := f.ReadAt(buf, from)
	lines := strings.Split(strings.TrimRight(string(buf[:got]), "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-count):]
}

// signal sends a signal to the node's process and notes the state that follows.
func (c *cluster) signal(n *node, sig syscall.Signal, from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.state == stateDown || from != "" && n.state != from {
		return fmt.Errorf("%s is %s", n.name, n.state)
	}
	if to == stateDown {
		n.asked = true
	} else {
		n.state, n.since = to, time.Now()
	}
	return signalProcess(n.pid, sig)
}

func (c *cluster) start(n *node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return fmt.Errorf("the cluster is being stopped")
	}
	return c.startLocked(n)
}

// kill ends the process as kill -9 does, frozen or not, and waits for its end.
func (c *cluster) kill(n *node) error {
	if err := c.signal(n, syscall.SIGKILL, "", stateDown); err != nil {
		return err
	}
	return c.ended(n, 5*time.Second)
}

func (c *cluster) freeze(n *node) error {
	return c.signal(n, sigStop, stateRunning, stateFrozen)
}

func (c *cluster) thaw(n *node) error {
	return c.signal(n, sigCont, stateFrozen, stateRunning)
}

// interrupt is Ctrl-C at the agent: it leaves and ends.
func (c *cluster) interrupt(n *node) error {
	return c.signal(n, syscall.SIGINT, stateRunning, stateDown)
}

// ended waits until the node's process is gone.
func (c *cluster) ended(n *node, limit time.Duration) error {
	c.mu.Lock()
	gone := n.gone
	c.mu.Unlock()
	if gone == nil {
		return nil
	}
	select {
	case <-gone:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s: the process still runs after %v", n.name, limit)
	}
}
