package dashboard

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeAgent is an agent of canned answers.
type fakeAgent struct {
	list live.List

	mu     sync.Mutex
	sent   []string
	subs   []chan rpc.Event
	lost   int
	frozen chan struct{} // Stats waits for it, if it is there
}

func (a *fakeAgent) Live() *live.List { return &a.list }

func (a *fakeAgent) Members() []rpc.Member {
	var all []rpc.Member
	for e := range a.list.Current().All() {
		all = append(all, rpc.Member{Name: e.Name, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5})
	}
	return all
}

func (a *fakeAgent) Stats() map[string]map[string]string {
	a.mu.Lock()
	frozen := a.frozen
	a.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	return map[string]map[string]string{"agent": {"name": "n0"}}
}

func (a *fakeAgent) Coordinate(node string) (*rpc.Coordinate, error) {
	if node == "n2" {
		return nil, nil
	}
	return &rpc.Coordinate{Vec: []float64{float64(len(node)), 0}, Height: 0.001}, nil
}

func (a *fakeAgent) UserEvent(name string, payload []byte, _ bool) error {
	if name == "too-large" {
		return errors.New("user event exceeds limit")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent = append(a.sent, name+" "+string(payload))
	return nil
}

func (a *fakeAgent) Query(req rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	if req.Name == "_serf_x" {
		return errors.New("Queries cannot contain the '_serf_' prefix")
	}
	go func() {
		sink(rpc.QueryRecord{Type: rpc.QueryRecordAck, From: "n1"})
		sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: "n1", Payload: append([]byte("re: "), req.Payload...)})
		sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: "n2", Payload: []byte{0xff}, Outcome: &rpc.Outcome{Exit: 3}})
		sink(rpc.QueryRecord{Type: rpc.QueryRecordDone})
	}()
	return nil
}

func (a *fakeAgent) Subscribe() (<-chan rpc.Event, func() int, func()) {
	ch := make(chan rpc.Event, 4096)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subs = append(a.subs, ch)
	return ch, func() int { a.mu.Lock(); defer a.mu.Unlock(); return a.lost }, func() {}
}

// publish is an event of the cluster.
func (a *fakeAgent) publish(e rpc.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ch := range a.subs {
		ch <- e
	}
}

// cut ends the streams as for a reader that lost n events.
func (a *fakeAgent) cut(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = n
	for _, ch := range a.subs {
		close(ch)
	}
	a.subs = nil
}

func entry(name string, s live.Status) live.Entry {
	return live.Entry{Name: name, Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Status: s, Since: t0, Tags: []live.Tag{{Key: "role", Value: "web"}}}
}

// served is a server under test.
type served struct {
	*Server
	t     testing.TB
	agent *fakeAgent
	addr  string
	log   *logtest.Buffer
	http  http.Client
}

const secret = "0123456789abcdef-"

// serve serves a cluster of n0, n1 (failed) and n2. There are tokens that can do one
// thing each; who has none may read.
func serve(t testing.TB, change func(*Config)) *served {
	t.Helper()
	a := &fakeAgent{}
	a.list.Load(t0, []live.Entry{entry("n0", live.Alive), entry("n1", live.Failed), entry("n2", live.Alive), entry("10.0.0.1:10031/droonga", live.Left)})
	guard := &access.Guard{}
	err := guard.Set([]access.Token{
		{Name: "r", Secret: secret + "read", Verbs: access.Read},
		{Name: "e", Secret: secret + "event", Verbs: access.Event},
		{Name: "q", Secret: secret + "query", Verbs: access.Query},
	}, access.Read)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, agent: a, log: &logtest.Buffer{}}
	cfg := Config{Agent: a, Guard: guard, Name: "n0", Version: "1", Logger: slog.New(slog.NewTextHandler(s.log, nil))}
	if change != nil {
		change(&cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.Server = New(cfg)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		s.Close()
		<-done
	})
	return s
}

// request asks; the caller closes the body.
func (s *served) request(method, path, token, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// ask asks and returns status and body.
func (s *served) ask(method, path, token, body string) (int, string) {
	s.t.Helper()
	resp := s.request(method, path, token, body)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// askFor is ask for what may have no end: of a stream that is opened it reads nothing.
func (s *served) askFor(method, path, token, body string) (int, string) {
	s.t.Helper()
	if path != "/v1/stream" {
		return s.ask(method, path, token, body)
	}
	resp := s.request(method, path, token, body)
	defer resp.Body.Close()
	if resp.StatusCode == 200 {
		return 200, ""
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// follower is a client of the stream.
type follower struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// got is a record that came.
type got struct {
	id, kind string
	data     map[string]any
}

func (s *served) follow(lastID string) *follower { return s.followPath("/v1/stream", lastID) }

func (s *served) followPath(path, lastID string) *follower {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	head := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"
	if lastID != "" {
		head += "Last-Event-ID: " + lastID + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("status %d", resp.StatusCode)
	}
	return &follower{s.t, conn, bufio.NewReader(resp.Body)}
}

// next reads a record; those that only show that the other end is there are left out.
func (f *follower) next() got {
	f.t.Helper()
	_ = f.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var g got
	for {
		line, err := f.r.ReadString('\n')
		if err != nil {
			f.t.Fatalf("the stream ended: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "id":
			g.id = value
		case "event":
			g.kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &g.data); err != nil {
				f.t.Fatalf("%v: %s", err, value)
			}
		case "":
			if g.id != "" {
				return g
			}
		}
	}
}

// raw reads the data of a record as it is; that of a test that reads many.
func (f *follower) raw() string {
	_ = f.conn.SetReadDeadline(time.Now().Add(60 * time.Second))
	for {
		line, err := f.r.ReadSlice('\n')
		if err != nil {
			f.t.Errorf("the stream ended: %v", err)
			return ""
		}
		if bytes.HasPrefix(line, []byte("data: ")) {
			return string(line)
		}
	}
}
