package rpc

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/logtest"
)

// commandBodies has a request for each command that needs a token.
var commandBodies = map[string]any{
	cmdEvent: eventRequest{Name: "e"}, cmdForceLeave: forceLeaveRequest{Node: "n"}, cmdJoin: joinRequest{Existing: []string{"a"}},
	cmdMembers: nil, cmdMembersFiltered: MemberFilter{}, cmdTags: tagsRequest{Tags: map[string]string{"a": "b"}},
	cmdStream: streamRequest{Type: "*"}, cmdMonitor: monitorRequest{LogLevel: "INFO"}, cmdStop: stopRequest{Stop: 99},
	cmdLeave: nil, cmdQuery: QueryRequest{Name: "q"}, cmdRespond: respondRequest{ID: 1},
	InstallKey: keyRequest{Key: "k"}, UseKey: keyRequest{Key: "k"}, RemoveKey: keyRequest{Key: "k"}, ListKeys: nil,
	cmdStats: nil, cmdGetCoordinate: coordinateRequest{Node: "n1"}, cmdHistory: historyRequest{Node: "n1"},
	cmdRestart: restartRequest{Window: time.Second}, cmdCheckup: nil,
}

// neededVerb is what each command needs, written down a second time on purpose.
var neededVerb = map[string]string{
	cmdEvent: "event", cmdQuery: "query", cmdRespond: "query", cmdHistory: "query", cmdCheckup: "query",
	cmdMembers: "read", cmdMembersFiltered: "read", cmdStream: "read", cmdMonitor: "read", cmdStats: "read", cmdGetCoordinate: "read",
	cmdForceLeave: "admin", cmdJoin: "admin", cmdTags: "admin", cmdRestart: "admin", cmdLeave: "admin",
	InstallKey: "admin", UseKey: "admin", RemoveKey: "admin", ListKeys: "admin",
	cmdStop: "any",
}

const rightSecret = "the right secret of sixteen"

// subsets are all sets of verbs, without and with admin.
func subsets() (all [][]string) {
	words := []string{"read", "event", "query", "admin"}
	for mask := 1; mask < 16; mask++ {
		var set []string
		for i, w := range words {
			if mask&(1<<i) != 0 {
				set = append(set, w)
			}
		}
		all = append(all, set)
	}
	return all
}

func guardOf(t *testing.T, verbs []string, anonymous ...string) *access.Guard {
	t.Helper()
	v, err := access.ParseVerbs(verbs)
	if err != nil {
		t.Fatal(err)
	}
	a, err := access.ParseVerbs(anonymous)
	if err != nil {
		t.Fatal(err)
	}
	var g access.Guard
	if err := g.Set([]access.Token{{Name: "one", Secret: rightSecret, Verbs: v}}, a); err != nil {
		t.Fatal(err)
	}
	return &g
}

// try sends a command and returns the error of its reply.
func (c *rawConn) try(command string, seq uint64) string {
	c.t.Helper()
	body := commandBodies[command]
	if body == nil {
		c.request(command, seq)
	} else {
		c.request(command, seq, body)
	}
	var head responseHeader
	if err := c.read(&head); err != nil || head.Seq != seq {
		c.t.Fatalf("%s: %+v, %v", command, head, err)
	}
	return head.Error
}

// Every command, without a token, with a wrong one, and with each token: it is
// served if and only if the token has the verb, and the refusal says no more
// than that.
func TestEveryCommandNeedsItsVerb(t *testing.T) {
	for command := range serverCommands {
		if command == cmdHandshake || command == cmdAuth {
			continue
		}
		need, ok := neededVerb[command]
		if _, body := commandBodies[command]; !ok || !body {
			t.Errorf("%s is not tested", command)
			continue
		}
		for _, verbs := range subsets() {
			has := need == "any"
			for _, v := range verbs {
				has = has || v == need || v == "admin"
			}
			t.Run(fmt.Sprint(command, verbs), func(t *testing.T) { tryCommand(t, command, verbs, has) })
		}
	}
}

func tryCommand(t *testing.T, command string, verbs []string, has bool) {
	var log logtest.Buffer
	b := &fakeBackend{}
	s := NewServer(ServerConfig{Guard: guardOf(t, verbs), Logger: slog.New(slog.NewTextHandler(&log, nil))}, b)
	c := ready(t, s)
	if got := c.try(command, 2); got != "Authentication required" {
		t.Errorf("without a token: %q", got)
	}
	c.request(cmdAuth, 3, authRequest{"a wrong secret of sixteen"})
	c.wantReply(3, "Invalid authentication token")
	if got := c.try(command, 4); got != "Authentication required" {
		t.Errorf("with a wrong token: %q", got)
	}
	c.request(cmdAuth, 5, authRequest{rightSecret})
	c.wantReply(5, "")
	if asked := b.lastAsked(); asked != "" {
		t.Fatalf("the agent was asked: %s", asked)
	}
	got := c.try(command, 6)
	if refused := got == "Permission denied"; refused == has {
		t.Errorf("with %v: %q", verbs, got)
	}
	if !has {
		if asked := b.lastAsked(); asked != "" {
			t.Errorf("refused, and the agent was asked: %s", asked)
		}
		c.try(cmdStop, 7) // the connection goes on
	}
	c.Close()
	s.Close()
	refusals := strings.Count(log.String(), "Permission denied")
	if has != (refusals == 0) || !has && refusals != 1 {
		t.Errorf("%d refusals in the log: %s", refusals, log.String())
	}
	if strings.Contains(log.String(), "secret of sixteen") {
		t.Errorf("a secret is in the log: %s", log.String())
	}
	if n := s.Stats().Forbidden; (n == 2) != has || (n == 3) == has {
		t.Errorf("%d counted as refused", n)
	}
}

// What nobody has to be asked for is served without a token, and no more.
func TestAnonymousVerbs(t *testing.T) {
	s := NewServer(ServerConfig{Guard: guardOf(t, []string{"admin"}, "read")}, &fakeBackend{})
	defer s.Close()
	c := ready(t, s)
	defer c.Close()
	c.request(cmdEvent, 2, eventRequest{Name: "e"})
	c.wantReply(2, "Permission denied")
	c.request(cmdGetCoordinate, 3, coordinateRequest{Node: "none"})
	c.wantReply(3, "")
	var body any
	if err := c.read(&body); err != nil {
		t.Fatal(err)
	}
	c.request(cmdAuth, 4, authRequest{rightSecret})
	c.wantReply(4, "")
	c.request(cmdEvent, 5, eventRequest{Name: "e"})
	c.wantReply(5, "")
}

// Serf's key beside tokens is good for everything, and without tokens all is as with Serf.
func TestKeyBesideTokens(t *testing.T) {
	for name, cfg := range map[string]ServerConfig{
		"key and tokens": {AuthKey: "k", Guard: guardOf(t, []string{"read"})},
		"key":            {AuthKey: "k", Guard: new(access.Guard)},
	} {
		s := NewServer(cfg, &fakeBackend{})
		c := ready(t, s)
		c.request(cmdTags, 2, tagsRequest{})
		c.wantReply(2, "Authentication required")
		c.request(cmdAuth, 3, authRequest{""})
		c.wantReply(3, "Invalid authentication token")
		c.request(cmdAuth, 4, authRequest{"k"})
		c.wantReply(4, "")
		c.request(cmdTags, 5, tagsRequest{})
		c.wantReply(5, "")
		c.Close()
		s.Close()
		if t.Failed() {
			t.Fatal(name)
		}
	}
	var open access.Guard
	if err := open.Set(nil, access.Admin); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []ServerConfig{{}, {Guard: &open}} {
		s := NewServer(cfg, &fakeBackend{})
		c := ready(t, s)
		c.request(cmdTags, 2, tagsRequest{})
		c.wantReply(2, "")
		c.request(cmdAuth, 3, authRequest{""})
		c.wantReply(3, "")
		c.request(cmdAuth, 4, authRequest{"x"})
		c.wantReply(4, "Invalid authentication token")
		c.Close()
		s.Close()
	}
}

// Who had a token that is gone, or is good for something else, is let go; others stay.
func TestRecheck(t *testing.T) {
	var g access.Guard
	tokens := []access.Token{
		{Name: "stays", Secret: "stays stays stays", Verbs: access.Read},
		{Name: "weaker", Secret: "weaker weaker weaker", Verbs: access.Admin},
		{Name: "gone", Secret: "gone gone gone gone", Verbs: access.Read},
	}
	if err := g.Set(tokens, 0); err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{Guard: &g, AuthKey: "key"}, &fakeBackend{})
	defer s.Close()
	conns := map[string]*rawConn{}
	for _, token := range append(tokens, access.Token{Name: "key", Secret: "key"}) {
		c := ready(t, s)
		defer c.Close()
		c.request(cmdAuth, 2, authRequest{token.Secret})
		c.wantReply(2, "")
		conns[token.Name] = c
	}
	tokens[1].Verbs = access.Read
	if err := g.Set(tokens[:2], 0); err != nil {
		t.Fatal(err)
	}
	s.Recheck()
	conns["weaker"].wantEnd()
	conns["gone"].wantEnd()
	for _, name := range []string{"stays", "key"} {
		if got := conns[name].try(cmdStop, 3); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	c := ready(t, s)
	defer c.Close()
	c.request(cmdAuth, 2, authRequest{"gone gone gone gone"})
	c.wantReply(2, "Invalid authentication token")
}

// Who connects to a server with TLS and says nothing, half of something or no TLS at
// all is let go in time, and nobody else waits for it.
func TestSlowTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log logtest.Buffer
	s := NewServer(ServerConfig{HandshakeTimeout: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}, &fakeBackend{})
	go s.Serve(tls.NewListener(l, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("none in this test")
	}}))
	defer s.Close()
	begun := time.Now()
	for _, says := range []string{"", "\x16\x03\x01\x02\x00\x01", string(encode(requestHeader{cmdHandshake, 1}, handshakeRequest{1})), strings.Repeat("\x16\x03\x01", 1000)} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(says)); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.10q: still connected", says)
		}
	}
	if took := time.Since(begun); took > 30*time.Second { // without a limit it would be for ever
		t.Errorf("took %v", took)
	}
	eventually(t, "all are gone", func() bool { return s.Stats().Clients == 0 })
	if n := strings.Count(log.String(), "No TLS with client"); n != 4 {
		t.Errorf("%d of 4 in the log: %s", n, log.String())
	}
}
