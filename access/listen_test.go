//go:build unix

package access

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	for mode, want := range map[os.FileMode]os.FileMode{0: 0o600, 0o660: 0o660, 0o666: 0o666} {
		l, err := Listen("unix:"+path, Socket{Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want || info.Mode()&os.ModeSocket == 0 {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, want)
		}
		if got := l.Addr().String(); got != "unix:"+path || l.Addr().Network() != "unix" {
			t.Errorf("address %s", got)
		}
		accepted := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				conn.Close()
			}
			accepted <- err
		}()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		if _, err := Listen("unix:"+path, Socket{}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second one: %v", err)
		}
		l.Close()
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A socket that nobody listens at any more is replaced; something else is not.
func TestListenUnixLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := Listen("unix:"+path, Socket{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, Socket{}); err == nil {
		t.Error("a file was replaced")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

func TestListenUnixOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65533 // who may give things away
	}
	l, err := Listen("unix:"+path, Socket{Owner: fmt.Sprintf("%d:%d", uid, gid), Mode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != uid || int(s.Gid) != gid {
		t.Errorf("owner %d:%d, want %d:%d", s.Uid, s.Gid, uid, gid)
	}
}

func TestSocketFaults(t *testing.T) {
	for want, s := range map[string]Socket{
		"no user 'no-such-user-here'":   {Owner: "no-such-user-here"},
		"no group 'no-such-group-here'": {Owner: ":no-such-group-here"},
		"is no permission":              {Mode: 0o4777},
	} {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:99999", "unix:", "unix:" + strings.Repeat("x", 200)} {
		if CheckAddr(addr) == nil {
			t.Errorf("%.40q was taken", addr)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:7373", "unix:/run/x", "unix:x"} {
		if err := CheckAddr(addr); err != nil {
			t.Error(err)
		}
	}
	if _, err := Listen("unix:/nosuch/folder/s", Socket{}); err == nil {
		t.Error("a socket in no folder")
	}
}
