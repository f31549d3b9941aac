package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/writelog/member"
)

// streamRig is a gateway that takes streams, and a client of it.
type streamRig struct {
	addr   string
	server *Server
	client *Client

	mu    sync.Mutex
	got   []string
	holds chan struct{} // what it is given waits until this is closed
}

func newStreamRig(t *testing.T) *streamRig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &streamRig{addr: l.Addr().String(), client: NewClient(1 << 20)}
	r.server = NewServer(Config{Doer: &scripted{}, Status: func() any { return nil }, WriteLog: r.take})
	ended := make(chan error, 1)
	go func() { ended <- r.server.Serve(l) }()
	t.Cleanup(func() {
		r.stop(t)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *streamRig) take(_ context.Context, request []byte) ([]byte, error) {
	r.mu.Lock()
	holds := r.holds
	r.got = append(r.got, string(request))
	r.mu.Unlock()
	if holds != nil {
		<-holds
	}
	return nil, nil
}

func (r *streamRig) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func (r *streamRig) open(t *testing.T) member.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, _, err := r.client.Stream(ctx, r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func broken(t *testing.T, s member.Stream, within time.Duration) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(within):
		t.Fatalf("the stream is not broken after %v", within)
	}
}

func TestAStreamKeepsItsOrder(t *testing.T) {
	r := newStreamRig(t)
	s := r.open(t)
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", i*i*5)))
		if err := s.Send([]byte(want[i])); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			time.Sleep(2 * ackEvery) // it is acknowledged, and goes on
		}
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		done := slices.Equal(r.got, want)
		r.mu.Unlock()
		if done {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("not all arrived, or not in order")
		}
	}
	select {
	case <-s.Done():
		t.Error("a stream that is acknowledged is broken")
	case <-time.After(streamTimeout + 2*ackEvery): // at rest nothing is waited for
	}
}

func TestAStreamWhoseRequestsAreNotTakenBreaks(t *testing.T) {
	r := newStreamRig(t)
	r.holds = make(chan struct{})
	defer close(r.holds)
	s := r.open(t)
	if err := s.Send([]byte("a")); err != nil {
		t.Fatal(err)
	}
	broken(t, s, 10*time.Second)
}

func TestAStreamBreaksWithItsGateway(t *testing.T) {
	r := newStreamRig(t)
	s := r.open(t)
	r.stop(t)
	broken(t, s, 5*time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if s, refused, err := r.client.Stream(ctx, r.addr); err == nil {
		s.Close()
		t.Error("a gateway that has ended takes a stream")
	} else if !refused {
		t.Errorf("%v is no refusal", err)
	}
}

// A stream that ends before what it brought was acknowledged leaves nobody who writes to it.
func TestAStreamMayEndAtOnce(t *testing.T) {
	r := newStreamRig(t)
	for range 20 {
		s := r.open(t)
		if err := s.Send([]byte("a")); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			r.mu.Lock()
			n := len(r.got)
			r.got = nil
			r.mu.Unlock()
			if n > 0 {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatal("it did not arrive")
			}
		}
		s.Close()
	}
	time.Sleep(3 * ackEvery)
}

// A length from outside is bounded before anything is read.
func TestAStreamTakesNoRequestThatIsTooLong(t *testing.T) {
	r := newStreamRig(t)
	s := r.open(t).(*stream)
	if _, err := s.conn.Write(binary.LittleEndian.AppendUint32(nil, member.MaxRequest+1)); err != nil {
		t.Fatal(err)
	}
	broken(t, s, 5*time.Second)
}

// endedConn is a connection that has nothing more to read, and that must not be used for
// anything else once its stream is over.
type endedConn struct{ net.Conn }

func (endedConn) Read([]byte) (int, error) { return 0, io.EOF }

// TestAStreamThatIsOverIsNotWrittenTo: what was to be said in a while is not said on a connection
// that the library has taken back.
func TestAStreamThatIsOverIsNotWrittenTo(t *testing.T) {
	taken := &taker{conn: endedConn{}, taken: 1, later: true}
	if err := taken.run(); err == nil {
		t.Error("a stream that has ended has no reason")
	}
	taken.say()
}
