package main

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// The screen shows members and events of an agent, finds it again, and takes keys.
func TestTopOnTerminal(t *testing.T) {
	agent, err := newFakeAgent("", fakeMembers())
	if err != nil {
		t.Fatal(err)
	}
	defer agent.end()
	bin, err := exec.LookPath("ibuki") // testscript's: this test binary
	if err != nil {
		t.Fatal(err)
	}
	s := onScreen(t, exec.Command(bin, "top", "-rpc-addr="+agent.addr))
	s.expect("ノード")
	if err := agent.publish(rpc.Event{Type: "user", Name: "deploy", Payload: []byte("v2")}); err != nil {
		t.Fatal(err)
	}
	s.expect(`deploy "v2"`)
	s.typed("s")
	s.expect("name)")
	s.typed("/droonga\r")
	s.expect("(droonga)")
	agent.end()
	s.expect("NOT ANSWERING")
	s.typed("q")
	s.end()
}

// What a person sees of top in a terminal of the usual size.
func TestTopInPane(t *testing.T) {
	members := fakeMembers()
	for i := range 40 {
		members = append(members, rpc.Member{Name: fmt.Sprintf("node%d", 100+i), Addr: net.IPv4(10, 0, 1, byte(i)), Port: 7946, Status: "alive",
			Tags: map[string]string{"role": "a role that is as long as roles are", "dc": "somewhere"}})
	}
	for i := range members {
		members[i].Since = time.Now().Add(-26 * time.Hour).UnixNano()
	}
	agent, err := newFakeAgent("", members)
	if err != nil {
		t.Fatal(err)
	}
	defer agent.end()
	bin, err := exec.LookPath("ibuki") // testscript's: this test binary
	if err != nil {
		t.Fatal(err)
	}
	p := inTmux(t, nil, bin, "top", "-rpc-addr="+agent.addr)
	p.shows(`^ibuki top · 41 of 42 alive, 1 failed, 1 left · agent `+agent.addr+`$`, `^1 to 12 of 43$`,
		`^NAME +STATUS +SINCE +RTT +FLAPS +TAGS\n10.0.0.1:10031/droonga +failed +1d2h +- +0 +<x>=,role=.*…\nノード +left +1d2h`)
	if err := agent.publish(rpc.Event{Type: "member-failed", Members: members[3:]}); err != nil {
		t.Fatal(err)
	}
	p.shows(`^\d\d:\d\d:\d\d\.\d{3}  member-failed   node100, node101, .* and \d+ more$`)
	p.keys("?")
	p.shows(`^w  worst first +n  by name`, `^h  this list +q  quit$`)
	p.keys("h")
	p.keys("n")
	p.shows(`s: order \(name\)`, `^10.0.0.1:10031/droonga +failed[^\n]*\nnode10 `)
	p.keys("End")
	p.shows(`^32 to 43 of 43$`, `^ノード`)
	p.keys("q")
}
