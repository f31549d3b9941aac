//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/agent"
)

// cpuTime is the processor time that the process has used, which other work on
// the machine does not lengthen much.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// firstProcess runs an agent that is the first process of a container or machine in a child,
// and is what such a process has to be: it passes signals on, and reaps the orphans that event
// handlers leave, which the agent cannot without taking its own children from under those who
// wait for them. It reports whether it has done so, and the child's exit code.
func firstProcess(args []string, stderr io.Writer) (code int, done bool) {
	if os.Getpid() != 1 || len(args) < 2 || args[1] != agentCommand.name {
		return 0, false
	}
	self, err := os.Executable()
	if err != nil {
		return 0, false // no /proc: it runs as well as it can
	}
	children := make(chan os.Signal, 1) // one stands for many
	signal.Notify(children, syscall.SIGCHLD)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	cmd := exec.Command(self, args[1:]...)
	cmd.Args = args
	cmd.Env = append(os.Environ(), agent.InitEnv+"="+strconv.Itoa(os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(stderr, "Error starting the agent as a child of process 1: %s\n", err)
		return 1, true
	}
	for {
		select {
		case <-children:
			if status, ended := reap(cmd.Process.Pid); ended {
				return exitCode(status), true
			}
		case sig := <-signals:
			if sig != syscall.SIGCHLD && sig != syscall.SIGURG { // which is the runtime's own
				_ = cmd.Process.Signal(sig)
			}
		}
	}
}

// reap takes the status of every child that has ended; of the one with that pid it is returned.
func reap(pid int) (status syscall.WaitStatus, ended bool) {
	for {
		var ws syscall.WaitStatus
		child, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil || child <= 0:
			return status, ended
		case child == pid:
			status, ended = ws, true
		}
	}
}

// exitCode is a status as shells have it.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
