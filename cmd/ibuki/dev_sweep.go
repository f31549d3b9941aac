package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// devMarkEnv is set in the environment of every agent to the cluster's own mark,
// or the mark and the node's name. Handlers and whatever they start inherit it,
// even across setsid, so on Linux it finds every process of the cluster.
const devMarkEnv = "IBUKI_DEV"

// devSweep kills every process of the cluster (mark) or of one node
// (mark/node): those that carry the mark, and the given pids with all their
// descendants. It returns when none is left, or after five seconds.
func devSweep(mark string, pids []int) {
	if mark == "" {
		return
	}
	for _, pid := range pids {
		devKillTree(pid)
	}
	quiet := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && quiet < 2; {
		found := devMarked(mark)
		for _, pid := range found {
			_ = devSignal(pid, syscall.SIGKILL)
		}
		quiet++
		if len(found) > 0 {
			quiet = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// devMarked lists the processes that carry the mark; none where there is no /proc.
func devMarked(mark string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !devHasMark(string(environ), mark) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func devHasMark(environ, mark string) bool {
	for _, pair := range strings.Split(environ, "\x00") {
		value, ok := strings.CutPrefix(pair, devMarkEnv+"=")
		if ok && (value == mark || strings.HasPrefix(value, mark+"/")) {
			return true
		}
	}
	return false
}

// devKillTree kills a process, its group and its descendants. It is stopped first
// so that it starts nothing more while the tree is read.
func devKillTree(pid int) {
	if pid <= 1 {
		return
	}
	_ = devSignal(pid, devSigStop)
	for _, child := range devDescendants(pid) {
		_ = devSignal(child, syscall.SIGKILL)
	}
	_ = devSignal(-pid, syscall.SIGKILL)
	_ = devSignal(pid, syscall.SIGKILL)
}

// devDescendants asks ps, which every Unix has in this form.
func devDescendants(root int) []int {
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
