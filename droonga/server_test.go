package droonga

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ibuki-dev/ibuki/groonga"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeDoer answers commands by a function and remembers them.
type fakeDoer struct {
	mu     sync.Mutex
	asked  []string
	answer func(c *groonga.Command) (string, error)
}

func (d *fakeDoer) Do(_ context.Context, c *groonga.Command) (groonga.Answer, error) {
	d.mu.Lock()
	d.asked = append(d.asked, line(c))
	d.mu.Unlock()
	text, err := d.answer(c)
	return groonga.Answer{Status: 200, ContentType: "application/json", Body: []byte(text)}, err
}

// line is a command for comparing: its name, arguments and body.
func line(c *groonga.Command) string {
	text := c.Name
	for _, a := range c.Args {
		text += " --" + a.Name + " '" + a.Value + "'"
	}
	if c.Body != nil {
		text += " < " + string(c.Body)
	}
	return text
}

// commands answers each command by what its line contains.
func commands(answers ...string) func(*groonga.Command) (string, error) {
	return func(c *groonga.Command) (string, error) {
		for i := 0; i < len(answers); i += 2 {
			if strings.Contains(line(c), answers[i]) {
				return answers[i+1], nil
			}
		}
		return "", fmt.Errorf("not expected: %s", line(c))
	}
}

// startServer serves on an address of its own.
func startServer(t testing.TB, cfg Config) (s *Server, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.15.1.1:0")
	if err != nil {
		t.Skipf("needs the addresses of 127.0.0.0/8: %v", err)
	}
	s = NewServer(cfg)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// testReceiver is the receiver of answers that droonga-client opens.
type testReceiver struct {
	t     testing.TB
	addr  string
	msgs  chan []any // [tag, time, message]
	conns chan net.Conn
}

func newReceiver(t testing.TB) *testReceiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.15.2.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &testReceiver{t: t, addr: l.Addr().String(), msgs: make(chan []any, 1000), conns: make(chan net.Conn, 100)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.conns <- conn
			all.Go(func() {
				in := bufio.NewReader(conn)
				for {
					v, err := readValue(in, 1<<24)
					if err != nil {
						return
					}
					r.msgs <- v.([]any)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		for len(r.conns) > 0 {
			(<-r.conns).Close()
		}
		all.Wait()
	})
	return r
}

func (r *testReceiver) next() []any {
	r.t.Helper()
	select {
	case m := <-r.msgs:
		return m
	case <-time.After(10 * time.Second):
		r.t.Fatal("no answer")
		return nil
	}
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t testing.TB, conn net.Conn, v any) {
	t.Helper()
	data, ok := v.([]byte)
	if !ok {
		var err error
		if data, err = pack(v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
}

// message is one of Droonga's, with a receiver.
func message(r *testReceiver, id, kind string, body any) []any {
	return []any{"droonga.message", 1, map[string]any{
		"id": id, "type": kind, "dataset": "Default", "body": body, "replyTo": r.addr + "/client",
	}}
}

// TestConversation plays testdata/conversation.txt.
func TestConversation(t *testing.T) {
	doer := &fakeDoer{answer: commands(
		"table_create", `[[0,1.5,0.25],true]`,
		"--table 'Store'", `[[0,1.5,0.25],[[[1],[["_key","ShortText"],["location","WGS84GeoPoint"]],["1st Avenue & 75th St.","146774943x-266237272"]]]]`,
		"--table 'Nowhere'", `[[-22,1.5,0.25,"nonexistent table: <Nowhere>",[]],0]`,
	)}
	load := doer.answer
	doer.answer = func(c *groonga.Command) (string, error) {
		switch {
		case c.Name == "load" && c.Get("table") == "Store":
			return `[[0,1.5,0.25],1]`, nil
		case c.Name == "column_list":
			return `[[0,1.5,0.25],[[],[1,"location","","fix","COLUMN_SCALAR"]]]`, nil
		}
		return load(c)
	}
	_, addr := startServer(t, Config{
		Doer: doer, Datasets: []string{"Default"}, Reporter: "gateway @ 127.15.0.1",
		Nodes: func() map[string]string {
			return map[string]string{"127.15.0.1:10041/droonga": "active", "127.15.0.2:10041/droonga": "dead"}
		},
	})
	conn, receiver := dial(t, addr), newReceiver(t)
	text, err := os.ReadFile("testdata/conversation.txt")
	if err != nil {
		t.Fatal(err)
	}
	var ask string
	var want []any
	what := ""
	for l := range strings.Lines(string(text) + "\n\n") {
		mark, rest, _ := strings.Cut(strings.TrimSpace(l), " ")
		switch mark {
		case "#":
			what = rest
		case ">":
			ask += rest
		case "<":
			v, err := parseJSON([]byte(rest))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, v)
		case "":
			if ask == "" {
				continue
			}
			to, _ := pack(receiver.addr + "/droonga")
			ask = strings.ReplaceAll(ask, "a7405245504c5940", hex.EncodeToString(to))
			data, err := hex.DecodeString(ask)
			if err != nil {
				t.Fatal(err)
			}
			write(t, conn, data)
			for range want {
				got := receiver.next()
				if got[0] != "droonga.message" || !slices.ContainsFunc(want, func(w any) bool { return same(w, got[2]) }) {
					t.Errorf("%s:\ngot  %v %s\nwant %s", what, got[0], show(got[2]), show(want))
				}
			}
			ask, want = "", nil
		}
	}
	if len(receiver.conns) != 1 {
		t.Errorf("%d connections for the answers to one receiver", len(receiver.conns))
	}
}

func same(x, y any) bool { return show(x) == show(y) }

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestWritesStayInOrder(t *testing.T) {
	var order []string
	var mu sync.Mutex
	doer := &fakeDoer{answer: func(c *groonga.Command) (string, error) {
		mu.Lock()
		order = append(order, c.Get("name")+c.Get("table"))
		mu.Unlock()
		if c.Kind() == groonga.Write {
			time.Sleep(time.Millisecond) // a later one would overtake it
		}
		return `[[0,1.5,0.25],true]`, nil
	}}
	_, addr := startServer(t, Config{Doer: doer})
	conn, receiver := dial(t, addr), newReceiver(t)
	var want []string
	for i := range 20 {
		name := fmt.Sprint("t", i)
		want = append(want, name)
		kind, arg := "table_create", "name"
		if i == 19 {
			kind, arg = "column_list", "table" // sees what the writes made
		}
		write(t, conn, message(receiver, name, kind, map[string]any{arg: name}))
	}
	for range want {
		receiver.next()
	}
	if !reflect.DeepEqual(order, want) {
		t.Errorf("done in the order %v", order)
	}
}

func TestForwardModes(t *testing.T) {
	doer := &fakeDoer{answer: commands("status", `[[0,1.5,0.25],{"version":"9"}]`)}
	_, addr := startServer(t, Config{Doer: doer})
	conn, receiver := dial(t, addr), newReceiver(t)
	record := message(receiver, "1", "status", nil)[2]
	one, _ := pack([]any{1, record})
	list, _ := pack([]any{[]any{1, record}, []any{2, record}})
	for _, c := range []struct {
		name    string
		message any
		answers int
	}{
		{"message", []any{"droonga.message", 1, record}, 1},
		{"message of a plain tag", []any{"droonga", 1.5, record}, 1},
		{"message with an option", []any{"droonga.message", 1, record, map[string]any{"x": 1}}, 1},
		{"message without a time", []any{"droonga.message", nil, record}, 1},
		{"event time", append([]byte("\x93\xafdroonga.message\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x00"), mustPack(t, record)...), 1},
		{"forward", []any{"droonga.message", []any{[]any{1, record}, []any{2, record}}}, 2},
		{"forward with an option", []any{"droonga.message", []any{[]any{1, record}}, map[string]any{"size": 1}}, 1},
		{"packed", []any{"droonga.message", slices.Concat(one, one, one)}, 3},
		{"packed as text", []any{"droonga.message", string(one)}, 1},
		{"packed as droonga-engine reads it", []any{"droonga.message", list}, 2},
		{"compressed", []any{"droonga.message", zipped(t, slices.Concat(one, one)), map[string]any{"compressed": "gzip"}}, 2},
	} {
		write(t, conn, c.message)
		for range c.answers {
			got := receiver.next()
			m, _ := got[2].(map[string]any)
			if got[0] != "client.message" || m["type"] != "status.result" || !same(m["body"], []any{[]any{0, 1.5, 0.25}, map[string]any{"version": "9"}}) {
				t.Errorf("%s: %s", c.name, show(got))
			}
		}
	}
	write(t, conn, []any{"droonga.status", []any{}, map[string]any{"chunk": "abc"}})
	v, err := readValue(bufio.NewReader(conn), 1000)
	if err != nil || !same(v, map[string]any{"ack": "abc"}) {
		t.Errorf("the acknowledgement is %v, %v", v, err)
	}
	if len(receiver.msgs) > 0 {
		t.Errorf("one more answer: %v", <-receiver.msgs)
	}
}

// A client that does not speak the protocol is cut off, and no other.
func TestBadClients(t *testing.T) {
	doer := &fakeDoer{answer: commands("status", `[[0,1.5,0.25],{}]`)}
	_, addr := startServer(t, Config{Doer: doer, MaxMessage: 4096, MaxConns: 8})
	good, receiver := dial(t, addr), newReceiver(t)
	for _, bad := range [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{0xc1},
		{0x91, 0x01},
		mustPack(t, []any{1, 2, 3}),
		mustPack(t, []any{"droonga.message", true}),
		mustPack(t, []any{"droonga.message", 1}),
		mustPack(t, []any{"droonga.message", []any{1}}),
		mustPack(t, []any{"droonga.message", []byte{0x93}}),
		mustPack(t, []any{"droonga.message", "no gzip", map[string]any{"compressed": "gzip"}}),
		mustPack(t, []any{"droonga.message", zipped(t, make([]byte, 1<<20)), map[string]any{"compressed": "gzip"}}),
		mustPack(t, []any{"droonga.message", 1, map[int]int{1: 1}}),
		mustPack(t, strings.Repeat("x", 5000)),
		[]byte(strings.Repeat("\x91", 4000)),
		{0xdd, 0xff, 0xff, 0xff, 0xff},
		{0xc6, 0xff, 0xff, 0xff, 0xff},
	} {
		conn := dial(t, addr)
		if _, err := conn.Write(bad); err != nil {
			continue // cut off already
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 10)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.20q: %d bytes, %v", bad, n, err)
		}
		conn.Close()
	}
	write(t, good, message(receiver, "1", "status", nil))
	receiver.next()
}

// Messages that are well formed but not to be answered leave the connection as it is.
func TestUnanswerable(t *testing.T) {
	doer := &fakeDoer{answer: commands("status", `[[0,1.5,0.25],{}]`)}
	_, addr := startServer(t, Config{Doer: doer})
	conn, receiver := dial(t, addr), newReceiver(t)
	for _, m := range []any{
		map[string]any{"type": "status", "replyTo": "nowhere"},
		map[string]any{"type": "status", "replyTo": "a:1:b/c/" + strings.Repeat("x", 2000)},
		map[string]any{"type": "status", "dataset": "Default", "replyTo": "127.15.3.1:1/refused"},
		map[string]any{"type": "status", "dataset": "Default"},
		map[string]any{},
		"text",
		nil,
	} {
		write(t, conn, []any{"droonga.message", 1, m})
	}
	write(t, conn, message(receiver, "1", "status", nil))
	if got := receiver.next(); got[0] != "client.message" {
		t.Error(show(got))
	}
}

func TestReceiverThatComesBack(t *testing.T) {
	doer := &fakeDoer{answer: commands("status", `[[0,1.5,0.25],{}]`)}
	s, addr := startServer(t, Config{Doer: doer, MaxReceivers: 2})
	conn, receiver := dial(t, addr), newReceiver(t)
	for range 3 { // it closes the connection; the next answer comes by another one
		write(t, conn, message(receiver, "1", "status", nil))
		receiver.next()
		(<-receiver.conns).Close()
		for gone := false; !gone; time.Sleep(time.Millisecond) {
			s.replies.mu.Lock()
			gone = len(s.replies.receivers) == 0
			s.replies.mu.Unlock()
		}
	}
	for i := range 5 { // more receivers than there may be connections
		m := message(receiver, "1", "status", nil)
		m[2].(map[string]any)["replyTo"] = fmt.Sprintf("%s/client?connection_id=%d", receiver.addr, i)
		write(t, conn, m)
		receiver.next()
	}
	s.replies.mu.Lock()
	defer s.replies.mu.Unlock()
	if n := len(s.replies.receivers); n > 2 {
		t.Errorf("%d connections, at most 2 are allowed", n)
	}
}

func TestHeartbeat(t *testing.T) {
	s, _ := startServer(t, Config{Doer: &fakeDoer{}})
	p, err := net.ListenPacket("udp", "127.15.1.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := s.ServeHeartbeat(p); err != nil {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("udp", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x00")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	var buf [10]byte
	if n, err := conn.Read(buf[:]); n != 1 || buf[0] != 0 || err != nil {
		t.Errorf("the answer to a heartbeat: %q, %v", buf[:n], err)
	}
}

// Clients that stay, silent or not, lock nobody out.
func TestPatientClients(t *testing.T) {
	doer := &fakeDoer{answer: commands("status", `[[0,1.5,0.25],{}]`)}
	s, addr := startServer(t, Config{Doer: doer, MaxConns: 8})
	receiver := newReceiver(t)
	for i := range 40 {
		conn := dial(t, addr)
		if i%2 == 0 {
			write(t, conn, message(receiver, "1", "status", nil))
			receiver.next()
		}
	}
	if n := s.seats.Len(); n > 8 {
		t.Errorf("%d clients", n)
	}
}
