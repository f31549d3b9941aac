package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"
)

var twoMembers = []Member{
	{Name: "n1", Addr: net.IPv4(10, 0, 0, 1), Port: 7946, Tags: map[string]string{"role": "web", "dc": "a"},
		Status: "alive", ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
	{Name: "n2", Addr: net.ParseIP("fe80::2"), Port: 7947, Status: "failed"},
}

func TestCalls(t *testing.T) {
	b := &fakeBackend{members: twoMembers}
	_, c := startFake(t, b)
	ctx := t.Context()

	check := func(asked string, err error) {
		t.Helper()
		if err != nil || b.lastAsked() != asked {
			t.Errorf("asked %q, want %q; %v", b.lastAsked(), asked, err)
		}
	}
	n, err := c.Join(ctx, []string{"a", "b"}, true)
	check("join [a b] true", err)
	if n != 2 {
		t.Errorf("joined %d", n)
	}
	check("force-leave x true", c.ForceLeave(ctx, "x", true))
	check("tags map[a:b] [c]", c.UpdateTags(ctx, map[string]string{"a": "b"}, []string{"c"}))
	check(`event e "\x00\xff" true`, c.UserEvent(ctx, "e", []byte{0, 255}, true))
	check("leave", c.Leave(ctx))
	keys, err := c.Key(ctx, InstallKey, "k=")
	check("key install-key k=", err)
	if keys.Messages["n1"] != "ok" || keys.NumNodes != 1 || keys.NumResp != 1 {
		t.Errorf("keys: %+v", keys)
	}
	_, err = c.Key(ctx, ListKeys, "ignored")
	check("key list-keys ", err)
	if err := c.ForceLeave(ctx, "bad", false); !errors.Is(err, Error("cannot")) {
		t.Errorf("force-leave bad: %v", err)
	}
	stats, err := c.Stats(ctx)
	if want := b.Stats(); err != nil || !reflect.DeepEqual(stats, want) {
		t.Errorf("stats: %v, %v", stats, err)
	}
	coord, err := c.Coordinate(ctx, "n1")
	if want, _ := b.Coordinate("n1"); err != nil || !reflect.DeepEqual(coord, want) {
		t.Errorf("coordinate: %v, %v", coord, err)
	}
	if coord, err := c.Coordinate(ctx, "none"); coord != nil || err != nil {
		t.Errorf("no coordinate: %v, %v", coord, err)
	}
	if _, err := c.Coordinate(ctx, "bad"); err == nil || err.Error() != "coordinates are off" {
		t.Errorf("bad coordinate: %v", err)
	}
}

func TestMembers(t *testing.T) {
	_, c := startFake(t, &fakeBackend{members: twoMembers})
	got, err := c.Members(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	want := twoMembers[0]
	want.Addr = want.Addr.To4() // four bytes, as Serf sends them
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
	if got[1].Tags == nil || !got[1].Addr.Equal(twoMembers[1].Addr) {
		t.Errorf("got %+v", got[1])
	}
}

// Since is sent to those who ask for it only: Serf's members have none.
func TestMembersSince(t *testing.T) {
	_, c := startFake(t, &fakeBackend{members: []Member{{Name: "n1", Status: "alive", Since: 4711}}})
	for _, asked := range []bool{false, true} {
		got, err := c.MembersFiltered(t.Context(), MemberFilter{Times: asked})
		if want := map[bool]int64{true: 4711}[asked]; err != nil || len(got) != 1 || got[0].Since != want {
			t.Errorf("asked %v: %v, %v", asked, got, err)
		}
	}
	if got, err := c.Members(t.Context()); err != nil || len(got) != 1 || got[0].Since != 0 {
		t.Errorf("members: %v, %v", got, err)
	}
}

func TestMembersFiltered(t *testing.T) {
	_, c := startFake(t, &fakeBackend{members: twoMembers})
	for _, tt := range []struct {
		filter MemberFilter
		want   string
	}{
		{MemberFilter{}, "n1 n2 "},
		{MemberFilter{Name: "n"}, ""},
		{MemberFilter{Name: "n."}, "n1 n2 "},
		{MemberFilter{Name: "x|n"}, ""}, // the anchors hold the alternatives
		{MemberFilter{Name: "n2|x"}, "n2 "},
		{MemberFilter{Status: "alive"}, "n1 "},
		{MemberFilter{Tags: map[string]string{"role": "w.*"}}, "n1 "},
		{MemberFilter{Tags: map[string]string{"role": "w.*", "dc": "b"}}, ""},
		{MemberFilter{Tags: map[string]string{"none": ".*"}}, "n1 n2 "},
		{MemberFilter{Tags: map[string]string{"role": ".+"}, Status: "failed"}, ""},
	} {
		got, err := c.MembersFiltered(t.Context(), tt.filter)
		var names string
		for _, m := range got {
			names += m.Name + " "
		}
		if err != nil || names != tt.want {
			t.Errorf("%+v: %q, %v; want %q", tt.filter, names, err, tt.want)
		}
	}
	for _, bad := range []string{"(", "a)|(b", "[", "\\"} {
		_, err := c.MembersFiltered(t.Context(), MemberFilter{Name: bad})
		var e Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v, want an error reply", bad, err)
		}
	}
	if _, err := c.Members(t.Context()); err != nil { // the connection lives on
		t.Error(err)
	}
}

func TestQuery(t *testing.T) {
	b := &fakeBackend{}
	_, c := startFake(t, b)
	q, err := c.Query(t.Context(), QueryRequest{Name: "q", Payload: []byte("p"), Timeout: time.Second,
		FilterNodes: []string{"n1"}, FilterTags: map[string]string{"a": "b"}, RequestAck: true, RelayFactor: 3})
	if err != nil {
		t.Fatal(err)
	}
	if want := "query {FilterNodes:[n1] FilterTags:map[a:b] RequestAck:true RelayFactor:3 Timeout:1s Name:q Payload:[112] Outcome:false Prompt:false}"; b.lastAsked() != want {
		t.Errorf("asked %s", b.lastAsked())
	}
	want := []QueryRecord{{Type: "ack", From: "n1"}, {Type: "response", From: "n1", Payload: []byte("hello")}}
	var got []QueryRecord
	for {
		rec, err := q.Next(t.Context())
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := q.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	b.query = func(QueryRequest, func(QueryRecord)) error { return errors.New("too big") }
	if _, err := c.Query(t.Context(), QueryRequest{}); err == nil || err.Error() != "too big" {
		t.Errorf("failing query: %v", err)
	}
}

// Serf's agent sends records of nobody from the query's end to its "done".
func TestQueryEndsAtARecordOfNobody(t *testing.T) {
	b := &fakeBackend{}
	b.query = func(_ QueryRequest, sink func(QueryRecord)) error {
		go func() {
			for _, r := range []QueryRecord{{Type: "ack", From: "n1"}, {Type: "response"}, {Type: "ack"}, {Type: "done"}} {
				sink(r)
			}
		}()
		return nil
	}
	_, c := startFake(t, b)
	q, err := c.Query(t.Context(), QueryRequest{Name: "q"})
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := q.Next(t.Context()); err != nil || rec.From != "n1" {
		t.Errorf("first %v, %v", rec, err)
	}
	if rec, err := q.Next(t.Context()); err != io.EOF {
		t.Errorf("then %v, %v, want the end", rec, err)
	}
	if _, err := c.Members(t.Context()); err != nil { // the connection lives on
		t.Error(err)
	}
	if last := q.Last(); last.Type != QueryRecordResponse { // and what came on it since is of no query
		t.Errorf("the end was %+v, want the first record of nobody", last)
	}
}

func TestStream(t *testing.T) {
	b := &fakeBackend{}
	_, c := startFake(t, b)
	ctx := t.Context()
	s, err := c.Stream(ctx, "member-join,user:deploy,query")
	if err != nil {
		t.Fatal(err)
	}
	events := []Event{
		{Type: "member-join", Members: []Member{{Name: "n1", Addr: net.IP{1, 2, 3, 4}, Tags: map[string]string{}}}},
		{Type: "member-failed", Members: []Member{{Name: "n1"}}}, // filtered
		{Type: "user", Name: "other"}, // filtered
		{Type: "user", Name: "deploy", LTime: 300, Payload: []byte("x"), Coalesce: true},
		{Type: "query", Name: "load", LTime: 7, Payload: []byte("y"), ID: 4711, Deadline: time.Now().Add(time.Minute)},
	}
	for _, ev := range events {
		b.publish(ev)
	}
	want := []Event{events[0], events[3], events[4]}
	want[2].ID, want[2].Deadline = 1, time.Time{} // the client's own number
	for _, w := range want {
		got, err := s.Next(ctx)
		if err != nil || !reflect.DeepEqual(got, w) {
			t.Fatalf("got %+v, %v; want %+v", got, err, w)
		}
	}
	if err := c.Respond(ctx, 1, []byte("answer")); err != nil || b.lastAsked() != `respond 4711 "answer"` {
		t.Errorf("%v, asked %s", err, b.lastAsked())
	}
	for _, id := range []uint64{0, 2, 4711} {
		if err := c.Respond(ctx, id, nil); !errors.Is(err, ErrInvalidQueryID) {
			t.Errorf("respond %d: %v", id, err)
		}
	}
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Next(ctx); err != io.EOF {
		t.Errorf("after Stop: %v", err)
	}
	if n := b.subscribers(); n != 0 {
		t.Errorf("%d subscriptions after Stop", n)
	}
	if _, err := c.Stream(ctx, "member-join,nonsense"); !errors.Is(err, ErrInvalidFilter) {
		t.Errorf("bad filter: %v", err)
	}
}

func TestMonitor(t *testing.T) {
	b := &fakeBackend{lines: []string{"one", "two"}}
	_, c := startFake(t, b)
	ctx := t.Context()
	m, err := c.Monitor(ctx, "debug")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range b.lines {
		if got, err := m.Next(ctx); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if b.lastAsked() != "monitor DEBUG" {
		t.Errorf("asked %s", b.lastAsked())
	}
	if _, err := c.Monitor(ctx, "INFO"); !errors.Is(err, ErrMonitorExists) {
		t.Errorf("second monitor: %v", err)
	}
	if err := m.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Monitor(ctx, "loud"); !errors.Is(err, Error("Unknown log level: LOUD")) {
		t.Errorf("bad level: %v", err)
	}
	if _, err := c.Monitor(ctx, "INFO"); err != nil {
		t.Errorf("monitor after stop: %v", err)
	}
}

func TestAuth(t *testing.T) {
	_, addr := serveFake(t, ServerConfig{AuthKey: "secret"}, &fakeBackend{members: twoMembers})
	if _, err := Dial(t.Context(), ClientConfig{Addr: addr, AuthKey: "wrong"}); !errors.Is(err, ErrInvalidAuthToken) {
		t.Errorf("wrong key: %v", err)
	}
	c := dialFake(t, addr, "")
	for range 2 { // the connection stays usable
		if _, err := c.MembersFiltered(t.Context(), MemberFilter{Name: "n1"}); !errors.Is(err, ErrAuthRequired) {
			t.Errorf("without key: %v", err)
		}
	}
	if m, err := dialFake(t, addr, "secret").Members(t.Context()); err != nil || len(m) != 2 {
		t.Errorf("right key: %v, %v", m, err)
	}

	_, addr = serveFake(t, ServerConfig{}, &fakeBackend{})
	if _, err := Dial(t.Context(), ClientConfig{Addr: addr, AuthKey: "x"}); !errors.Is(err, ErrInvalidAuthToken) {
		t.Errorf("key where none is: %v", err)
	}
}

func TestAbandonedCall(t *testing.T) {
	release := make(chan struct{})
	b := &fakeBackend{members: twoMembers, join: func(context.Context, []string) (int, error) {
		<-release
		return 1, nil
	}}
	_, c := startFake(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	eventuallyCancel := func() {
		eventually(t, "join is asked", func() bool { return b.lastAsked() != "" })
		cancel()
	}
	go eventuallyCancel()
	if _, err := c.Join(ctx, []string{"a"}, false); !errors.Is(err, context.Canceled) {
		t.Fatalf("join: %v", err)
	}
	close(release)
	// The late reply has a body, which is skipped.
	if m, err := c.Members(t.Context()); err != nil || len(m) != 2 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := c.Join(ctx, nil, false); !errors.Is(err, context.Canceled) {
		t.Errorf("dead context: %v", err)
	}
}

func TestAgentEnds(t *testing.T) {
	b := &fakeBackend{}
	s, c := startFake(t, b)
	st, err := c.Stream(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := st.Next(t.Context()); !errors.Is(err, ErrClientClosed) {
		t.Errorf("stream: %v", err)
	}
	<-c.Done()
	if err := c.Leave(t.Context()); err == nil {
		t.Error("leave works after the end")
	}
	if n := b.subscribers(); n != 0 {
		t.Errorf("%d subscriptions after the end", n)
	}
}

func TestSlowStreamReaderInClient(t *testing.T) {
	b := &fakeBackend{bufferSize: 1000}
	_, addr := serveFake(t, ServerConfig{}, b)
	c, err := Dial(t.Context(), ClientConfig{Addr: addr, StreamBuffer: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Stream(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		b.publish(Event{Type: "user", Name: "e"})
	}
	eventually(t, "the stream is stopped", func() bool { return b.subscribers() == 0 })
	for range 10 {
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrSlowReader) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Stats(t.Context()); err != nil { // other calls are not affected
		t.Error(err)
	}
}
