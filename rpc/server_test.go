package rpc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ibuki-dev/ibuki/access"
)

// rawConn is a client that may send anything.
type rawConn struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// pipe connects a raw client to a server.
func pipe(t *testing.T, s *Server) *rawConn {
	ours, theirs := net.Pipe()
	s.ServeConn(theirs)
	return &rawConn{t, ours, bufio.NewReader(ours)}
}

// ready is a raw client that did the handshake.
func ready(t *testing.T, s *Server) *rawConn {
	t.Helper()
	c := pipe(t, s)
	c.request(cmdHandshake, 1, handshakeRequest{1})
	c.wantReply(1, "")
	return c
}

func encode(values ...any) []byte {
	var b bytes.Buffer
	enc := codec.NewEncoder(&b, handle)
	for _, v := range values {
		enc.MustEncode(v)
	}
	return b.Bytes()
}

func (c *rawConn) request(command string, seq uint64, bodies ...any) {
	c.t.Helper()
	if _, err := c.Write(encode(append([]any{requestHeader{command, seq}}, bodies...)...)); err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
}

func (c *rawConn) read(v any) error {
	data, err := ReadValue(c.r, nil, Limits{Bytes: 1 << 20, Elems: 1 << 20})
	if err == nil {
		err = decodeValue(data, v)
	}
	return err
}

func (c *rawConn) wantReply(seq uint64, errText string) {
	c.t.Helper()
	var head responseHeader
	if err := c.read(&head); err != nil || head != (responseHeader{seq, errText}) {
		c.t.Fatalf("reply %+v, %v; want %d %q", head, err, seq, errText)
	}
}

func (c *rawConn) wantEnd() {
	c.t.Helper()
	var v any
	if err := c.read(&v); !errors.Is(err, io.EOF) {
		c.t.Fatalf("got %v, %v; want the end", v, err)
	}
}

func TestHandshake(t *testing.T) {
	s := NewServer(ServerConfig{}, &fakeBackend{})
	defer s.Close()

	c := pipe(t, s)
	c.request(cmdMembers, 5)
	c.wantReply(5, "Handshake required")
	c.wantEnd()

	c = pipe(t, s)
	c.request(cmdHandshake, 1, handshakeRequest{2})
	c.wantReply(1, "Unsupported IPC version")
	c.request(cmdHandshake, 2, handshakeRequest{1})
	c.wantReply(2, "")
	c.request(cmdHandshake, 3, handshakeRequest{1})
	c.wantReply(3, "Handshake already performed")
	c.request("nonsense", 4)
	c.wantReply(4, "Unsupported command")
	c.wantEnd()
}

func TestAuthOnTheWire(t *testing.T) {
	s := NewServer(ServerConfig{AuthKey: "k"}, &fakeBackend{})
	defer s.Close()
	c := ready(t, s)
	// The body of a refused request is skipped.
	c.request(cmdEvent, 2, eventRequest{Name: "e"})
	c.wantReply(2, "Authentication required")
	c.request(cmdMembers, 3)
	c.wantReply(3, "Authentication required")
	c.request(cmdAuth, 4, authRequest{"K"})
	c.wantReply(4, "Invalid authentication token")
	c.request(cmdAuth, 5, authRequest{"k"})
	c.wantReply(5, "")
	c.request(cmdEvent, 6, eventRequest{Name: "e"})
	c.wantReply(6, "")
	c.Close()
}

func TestBadBodies(t *testing.T) {
	s := NewServer(ServerConfig{MaxRequest: 1000}, &fakeBackend{})
	defer s.Close()
	c := ready(t, s)
	// A whole value of a wrong type is an error reply, with a body where the
	// client waits for one.
	c.request(cmdJoin, 2, map[string]any{"Existing": 7})
	var head responseHeader
	var body joinResponse
	if err := c.read(&head); err != nil || head.Seq != 2 || !strings.HasPrefix(head.Error, "decode failed") {
		t.Fatalf("%+v, %v", head, err)
	}
	if err := c.read(&body); err != nil {
		t.Fatal(err)
	}
	c.request(cmdEvent, 3, eventRequest{Name: "fits", Payload: make([]byte, 900)})
	c.wantReply(3, "")
	go c.Write(encode(requestHeader{cmdEvent, 4}, eventRequest{Payload: make([]byte, 1000)}))
	c.wantReply(4, "Request too large")
	c.wantEnd()
	if n := s.Stats().BadRequests; n != 2 {
		t.Errorf("%d bad requests", n)
	}

	for _, junk := range []string{"\xc1", "\x93\x01\x02\x03GET / HTTP/1.1\r\n\r\n", "\xdf\xff\xff\xff\xff", "\xc4\x05hello"} {
		c := ready(t, s)
		go c.Write([]byte(junk))
		c.wantEnd()
	}
}

// A silent client, and one that stops in the middle of a request, are given up;
// one that is silent between requests is not.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerConfig{AuthKey: "k"}, &fakeBackend{})
		defer s.Close()
		start := time.Now()
		for _, begin := range [][]byte{nil, {0x82}, encode(requestHeader{cmdHandshake, 1}),
			encode(requestHeader{cmdHandshake, 1}, handshakeRequest{1})} {
			c := pipe(t, s)
			go func() {
				c.Write(begin)
			}()
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("%x: ended after %v", begin, d)
			}
			start = time.Now()
		}

		c := ready(t, s)
		c.request(cmdAuth, 2, authRequest{"k"})
		c.wantReply(2, "")
		time.Sleep(time.Hour)
		c.request(cmdStop, 3, stopRequest{9})
		c.wantReply(3, "")
		c.Write(encode(requestHeader{cmdStop, 4}))
		start = time.Now()
		c.wantEnd()
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("half a request: ended after %v", d)
		}
	})
}

func TestSilentClientsMakeRoom(t *testing.T) {
	s := NewServer(ServerConfig{MaxClients: 3}, &fakeBackend{})
	defer s.Close()
	a := ready(t, s)
	var silent []*rawConn
	for range 10 {
		silent = append(silent, pipe(t, s))
	}
	b, c := ready(t, s), ready(t, s)
	for _, x := range silent {
		x.wantEnd()
	}
	for _, x := range []*rawConn{a, b, c} {
		x.request(cmdStop, 2, stopRequest{})
		x.wantReply(2, "")
	}
	d := ready(t, s)
	a.wantEnd() // of three that work it was served the longest ago
	for _, x := range []*rawConn{b, c, d} {
		x.request(cmdStop, 3, stopRequest{})
		x.wantReply(3, "")
	}
	if got := s.Stats(); got.Evicted != 11 || got.Clients != 3 {
		t.Errorf("%+v", got)
	}
}

// Clients that have shaken hands, and read a stream even, give way to whoever comes, and
// a client with a token never gives way to them.
func TestAnonymousClientsMakeRoom(t *testing.T) {
	guard := &access.Guard{}
	const secret = "the secret of an operator"
	if err := guard.Set([]access.Token{{Name: "operator", Secret: secret, Verbs: access.Admin}}, access.Read); err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{MaxClients: 16, Guard: guard}, &fakeBackend{})
	defer s.Close()
	operator := func() *rawConn {
		c := ready(t, s)
		c.request(cmdAuth, 1, authRequest{AuthKey: secret})
		c.wantReply(1, "")
		return c
	}
	first := operator()
	for i := range 50 {
		c := ready(t, s)
		if i%2 == 0 {
			c.request(cmdStream, 1, streamRequest{Type: "*"})
			c.wantReply(1, "")
		}
	}
	second := operator()
	for i := range 50 {
		ready(t, s)
		if i%10 == 0 {
			for _, c := range []*rawConn{first, second} {
				c.request(cmdStop, uint64(i)+2, stopRequest{})
				c.wantReply(uint64(i)+2, "")
			}
		}
	}
	if got := s.Stats(); got.Clients != 16 || got.Evicted != 102-16 {
		t.Errorf("%+v", got)
	}
}

// Many clients that declare much and send little cost little, and the next
// client is served.
func TestFlood(t *testing.T) {
	s := NewServer(ServerConfig{}, &fakeBackend{})
	defer s.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	half := append(encode(requestHeader{cmdHandshake, 1}), "\x81\xa7Version\xdb\x00\x00\xff\xff"...)
	for range 3000 {
		c := pipe(t, s)
		c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(half); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; grown > 64 {
		t.Errorf("%d MiB for %d clients", grown, s.Stats().Clients)
	}
	c := ready(t, s)
	c.request(cmdStop, 2, stopRequest{})
	c.wantReply(2, "")
	if got := s.Stats(); got.Clients != 1024 {
		t.Errorf("%+v", got)
	}
}

func TestStreamLimits(t *testing.T) {
	b := &fakeBackend{}
	s := NewServer(ServerConfig{MaxStreams: 3}, b)
	defer s.Close()
	c := ready(t, s)
	c.request(cmdStream, 2, streamRequest{Type: "user"})
	c.wantReply(2, "")
	c.request(cmdStream, 2, streamRequest{Type: "user"})
	c.wantReply(2, "Stream with given sequence exists")
	c.request(cmdMonitor, 3, monitorRequest{"info"})
	c.wantReply(3, "")
	c.request(cmdMonitor, 4, monitorRequest{"info"})
	c.wantReply(4, "Monitor already exists")
	c.request(cmdStream, 5, streamRequest{Type: ""})
	c.wantReply(5, "")
	c.request(cmdStream, 6, streamRequest{Type: "*"})
	c.wantReply(6, "Too many streams")
	c.request(cmdStop, 7, stopRequest{2})
	c.wantReply(7, "")
	c.request(cmdStream, 2, streamRequest{Type: "nonsense"})
	c.wantReply(2, "Invalid event filter")
	c.request(cmdStream, 2, streamRequest{Type: "query:q"})
	c.wantReply(2, "")
	c.Close()
	eventually(t, "no subscriptions", func() bool { return b.subscribers() == 0 })
}

// A client that does not read its stream delays nobody; when it reads again it
// is told what it missed.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBackend{bufferSize: 10}
		s := NewServer(ServerConfig{}, b)
		defer s.Close()
		slow, fast := ready(t, s), ready(t, s)
		for _, c := range []*rawConn{slow, fast} {
			c.request(cmdStream, 2, streamRequest{Type: "*"})
			c.wantReply(2, "")
		}
		start := time.Now()
		var rec userEventRecord
		for i := range 50 {
			b.publish(Event{Type: "user", LTime: uint64(i)})
			fast.wantReply(2, "")
			if err := fast.read(&rec); err != nil || rec.LTime != uint64(i) {
				t.Fatalf("fast reader: %+v, %v", rec, err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the fast reader took %v", d)
		}
		got := 0
		for {
			var head responseHeader
			if err := slow.read(&head); err != nil {
				t.Fatal(err)
			}
			if head.Error == "" {
				got++
				slow.read(&rec)
				continue
			}
			var end streamEndRecord
			want := fmt.Sprintf("Stream ended: reader too slow, %d events lost", 50-got)
			if err := slow.read(&end); err != nil || head.Error != want || end != (streamEndRecord{"stream-end", want}) {
				t.Errorf("%+v %+v, %v; want %q", head, end, err, want)
			}
			break
		}
		slow.request(cmdStream, 2, streamRequest{Type: "*"}) // the connection lives on, the number is free
		slow.wantReply(2, "")
	})
}

// Of a monitor that the backend ended, the reader is told, unless it is the
// agent's end.
func TestMonitorEnds(t *testing.T) {
	for _, agentEnds := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := NewServer(ServerConfig{}, &fakeBackend{lines: []string{"a"}, endLines: true})
			defer s.Close()
			c := ready(t, s)
			c.request(cmdMonitor, 2, monitorRequest{"info"})
			c.wantReply(2, "")
			c.wantReply(2, "")
			var rec logRecord
			if err := c.read(&rec); err != nil || rec.Log != "a" {
				t.Fatalf("%+v, %v", rec, err)
			}
			if agentEnds {
				go s.Close()
				c.wantEnd()
				return
			}
			const why = "Monitor ended: reader too slow"
			c.wantReply(2, why)
			if err := c.read(&rec); err != nil || rec.Log != why {
				t.Errorf("%+v, %v", rec, err)
			}
			c.request(cmdMonitor, 3, monitorRequest{"info"}) // another one may begin
			c.wantReply(3, "")
			go io.Copy(io.Discard, c)
		})
	}
}

// A client that reads nothing at all loses its connection.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerConfig{}, &fakeBackend{})
		defer s.Close()
		c := ready(t, s)
		c.request(cmdMembers, 2)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n := s.Stats().Clients; n != 0 {
			t.Errorf("%d clients", n)
		}
	})
}

func TestSlowQueryReader(t *testing.T) {
	b := &fakeBackend{query: func(_ QueryRequest, sink func(QueryRecord)) error {
		for i := range 100 {
			sink(QueryRecord{Type: QueryRecordAck, From: fmt.Sprint(i)})
		}
		sink(QueryRecord{Type: QueryRecordDone})
		return nil
	}}
	s := NewServer(ServerConfig{MaxQueryRecords: 10}, b)
	defer s.Close()
	c := ready(t, s)
	c.request(cmdQuery, 2, QueryRequest{})
	c.wantReply(2, "")
	var rec QueryRecord
	for i := range 10 {
		c.wantReply(2, "")
		if err := c.read(&rec); err != nil || rec.From != fmt.Sprint(i) {
			t.Fatalf("%+v, %v", rec, err)
		}
	}
	c.wantReply(2, "Reader too slow, 90 answers lost")
	if err := c.read(&rec); err != nil || rec.Type != QueryRecordDone {
		t.Errorf("%+v, %v", rec, err)
	}
	c.Close()
}

// The end of a query is told some time after its last answer, and at once if
// there was none.
func TestQueryLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec QueryRecord
		for _, answers := range []int{0, 2} {
			b := &fakeBackend{query: func(_ QueryRequest, sink func(QueryRecord)) error {
				for range answers {
					sink(QueryRecord{Type: QueryRecordAck, From: "x"})
				}
				sink(QueryRecord{Type: QueryRecordDone})
				return nil
			}}
			s := NewServer(ServerConfig{}, b)
			c := ready(t, s)
			start := time.Now()
			c.request(cmdQuery, 2, QueryRequest{})
			c.wantReply(2, "")
			for range answers {
				c.wantReply(2, "")
				c.read(&rec)
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("the answers took %v", d)
			}
			c.wantReply(2, "")
			c.read(&rec)
			want := min(time.Duration(answers), 1) * 10 * time.Millisecond
			if d := time.Since(start); rec.Type != QueryRecordDone || d != want {
				t.Errorf("%d answers: %+v after %v", answers, rec, d)
			}
			s.Close()
		}
	})
}

// Answers that come when the asker has gone are for nobody, and harmless.
func TestQueryAfterItsClient(t *testing.T) {
	var late func(QueryRecord)
	b := &fakeBackend{query: func(_ QueryRequest, sink func(QueryRecord)) error {
		late = sink
		return nil
	}}
	s := NewServer(ServerConfig{}, b)
	defer s.Close()
	c := ready(t, s)
	c.request(cmdQuery, 2, QueryRequest{})
	c.wantReply(2, "")
	c.Close()
	eventually(t, "the client is gone", func() bool { return s.Stats().Clients == 0 })
	late(QueryRecord{Type: QueryRecordAck, From: "x"})
	late(QueryRecord{Type: QueryRecordDone})
}

// The answer to leave arrives though the agent ends at once, and the client is the one that hangs up: the official
// client may take an end that comes with the answer for a fault.
func TestLeaveAndClose(t *testing.T) {
	var s *Server
	closed := make(chan struct{})
	b := &fakeBackend{leave: func(context.Context) error {
		go func() {
			s.Close()
			close(closed)
		}()
		time.Sleep(20 * time.Millisecond) // Close has begun
		return nil
	}}
	s, c := startFake(t, b)
	if err := c.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Done():
		t.Error("the connection ended with the answer")
	case <-time.After(lingerFor / 4):
	}
	c.Close()
	<-closed
	<-c.Done()
}

// What a stream has when the server closes still goes out.
func TestCloseDrainsStreams(t *testing.T) {
	b := &fakeBackend{lines: []string{"a", "b", "c"}}
	s, c := startFake(t, b)
	events, err := c.Stream(t.Context(), "user")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := c.Monitor(t.Context(), "INFO")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		b.publish(Event{Type: "user"})
	}
	s.Close()
	for range 50 {
		if _, err := events.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range b.lines {
		if got, err := lines.Next(t.Context()); got != want || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, err := lines.Next(t.Context()); !errors.Is(err, ErrClientClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// Close ends what the backend is still at, and does not wait for ever.
func TestCloseDuringJoin(t *testing.T) {
	for _, heedful := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			stuck := make(chan struct{})
			b := &fakeBackend{join: func(ctx context.Context, _ []string) (int, error) {
				if heedful {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				<-stuck
				return 0, nil
			}}
			s := NewServer(ServerConfig{}, b)
			c := ready(t, s)
			c.request(cmdJoin, 2, joinRequest{})
			synctest.Wait()
			go io.Copy(io.Discard, c)
			start := time.Now()
			s.Close()
			s.Close()
			if d := time.Since(start); heedful && d != 0 || d > 4*time.Second {
				t.Errorf("heedful %v: Close took %v", heedful, d)
			}
			close(stuck)
		})
	}
}

func TestServeAfterClose(t *testing.T) {
	s := NewServer(ServerConfig{}, &fakeBackend{})
	s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	pipe(t, s).wantEnd()
}

func TestPendingQueries(t *testing.T) {
	var q queryIDs
	now := time.Now()
	if n := q.register(100, now.Add(-time.Second)); n != 1 {
		t.Errorf("number %d", n)
	}
	if _, ok := q.lookup(1); ok {
		t.Error("an expired query can be answered")
	}
	for i := range uint64(2000) {
		if n := q.register(1000+i, now.Add(time.Hour)); n != i+2 {
			t.Fatalf("number %d, want %d", n, i+2)
		}
	}
	for _, tt := range []struct {
		n, id uint64
		ok    bool
	}{{0, 0, false}, {1, 0, false}, {977, 0, false}, {978, 1976, true}, {2001, 2999, true}, {2002, 0, false}} {
		if id, ok := q.lookup(tt.n); id != tt.id || ok != tt.ok {
			t.Errorf("lookup(%d) = %d, %v", tt.n, id, ok)
		}
	}
	if id, ok := new(queryIDs).lookup(0); ok {
		t.Errorf("lookup in none: %d", id)
	}
}

// A client gives up an agent that accepts and says nothing.
func TestClientHandshakeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		start := time.Now()
		_, err := NewClient(t.Context(), ours, ClientConfig{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		theirs.Close()
	})
}

// What is not the protocol ends the client with a word why.
func TestClientAgainstJunk(t *testing.T) {
	for junk, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n":                           "bad reply",
		"\xdd\xff\xff\xff\xff":                                   "bad reply: rpc: value too large",
		string(encode(responseHeader{Seq: 77})):                  "sequence number 77 was not asked for",
		string(encode(responseHeader{Seq: 1}))[:5]:               "client closed",
		string(encode(responseHeader{Seq: 1, Error: "go away"})): "go away",
		"": "client closed",
	} {
		ours, theirs := net.Pipe()
		go func() {
			theirs.SetDeadline(time.Now().Add(30 * time.Second))
			theirs.Read(make([]byte, 1000))
			io.WriteString(theirs, junk)
			theirs.Close()
		}()
		if _, err := NewClient(t.Context(), ours, ClientConfig{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", junk, err, want)
		}
	}
}

func TestDialFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = Dial(t.Context(), ClientConfig{Addr: l.Addr().String()})
	var sys *os.SyscallError
	if !errors.As(err, &sys) {
		t.Errorf("%v", err)
	}
}
