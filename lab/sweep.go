package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MarkEnv is set in the environment of every agent to the cluster's own mark,
// or the mark and the node's name. Handlers and whatever they start inherit it,
// even across setsid, so on Linux it finds every process of the cluster.
const MarkEnv = "IBUKI_DEV"

// Sweep kills every process of the cluster (mark) or of one node
// (mark/node): those that carry the mark, and the given pids with all their
// descendants. It returns when none is left, or after five seconds.
func Sweep(mark string, pids []int) {
	if mark == "" {
		return
	}
	for _, pid := range pids {
		killTree(pid)
	}
	quiet := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && quiet < 2; {
		found := marked(mark)
		for _, pid := range found {
			_ = signalProcess(pid, syscall.SIGKILL)
		}
		quiet++
		if len(found) > 0 {
			quiet = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// marked lists the processes that carry the mark; none where there is no /proc.
func marked(mark string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !hasMark(string(environ), mark) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func hasMark(environ, mark string) bool {
	for _, pair := range strings.Split(environ, "\x00") {
		value, ok := strings.CutPrefix(pair, MarkEnv+"=")
		if ok && (value == mark || strings.HasPrefix(value, mark+"/")) {
			return true
		}
	}
	return false
}

// killTree kills a process, its group and its descendants. It is stopped first
// so that it starts nothing more while the tree is read.
func killTree(pid int) {
	if pid <= 1 {
		return
	}
	_ = signalProcess(pid, sigStop)
	for _, child := range descendants(pid) {
		_ = signalProcess(child, syscall.SIGKILL)
	}
	_ = signalProcess(-pid, syscall.SIGKILL)
	_ = signalProcess(pid, syscall.SIGKILL)
}

// descendants asks ps, which every Unix has in this form.
func descendants(root int) []int {
	if _, err := os.Stat("/proc/self/environ"); err == nil {
		return nil // the mark finds them
	}
	out, err := exec.Command("ps", "-axo", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, line := range strings.Split(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		pid, _ := strconv.Atoi(f[0])
		parent, _ := strconv.Atoi(f[1])
		children[parent] = append(children[parent], pid)
	}
	found := children[root]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}
