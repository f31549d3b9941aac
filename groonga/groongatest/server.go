// Package groongatest starts real Groonga servers for tests.
package groongatest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Server is a Groonga HTTP server.
type Server struct {
	Addr string
	TB   testing.TB
}

// Start starts one on a loopback address, with an empty database of its own. It ends
// with the test. Without the program the test is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	program := Program(t)
	dir := t.TempDir()
	db := filepath.Join(dir, "db")
	for range 5 { // somebody else may take the port in between
		port := FreePort(t)
		s := &Server{fmt.Sprintf("127.0.0.1:%d", port), t}
		cmd := exec.Command(program, "-s", "--protocol", "http", "--bind-address", "127.0.0.1", "-p", fmt.Sprint(port),
			"-t", "2", "--log-path", filepath.Join(dir, "log"), "--query-log-path", "", "-n", db)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		if s.Answers(ended) {
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
			return s
		}
		_ = cmd.Process.Kill()
		<-ended
		db = filepath.Join(dir, "db"+fmt.Sprint(port))
	}
	t.Fatal("groonga does not start")
	return nil
}

// Program is the path of the program. Without it the test is skipped.
func Program(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("groonga")
	if err != nil {
		t.Skip("there is no groonga on the PATH (Debian: groonga-bin)")
	}
	return program
}

// FreePort is a port of 127.0.0.1 on which nobody listens now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Answers waits for the server's first answer, until ended is closed.
func (s *Server) Answers(ended <-chan struct{}) bool {
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		if resp, err := http.Get("http://" + s.Addr + "/d/status"); err == nil {
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

// Command is what a server is asked: groonga.Command is one.
type Command interface {
	Method() string
	URI() string
}

// Ask asks the server and returns its answer, whatever it says. body is what comes with a
// load.
func (s *Server) Ask(c Command, body []byte) (*http.Response, []byte) {
	s.TB.Helper()
	req, err := http.NewRequest(c.Method(), "http://"+s.Addr+c.URI(), bytes.NewReader(body))
	if err != nil {
		s.TB.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.TB.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.TB.Fatal(err)
	}
	return resp, answer
}
