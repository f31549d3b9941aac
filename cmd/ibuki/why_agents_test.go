//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// wantWhy asks until the cause is that.
func (p *agentProcess) wantWhy(t *testing.T, node, cause string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if got, _ = runProgram(t, "why", "-rpc-addr="+p.rpc, node); strings.Contains(got, "Most likely: "+cause) {
			return
		}
	}
	t.Fatalf("why %s does not say %q:\n%s", node, cause, got)
}

// Real processes: one is frozen, ends, and is started again at once; why says which.
func TestWhyOfProcesses(t *testing.T) {
	t.Parallel()
	a := startAgent(t, "a")
	b := startAgent(t, "b", "-join="+a.addr)
	c := startAgent(t, "c", "-join="+a.addr)
	a.wantMembers(t, "a alive, b alive, c alive")
	b.wantMembers(t, "a alive, b alive, c alive")
	c.wantMembers(t, "a alive, b alive, c alive")

	if out, code := runProgram(t, "why", "-rpc-addr="+a.rpc, "nosuch"); code != 1 || !strings.Contains(out, "no such member") {
		t.Errorf("why of nobody: %d, %s", code, out)
	}
	_ = c.Process.Signal(syscall.SIGSTOP)
	a.wantMembers(t, "a alive, b alive, c failed")
	a.wantWhy(t, "c", "frozen or hung")
	_ = c.Process.Signal(syscall.SIGCONT)
	a.wantMembers(t, "a alive, b alive, c alive")
	a.wantWhy(t, "c", "frozen: its process did not run")
	_ = b.Process.Kill()
	_ = b.Wait()
	a.wantMembers(t, "a alive, b failed, c alive")
	a.wantWhy(t, "b", "crashed")
}
