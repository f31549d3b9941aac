package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// devKeeperName is the hidden subcommand that the keeper runs as.
const (
	devKeeperName  = "dev-keeper"
	devKeeperUsage = `Usage: {prog} dev-keeper

  Cleans up after dev when its standard input ends.`
)

func devKeeperRun(e *env, _ []string) int { return devKeeperMain(e.stdin) }

// devKeeper is a second process that outlives this one by a moment. It holds the
// other end of a pipe; when that reaches its end, however this process ended,
// the keeper kills whatever is left of the cluster (frozen agents, handlers and
// their children) and removes its directory.
type devKeeper struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func devStartKeeper(exe, mark, dir string) (*devKeeper, error) {
	cmd := exec.Command(exe, devKeeperName)
	cmd.SysProcAttr = devAlone()
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k := &devKeeper{cmd: cmd, pipe: pipe}
	k.tell("mark", mark)
	k.tell("dir", dir)
	return k, nil
}

func (k *devKeeper) tell(word, arg string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.pipe, "%s %s\n", word, arg)
}

func (k *devKeeper) started(pid int) { k.tell("add", strconv.Itoa(pid)) }
func (k *devKeeper) reaped(pid int)  { k.tell("del", strconv.Itoa(pid)) }

// close lets the keeper do its work and waits for it.
func (k *devKeeper) close() {
	k.pipe.Close()
	_ = k.cmd.Wait()
}

// devKeeperMain is the keeper's own life: note what it is told until the pipe
// ends, then clean up.
func devKeeperMain(in io.Reader) int {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	var mark, dir string
	pids := map[int]bool{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		word, arg, _ := strings.Cut(lines.Text(), " ")
		pid, _ := strconv.Atoi(arg)
		switch word {
		case "mark":
			mark = arg
		case "dir":
			dir = arg
		case "add":
			pids[pid] = true
		case "del":
			delete(pids, pid)
		}
	}
	left := make([]int, 0, len(pids))
	for pid := range pids { // order-free: all are killed
		left = append(left, pid)
	}
	devSweep(mark, left)
	if strings.Contains(dir, devDirPattern) {
		os.RemoveAll(dir)
	}
	return 0
}
