package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/serf/client"
)

// TestLiveNodesHandler runs our event handler under the real Serf, as the mission's
// command line has it, and beside it our own agent, which writes the list itself.
//
// The real Serf takes what is before the first = for a filter, so that the command
// line needs "*=" in front, or a space in place of the handler's own =.
func TestLiveNodesHandler(t *testing.T) {
	for _, real := range []*program{&newest, &old} {
		for name, handler := range map[string]string{"equals": "*=HANDLER --list=FILE", "space": "HANDLER --list FILE"} {
			t.Run(real.name+"-"+name, func(t *testing.T) {
				t.Parallel()
				need(t, *real)
				testLiveNodesHandler(t, *real, handler)
			})
		}
	}
}

func testLiveNodesHandler(t *testing.T, real program, handler string) {
	c := newCluster(t)
	link := c.file("droonga-handle-serf-event")
	if err := os.Symlink(ours.path, link); err != nil {
		t.Fatal(err)
	}
	list, own := c.file("handler.json"), c.file("own.json")
	// A handler has its agent's environment, but not its flags: Serf's says where its
	// RPC is only there.
	script := c.file("handler")
	c.write("handler", fmt.Sprintf("#!/bin/sh\nSERF_RPC_ADDR=%s10:7373 exec %s \"$@\"\n", c.net, link))
	r := c.add(real, "real", "-event-handler="+strings.NewReplacer("HANDLER", script, "FILE", list).Replace(handler))
	if told := c.net + "10:7373"; told != r.rpcAddr() {
		t.Fatalf("the handler was told %s, the agent is at %s", told, r.rpcAddr())
	}
	o := c.add(ours, "ours", "-live-nodes="+own)
	third := c.add(ours, "third")
	both := func(what, want string) {
		t.Helper()
		for _, path := range []string{list, own} {
			await(t, what, func() error {
				if got := liveNames(path); got != want {
					return fmt.Errorf("%s: %q, want %q", path, got, want)
				}
				return nil
			})
		}
	}
	await(t, "the list of oneself only", func() error { // M18
		if got := liveNames(list); got != "real" {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	o.join(r)
	third.join(r)
	both("all three", "ours real third")
	if err := r.rpc.UserEvent("live-nodes:exclude", []byte("ours"), false); err != nil {
		t.Fatal(err)
	}
	both("one is excluded", "real third")
	third.kill()
	both("one has failed", "real")

	answers := make(chan client.NodeResponse, 10)
	err := o.rpc.Query(&client.QueryParam{Name: "live-nodes:include", Payload: []byte("ours"), Timeout: 5 * time.Second, RespCh: answers})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case a, ok := <-answers:
			if !ok || !strings.Contains(string(a.Payload), `"alive":["ours","real"]`) {
				t.Errorf("answer %s from %q", a.Payload, a.From)
			}
		case <-time.After(patience):
			t.Fatal("no answer to the query")
		}
	}
	both("it is back", "ours real")
	third.start()
	both("the failed one is back", "ours real third")
}

// liveNames are the nodes in a list of live nodes.
func liveNames(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var nodes map[string]struct{ Status string }
	if err := json.Unmarshal(text, &nodes); err != nil {
		return err.Error()
	}
	var names []string
	for _, name := range []string{"ours", "real", "third"} {
		if nodes[name].Status == "alive" {
			names = append(names, name)
		}
	}
	if len(names) != len(nodes) {
		return string(text)
	}
	return strings.Join(names, " ")
}
