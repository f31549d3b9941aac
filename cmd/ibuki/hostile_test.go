package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ibuki-dev/ibuki/rpc"
)

// hostile is a name that would make a line of its own, colour it, and turn it around.
const hostile = "web\nFORGED\r\x1b[31m\x9b\u202e"

// hostileAgent is an agent in whose cluster everything that can have a name has that one.
type hostileAgent struct{ *fakeAgent }

func newHostileAgent(t *testing.T) *hostileAgent {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &hostileAgent{&fakeAgent{addr: l.Addr().String(), members: []rpc.Member{{Name: hostile, Addr: net.IPv4(10, 0, 0, 1),
		Tags: map[string]string{hostile: hostile}, Status: "alive", Verdict: hostile}}}}
	a.server = rpc.NewServer(rpc.ServerConfig{}, a)
	go a.server.Serve(l)
	t.Cleanup(a.end)
	return a
}

func (a *hostileAgent) Query(_ rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	for _, kind := range []string{rpc.QueryRecordAck, rpc.QueryRecordAck} {
		sink(rpc.QueryRecord{Type: kind, From: hostile})
	}
	sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: hostile, Payload: []byte(hostile)})
	sink(rpc.QueryRecord{Type: rpc.QueryRecordDone, Missing: []string{hostile}})
	return nil
}

func (a *hostileAgent) Stats() map[string]map[string]string {
	return map[string]map[string]string{"agent": {"name": hostile}, hostile: {hostile: hostile}}
}

func (a *hostileAgent) Coordinate(string) (*rpc.Coordinate, error) {
	return &rpc.Coordinate{Vec: []float64{0}}, nil
}

func (a *hostileAgent) Key(context.Context, string, string) (rpc.KeyResponse, error) {
	return rpc.KeyResponse{Messages: map[string]string{hostile: hostile}}, errors.New("1/1 nodes reported failure")
}

func (a *hostileAgent) History(context.Context, string) ([]rpc.History, int, error) {
	now := time.Now().UnixNano()
	return []rpc.History{{From: hostile, Health: 1, Records: []rpc.HistoryRecord{
		{At: now, Kind: "accused", Node: hostile, From: hostile, Verdict: hostile},
		{At: now, Kind: "member-failed", Node: hostile},
	}}}, 1, nil
}

func (a *hostileAgent) Checkup() (rpc.Checkup, error) {
	now := time.Now().UnixNano()
	return rpc.Checkup{Node: hostile, Now: now, Addr: "127.0.0.1:7946", Natives: []string{hostile}, Seeds: []string{hostile}, Lists: []string{hostile}, LeftOut: 1,
		Handlers: []rpc.HandlerCheckup{{Program: hostile, Runs: 1, Failed: 1}},
		Troubles: []rpc.Trouble{{Kind: "name", What: hostile, Text: hostile, Count: 1, Last: now}, {Kind: "list", What: hostile, Text: hostile, Count: 1, Last: now}},
		Records:  []rpc.HistoryRecord{{At: now, Kind: "member-failed", Node: hostile, Verdict: hostile}}}, nil
}

func (a *hostileAgent) Monitor(string) (<-chan string, func(), error) {
	lines := make(chan string, 1)
	lines <- hostile
	return lines, func() {}, nil
}

func (a *hostileAgent) Subscribe(bool) (<-chan rpc.Event, func() int, func()) {
	events := make(chan rpc.Event, 2)
	events <- rpc.Event{Type: "user", Name: hostile, Payload: []byte(hostile)}
	events <- rpc.Event{Type: "member-join", Members: a.members}
	time.AfterFunc(50*time.Millisecond, a.end) // what watches has seen it
	return events, func() int { return 0 }, func() {}
}

// hostileRuns are the commands that show what others say of themselves.
var hostileRuns = [][]string{
	{"members"}, {"members", "-detailed"}, {"members", "-format=json"}, {"members", "-watch"}, {"info"}, {"info", "-format=json"}, {"query", "-min=5", "q"}, {"query", "-format=json", "q"},
	{"rtt", hostile}, {"keys", "-list"}, {"why", hostile}, {"why", "-format=json", hostile}, {"reachability", "-verbose"}, {"monitor"},
	{"event", hostile}, {"config", "show", "-node=" + hostile}, {"doctor"}, {"doctor", "-format=json"},
}

// silentCommands say nothing that comes from others, or are tested elsewhere: the screens by
// TestTableEscapes and TestFitEscapes (terminal).
var silentCommands = []string{"agent", "top", "dev", "sim", "man", "version", "keygen", "completion", "help", "handle-serf-event", "gateway", "catalog",
	"write-log", "join", "leave", "force-leave", "tags", "restart-window", "cluster", "dev-handler", "dev-keeper"}

// On a terminal, nothing of what others say of themselves ends a line, moves the cursor or
// turns the writing around; in a pipe every byte is there.
func TestHostileNames(t *testing.T) {
	for _, c := range commands {
		tested := slices.ContainsFunc(hostileRuns, func(line []string) bool { return line[0] == c.name })
		if tested == slices.Contains(silentCommands, c.name) {
			t.Errorf("%s: neither in hostileRuns nor in silentCommands, or in both", c.name)
		}
	}
	for _, line := range hostileRuns {
		for _, name := range []string{"serf", "ibuki"} {
			t.Run(name+" "+strings.Join(line[:min(2, len(line))], " "), func(t *testing.T) {
				a := newHostileAgent(t)
				var out, fault bytes.Buffer
				e := &env{name: name, stdin: strings.NewReader(""), stdout: &out, stderr: &fault, screen: true, all: commands}
				e.cmd = e.find(line[0])
				if e.cmd == nil {
					return // not under this name
				}
				args := line[1:]
				if line[0] != "config" {
					args = append([]string{"-rpc-addr=" + a.addr}, args...)
				}
				e.cmd.run(e, args)
				for _, text := range []string{out.String(), fault.String()} {
					for n, shown := range strings.Split(text, "\n") {
						if strings.HasPrefix(shown, "FORGED") {
							t.Errorf("line %d is forged: %q", n, shown)
						}
						if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\t' && !unicode.IsGraphic(r) }); i >= 0 {
							t.Errorf("line %d has %q: %q", n, shown[i:min(i+4, len(shown))], shown)
						}
					}
				}
				if !strings.Contains(out.String()+fault.String(), "FORGED") {
					t.Errorf("it is not shown at all: %q", out.String()+fault.String())
				}
			})
		}
	}
	a := newHostileAgent(t)
	var out bytes.Buffer
	run([]string{"serf", "members", "-rpc-addr=" + a.addr}, strings.NewReader(""), &out, &out)
	if !strings.Contains(out.String(), hostile) {
		t.Errorf("in a pipe: %q", out.String())
	}
}
