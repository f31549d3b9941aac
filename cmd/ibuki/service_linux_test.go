package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager pretends to be the service manager: it listens where NOTIFY_SOCKET says.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	// Not t.TempDir, whose path may be too long for a socket.
	dir, err := os.MkdirTemp("", "ibuki")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, path: filepath.Join(dir, "notify")}
	m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close(); os.RemoveAll(dir) })
	return m
}

// env is what the manager gives its service.
func (m *manager) env(watchdog time.Duration) []string {
	return append(os.Environ(), "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC="+strconv.FormatInt(watchdog.Microseconds(), 10))
}

// hear returns the next message that is no sign of life only.
func (m *manager) hear() string {
	m.t.Helper()
	for {
		if text := m.next(15 * time.Second); text != "WATCHDOG=1" {
			return text
		}
	}
}

// next returns the next message.
func (m *manager) next(patience time.Duration) string {
	m.t.Helper()
	buf := make([]byte, 4096)
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := m.conn.Read(buf)
	if err != nil {
		m.t.Fatal("the service manager heard nothing: ", err)
	}
	return string(buf[:n])
}

func (m *manager) mustHear(want string) {
	m.t.Helper()
	if got := m.hear(); !strings.HasPrefix(got, want) {
		m.t.Fatalf("heard %q, want %q", got, want)
	}
}

// interrupt ends the service in order.
func (m *manager) interrupt(cmd *exec.Cmd) {
	m.t.Helper()
	_ = cmd.Process.Signal(os.Interrupt)
	m.mustHear("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		m.t.Error(err)
	}
}

func TestAgentTellsItsServiceManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	host, seen := testHost(t), filepath.Join(t.TempDir(), "env")
	cmd := program(t, "agent", "-node=a", "-bind="+host, "-rpc-addr="+host+":7373", "-profile=local", "-event-handler=env >"+seen+".new && mv "+seen+".new "+seen)
	cmd.Env = m.env(200 * time.Millisecond)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	m.mustHear("READY=1\nSTATUS=a at " + host + ":7946")
	for range 3 {
		if got := m.next(5 * time.Second); got != "WATCHDOG=1" {
			t.Fatalf("heard %q, want a sign of life", got)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGHUP)
	m.mustHear("RELOADING=1\nMONOTONIC_USEC=")
	m.mustHear("READY=1")
	m.interrupt(cmd)
	env, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(env), "SERF_EVENT=") || strings.Contains(string(env), "NOTIFY_SOCKET") || strings.Contains(string(env), "WATCHDOG") {
		t.Errorf("the handler's environment: %s %v", env, err)
	}
}

func TestGatewayTellsItsServiceManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "catalog.json")
	if err := os.WriteFile(file, []byte(`{"version": 2, "datasets": {"Default": {"replicas": [{"address": "127.0.0.1:9/t.0"}]}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := program(t, "gateway", "-catalog="+file, "-live-nodes="+filepath.Join(dir, "list"), "-http=127.0.0.1:0", "-peers=none")
	cmd.Env = m.env(200 * time.Millisecond)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	m.mustHear("READY=1\nSTATUS=answers at 127.0.0.1:")
	if got := m.next(5 * time.Second); got != "WATCHDOG=1" {
		t.Fatalf("heard %q, want a sign of life", got)
	}
	m.interrupt(cmd)
}

// TestNoSignOfLifeFromWhatIsStuck: the manager is not told that all is well when it
// is not.
func TestNoSignOfLifeFromWhatIsStuck(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	t.Setenv("WATCHDOG_USEC", "20000")
	asked := make(chan struct{}, 100)
	stuck := true
	stop := watchService(func(ctx context.Context) error {
		asked <- struct{}{}
		if len(asked) == 5 {
			stuck = false
		}
		if stuck {
			return errors.New("stuck")
		}
		return nil
	})
	m.next(5 * time.Second)
	stop()
	if n := len(asked); n < 5 {
		t.Errorf("a sign of life after %d questions, though the first four had no answer", n)
	}
}
