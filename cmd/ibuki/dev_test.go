//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// devTestMark is set in the environment of what a test starts, and so of all that
// follows from it; see leftOf.
const devTestMark = "IBUKI_DEV_TEST"

// buildIbuki builds the program, as a user would.
func buildIbuki(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "ibuki")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// leftOf lists the command lines of the processes that carry the mark.
func leftOf(t *testing.T, mark string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		t.Skip("needs /proc to find the processes that are left")
	}
	var left []string
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err == nil && bytes.Contains(environ, []byte(devTestMark+"="+mark+"\x00")) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

// nothingLeft waits until no process with the mark runs and dev's directory is gone.
func nothingLeft(t *testing.T, mark, tmp string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = leftOf(t, mark)
		files, err := filepath.Glob(filepath.Join(tmp, "ibuki-dev-*"))
		if err != nil {
			t.Fatal(err)
		}
		if left = append(left, files...); len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
}

// devRun is a running dev in plain-lines mode.
type devRun struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	mark string
	tmp  string // what it has as the directory for temporary files
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
	at  int // up to where expect has read
}

// startDev runs a command line of dev.
func startDev(t *testing.T, argv ...string) *devRun {
	t.Helper()
	d := &devRun{t: t, cmd: exec.Command(argv[0], argv[1:]...), tmp: t.TempDir(), done: make(chan struct{})}
	d.mark = fmt.Sprintf("%s-%d-%d", filepath.Base(d.tmp), os.Getpid(), time.Now().UnixNano())
	d.cmd.Env = append(os.Environ(), devTestMark+"="+d.mark, "TMPDIR="+d.tmp)
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = d.cmd.Stdout
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	go func() {
		defer close(d.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.mu.Lock()
			fmt.Fprintln(&d.out, lines.Text())
			d.mu.Unlock()
		}
	}()
	return d
}

func (d *devRun) send(line string) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		d.t.Fatal(err)
	}
}

// expect waits for output that matches, after what was expected before.
func (d *devRun) expect(pattern string) string {
	d.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		d.mu.Lock()
		rest := d.out.Bytes()[d.at:]
		loc := re.FindIndex(rest)
		if loc != nil {
			found := string(rest[loc[0]:loc[1]])
			d.at += loc[1]
			d.mu.Unlock()
			return found
		}
		all := d.out.String()
		d.mu.Unlock()
		if time.Now().After(end) {
			d.t.Fatalf("no %q in the output:\n%s", pattern, all)
		}
	}
}

func (d *devRun) exit() int {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(3 * time.Minute):
		d.t.Fatal("dev does not end")
	}
	_ = d.cmd.Wait()
	return d.cmd.ProcessState.ExitCode()
}

func TestDev(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters of real processes")
	}
	t.Parallel()
	bin := buildIbuki(t)
	t.Run("commands", func(t *testing.T) { devCommandsTest(t, bin) })
	t.Run("walkthrough", func(t *testing.T) { devWalkthroughTest(t, bin) })
	t.Run("groonga", func(t *testing.T) { devGroongaTest(t, bin) })
	t.Run("terminal", func(t *testing.T) { devTerminalTest(t, bin) })
	t.Run("small terminal", func(t *testing.T) { devPaneTest(t, bin) })
	t.Run("nothing left", func(t *testing.T) { devLeftTest(t, bin) })
	t.Run("bad usage", func(t *testing.T) { devUsageTest(t, bin) })
}

// devCommandsTest drives every command of plain-lines mode through a pipe.
func devCommandsTest(t *testing.T, bin string) {
	t.Parallel()
	d := startDev(t, bin, "dev")
	d.expect(`node2 +started on 127\.`)
	page := strings.Fields(strings.SplitN(d.expect(`the dashboard: http://127\S+`), ": ", 2)[1])[0]
	d.send("wait all alive")
	d.expect(`all: alive everywhere`)
	if status, body := get(t, http.DefaultClient, page); status != 200 || !strings.Contains(body, "<title>ibuki</title>") {
		t.Errorf("%s: %d %.200s", page, status, body)
	}
	d.send("help")
	for _, verb := range []string{"kill", "freeze", "thaw", "leave", "start", "event", "query", "members", "log", "wait", "help", "quit"} {
		d.expect(`(?m)^ +[0-9.]+s +` + verb + ` `)
	}
	d.send(`event deploy "one two"`)
	d.expect(`(?s)(node\d +event deploy "one two".*?){3}`)
	d.send("query -node=node1 -node=2 -from=0 ask me")
	d.expect(`(?s)node[12] answers "node[12] heard me".*node[12] answers "node[12] heard me".*: 2 acks, 2 answers`)

	d.send("kill node1")
	d.send("wait node1 failed")
	d.expect(`(?s)(node[02] +member-failed node1.*?){2}`)
	d.expect(`node1: failed everywhere`)
	d.send("start 1")
	d.send("wait all alive")
	d.expect(`all: alive everywhere`)

	d.send("freeze 2")
	d.send("wait 2 failed")
	d.expect(`node2: failed everywhere`)
	d.send("members")
	d.expect(`(?m)node2 +\S+ +frozen +\d+ +\S+ +failed +failed +-$`)
	d.send("thaw 2")
	d.send("wait all alive")
	d.expect(`all: alive everywhere`)

	d.send("leave 0")
	d.send("wait 0 left")
	d.expect(`node0: left everywhere`)
	d.send("log 1")
	d.expect(`node1 +\| .*\[(DEBUG|INFO)\]`)
	d.send("start 0")
	d.send("wait all alive")
	d.expect(`all: alive everywhere`)

	for line, answer := range map[string]string{ // order-free: independent
		"dance":            `unknown command "dance"`,
		"kill":             `usage: kill NODE`,
		"kill node9":       `there is no node "node9"`,
		"thaw 0":           `node0 is running`,
		"start 0":          `node0 is running already`,
		`event "a`:         `a quote " is not closed`,
		"event":            `usage: event`,
		"wait 0 left 0.01": `node0: not left everywhere`,
	} {
		d.send(line)
		d.expect(regexp.QuoteMeta(answer))
	}
	d.send("quit")
	if code := d.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	nothingLeft(t, d.mark, d.tmp)
}

func devWalkthroughTest(t *testing.T, bin string) {
	t.Parallel()
	d := startDev(t, bin, "dev", "-play", "walkthrough")
	code := d.exit()
	t.Logf("%s", d.out.String())
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, id := range []string{"M2", "M3", "M5", "M6", "M7", "M8", "M9", "M10", "M11"} {
		d.expect(`(?m)^` + id + ` `)
	}
	d.expect(`All \d+ steps held`)
	nothingLeft(t, d.mark, d.tmp)
}

// devLeftTest ends dev in every way that there is, with an agent frozen, and with
// children of agents that have left their process group and session, as handlers'
// children may.
func devLeftTest(t *testing.T, bin string) {
	if runtime.GOOS != "linux" {
		t.Skip("finds the processes that are left by /proc")
	}
	t.Parallel()
	wrapper := filepath.Join(t.TempDir(), "agent")
	script := "#!/bin/sh\nsleep 1000 &\nsetsid sh -c 'sleep 1001 & sleep 1002' &\nexec " + bin + " \"$@\"\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	signal := func(sig syscall.Signal) func(*devRun) error {
		return func(d *devRun) error { return d.cmd.Process.Signal(sig) }
	}
	for _, c := range []struct {
		name string
		argv []string
		end  func(*devRun) error
		code int
	}{
		{"quit", []string{bin}, func(d *devRun) error { d.send("quit"); return nil }, 0},
		{"interrupt", []string{bin}, signal(syscall.SIGINT), 0},
		{"terminate", []string{bin}, signal(syscall.SIGTERM), 0},
		{"kill", []string{bin}, signal(syscall.SIGKILL), -1},
		{"kill go run", []string{"go", "run", "."}, signal(syscall.SIGKILL), -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := startDev(t, append(c.argv, "dev", "-program="+wrapper)...)
			d.send("wait all alive")
			d.expect(`all: alive everywhere`)
			d.send("freeze node1")
			d.send("members")
			d.expect(`node1 .*frozen`)
			if n := len(leftOf(t, d.mark)); n < 2+3*4 {
				t.Fatalf("only %d processes were found while dev ran", n)
			}
			if err := c.end(d); err != nil {
				t.Fatal(err)
			}
			if code := d.exit(); code != c.code {
				t.Errorf("exit code %d, not %d", code, c.code)
			}
			nothingLeft(t, d.mark, d.tmp)
		})
	}
}

func devUsageTest(t *testing.T, bin string) {
	t.Parallel()
	for _, c := range []struct{ args, fault string }{
		{"-nodes=0", "between 1 and 100"},
		{"-nodes=x", "invalid value"},
		{"-play=dance", "there is only walkthrough"},
		{"-play=walkthrough -nodes=2", "needs at least 3"},
		{"-groonga -play=walkthrough", "-groonga goes with neither -play nor -program"},
		{"-program=/nowhere/serf", "no such file"},
		{"more", "unexpected argument"},
	} {
		out, err := exec.Command(bin, append([]string{"dev"}, strings.Fields(c.args)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.fault) {
			t.Errorf("dev %s: %v, %q", c.args, err, out)
		}
	}
	cmd := exec.Command(bin, "dev", "-groonga")
	cmd.Env = append(os.Environ(), "PATH=/nowhere")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "-groonga: there is no groonga on the PATH") {
		t.Errorf("without groonga: %v, %q", err, out)
	}
}
