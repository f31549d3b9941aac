package sock

import "net"

// listener takes connections that are read and written by calls.
type listener struct{ net.Listener }

// Cheap makes the TCP connections that l takes cheap ones. One goroutine may read from
// such a connection at a time, and one write to it.
func Cheap(l net.Listener) net.Listener { return listener{l} }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	tcp, ok := c.(*net.TCPConn)
	if err != nil || !ok {
		return c, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c, nil // then as it is
	}
	a := &accepted{TCPConn: tcp}
	if raw.Control(func(fd uintptr) { a.calls = newCalls(fd, raw) }) != nil {
		return c, nil
	}
	return a, nil
}

// accepted is a connection that was taken. That its descriptor is nobody else's while it
// is used is seen to by raw, which Close waits for.
type accepted struct {
	*net.TCPConn
	calls *calls
}

func (a *accepted) Read(b []byte) (int, error)  { return a.calls.Read(b) }
func (a *accepted) Write(b []byte) (int, error) { return a.calls.writeBy(a.calls.raw.Write, b) }
