package sock

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// listen takes connections on a loopback address and has serve answer each.
func listen(t testing.TB, addr string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		cheap := Cheap(l)
		for {
			c, err := cheap.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := Dial(addr, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// echo reads so many bytes and returns them.
func echo(n int) func(net.Conn) {
	return func(c net.Conn) {
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err == nil {
			_, _ = c.Write(b)
		}
	}
}

// TestThereAndBack: more than the kernel holds, so that both sides wait for room.
func TestThereAndBack(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			for _, n := range []int{1, 1000, 16 << 20} {
				at := listen(t, addr, echo(n))
				c := dial(t, at)
				sent, back := make([]byte, n), make([]byte, n)
				_, _ = rand.Read(sent)
				if got, err := c.Write(sent); got != n || err != nil {
					t.Fatalf("%d bytes: %d written, %v", n, got, err)
				}
				if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(sent, back) {
					t.Fatalf("%d bytes came back as others, %v", n, err)
				}
				if _, err := c.Read(back); err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
				if n, err := c.Read(nil); n != 0 || err != nil {
					t.Errorf("of nothing: %d, %v", n, err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestManyAtOnce: connections one after the other and at once do not mix.
func TestManyAtOnce(t *testing.T) {
	at := listen(t, "127.0.0.1:0", echo(64))
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 200 {
				c := dial(t, at)
				sent, back := bytes.Repeat([]byte{byte(i)}, 64), make([]byte, 64)
				if _, err := c.Write(sent); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(sent, back) {
					t.Errorf("%d: %v %v", i, back, err)
				}
				c.Close()
			}
		})
	}
	all.Wait()
}

// TestEnds: a connection ends as any does, and by a reset only after its answer.
func TestEnds(t *testing.T) {
	for _, answered := range []bool{false, true} {
		ends := make(chan error, 1)
		c := dial(t, listen(t, "127.0.0.1:0", func(c net.Conn) {
			b := make([]byte, 2)
			_, _ = io.ReadFull(c, b[:1])
			_, err := c.Read(b)
			ends <- err
		}))
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if answered {
			Answered(c)
		}
		c.Close()
		want := io.EOF
		if answered {
			want = syscall.ECONNRESET
		}
		if err := <-ends; !errors.Is(err, want) {
			t.Errorf("answered %v: it ends with %v, want %v", answered, err, want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c, err := Dial(l.Addr().String(), time.Second)
	if err == nil {
		_, err = c.Write([]byte("x"))
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}

// TestDeadline: whoever waits is woken, and the next connection knows nothing of it.
func TestDeadline(t *testing.T) {
	silent := make(chan struct{})
	at := listen(t, "127.0.0.1:0", func(net.Conn) { <-silent })
	t.Cleanup(func() { close(silent) })
	waits := map[string]func(net.Conn) error{
		"read":  func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"write": func(c net.Conn) error { _, err := c.Write(make([]byte, 64<<20)); return err },
	}
	for name, wait := range waits {
		c := dial(t, at)
		time.AfterFunc(10*time.Millisecond, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		if err := wait(c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
		echoing := dial(t, listen(t, "127.0.0.1:0", echo(1)))
		if _, err := echoing.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(echoing, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		echoing.Close()
	}
}

// TestServerGone: a reset is told as one, and a write to it raises no signal.
func TestServerGone(t *testing.T) {
	at := listen(t, "127.0.0.1:0", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		if tcp, ok := c.(interface{ SetLinger(int) error }); ok {
			_ = tcp.SetLinger(0)
		}
	})
	c := dial(t, at)
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write: %v", err)
	}
}

// TestClosedWhileRead: Close of an accepted connection wakes the one who reads.
func TestClosedWhileRead(t *testing.T) {
	ended := make(chan error, 1)
	at := listen(t, "127.0.0.1:0", func(c net.Conn) {
		time.AfterFunc(10*time.Millisecond, func() { c.Close() })
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	c := dial(t, at)
	defer c.Close()
	if err := <-ended; err == nil || err == io.EOF {
		t.Errorf("%v", err)
	}
}

// BenchmarkRequest is a connection a request, as before Groonga's server.
func BenchmarkRequest(b *testing.B) {
	ways := map[string]func(string, time.Duration) (net.Conn, error){
		"net":  func(addr string, d time.Duration) (net.Conn, error) { return net.DialTimeout("tcp", addr, d) },
		"sock": Dial,
	}
	at := listen(b, "127.0.0.1:0", echo(100))
	for _, name := range []string{"net", "sock"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			data := make([]byte, 100)
			for range b.N {
				c, err := ways[name](at, time.Second)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Write(data); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, data); err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}
