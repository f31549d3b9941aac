package handler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// handlerOutput is how much of a handler's output is kept, in bytes: the last.
	handlerOutput = 8 * 1024
	// pipeGrace is how long output is waited for after the command itself has
	// ended: what it left in the background may hold it open for ever.
	pipeGrace = time.Second
	// killGrace is between asking a process group to end and killing it.
	killGrace = 500 * time.Millisecond
)

// errLeft: the agent ended, and the command runs on without it.
var errLeft = errors.New("it goes on without the agent")

// errHandlerTimeout: a run was ended because it took too long.
var errHandlerTimeout = errors.New("timed out")

// Output is what a handler has printed.
type Output struct {
	Text  []byte // the last of it, at most handlerOutput
	total int64
}

// cut reports whether text is not all of it.
func (o *Output) cut() bool { return o.total > int64(len(o.Text)) }

// tail is a writer that never blocks and keeps the last handlerOutput bytes.
type tail struct {
	buf   []byte
	total int64
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	if len(p) > handlerOutput {
		p = p[len(p)-handlerOutput:]
	}
	if over := len(t.buf) + len(p) - handlerOutput; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// serviceEnv are the variables by which a service manager is spoken to. They are
// the agent's alone: a program that a handler starts is not the service.
var serviceEnv = []string{"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="}

// ownEnv is the agent's environment, as far as handlers get it.
func ownEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(serviceEnv, func(name string) bool { return strings.HasPrefix(v, name) })
	})
}

// runCommand runs a handler's command for one event in a process group of its
// own. When kill is closed, or the handler's time is over, the group is ended.
func runCommand(h *Handler, j *Job, kill <-chan struct{}) (Output, error) {
	cmd := exec.Command("/bin/sh", "-c", h.Command)
	cmd.Env = append(ownEnv(), handlerEnv(j)...)
	input := handlerInput
	if h.JSON {
		input = handlerJSON
	}
	cmd.Stdin = bytes.NewReader(input(j))
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = pipeGrace
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return Output{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var late <-chan time.Time
	if h.Timeout > 0 {
		t := time.NewTimer(h.Timeout)
		defer t.Stop()
		late = t.C
	}
	var err error
	select {
	case err = <-ended:
	case <-kill:
		if h.short {
			return Output{}, errLeft // what it prints from now on is not read
		}
		err = endAll(cmd.Process.Pid, ended)
	case <-late:
		_ = endAll(cmd.Process.Pid, ended)
		err = fmt.Errorf("%w after %v", errHandlerTimeout, h.Timeout)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command itself went well; what it left behind keeps the pipe
	}
	return Output{Text: out.buf, total: out.total}, err
}

// exitCode is how a run ended, as a shell would say it: 124 is the code that
// timeout(1) has for one that took too long, 128 and more a signal, 126 a
// command that could not be started.
func exitCode(err error) uint8 {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errHandlerTimeout):
		return 124
	case errors.As(err, &exit):
		if code := exit.ExitCode(); code >= 0 {
			return uint8(min(code, 255))
		}
		return exitSignal(exit)
	}
	return 126
}

// endAll ends a handler's process group, whose leader's end comes by ended.
func endAll(pid int, ended <-chan error) error {
	endGroup(pid)
	t := time.NewTimer(killGrace)
	defer t.Stop()
	select {
	case err := <-ended:
		killGroup(pid) // the leader went at once; others may not
		return err
	case <-t.C:
		killGroup(pid)
		return <-ended
	}
}
