package main

import (
	"os/exec"
	"testing"

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
	s.expect("status)")
	s.typed("/droonga\r")
	s.expect("(droonga)")
	agent.end()
	s.expect("NOT ANSWERING")
	s.typed("q")
	s.end()
}
