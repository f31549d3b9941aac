package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPty returns both ends of a new terminal of 100 by 30.
func openPty(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { control.Close() })
	fd := int(control.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return control, terminal
}

// screen is a program on a terminal.
type screen struct {
	t       *testing.T
	control *os.File
	cmd     *exec.Cmd
	ended   chan error
	mu      sync.Mutex
	drawn   bytes.Buffer // since the last expect
}

// onScreen starts a program on a terminal of its own.
func onScreen(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	control, terminal := openPty(t)
	cmd.Env = append(cmd.Environ(), "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	s := &screen{t: t, control: control, cmd: cmd, ended: make(chan error, 1)}
	go func() { s.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go s.read()
	return s
}

func (s *screen) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.control.Read(buf)
		s.mu.Lock()
		s.drawn.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// expect waits until text is drawn, and forgets what was drawn so far.
func (s *screen) expect(text string) {
	s.t.Helper()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		found := bytes.Contains(s.drawn.Bytes(), []byte(text))
		if found {
			s.drawn.Reset()
		}
		s.mu.Unlock()
		if found {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Fatalf("the screen never showed %q; last:\n%q", text, s.drawn.String())
}

func (s *screen) typed(text string) {
	s.t.Helper()
	if _, err := s.control.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program, which has to succeed.
func (s *screen) end() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Error(err)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatal("the program does not end")
	}
}

// devTerminalTest types into the screen and reads what it draws.
func devTerminalTest(t *testing.T, bin string) {
	t.Parallel()
	tmp := t.TempDir()
	mark := fmt.Sprintf("%s-%d", filepath.Base(tmp), time.Now().UnixNano())
	cmd := exec.Command(bin, "dev")
	cmd.Env = append(os.Environ(), devTestMark+"="+mark, "TMPDIR="+tmp)
	s := onScreen(t, cmd)
	s.expect("BY node2")
	s.typed("wait all alive\r")
	s.expect("all: alive everywhere")
	s.typed("kill node1\r")
	s.expect("member-failed node1")
	s.typed("start node1\r")
	s.typed("wait all alive\r")
	s.expect("all: alive everywhere")
	s.typed("dance\r")
	s.expect("unknown command")
	s.typed("\x03") // Ctrl-C
	s.end()
	nothingLeft(t, mark, tmp)
}
