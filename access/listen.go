package access

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// unixPrefix is before the path of a Unix socket, where else HOST:PORT stands.
const unixPrefix = "unix:"

// maxSocketPath is how long the path of a Unix socket can be on every system.
const maxSocketPath = 100

// UnixPath returns the path in unix:PATH.
func UnixPath(addr string) (path string, ok bool) { return strings.CutPrefix(addr, unixPrefix) }

// Socket says who may open a Unix socket.
type Socket struct {
	Mode  os.FileMode // 0: 0600
	Owner string      // USER, USER:GROUP or :GROUP, by name or number; "": as it comes
}

// CheckAddr checks the form of HOST:PORT or unix:PATH.
func CheckAddr(addr string) error {
	path, ok := UnixPath(addr)
	switch {
	case addr == "":
		return errors.New("it is empty")
	case !ok:
		_, err := net.ResolveTCPAddr("tcp", addr)
		return err
	case path == "":
		return errors.New("no path in unix:PATH")
	case len(path) > maxSocketPath:
		return fmt.Errorf("the path is longer than %d bytes", maxSocketPath)
	}
	return nil
}

// Check looks whether the owner exists and the mode is one.
func (s Socket) Check() error {
	if s.Mode&^0o777 != 0 {
		return fmt.Errorf("mode %o is no permission", s.Mode)
	}
	_, _, err := s.ids()
	return err
}

// ids are the numbers of the owner, -1 for who is to stay.
func (s Socket) ids() (uid, gid int, err error) {
	uid, gid = -1, -1
	name, group, _ := strings.Cut(s.Owner, ":")
	if name != "" {
		if uid, err = strconv.Atoi(name); err != nil {
			u, err := user.Lookup(name)
			if err != nil {
				return -1, -1, fmt.Errorf("no user '%s'", name)
			}
			uid, _ = strconv.Atoi(u.Uid)
		}
	}
	if group != "" {
		if gid, err = strconv.Atoi(group); err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return -1, -1, fmt.Errorf("no group '%s'", group)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}

// Listen listens at HOST:PORT or unix:PATH. A Unix socket is there with its owner
// and mode from the first moment on; one that an agent has left behind when it
// died is replaced, one that somebody listens at is not.
func Listen(addr string, s Socket) (net.Listener, error) {
	path, ok := UnixPath(addr)
	if !ok {
		return net.Listen("tcp", addr)
	}
	if err := CheckAddr(addr); err != nil {
		return nil, err
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen unix %s: %w", path, syscall.EADDRINUSE)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("listen unix %s: it is there, and no socket", path)
	}
	return listenUnix(path, s)
}

// listenUnix makes the socket in a folder that nobody else can look into, and
// moves it to its place when all is right about it.
func listenUnix(path string, s Socket) (net.Listener, error) {
	uid, gid, err := s.ids()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it knows the name that it was made by
	mode := s.Mode
	if mode == 0 {
		mode = 0o600
	}
	err = os.Chmod(made, mode)
	if err == nil && (uid >= 0 || gid >= 0) {
		err = os.Chown(made, uid, gid)
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return &unixListener{UnixListener: l, path: path}, nil
}

// unixListener removes its socket when it is closed, and knows where it is.
type unixListener struct {
	*net.UnixListener
	path string
}

func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if err == nil {
		_ = os.Remove(l.path)
	}
	return err
}

func (l *unixListener) Addr() net.Addr { return unixAddr(l.path) }

// unixAddr is the address of a Unix socket as users write it.
type unixAddr string

func (unixAddr) Network() string  { return "unix" }
func (a unixAddr) String() string { return unixPrefix + string(a) }
