package dispatch

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testGroonga is a real Groonga HTTP server with an empty database of its own.
type testGroonga struct {
	t    *testing.T
	addr string
}

// startGroonga starts one on a loopback address; it ends with the test.
func startGroonga(t *testing.T) *testGroonga {
	t.Helper()
	program, err := exec.LookPath("groonga")
	if err != nil {
		t.Skip("there is no groonga on the PATH (Debian: groonga-bin)")
	}
	dir := t.TempDir()
	db := filepath.Join(dir, "db")
	for range 5 { // somebody else may take the port in between
		port := freePort(t)
		g := &testGroonga{t, fmt.Sprintf("127.0.0.1:%d", port)}
		cmd := exec.Command(program, "-s", "--protocol", "http", "--bind-address", "127.0.0.1", "-p", fmt.Sprint(port),
			"-t", "2", "--log-path", filepath.Join(dir, "log"), "--query-log-path", "", "-n", db)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		if g.answers(ended) {
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
			return g
		}
		_ = cmd.Process.Kill()
		<-ended
		db = filepath.Join(dir, "db"+fmt.Sprint(port))
	}
	t.Fatal("groonga does not start")
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// answers waits for the server's first answer.
func (g *testGroonga) answers(ended <-chan struct{}) bool {
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		if resp, err := http.Get("http://" + g.addr + "/d/status"); err == nil {
			resp.Body.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

// do asks the server and returns its answer, whatever it says.
func (g *testGroonga) do(c *Command) []byte {
	g.t.Helper()
	req, err := http.NewRequest(c.Method(), "http://"+g.addr+c.URI(), strings.NewReader(string(c.Body)))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return body
}

// must is do for lines that have to succeed.
func (g *testGroonga) must(lines ...string) {
	g.t.Helper()
	for _, line := range lines {
		c, err := ParseLine(line)
		if err != nil {
			g.t.Fatal(err)
		}
		if a, err := readAnswer(g.do(c)); err != nil || a.code != 0 {
			g.t.Fatalf("%s: %s %v", line, a.header, err)
		}
	}
}
