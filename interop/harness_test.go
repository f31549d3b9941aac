package interop

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/serf/client"
)

// patience is how long anything may take that has to happen. A machine under load
// is slow; a test that fails has time.
const patience = 60 * time.Second

// program is something that can be run as an agent and its commands.
type program struct {
	name string // "ours", "serf", "serf-old"
	path string
	why  string // why there is none; then path is ""
}

// The programs under test; TestMain sets them.
var ours, newest, old program

// TestMain builds the programs. Environment variables name others:
// IBUKI_PROGRAM (ours, built), IBUKI_SERF (the newest Serf), IBUKI_SERF_OLD
// (Serf 0.9.4; without it /usr/bin/serf, where Debian puts it).
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "4") // clusters mostly wait
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ibuki-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	log.SetOutput(io.Discard) // Serf's client logs every connection that ends
	ours = built("ours", "IBUKI_PROGRAM", dir, "..", "./cmd/ibuki")
	newest = built("serf", "IBUKI_SERF", dir, ".", "github.com/hashicorp/serf/cmd/serf")
	old = program{name: "serf-old", path: os.Getenv("IBUKI_SERF_OLD")}
	if old.path == "" {
		old.path = "/usr/bin/serf"
	}
	if _, err := os.Stat(old.path); err != nil {
		old = program{name: old.name, why: "needs Serf 0.9.4: IBUKI_SERF_OLD, or Debian's package serf"}
	}
	return m.Run()
}

// built builds a program of the module in dir, unless the environment has one.
func built(name, env, out, dir, pkg string) program {
	if path := os.Getenv(env); path != "" {
		return program{name: name, path: path}
	}
	// Under the name serf, ours is serf to the letter.
	path := filepath.Join(out, name, "serf")
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return program{name: name, why: fmt.Sprintf("go build %s: %v: %s", pkg, err, bytes.TrimSpace(text))}
	}
	return program{name: name, path: path}
}

// need skips the test without the program; ours has to be there.
func need(t *testing.T, p program) {
	t.Helper()
	if p.path == "" && p.name == ours.name {
		t.Fatal(p.why)
	}
	if p.path == "" {
		t.Skip(p.why)
	}
}

// cluster is a set of agents, each on a loopback address of its own.
type cluster struct {
	t      *testing.T
	net    string // "127.A.B."
	dir    string
	agents []*agent
	common []string // flags of every agent
}

// newCluster finds a block of 127.0.0.0/8 that no other test uses.
func newCluster(t *testing.T, common ...string) *cluster {
	t.Helper()
	for range 100 {
		block := fmt.Sprintf("127.%d.%d.", 10+rand.IntN(200), rand.IntN(250))
		lock, err := net.Listen("tcp", block+"1:7946")
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skip("needs all of 127.0.0.0/8 as loopback addresses")
		}
		if err != nil {
			continue
		}
		t.Cleanup(func() { lock.Close() })
		c := &cluster{t: t, net: block, dir: t.TempDir(), common: common}
		// Seconds instead of half minutes until a lost member is looked for.
		c.write("agent.json", `{"reconnect_interval": "1s"}`)
		return c
	}
	t.Fatal("no free block of loopback addresses")
	return nil
}

func (c *cluster) file(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(c.file(name), []byte(text), 0o700); err != nil {
		c.t.Fatal(err)
	}
}

// happening is an event as an agent's stream told it.
type happening struct {
	kind    string
	name    string // of a user event or query
	payload string
	members []string
}

// agent is one agent process.
type agent struct {
	c     *cluster
	prog  program
	name  string
	ip    string
	flags []string

	cmd  *exec.Cmd
	gone chan struct{}
	rpc  *client.RPCClient // Serf's own client, for either program

	mu  sync.Mutex
	saw []happening
}

func (c *cluster) add(p program, name string, flags ...string) *agent {
	c.t.Helper()
	need(c.t, p)
	a := &agent{c: c, prog: p, name: name, ip: fmt.Sprintf("%s%d", c.net, 10+len(c.agents)), flags: flags}
	c.agents = append(c.agents, a)
	c.t.Cleanup(a.end)
	a.start()
	return a
}

func (a *agent) addr() string    { return a.ip + ":7946" }
func (a *agent) rpcAddr() string { return a.ip + ":7373" }
func (a *agent) log() string     { return a.c.file(a.name + ".log") }

// start runs the agent and connects to it; what its stream tells is kept.
func (a *agent) start() {
	a.c.t.Helper()
	a.begin()
	a.connect()
}

func (a *agent) begin() {
	t := a.c.t
	t.Helper()
	args := append([]string{"agent", "-node=" + a.name, "-bind=" + a.ip, "-rpc-addr=" + a.rpcAddr(),
		"-profile=local", "-log-level=debug", "-config-file=" + a.c.file("agent.json")}, a.c.common...)
	logFile, err := os.OpenFile(a.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	a.cmd = exec.Command(a.prog.path, append(args, a.flags...)...)
	a.cmd.Stdout, a.cmd.Stderr = logFile, logFile
	a.cmd.SysProcAttr = dieWithParent()
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	a.gone = gone
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(gone)
	}(a.cmd)
}

func (a *agent) connect() {
	t := a.c.t
	t.Helper()
	a.await("RPC answers", func() error {
		select {
		case <-a.gone:
			t.Fatalf("%s: the agent ended at once:\n%s", a.name, tail(a.log()))
		default:
		}
		var err error
		a.rpc, err = client.ClientFromConfig(&client.Config{Addr: a.rpcAddr(), Timeout: patience})
		return err
	})
	stream := make(chan map[string]any, 4096)
	if _, err := a.rpc.Stream("*", stream); err != nil {
		t.Fatalf("%s: stream: %v", a.name, err)
	}
	go func() {
		for record := range stream {
			a.note(record)
		}
	}()
}

func (a *agent) note(record map[string]any) {
	h := happening{kind: text(record["Event"]), name: text(record["Name"]), payload: text(record["Payload"])}
	if list, ok := record["Members"].([]any); ok {
		for _, m := range list {
			if fields, ok := m.(map[any]any); ok {
				h.members = append(h.members, text(fields["Name"]))
			} else if fields, ok := m.(map[string]any); ok {
				h.members = append(h.members, text(fields["Name"]))
			}
		}
	}
	a.mu.Lock()
	a.saw = append(a.saw, h)
	a.mu.Unlock()
}

// text is a string of the RPC wire: raw or not.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// events are the happenings from the given number on.
func (a *agent) events(from int) []happening {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]happening(nil), a.saw[from:]...)
}

func (a *agent) seenSoFar() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.saw)
}

// told tells how often the agent's stream told the event of a member.
func told(saw []happening, kind, member string) int {
	count := 0
	for _, h := range saw {
		for _, m := range h.members {
			if h.kind == kind && m == member {
				count++
			}
		}
	}
	return count
}

// kill ends the process as kill -9 does.
func (a *agent) kill() {
	a.c.t.Helper()
	if err := a.cmd.Process.Kill(); err != nil {
		a.c.t.Fatal(err)
	}
	a.wait()
}

// wait waits for the end of the process.
func (a *agent) wait() {
	a.c.t.Helper()
	select {
	case <-a.gone:
	case <-time.After(patience):
		a.c.t.Fatalf("%s: the process does not end:\n%s", a.name, tail(a.log()))
	}
	a.rpc.Close()
}

func (a *agent) end() {
	if a.gone == nil {
		return // it never ran
	}
	_ = a.cmd.Process.Kill()
	<-a.gone
	if a.rpc != nil {
		a.rpc.Close()
	}
	if a.c.t.Failed() {
		a.c.t.Logf("%s (%s) printed last:\n%s", a.name, a.prog.name, tail(a.log()))
	}
}

func (a *agent) join(others ...*agent) {
	a.c.t.Helper()
	var addrs []string
	for _, o := range others {
		addrs = append(addrs, o.addr())
	}
	if n, err := a.rpc.Join(addrs, false); err != nil || n != len(addrs) {
		a.c.t.Fatalf("%s joins %v: %d, %v", a.name, addrs, n, err)
	}
}

// await polls until check is content.
func (a *agent) await(what string, check func() error) {
	a.c.t.Helper()
	await(a.c.t, a.name+": "+what, check)
}

func await(t *testing.T, what string, check func() error) {
	t.Helper()
	awaitFor(t, patience, what, check)
}

func awaitFor(t *testing.T, patience time.Duration, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, patience, err)
}

// sees waits until the members listed by every one of the observers have the
// statuses, and no others are listed.
func (c *cluster) sees(observers []*agent, want map[*agent]string) {
	c.t.Helper()
	for _, o := range observers {
		o.await("the list", func() error {
			members, err := o.rpc.Members()
			if err != nil {
				return err
			}
			if len(members) != len(want) {
				return fmt.Errorf("%d members are listed, not %d", len(members), len(want))
			}
			for a, status := range want { // order-free: any fault is one
				if m, ok := find(members, a.name); !ok || m.Status != status {
					return fmt.Errorf("%s is %q, not %q", a.name, m.Status, status)
				}
			}
			return nil
		})
	}
}

func find(members []client.Member, name string) (client.Member, bool) {
	for _, m := range members {
		if m.Name == name {
			return m, true
		}
	}
	return client.Member{}, false
}

// all gives every agent of the cluster the status, but for the exceptions.
func (c *cluster) all(status string, but ...any) map[*agent]string {
	want := map[*agent]string{}
	for _, a := range c.agents {
		want[a] = status
	}
	for i := 0; i+1 < len(but); i += 2 {
		want[but[i].(*agent)] = but[i+1].(string)
	}
	return want
}

func (c *cluster) others(not *agent) []*agent {
	var list []*agent
	for _, a := range c.agents {
		if a != not {
			list = append(list, a)
		}
	}
	return list
}

// tailLines is how much of each agent's log a failed test shows: the cause of
// what a later step finds is often many steps back.
const tailLines = 400

// tail is the end of a log file.
func tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// command runs a command line of a program; stdin is empty.
func command(t *testing.T, p program, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %v: %v", p.name, args, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}
