package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// TestFirstProcess runs an agent as process 1 of a process namespace: what its handlers put
// into the background is reaped, and signals mean what they mean elsewhere.
func TestFirstProcess(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		err = exec.Command(unshare, "--pid", "--fork", "--mount-proc", "true").Run()
	}
	if err != nil {
		t.Skip("needs process namespaces: unshare --pid: ", err)
	}
	bin := buildIbuki(t)
	for _, c := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGTERM, 1}, {syscall.SIGINT, 0}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			ran, sock := filepath.Join(dir, "ran"), filepath.Join(dir, "rpc")
			var out bytes.Buffer
			cmd := exec.Command(unshare, "--pid", "--fork", "--mount-proc", bin, "agent", "-node=first", "-bind=127.0.0.1:0", "-rpc-addr=unix:"+sock,
				"-event-handler=user=sleep 0.1 & sleep 0.1 & echo >> "+ran)
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill() // and with it all of the namespace
				_ = cmd.Wait()
				if t.Failed() {
					t.Log(out.String())
				}
			}()
			var client *rpc.Client
			soon(t, "RPC answers", func() bool {
				client, err = rpc.Dial(t.Context(), rpc.ClientConfig{Addr: "unix:" + sock})
				return err == nil
			})
			defer client.Close()
			for i := range 4 {
				if err := client.UserEvent(t.Context(), fmt.Sprint("e", i), nil, false); err != nil {
					t.Fatal(err)
				}
			}
			first := childrenOf(cmd.Process.Pid)
			if len(first) != 1 {
				t.Fatalf("children of unshare: %v", first)
			}
			soon(t, "all events are handled", func() bool {
				b, _ := os.ReadFile(ran)
				return bytes.Count(b, []byte("\n")) == 4
			})
			soon(t, "the agent is the only child of process 1", func() bool { return len(childrenOf(first[0])) == 1 })
			if err := syscall.Kill(first[0], c.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit %d after %v, want %d", code, c.signal, c.code)
			}
		})
	}
}

// childrenOf are the processes whose parent that is, those that are to be reaped included.
func childrenOf(pid int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// PID (NAME) STATE PARENT, and the name may hold anything.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			children = append(children, child)
		}
	}
	return children
}

// soon waits for what another process is to do.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so in time: %s", what)
		}
	}
}
