//go:build unix

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// wantDoctor asks until a finding begins like that. An area is one word, then its text.
func wantDoctor(t *testing.T, p *agentProcess, level, area, text string, args ...string) {
	t.Helper()
	got, code := "", 0
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		got, code = runProgram(t, append([]string{"doctor", "-rpc-addr=" + p.rpc}, args...)...)
		flat := strings.Join(strings.Fields(got), " ")
		if strings.Contains(flat, level+" "+area+" "+text) && (level != "fault" || code == 1) {
			return
		}
	}
	t.Errorf("no %s of %s %q:\n%s(exit code %d)", level, area, text, got, code)
}

const doctorKey, doctorOtherKey = "qsgVnTwzU9b3hgPhVIyoAQ==", "YWFhYWFhYWFhYWFhYWFhYQ=="

// Clusters of real agents, each broken in one way: doctor names it.
func TestDoctorOfAgents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		play func(t *testing.T)
	}{
		{"nothing", func(t *testing.T) {
			a := startAgent(t, "a", "-encrypt="+doctorKey)
			b := startAgent(t, "b", "-encrypt="+doctorKey, "-join="+a.addr)
			b.wantMembers(t, "a alive, b alive")
			a.wantMembers(t, "a alive, b alive")
			wantDoctor(t, b, "ok", "keys", "the traffic is encrypted")
			if out, code := runProgram(t, "doctor", "-rpc-addr="+b.rpc); code != 0 || strings.Contains(out, "\nfault ") {
				t.Errorf("%d: %s", code, out)
			}
		}},
		{"crashed", func(t *testing.T) {
			a := startAgent(t, "a")
			b := startAgent(t, "b", "-join="+a.addr)
			a.wantMembers(t, "a alive, b alive")
			_ = b.Process.Kill()
			wantDoctor(t, a, "fault", "members", "b has failed: crashed: its process ended")
		}},
		{"mixed keys", func(t *testing.T) {
			a := startAgent(t, "a", "-encrypt="+doctorKey)
			b := startAgent(t, "b", "-encrypt="+doctorOtherKey, "-retry-join="+a.addr, "-retry-interval=1s")
			wantDoctor(t, a, "fault", "keys", "127.0.0.1 encrypts with a key that this agent does not have.")
			wantDoctor(t, b, "fault", "join", a.addr+", which this agent was to join by, is not a member, though something answers there: there are two clusters")
		}},
		{"two clusters", func(t *testing.T) {
			a := startAgent(t, "a", "-cluster-name=one")
			startAgent(t, "b", "-cluster-name=two", "-retry-join="+a.addr, "-retry-interval=1s")
			wantDoctor(t, a, "fault", "clusters", "127.0.0.1 belongs to another cluster, and is refused: not the same cluster:")
		}},
		{"two labels", func(t *testing.T) {
			a := startAgent(t, "a", "-cluster-label=one")
			startAgent(t, "b", "-cluster-label=two", "-retry-join="+a.addr, "-retry-interval=1s")
			wantDoctor(t, a, "fault", "clusters", "127.0.0.1 has another -cluster-label, and is not heard.")
		}},
		{"two of a name", func(t *testing.T) {
			a := startAgent(t, "a")
			b := startAgent(t, "b", "-join="+a.addr)
			a.wantMembers(t, "a alive, b alive")
			c := startAgent(t, "b", "-retry-join="+a.addr, "-retry-interval=1s")
			wantDoctor(t, a, "fault", "names", "Two nodes are called b: at "+b.addr+" and at "+c.addr)
		}},
		{"a seed that is down", func(t *testing.T) {
			nobody := testHost(t) + ":7946"
			a := startAgent(t, "a", "-retry-join="+nobody)
			wantDoctor(t, a, "fault", "join", nobody+", which this agent was to join by, cannot be reached at "+nobody+": connect: connection refused.")
		}},
		{"a list", func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "lists")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, "live-nodes")
			a := startAgent(t, "a", "-live-nodes="+list)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			startAgent(t, "b", "-join="+a.addr)
			wantDoctor(t, a, "fault", "list", "The live-node list "+list+" is not written:")
		}},
		{"a handler", func(t *testing.T) {
			a := startAgent(t, "a", "-event-handler=user=exit 3")
			if out, code := runProgram(t, "event", "-rpc-addr="+a.rpc, "deploy"); code != 0 {
				t.Fatal(out)
			}
			wantDoctor(t, a, "warning", "handlers", "The event handler exit failed in 1 of 1 runs.")
		}},
		{"no gateway", func(t *testing.T) {
			wantDoctor(t, startAgent(t, "a"), "fault", "gateway", "The gateway at 127.0.0.1:1 does not say how it is: ", "-gateway=127.0.0.1:1")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.play(t)
		})
	}
}

// An agent that may have hardly more files than it has.
func TestDoctorOfFiles(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/limits"); err != nil {
		t.Skip("the system does not say how many files a process may have: ", err)
	}
	host := testHost(t)
	p := &agentProcess{rpc: host + ":7373", addr: host + ":7946"}
	as := filepath.Join(t.TempDir(), "ibuki") // the name is what makes the test's binary the program
	exe := program(t)
	if err := os.Symlink(exe.Path, as); err != nil {
		t.Fatal(err)
	}
	p.Cmd = exec.Command("/bin/sh", "-c", `ulimit -n 26 && exec "$0" "$@"`, as, "agent", "-bind="+host, "-rpc-addr="+p.rpc)
	p.Env = exe.Env
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	p.waitFor(t, "Log data will now stream in as it occurs")
	wantDoctor(t, p, "fault", "files", "The agent has ")
}

func TestDoctorWithoutAnAgent(t *testing.T) {
	t.Parallel()
	addr := testHost(t) + ":7373"
	out, code := runProgram(t, "doctor", "-rpc-addr="+addr)
	if code != exitNoAgent || !strings.HasPrefix(out, "fault    agent     No agent answers at "+addr) || !strings.Contains(out, "Cure: Start it") {
		t.Errorf("%d: %s", code, out)
	}
	a := startAgent(t, "a", "-rpc-auth=a secret of the agent")
	out, code = runProgram(t, "doctor", "-rpc-addr="+a.rpc, "-format=json")
	if code != exitNoAgent || !strings.Contains(out, "does not let you ask") || !strings.Contains(out, `"level": "fault"`) {
		t.Errorf("%d: %s", code, out)
	}
}

// far is an agent whose other member has a clock of its own, and which is no agent of this
// program's tests otherwise.
type far struct{ rpc.Backend }

func (far) Checkup() (rpc.Checkup, error) {
	return rpc.Checkup{Node: "a", Now: time.Now().UnixNano(), Addr: "127.0.0.1:7946", Natives: []string{"b"}}, nil
}

func (far) Members() []rpc.Member {
	return []rpc.Member{{Name: "a", Addr: net.IPv4(127, 0, 0, 1), Status: "alive"}, {Name: "b", Addr: net.IPv4(127, 0, 0, 1), Status: "alive"}}
}

func (far) History(context.Context, string) ([]rpc.History, int, error) {
	return []rpc.History{{From: "a", Now: time.Now().UnixNano()}, {From: "b", Now: time.Now().Add(-time.Hour).UnixNano()}}, 2, nil
}

func (far) Query(_ rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	sink(rpc.QueryRecord{Type: rpc.QueryRecordAck, From: "a"})
	sink(rpc.QueryRecord{Type: rpc.QueryRecordAck, From: "b"})
	sink(rpc.QueryRecord{Type: rpc.QueryRecordDone})
	return nil
}

func TestDoctorOfClocks(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := rpc.NewServer(rpc.ServerConfig{}, far{})
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); l.Close(); <-done })
	out, code := runProgram(t, "doctor", "-rpc-addr="+l.Addr().String())
	if flat := strings.Join(strings.Fields(out), " "); code != 0 || !strings.Contains(flat, "warning clock The clock of b is 1h0m0s behind that of a") {
		t.Errorf("%d: %s", code, out)
	}
}
