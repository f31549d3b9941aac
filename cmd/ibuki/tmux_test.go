//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pane is a program on a terminal of 80 by 24, as a person sees it: tmux draws it.
type pane struct {
	t      *testing.T
	socket string
}

const paneWidth, paneHeight = 80, 24

// inTmux starts a program in a server of tmux's that is the test's own.
func inTmux(t *testing.T, environ []string, argv ...string) *pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("needs tmux")
	}
	dir, err := os.MkdirTemp("", "pane") // short: the path of a socket has a limit
	if err != nil {
		t.Fatal(err)
	}
	p := &pane{t: t, socket: filepath.Join(dir, "s")}
	cmd := exec.Command("tmux", append([]string{"-S", p.socket, "-f", os.DevNull, "new-session", "-d",
		"-x", strconv.Itoa(paneWidth), "-y", strconv.Itoa(paneHeight), "--"}, argv...)...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX="), environ...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	t.Cleanup(func() {
		_ = p.tmux("kill-server").Run()
		os.RemoveAll(dir)
	})
	return p
}

func (p *pane) tmux(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-S", p.socket}, args...)...)
}

// keys presses keys by tmux's names; a text is typed.
func (p *pane) keys(keys ...string) {
	p.t.Helper()
	if out, err := p.tmux(append([]string{"send-keys"}, keys...)...).CombinedOutput(); err != nil {
		p.t.Fatalf("tmux send-keys: %v: %s", err, out)
	}
}

// shows waits until the screen matches all patterns at once, and returns it.
func (p *pane) shows(patterns ...string) string {
	p.t.Helper()
	var screen, missing string
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		out, err := p.tmux("capture-pane", "-p").Output()
		if err != nil {
			continue // it has not drawn yet
		}
		screen, missing = string(out), ""
		for _, pattern := range patterns {
			if !regexp.MustCompile(`(?m)` + pattern).MatchString(screen) {
				missing = pattern
			}
		}
		if missing == "" {
			return screen
		}
	}
	p.t.Fatalf("the screen never showed %q:\n%s", missing, screen)
	return ""
}

// devPaneTest is what a person sees of dev in a terminal of the usual size, with all
// that it can show.
func devPaneTest(t *testing.T, bin string) {
	if _, err := exec.LookPath("groonga"); err != nil {
		t.Skip("there is no groonga on the PATH (Debian: groonga-bin)")
	}
	t.Parallel()
	tmp := t.TempDir()
	mark := filepath.Base(filepath.Dir(tmp)) + "-pane"
	p := inTmux(t, []string{devTestMark + "=" + mark, "TMPDIR=" + tmp}, bin, "dev", "-groonga")
	p.shows(`^ibuki dev · 3 of 3 alive · up \d+s$`, `^dashboard http://127\.0\.\d+\.50:8080/`, `^logs in \S+$|· logs in \S+$`,
		`^NODE +PROCESS +GROONGA +GATEWAY +RECORDS +WAITING +BY node0 +BY node1 +BY node2$`,
		`^node1 +running +running +running +\d+ +\d+ +alive +alive +alive$`, `^searches \d+ · writes \d+ · failed 0 .*slowest \d+ ms$`)
	p.keys("help", "Enter")
	p.shows(`^kill NODE… +kill -9 the agent$`, `^ +ask all nodes, or those named$`, `^quit +end every agent and dev itself$`, `^node1.gateway are one of them.$`)
	p.keys("kill node1", "Enter")
	screen := p.shows(`^ibuki dev · 2 of 3 alive, 1 failed ·`, `^node1 +down +down +down +- +\d+ +failed +- +failed$`, `member-failed node1 \(127\.0\.\d+\.51\)  seen by 2$`)
	if n := strings.Count(screen, "member-failed node1"); n != 1 {
		t.Errorf("%d lines for one failure:\n%s", n, screen)
	}
	p.keys("quit", "Enter")
	nothingLeft(t, mark, tmp)
}
