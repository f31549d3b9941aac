package rpc

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The types of the bodies by command: request, reply, record. nil: none.
var bodyTypes = map[string][3]any{
	cmdHandshake:       {handshakeRequest{}},
	cmdAuth:            {authRequest{}},
	cmdEvent:           {eventRequest{}},
	cmdForceLeave:      {forceLeaveRequest{}},
	cmdJoin:            {joinRequest{}, joinResponse{}},
	cmdMembers:         {nil, membersResponse{}},
	cmdMembersFiltered: {MemberFilter{}, membersResponse{}},
	cmdTags:            {tagsRequest{}},
	cmdStream:          {streamRequest{}, nil, anEvent{}},
	cmdMonitor:         {monitorRequest{}, nil, logRecord{}},
	cmdStop:            {stopRequest{}},
	cmdLeave:           {},
	cmdQuery:           {QueryRequest{}, nil, QueryRecord{}},
	InstallKey:         {keyRequest{}, KeyResponse{}},
	ListKeys:           {nil, KeyResponse{}},
	cmdStats:           {nil, map[string]map[string]string{}},
	cmdGetCoordinate:   {coordinateRequest{}, coordinateResponse{}},
}

// anEvent stands for the event record of the type that the record says.
type anEvent struct{}

// What the real programs say is what our types say: decoded and encoded again
// it is the same, with the same msgpack types.
func TestGolden(t *testing.T) {
	for _, file := range []string{"testdata/serf-0.10.2-dev.txt", "testdata/serf-0.8.2-dev.txt"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for conversation := range strings.SplitSeq(string(text), "# connection\n") {
			g := golden{t: t, commands: map[uint64]string{}, replied: map[uint64]bool{}, seen: seen}
			for line := range strings.Lines(conversation) {
				if line[0] == '#' {
					continue
				}
				data, err := hex.DecodeString(strings.TrimSpace(line[2:]))
				if err != nil {
					t.Fatal(err)
				}
				g.side(line[0] == '>', data)
			}
		}
		for command, types := range bodyTypes {
			if seen[command] == 0 {
				t.Errorf("%s: no %s", file, command)
			}
			if types[2] != nil && seen[command+" record"] == 0 {
				t.Errorf("%s: no record of %s", file, command)
			}
		}
	}
}

type golden struct {
	t        *testing.T
	commands map[uint64]string
	replied  map[uint64]bool
	seen     map[string]int
}

func (g *golden) side(client bool, data []byte) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		if client {
			head := same(g.t, r, requestHeader{})
			g.commands[head.Seq] = head.Command
			g.seen[head.Command]++
			g.body(r, bodyTypes[head.Command][0])
			continue
		}
		head := same(g.t, r, responseHeader{})
		command := g.commands[head.Seq]
		types := bodyTypes[command]
		if types[2] != nil && g.replied[head.Seq] {
			g.seen[command+" record"]++
			g.body(r, types[2])
			continue
		}
		g.replied[head.Seq] = true
		g.body(r, types[1])
	}
}

func (g *golden) body(r *bufio.Reader, body any) {
	switch b := body.(type) {
	case nil:
	case anEvent:
		data, err := ReadValue(r, nil, Limits{Bytes: 1 << 20, Elems: 1 << 20})
		if err != nil {
			g.t.Fatal(err)
		}
		r = bufio.NewReader(bytes.NewReader(data))
		switch ev, _, _ := parseEvent(data); ev.Type {
		case "user":
			same(g.t, r, userEventRecord{})
		case "query":
			same(g.t, r, queryEventRecord{})
		default:
			same(g.t, r, memberEventRecord{})
		}
	default:
		v := reflect.New(reflect.TypeOf(b))
		sameAs(g.t, r, v.Interface())
	}
}

func same[T any](t *testing.T, r *bufio.Reader, v T) T {
	sameAs(t, r, &v)
	return v
}

// sameAs reads a value into v and compares what v becomes when encoded.
func sameAs(t *testing.T, r *bufio.Reader, v any) {
	t.Helper()
	data, err := ReadValue(r, nil, Limits{Bytes: 1 << 20, Elems: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := decodeValue(data, v); err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	ours := encode(v)
	if len(ours) != len(data) {
		t.Errorf("%T: %d bytes, ours %d\n%x\n%x", v, len(data), len(ours), data, ours)
	}
	var want, got any
	if decodeValue(data, &want) != nil || decodeValue(ours, &got) != nil {
		t.Fatal("not to be decoded again")
	}
	if q, ok := v.(*QueryRequest); ok && data[len(data)-5] == 0xce && q.Timeout > 0 {
		// The old codec wrote a time-out as unsigned; it reads both.
		m := want.(map[any]any)
		m["Timeout"] = int64(m["Timeout"].(uint64))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%T:\n%x\nours:\n%x", v, data, ours)
	}
}
