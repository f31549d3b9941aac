package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBackend does nothing and remembers that it was asked. The func fields,
// where set, answer instead.
type fakeBackend struct {
	mu      sync.Mutex
	asked   []string
	members []Member
	subs    map[int]*fakeSub
	nextSub int
	lines   []string // what Monitor sends first

	join       func(ctx context.Context, addrs []string) (int, error)
	leave      func(ctx context.Context) error
	query      func(req QueryRequest, sink func(QueryRecord)) error
	key        func(command, key string) (KeyResponse, error)
	bufferSize int  // of subscriptions; 0: 64
	endLines   bool // Monitor's channel is closed after lines
}

type fakeSub struct {
	ch     chan Event
	lost   int
	closed bool
}

func (b *fakeBackend) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprintf(format, args...))
}

func (b *fakeBackend) lastAsked() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) == 0 {
		return ""
	}
	return b.asked[len(b.asked)-1]
}

func (b *fakeBackend) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	b.note("join %v %v", addrs, replay)
	if b.join != nil {
		return b.join(ctx, addrs)
	}
	return len(addrs), nil
}

func (b *fakeBackend) Leave(ctx context.Context) error {
	b.note("leave")
	if b.leave != nil {
		return b.leave(ctx)
	}
	return nil
}

func (b *fakeBackend) ForceLeave(name string, prune bool) error {
	b.note("force-leave %s %v", name, prune)
	if name == "bad" {
		return errors.New("cannot")
	}
	return nil
}

func (b *fakeBackend) Members() []Member { return b.members }

func (b *fakeBackend) SetTags(set map[string]string, del []string) error {
	b.note("tags %v %v", set, del)
	return nil
}

func (b *fakeBackend) UserEvent(name string, payload []byte, coalesce bool) error {
	b.note("event %s %q %v", name, payload, coalesce)
	return nil
}

func (b *fakeBackend) Query(req QueryRequest, sink func(QueryRecord)) error {
	b.note("query %+v", req)
	if b.query != nil {
		return b.query(req, sink)
	}
	sink(QueryRecord{Type: QueryRecordAck, From: "n1"})
	sink(QueryRecord{Type: QueryRecordResponse, From: "n1", Payload: []byte("hello")})
	sink(QueryRecord{Type: QueryRecordDone})
	return nil
}

func (b *fakeBackend) Respond(id uint64, payload []byte) error {
	b.note("respond %d %q", id, payload)
	return nil
}

func (b *fakeBackend) Stats() map[string]map[string]string {
	return map[string]map[string]string{"agent": {"name": "n1"}, "serf": {"members": "2"}}
}

func (b *fakeBackend) Coordinate(node string) (*Coordinate, error) {
	switch node {
	case "n1":
		return &Coordinate{Vec: []float64{1, -2.5, 1e-9}, Error: 1.5, Adjustment: 0.25, Height: 1e-5}, nil
	case "bad":
		return nil, errors.New("coordinates are off")
	}
	return nil, nil
}

func (b *fakeBackend) Subscribe(bool) (<-chan Event, func() int, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := b.bufferSize
	if size == 0 {
		size = 64
	}
	s := &fakeSub{ch: make(chan Event, size)}
	if b.subs == nil {
		b.subs = make(map[int]*fakeSub)
	}
	id := b.nextSub
	b.nextSub++
	b.subs[id] = s
	lost := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return s.lost
	}
	cancel := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, id)
		if !s.closed {
			s.closed = true
			close(s.ch)
		}
	}
	return s.ch, lost, cancel
}

// publish gives an event to all subscribers; one that is full is closed.
func (b *fakeBackend) publish(ev Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		if s.closed {
			s.lost++
			continue
		}
		select {
		case s.ch <- ev:
		default:
			s.lost++
			s.closed = true
			close(s.ch)
		}
	}
}

func (b *fakeBackend) subscribers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)
}

func (b *fakeBackend) Monitor(level string) (<-chan string, func(), error) {
	b.note("monitor %s", level)
	ch := make(chan string, len(b.lines)+1)
	for _, l := range b.lines {
		ch <- l
	}
	if b.endLines {
		close(ch)
	}
	return ch, func() {}, nil
}

func (b *fakeBackend) Key(_ context.Context, command, key string) (KeyResponse, error) {
	b.note("key %s %s", command, key)
	if b.key != nil {
		return b.key(command, key)
	}
	return KeyResponse{Messages: map[string]string{"n1": "ok"}, NumNodes: 1, NumResp: 1}, nil
}

// serveFake starts a server on loopback and returns its address.
func serveFake(t testing.TB, cfg ServerConfig, b Backend) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(cfg, b)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

func dialFake(t testing.TB, addr, key string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), ClientConfig{Addr: addr, AuthKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// startFake is both.
func startFake(t testing.TB, b *fakeBackend) (*Server, *Client) {
	s, addr := serveFake(t, ServerConfig{}, b)
	return s, dialFake(t, addr, "")
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}
