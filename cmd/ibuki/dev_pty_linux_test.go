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

// devTerminalTest types into the screen and reads what it draws.
func devTerminalTest(t *testing.T, bin string) {
	t.Parallel()
	control, terminal := openPty(t)
	tmp := t.TempDir()
	mark := fmt.Sprintf("%s-%d", filepath.Base(tmp), time.Now().UnixNano())
	cmd := exec.Command(bin, "dev")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", devTestMark+"="+mark, "TMPDIR="+tmp)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	var mu sync.Mutex
	var drawn bytes.Buffer
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := control.Read(buf)
			mu.Lock()
			drawn.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	expect := func(text string) {
		t.Helper()
		for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			found := bytes.Contains(drawn.Bytes(), []byte(text))
			if found {
				drawn.Reset()
			}
			mu.Unlock()
			if found {
				return
			}
		}
		t.Fatalf("the screen never showed %q; last:\n%q", text, drawn.String())
	}
	typed := func(text string) {
		t.Helper()
		if _, err := control.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	expect("BY node2")
	typed("wait all alive\r")
	expect("all: alive everywhere")
	typed("kill node1\r")
	expect("member-failed node1")
	typed("start node1\r")
	typed("wait all alive\r")
	expect("all: alive everywhere")
	typed("dance\r")
	expect("unknown command")
	typed("\x03") // Ctrl-C
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Ctrl-C does not end dev")
	}
	nothingLeft(t, mark, tmp)
}
