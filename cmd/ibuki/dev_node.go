package main

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
	devDown    = "down"
	devRunning = "running"
	devFrozen  = "frozen"
)

// devNode is one agent process of the dev cluster, and what it last said of the
// others; with -groonga also one of the processes beside an agent. Its changing
// fields belong to the cluster's lock.
type devNode struct {
	name   string
	place  devPlace
	part   string       // which process beside an agent it is; "" for the agent
	beside []*devNode   // the processes beside this agent
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
func (c *devCluster) startLocked(n *devNode) error {
	if n.state != devDown {
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
	n.state, n.since, n.pid = devRunning, time.Now(), cmd.Process.Pid
	n.asked, n.died = false, false
	n.gone, n.seen = make(chan struct{}), nil
	go c.reap(n, cmd, n.gone)
	if c.watching && n.part == "" {
		go c.watch(n, n.gone)
	}
	return nil
}

// command makes a command line of the cluster's program for a node.
func (c *devCluster) command(n *devNode, args ...string) *exec.Cmd {
	program := c.program
	if n.other != "" {
		program = n.other
	}
	argv := append(append(append([]string(nil), n.prefix...), program), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), c.env...), devMarkEnv+"="+c.mark+"/"+n.name)
	cmd.Dir = c.dir
	return cmd
}

// reap waits for the process and notes how it ended.
func (c *devCluster) reap(n *devNode, cmd *exec.Cmd, gone chan struct{}) {
	err := cmd.Wait()
	c.keeper.reaped(cmd.Process.Pid)
	c.mu.Lock()
	n.state, n.since, n.pid, n.seen = devDown, time.Now(), 0, nil
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
		c.say(n.name, "%s ended by itself: %s%s", what, why, devLastLine(n.log))
	}
}

// devLastLine is the last thing that an agent said, ready to be added to a line.
func devLastLine(file string) string {
	lines := devTail(file, 1)
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(lines[0])
}

// devTail returns the last lines of a file, looking at its last 64 KiB.
func devTail(file string, count int) []string {
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
func (c *devCluster) signal(n *devNode, sig syscall.Signal, from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.state == devDown || from != "" && n.state != from {
		return fmt.Errorf("%s is %s", n.name, n.state)
	}
	if to == devDown {
		n.asked = true
	} else {
		n.state, n.since = to, time.Now()
	}
	return devSignal(n.pid, sig)
}

func (c *devCluster) start(n *devNode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return fmt.Errorf("the cluster is being stopped")
	}
	return c.startLocked(n)
}

// kill ends the process as kill -9 does, frozen or not, and waits for its end.
func (c *devCluster) kill(n *devNode) error {
	if err := c.signal(n, syscall.SIGKILL, "", devDown); err != nil {
		return err
	}
	return c.ended(n, 5*time.Second)
}

func (c *devCluster) freeze(n *devNode) error {
	return c.signal(n, devSigStop, devRunning, devFrozen)
}

func (c *devCluster) thaw(n *devNode) error {
	return c.signal(n, devSigCont, devFrozen, devRunning)
}

// interrupt is Ctrl-C at the agent: it leaves and ends.
func (c *devCluster) interrupt(n *devNode) error {
	return c.signal(n, syscall.SIGINT, devRunning, devDown)
}

// ended waits until the node's process is gone.
func (c *devCluster) ended(n *devNode, limit time.Duration) error {
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
