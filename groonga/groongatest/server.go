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

	program, dir, db string
	kill             func()
}

// Start starts one on a loopback address, with an empty database of its own. It ends
// with the test. Without the program the test is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	program, dir := Program(t), t.TempDir()
	for i := range 5 { // somebody else may take the port in between
		s := &Server{
			Addr: fmt.Sprintf("127.0.0.1:%d", FreePort(t)), TB: t,
			program: program, dir: dir, db: filepath.Join(dir, fmt.Sprint("db", i)),
		}
		if s.start("-n") {
			t.Cleanup(func() { s.Kill() })
			return s
		}
	}
	t.Fatal("groonga does not start")
	return nil
}

// start starts the program, and reports whether it answers.
func (s *Server) start(options ...string) bool {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.TB.Fatal(err)
	}
	args := append([]string{
		"-s", "--protocol", "http", "--bind-address", host, "-p", port,
		"-t", "2", "--log-path", filepath.Join(s.dir, "log"), "--query-log-path", "",
	}, options...)
	cmd := exec.Command(s.program, append(args, s.db)...)
	if err := cmd.Start(); err != nil {
		s.TB.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	s.kill = func() { _ = cmd.Process.Kill(); <-ended }
	if !s.Answers(ended) {
		s.kill()
		return false
	}
	return true
}

// Database is the path of its database.
func (s *Server) Database() string { return s.db }

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() { s.kill() }

// Restart starts a server again that was killed, with its database.
func (s *Server) Restart() {
	s.TB.Helper()
	if !s.start() {
		s.TB.Fatal("groonga does not start again")
	}
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
