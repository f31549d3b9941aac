//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitLines waits until a file has that many lines, and returns them.
func waitLines(t *testing.T, path string, n int) []string {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		if len(b) > 0 && len(lines) >= n {
			return lines
		}
		if time.Now().After(end) {
			t.Fatalf("%s has %q, want %d lines", path, b, n)
		}
	}
}

// A handler for one of three nodes is run once; when the agent that runs it is
// killed, another one runs it. P168
func TestHandlerOfOneNodeIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "handlers.json")
	text := `{"handlers": [{"on": "user:work", "run": "echo $SERF_SELF_NAME >> DIR/ran; exec sleep 4", "one_of": true, "timeout": "30s"},
		{"on": "user:done", "run": "cat >> DIR/json", "input": "json"}]}`
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]*agentProcess{}
	first := startAgent(t, "n0", "-config-file="+config)
	nodes["n0"] = first
	for _, name := range []string{"n1", "n2"} {
		nodes[name] = startAgent(t, name, "-config-file="+config, "-join="+first.addr)
	}
	for _, p := range nodes {
		p.wantMembers(t, "n0 alive, n1 alive, n2 alive")
	}
	first.may(t, true, "event", "-coalesce=false", "work")
	ran := filepath.Join(dir, "ran")
	runner := waitLines(t, ran, 1)[0]
	if err := nodes[runner].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	lines := waitLines(t, ran, 2)
	if lines[1] == runner || nodes[lines[1]] == nil {
		t.Errorf("run by %q", lines)
	}
	for name, p := range nodes {
		if name != runner {
			p.may(t, true, "event", "-coalesce=false", "done", "at "+name)
		}
	}
	got := waitLines(t, filepath.Join(dir, "json"), 4) // two nodes, two events
	for _, line := range got {
		if !strings.HasPrefix(line, `{"event":"user","self":{"name":"n`) || !strings.Contains(line, `"payload":"at n`) {
			t.Errorf("input %s", line)
		}
	}
	if lines := waitLines(t, ran, 2); len(lines) != 2 {
		t.Errorf("run by %q", lines)
	}
}

// SIGHUP takes other handlers into use, and a handler that takes too long is ended.
func TestHandlersReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "handlers.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"handlers": [{"on": "user", "run": "echo first >> DIR/first"}]}`)
	p := startAgent(t, "n1", "-config-file="+config)
	p.may(t, true, "event", "-coalesce=false", "x")
	waitLines(t, filepath.Join(dir, "first"), 1)
	write(`{"handlers": [{"on": "user", "run": "echo second >> DIR/second; sleep 60", "timeout": "100ms", "retries": 1, "retry_pause": "10ms"}]}`)
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, "Reloading configuration...")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		p.may(t, true, "event", "-coalesce=false", "x")
		if _, err := os.Stat(filepath.Join(dir, "second")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the new handler is not run: ", p.output())
		}
	}
	waitLines(t, filepath.Join(dir, "second"), 2)
	p.waitFor(t, "timed out after 100ms")
}

// A process that has left ends with 0, also at a SIGTERM that comes while it ends
// (ExecStop=serf leave is followed by one), and leaves a handler in Serf's form that
// runs to itself.
func TestEndAfterLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "handlers.json")
	if err := os.WriteFile(config, []byte(`{"handlers": [{"on": "member-leave", "run": "sleep 20"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startAgent(t, "a", "-config-file="+config,
		fmt.Sprintf("-event-handler=user=touch %s/begun; sleep 2; echo done > %s/done", dir, dir))
	p.may(t, true, "event", "-coalesce=false", "work")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the handler does not begin")
		}
	}
	p.may(t, true, "leave")
	_ = p.Process.Signal(syscall.SIGTERM)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	if got := waitLines(t, filepath.Join(dir, "done"), 1); got[0] != "done" {
		t.Errorf("the handler wrote %q", got)
	}
}
