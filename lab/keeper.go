package lab

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

// KeeperCommand is the subcommand that runs Keep.
const KeeperCommand = "dev-keeper"

// keeper is a second process that outlives this one by a moment. It holds the
// other end of a pipe; when that reaches its end, however this process ended,
// the keeper kills whatever is left of the cluster (frozen agents, handlers and
// their children) and removes its directory.
type keeper struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func startKeeper(exe, mark, dir string) (*keeper, error) {
	cmd := exec.Command(exe, KeeperCommand)
	cmd.SysProcAttr = keeperAttr()
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k := &keeper{cmd: cmd, pipe: pipe}
	k.tell("mark", mark)
	k.tell("dir", dir)
	return k, nil
}

func (k *keeper) tell(word, arg string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.pipe, "%s %s\n", word, arg)
}

func (k *keeper) started(pid int) { k.tell("add", strconv.Itoa(pid)) }
func (k *keeper) reaped(pid int)  { k.tell("del", strconv.Itoa(pid)) }

// close lets the keeper do its work and waits for it.
func (k *keeper) close() {
	k.pipe.Close()
	_ = k.cmd.Wait()
}

// Keep is the keeper's own life: it notes what it is told until the pipe ends,
// then it cleans up.
func Keep(in io.Reader) {
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
	Sweep(mark, left)
	if strings.Contains(dir, dirPattern) {
		os.RemoveAll(dir)
	}
}
