package sock

import "net"

// listener takes connections that are read and written by calls.
type listener struct{ net.Listener }

// Cheap makes the TCP connections that l takes cheap ones. One goroutine may read from
// such a connection at a time, and one write to it.
func Cheap(l net.Listener) net.Listener { return listener{l} }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return c, err
	}
	return CheapConn(c), nil
}

// CheapConn makes a TCP connection a cheap one, as Cheap does.
func CheapConn(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c // then as it is
	}
	a := &accepted{TCPConn: tcp}
	if raw.Control(func(fd uintptr) { a.calls = newCalls(fd, raw) }) != nil {
		return c
	}
	return a
}

// accepted is a connection of the net package. That its descriptor is nobody else's while it
// is used is seen to by raw, which Close waits for.
type accepted struct {
	*net.TCPConn
	calls *calls
}

func (a *accepted) Read(b []byte) (int, error)  { return a.calls.Read(b) }
func (a *accepted) Write(b []byte) (int, error) { return a.calls.writeBy(a.calls.raw.Write, b) }
