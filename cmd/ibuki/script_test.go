package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ibuki-dev/ibuki/rpc"
)

// noRaceSleep saves the second that a program under the race detector sleeps at
// its end.
const noRaceSleep = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", noRaceSleep)
	program := func() { main() }
	testscript.Main(m, map[string]func(){"ibuki": program, "serf": program, eventHandlerName: program})
}

// The scripts run the program against an agent that only pretends; the command
// "agent" tells it what to do and what it must have been asked.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			a, err := newFakeAgent("", fakeMembers())
			if err != nil {
				return err
			}
			env.Defer(a.end)
			env.Values["agent"] = &a
			env.Setenv("SERF_RPC_ADDR", a.addr)
			env.Setenv("GORACE", noRaceSleep)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"agent": agentCmd},
	})
}

// agentCmd is the script command "agent":
//
//	agent asked TEXT   the last request was this; waits for it
//	agent log TEXT     logs a line
//	agent event NAME   has a user event; waits until somebody listens
//	agent query NAME   has a query; likewise
//	agent join NAME    has a member-join; likewise
//	agent auth KEY     ends, and another one is there, with this key
//	agent empty        has no members
//	agent acks NAME…   queries are acked by these from now on, and not answered
//	agent freeze       queries stay without an end from now on
//	agent end          ends
func agentCmd(ts *testscript.TestScript, neg bool, args []string) {
	a := *ts.Value("agent").(**fakeAgent)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: agent asked|log|event|query|join|auth|empty|acks|freeze|end")
	}
	arg := strings.Join(args[1:], " ")
	var err error
	switch args[0] {
	case "asked":
		err = a.waitFor("the request "+arg, func() bool { return a.last == arg })
	case "log":
		err = a.log(arg)
	case "event":
		err = a.publish(rpc.Event{Type: "user", Name: arg, LTime: 200, Payload: []byte("pay"), Coalesce: true})
	case "query":
		err = a.publish(rpc.Event{Type: "query", Name: arg, LTime: 7, ID: 4711})
	case "join":
		err = a.publish(rpc.Event{Type: "member-join", Members: []rpc.Member{{Name: arg, Addr: net.IPv4(10, 0, 0, 9),
			Port: 7946, Tags: map[string]string{"b": "2", "a": "1"}, Status: "alive", DelegateCur: 5}}})
	case "auth":
		a.end()
		a, err = newFakeAgent(arg, fakeMembers())
		if err == nil {
			ts.Defer(a.end)
			*ts.Value("agent").(**fakeAgent) = a
			ts.Setenv("SERF_RPC_ADDR", a.addr)
		}
	case "empty":
		a.mu.Lock()
		a.members = nil
		a.mu.Unlock()
	case "acks":
		a.mu.Lock()
		a.acks = args[1:]
		a.mu.Unlock()
	case "freeze":
		a.mu.Lock()
		a.frozen = true
		a.mu.Unlock()
	case "end":
		a.end()
	default:
		ts.Fatalf("agent %s: there is no such thing", args[0])
	}
	ts.Check(err)
}

// fakeAgent is an RPC server over canned answers.
type fakeAgent struct {
	addr   string
	server *rpc.Server

	mu      sync.Mutex
	members []rpc.Member
	frozen  bool
	slow    chan struct{} // if not nil: Join and Key wait until it is closed
	acks    []string      // nil: as Query has it
	last    string
	events  chan rpc.Event // of the last subscriber
	lines   chan string    // of the last monitor
}

func newFakeAgent(authKey string, members []rpc.Member) (*fakeAgent, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &fakeAgent{addr: l.Addr().String(), members: members}
	a.server = rpc.NewServer(rpc.ServerConfig{AuthKey: authKey}, a)
	go a.server.Serve(l)
	return a, nil
}

// fakeMembers are not in order, so that it shows who sorts.
func fakeMembers() []rpc.Member {
	return []rpc.Member{
		{Name: "node10", Addr: net.IPv4(10, 0, 0, 10), Port: 7946, Tags: map[string]string{"role": "web", "dc": "a"},
			Status: "alive", ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
		{Name: "10.0.0.1:10031/droonga", Addr: net.IPv4(10, 0, 0, 1), Port: 7946,
			Tags: map[string]string{"role": "service-provider", "url": "a=b|c,d", "<x>": ""}, Status: "failed",
			ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 4, DelegateCur: 4},
		{Name: "ノード", Addr: net.ParseIP("fe80::1"), Port: 80, Status: "left",
			ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
	}
}

func (a *fakeAgent) end() { a.server.Close() }

func (a *fakeAgent) waitFor(what string, cond func() bool) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		a.mu.Lock()
		ok := cond()
		a.mu.Unlock()
		if ok {
			return nil
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Errorf("no %s; the last request was %s", what, cmp.Or(a.last, "none"))
}

func (a *fakeAgent) publish(ev rpc.Event) error {
	if err := a.waitFor("stream", func() bool { return a.events != nil }); err != nil {
		return err
	}
	a.events <- ev
	return nil
}

func (a *fakeAgent) log(line string) error {
	if err := a.waitFor("monitor", func() bool { return a.lines != nil }); err != nil {
		return err
	}
	a.lines <- line
	return nil
}

func (a *fakeAgent) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = fmt.Sprintf(format, args...)
}

func (a *fakeAgent) Join(_ context.Context, addrs []string, replay bool) (int, error) {
	a.note("join %q replay=%v", addrs, replay)
	a.wait()
	if addrs[0] == "10.9.9.9" {
		return 0, errors.New("1 error occurred:\n\t* no answer\n\n")
	}
	return len(addrs), nil
}

func (a *fakeAgent) wait() {
	a.mu.Lock()
	slow := a.slow
	a.mu.Unlock()
	if slow != nil {
		<-slow
	}
}

func (a *fakeAgent) Leave(context.Context) error { a.note("leave"); return nil }

func (a *fakeAgent) ForceLeave(name string, prune bool) error {
	a.note("force-leave %q prune=%v", name, prune)
	if name == "bad" {
		return errors.New("it will not")
	}
	return nil
}

func (a *fakeAgent) Members() []rpc.Member {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.members
}

func (a *fakeAgent) SetTags(set map[string]string, del []string) error {
	a.note("tags set=%q delete=%q", set, del)
	if len(del) > 0 && del[0] == "bad" {
		return errors.New("tags too long")
	}
	return nil
}

func (a *fakeAgent) UserEvent(name string, payload []byte, coalesce bool) error {
	a.note("event %q %q coalesce=%v", name, payload, coalesce)
	if name == "bad" {
		return errors.New("event too long")
	}
	return nil
}

func (a *fakeAgent) Query(q rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	a.note("query %q %q nodes=%q tags=%q ack=%v relay=%d timeout=%v",
		q.Name, q.Payload, q.FilterNodes, q.FilterTags, q.RequestAck, q.RelayFactor, q.Timeout)
	a.mu.Lock()
	frozen, acks := a.frozen, a.acks
	a.mu.Unlock()
	switch {
	case q.Name == "bad":
		return errors.New("query too long")
	case frozen:
		return nil
	case acks != nil:
		for _, name := range acks {
			sink(rpc.QueryRecord{Type: rpc.QueryRecordAck, From: name})
		}
	case q.Name != "silence":
		if q.RequestAck {
			sink(rpc.QueryRecord{Type: rpc.QueryRecordAck, From: "n1"})
		}
		sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: "n1", Payload: []byte("one\ntwo\n")})
		sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: "n2", Payload: []byte("<&>")})
	}
	sink(rpc.QueryRecord{Type: rpc.QueryRecordDone})
	return nil
}

func (a *fakeAgent) Respond(uint64, []byte) error { return nil }

func (a *fakeAgent) Stats() map[string]map[string]string {
	return map[string]map[string]string{
		"serf":           {"members": "3", "failed": "1", "health_score": "0"},
		"agent":          {"name": "node10"},
		"event_handlers": {},
	}
}

func (a *fakeAgent) Coordinate(node string) (*rpc.Coordinate, error) {
	switch node {
	case "node10":
		return &rpc.Coordinate{Vec: []float64{0, 0}, Height: 0.001}, nil
	case "b":
		return &rpc.Coordinate{Vec: []float64{0.003, 0.004}, Height: 0.0004999}, nil
	case "flat":
		return &rpc.Coordinate{Vec: []float64{0}}, nil
	case "bad":
		return nil, errors.New("Coordinates are disabled")
	}
	return nil, nil
}

func (a *fakeAgent) Subscribe(bool) (<-chan rpc.Event, func() int, func()) {
	ch := make(chan rpc.Event, 16)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = ch
	return ch, func() int { return 0 }, func() {}
}

func (a *fakeAgent) Monitor(level string) (<-chan string, func(), error) {
	a.note("monitor %s", level)
	ch := make(chan string, 16)
	ch <- "2026/01/02 03:04:05 [INFO] agent: Serf agent starting"
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = ch
	return ch, func() {}, nil
}

func (a *fakeAgent) Key(_ context.Context, command, key string) (rpc.KeyResponse, error) {
	a.note("%s %q", command, key)
	a.wait()
	resp := rpc.KeyResponse{NumNodes: 3, NumResp: 3}
	a.mu.Lock()
	broken := a.frozen
	a.mu.Unlock()
	switch {
	case key == "bad" || broken:
		resp.Messages = map[string]string{"node10": "no such key", "a": "No keyring to modify (encryption not enabled)"}
		resp.NumErr = 2
		return resp, errors.New("2/3 nodes reported failure")
	case key == "silent":
		resp.NumResp = 2
		return resp, errors.New("2/3 nodes reported success")
	case command == rpc.ListKeys:
		resp.Keys = map[string]int{"b2theotherkey==": 3, "a1key==": 1}
	}
	return resp, nil
}
