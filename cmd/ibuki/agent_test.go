//go:build unix

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// agentProcess is the program as a child, run under the name ibuki.
type agentProcess struct {
	*exec.Cmd
	rpc  string
	addr string

	mu  sync.Mutex
	out bytes.Buffer
}

func (p *agentProcess) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *agentProcess) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// program is this test's binary as the program.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Args = append([]string{"ibuki"}, args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// testHost is an address of this host that hardly anybody else uses.
func testHost(t *testing.T) string {
	t.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", 100+rand.IntN(100), rand.IntN(256), 1+rand.IntN(250))
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Skip("this host has only one loopback address: ", err)
	}
	l.Close()
	return host
}

// startAgent runs an agent on an address of its own until it says that it runs.
func startAgent(t *testing.T, name string, args ...string) *agentProcess {
	t.Helper()
	return startAgentAt(t, testHost(t), name, args...)
}

// startAgentAt is startAgent on a given address.
func startAgentAt(t *testing.T, host, name string, args ...string) *agentProcess {
	t.Helper()
	p := &agentProcess{rpc: host + ":7373", addr: host + ":7946"}
	p.Cmd = program(t, append([]string{"agent", "-node=" + name, "-bind=" + host, "-rpc-addr", p.rpc, "-profile=local"}, args...)...)
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	p.waitFor(t, "Log data will now stream in as it occurs")
	return p
}

func (p *agentProcess) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !strings.Contains(p.output(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not say %q:\n%s", text, p.output())
		}
	}
}

// exit is the exit code, within a time that no orderly end exceeds.
func (p *agentProcess) exit(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(20*time.Second, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

// runProgram runs a command to its end.
func runProgram(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := program(t, args...)
	b, _ := cmd.CombinedOutput()
	return string(b), cmd.ProcessState.ExitCode()
}

func (p *agentProcess) members(t *testing.T) string {
	t.Helper()
	out, _ := runProgram(t, "members", "-rpc-addr="+p.rpc)
	var lines []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 {
			lines = append(lines, f[0]+" "+f[2])
		}
	}
	return strings.Join(lines, ", ")
}

func (p *agentProcess) wantMembers(t *testing.T, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = p.members(t); got == want {
			return
		}
	}
	t.Fatalf("members: %s, want %s", got, want)
}

func TestAgentBanner(t *testing.T) {
	t.Parallel()
	p := startAgent(t, "n1", "-encrypt=AAAAAAAAAAAAAAAAAAAAAA==", "-disable-compression", "-role=web")
	host := strings.TrimSuffix(p.addr, ":7946")
	want := `==> Deprecation warning: 'Role' has been replaced with 'Tags'
==> Starting ibuki agent...
==> Starting ibuki agent RPC...
==> ibuki agent running!
                      Node name: 'n1'
                      Bind addr: '` + p.addr + `'
                       RPC addr: '` + p.rpc + `'
                      Encrypted: true
                       Snapshot: false
                        Profile: local
    Message Compression Enabled: false

==> Log data will now stream in as it occurs:

    DATE [INFO] agent: Serf agent starting
    DATE [INFO] agent: A node whose host answers may pause for PAUSE without being reported as failed (-detect-within)
    DATE [INFO] serf: EventMemberJoin: n1 ` + host + `
    DATE [INFO] agent: Received event: member-join
`
	p.waitFor(t, "Received event: member-join\n")
	got := regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`).ReplaceAllString(p.output(), "DATE")
	got = regexp.MustCompile(`may pause for [0-9.]+s `).ReplaceAllString(got, "may pause for PAUSE ")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// P159
func TestAgentSignals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := filepath.Join(dir, "x.json")
	if err := os.WriteFile(conf, []byte(`{"leave_on_terminate": true, "skip_leave_on_interrupt": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		sig    os.Signal
		code   int
		status string
	}{
		{"interrupt", nil, os.Interrupt, 0, "left"},
		{"terminate", nil, syscall.SIGTERM, 1, "failed"},
		{"leave-on-terminate", []string{"-config-file=" + conf}, syscall.SIGTERM, 0, "left"},
		{"skip-on-interrupt", []string{"-config-file=" + conf}, os.Interrupt, 1, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			watcher := startAgent(t, "watcher")
			p := startAgent(t, "a", append(c.args, "-join="+watcher.addr)...)
			if !strings.Contains(p.output(), "==> Joining cluster...(replay: false)\n    Join completed. Synced with 1 initial agents\n") {
				t.Errorf("join not told:\n%s", p.output())
			}
			_ = p.Process.Signal(c.sig)
			if code := p.exit(t); code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, p.output())
			}
			if !strings.Contains(p.output(), "==> Caught signal: "+c.sig.String()+"\n") {
				t.Errorf("signal not told:\n%s", p.output())
			}
			watcher.wantMembers(t, "a "+c.status+", watcher alive")
		})
	}
}

// P159
func TestAgentSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	a := startAgent(t, "a")
	b := startAgent(t, "b", "-broadcast-timeout=30s", "-join="+a.addr)
	_ = a.Process.Signal(syscall.SIGSTOP) // so that b's leave takes its time
	defer a.Process.Signal(syscall.SIGCONT)
	_ = b.Process.Signal(os.Interrupt)
	b.waitFor(t, "Gracefully shutting down agent...")
	begun := time.Now()
	time.Sleep(signalEcho + 50*time.Millisecond)
	_ = b.Process.Signal(os.Interrupt)
	code := b.exit(t)
	if took := time.Since(begun); took > 25*time.Second { // the leave alone takes 30
		t.Errorf("took %v", took)
	}
	if strings.Count(b.output(), "Caught signal") == 2 && code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestAgentLeaveByRPC(t *testing.T) {
	t.Parallel()
	a := startAgent(t, "a")
	if out, code := runProgram(t, "leave", "-rpc-addr="+a.rpc); code != 0 || out != "Graceful leave complete\n" {
		t.Errorf("leave: %d, %s", code, out)
	}
	if code := a.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAgentReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := filepath.Join(dir, "c.json")
	write := func(s string) {
		if err := os.WriteFile(conf, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"tags": {"k": "old"}, "event_handlers": ["user=echo old >> ` + dir + `/out"]}`)
	a := startAgent(t, "a", "-config-file", conf)
	write(`{"tags": {"k": "new"}, "log_level": "debug", "event_handlers": ["user=echo new >> ` + dir + `/out"]}`)
	_ = a.Process.Signal(syscall.SIGHUP)
	a.waitFor(t, "==> Reloading configuration...")
	a.waitFor(t, "EventMemberUpdate")
	if out, code := runProgram(t, "event", "-coalesce=false", "-rpc-addr="+a.rpc, "x"); code != 0 {
		t.Fatal(out)
	}
	a.waitFor(t, "[DEBUG] agent: Event 'user' script output")
	if b, _ := os.ReadFile(filepath.Join(dir, "out")); string(b) != "new\n" {
		t.Errorf("handlers wrote %q", b)
	}
	write(`{"log_level": "loud"}`)
	_ = a.Process.Signal(syscall.SIGHUP)
	a.waitFor(t, "==> Failed to reload configs")
}

// A handler that calls the agent back, with the address in its environment,
// while the agent waits for it.
func TestHandlerCallsItsAgentBack(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "serf")
	if err := os.Symlink(exe, link); err != nil {
		t.Skip("no links: ", err)
	}
	host := testHost(t)
	t.Setenv("BACK", host+":7373")
	p := &agentProcess{rpc: host + ":7373"}
	p.Cmd = program(t, "agent", "-node=cb", "-bind="+host, "-rpc-addr="+p.rpc, "-event-handler=query:who="+link+` members -rpc-addr=$BACK`)
	p.Stdout = p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Process.Kill(); _ = p.Wait() }()
	p.waitFor(t, "Log data")
	out, code := runProgram(t, "query", "-rpc-addr="+p.rpc, "-timeout=5s", "who")
	if code != 0 || !strings.Contains(out, "Response from 'cb': cb ") {
		t.Errorf("%d, %s", code, out)
	}
}

// Wrong values: one clear line for each, exit code 1, before anything starts.
func TestAgentFaults(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(conf, []byte(`{"no_such_key": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	host := testHost(t)
	busy := startAgent(t, "busy")
	place := []string{"-node=x", "-bind=" + host, "-rpc-addr=" + host + ":7373"}
	for _, c := range []struct {
		args []string
		want string // a regular expression
	}{
		{[]string{"-log-level=loud"}, `^==> Invalid log level: LOUD\. Valid log levels are: \[TRACE DEBUG INFO WARN ERR\]\n$`},
		{[]string{"-bind=nonsense:x"}, `^==> Invalid bind address: .*\n$`},
		{[]string{"-profile=moon"}, `^==> Unknown profile: moon\n$`},
		{[]string{"-tag=x"}, `^==> Error: Invalid tag: 'x'\n$`},
		{[]string{"-retry-interval=soon"}, `^==> Error: -retry-interval=soon: a time with its unit is wanted, like 30s or 500ms\n$`},
		{[]string{"-event-handler=member-joined=x"}, `^==> Invalid event script: Event 'member-joined' invoking 'x'\n$`},
		{[]string{"-encrypt=x"}, `^==> Invalid encryption key: .*\n$`},
		{[]string{"-config-file=" + conf}, `^==> Error decoding '.*': invalid keys: no_such_key \(line 1, column 2\)\n$`},
		{[]string{"-config-file=/no/such/file"}, `^==> Error reading '/no/such/file': .*\n$`},
		{[]string{"-protocol=9", "-profile=moon"}, `^==> Unknown profile: moon\n==> Protocol version '9' not supported.*\n$`},
		{[]string{"-mdns-iface=y"}, `^==> mDNS interface specified without enabling mDNS discovery\n$`},
		{append(place, "-bind="+busy.addr), `^==> Starting ibuki agent\.\.\.\n==> Failed to start the ibuki agent: .*address already in use; is another agent running there\? .*\n$`},
		{append(place, "-rpc-addr="+busy.rpc), `^==> Starting ibuki agent\.\.\.\n==> Error starting RPC listener: .*address already in use; is another agent running there\? .*\n$`},
		{[]string{"-bind=192.0.2.1"}, `cannot assign requested address; this host has no such address`},
		{append(place, "-join=no-such-host.invalid"), `(?s)==> Joining cluster\.\.\.\(replay: false\)\n==> 1 error occurred:\n\t\* failed to resolve no-such-host\.invalid: [^\n]*\n\n\n$`},
	} {
		out, code := runProgram(t, append([]string{"agent"}, c.args...)...)
		if code != 1 || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%q: exit code %d, output %q", c.args, code, out)
		}
	}
}

// Nobody reads the log any more: the agent goes on.
func TestAgentSurvivesItsReader(t *testing.T) {
	t.Parallel()
	host := testHost(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &agentProcess{rpc: host + ":7373"}
	p.Cmd = program(t, "agent", "-node=a", "-bind="+host, "-rpc-addr="+p.rpc)
	p.Stdout = w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Process.Kill(); _ = p.Wait() }()
	w.Close()
	buf := make([]byte, 4096)
	for got := ""; !strings.Contains(got, "stream in as it occurs"); {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	r.Close()
	for range 3 {
		if out, code := runProgram(t, "event", "-rpc-addr="+p.rpc, "x"); code != 0 {
			t.Fatalf("%d: %s", code, out)
		}
	}
	p.wantMembers(t, "a alive")
}

// The lines of the real program, where it is there.
func TestAgentPrintsWhatSerfPrints(t *testing.T) {
	t.Parallel()
	serf := cmp.Or(os.Getenv("IBUKI_SERF"), serfOnPath)
	if serf == "" {
		t.Skip("no serf: neither IBUKI_SERF nor on the PATH")
	}
	host := testHost(t)
	shape := regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`)
	lines := func(cmd *exec.Cmd) string {
		p := &agentProcess{Cmd: cmd}
		cmd.Stdout, cmd.Stderr = p, p
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }()
		p.waitFor(t, "Received event: member-join")
		_ = cmd.Process.Signal(syscall.SIGTERM)
		p.exit(t)
		out := shape.ReplaceAllString(p.output(), "DATE")
		out, _, _ = strings.Cut(out, "    DATE [INFO] agent: requesting serf shutdown")
		return out
	}
	args := []string{"agent", "-node=x", "-bind=" + host, "-rpc-addr=" + host + ":7373", "-tag", "a=b"}
	real := lines(exec.Command(serf, args...))
	if !strings.Contains(real, "Message Compression Enabled") {
		t.Skip("this serf is older than the one that is followed")
	}
	called := program(t, args...)
	called.Args[0] = "serf"
	ours := lines(called)
	// One line is ours on purpose: what a node may do unreported (docs/serf-compat.md).
	ours, pause, found := strings.Cut(ours, "    DATE [INFO] agent: A node whose host answers may pause for ")
	if !found {
		t.Errorf("the pause that is allowed is not told:\n%s", ours)
	}
	_, rest, _ := strings.Cut(pause, "\n")
	if ours += rest; ours != real {
		t.Errorf("ours:\n%s\nSerf's:\n%s", ours, real)
	}
}

// Two live agents of one name: the others vote, the newcomer goes, and its exit
// code says that this was not wanted.
func TestAgentLosesItsName(t *testing.T) {
	t.Parallel()
	a, b := startAgent(t, "n1"), startAgent(t, "n2")
	if out, code := runProgram(t, "join", "-rpc-addr="+a.rpc, b.addr); code != 0 {
		t.Fatal(out)
	}
	twin := startAgent(t, "n2", "-retry-join="+a.addr)
	if code := twin.exit(t); code != 1 || !strings.Contains(twin.output(), "==> another member has this node's name") {
		t.Errorf("exit code %d:\n%s", code, twin.output())
	}
	a.wantMembers(t, "n1 alive, n2 alive")
	b.wantMembers(t, "n1 alive, n2 alive")
}
