//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// again starts an agent where p was.
func (p *agentProcess) again(t *testing.T, name string, args ...string) *agentProcess {
	t.Helper()
	q := &agentProcess{rpc: p.rpc, addr: p.addr}
	q.Cmd = program(t, append([]string{"agent", "-node=" + name, "-bind=" + p.addr, "-rpc-addr", p.rpc, "-profile=local"}, args...)...)
	q.Stdout, q.Stderr = q, q
	if err := q.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = q.Process.Kill()
		_ = q.Wait()
	})
	return q
}

func (p *agentProcess) run(t *testing.T, want string, command string, args ...string) {
	t.Helper()
	out, code := runProgram(t, append([]string{command, "-rpc-addr=" + p.rpc}, args...)...)
	if code != 0 || !strings.Contains(out, want) {
		t.Fatalf("%s %v: exit code %d, %s", command, args, code, out)
	}
}

// Real processes, P240 to P242: an announced restart is an update to the others and their
// handlers; the list of live nodes leaves the node out meanwhile. One that does not come
// back has failed at the end.
func TestAnnouncedRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list, told := filepath.Join(dir, "live"), filepath.Join(dir, "told")
	a := startAgent(t, "a", "-live-nodes=all-nodes:"+list, "-event-handler=member-failed,member-join,member-update=cut -f1 | sed \"s/^/$SERF_EVENT /\" >> "+told)
	b := startAgent(t, "b", "-join="+a.addr)
	a.wantMembers(t, "a alive, b alive")

	b.run(t, "hold back a failure of this node for 1m0s", "restart-window", "1m")
	a.waitFor(t, "b will restart within 1m0s")
	_ = b.Process.Signal(syscall.SIGINT) // as systemctl restart does
	if code := b.exit(t); code != 0 || !strings.Contains(b.output(), "ending without a leave") {
		t.Fatalf("exit code %d:\n%s", code, b.output())
	}
	a.waitFor(t, "b is away for its announced restart")
	a.wantMembers(t, "a alive, b failed")
	a.run(t, "restarting", "members", "-detailed")
	waitFile(t, list, func(s string) bool { return strings.Contains(s, "failed") || !strings.Contains(s, `"b"`) })

	b = b.again(t, "b")
	a.wantMembers(t, "a alive, b alive")
	a.waitFor(t, "b is back from its restart")
	// One that is away until the end of its window.
	b.waitFor(t, "Log data will now stream")
	b.run(t, "for 1.5s", "restart-window", "1500ms")
	a.waitFor(t, "b will restart within 1.5s")
	begun := time.Now()
	_ = b.Process.Kill()
	a.wantMembers(t, "a alive, b failed")
	waitFile(t, told, func(s string) bool { return strings.Contains(s, "member-failed b") })
	if took := time.Since(begun); took < time.Second {
		t.Errorf("the failure was told after %v", took)
	}
	got, _ := os.ReadFile(told)
	// Which updates there are depends on Serf's windows: of the events of one member in a
	// window, the last one replaces an update before it.
	lines := strings.Fields(strings.ReplaceAll(string(got), " ", ":"))
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "member-update:b" })
	if strings.Join(lines, " ") != "member-join:a member-join:b member-failed:b" {
		t.Errorf("the handler was told %q", lines)
	}
}

func waitFile(t *testing.T, path string, right func(string) bool) {
	t.Helper()
	var b []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b, _ = os.ReadFile(path); right(string(b)) {
			return
		}
	}
	t.Fatalf("%s has:\n%s", path, b)
}

// Real processes, P245 and P246: two clusters do not merge, and both sides say why. A node
// without a name may join.
func TestClusterName(t *testing.T) {
	t.Parallel()
	east := startAgent(t, "a", "-cluster-name=east")
	west := startAgent(t, "b", "-cluster-name=west")
	nobody := startAgent(t, "c", "-plain")
	out, code := runProgram(t, "join", "-rpc-addr="+west.rpc, east.addr)
	if code != 1 || !strings.Contains(out, `not the same cluster: "west" and "east"`) {
		t.Errorf("join: exit code %d, %s", code, out)
	}
	east.waitFor(t, `Failed push/pull merge: not the same cluster: "west" and "east"`)
	nobody.run(t, "Successfully joined", "join", east.addr)
	east.wantMembers(t, "a alive, c alive")
	east.run(t, "", "tags", "-set", "ibuki-cluster=west") // it has no effect
	out, _ = runProgram(t, "members", "-format=json", "-rpc-addr="+nobody.rpc)
	var list struct {
		Members []struct {
			Name string
			Tags map[string]string
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Members) != 2 || list.Members[0].Tags["ibuki-cluster"] != "east" {
		t.Errorf("%v, %s", err, out)
	}
	west.wantMembers(t, "b alive")
}
