//go:build unix

package main

import (
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// devGroongaTest breaks a cluster of real Groonga servers, whole nodes and single
// processes, under searches and writes.
func devGroongaTest(t *testing.T, bin string) {
	if _, err := exec.LookPath("groonga"); err != nil {
		t.Skip("there is no groonga on the PATH (Debian: groonga-bin)")
	}
	t.Parallel()
	d := startDev(t, bin, "dev", "-groonga", "-plain")
	host := strings.Fields(d.expect(`127\S+ +started on`))[0]
	d.expect(`300 records are loaded`)
	droongaSearches(t, host+":10031")
	d.send("wait all alive")
	d.expect(`all: alive everywhere`)
	d.send("complete")
	d.expect(`every server has all records`)

	d.send("kill node1")
	d.send("wait node1 failed")
	d.expect(`failed everywhere`)
	d.expect(`records \d+ - \d+; waiting 0 [1-9]\d* 0`)
	// The dashboard learns of the gateway beside its agent.
	page := "http://" + host + ":8080"
	if status, body := get(t, http.DefaultClient, page+"/v1/gateway"); status != 200 || !strings.Contains(body, `"reachable":true,"status":{"version"`) || !strings.Contains(body, `"state":"dead"`) {
		t.Errorf("%s: %d %s", page, status, body)
	}
	d.send("start node1")
	d.send("complete 40")
	d.expect(`every server has all records`)

	d.send("kill node0.groonga")
	d.expect(`records - \d+ \d+; waiting [1-9]\d* 0 0`)
	d.send("freeze node2")
	d.send("members")
	d.expect(`(?m)running +\d+ +\S+ +down +running(?s:.*)frozen +\d+ +\S+ +frozen +frozen`)
	d.send("start node0.groonga")
	d.send("thaw node2")
	d.send("freeze node1.gateway")
	d.expect(`asked another gateway [1-9]`)
	d.send("thaw node1.gateway")
	d.send("complete 60")
	d.expect(`every server has all records`)

	d.send("counts")
	line := d.expect(`searches \d+, writes \d+, failed \d+,.*`)
	m := regexp.MustCompile(`searches (\d+), writes (\d+), failed (\d+)`).FindStringSubmatch(line)
	if searches, _ := strconv.Atoi(m[1]); searches < 100 || m[3] != "0" {
		t.Errorf("%s", line)
	}
	t.Log(line)
	for line, answer := range map[string]string{ // order-free: independent
		"kill node1.cat":      `there is no node "node1.cat"`,
		"leave node1.groonga": `cannot leave: it is no agent`,
		"complete x":          `usage: complete`,
		"log node1.gateway":   `127\S+\.gateway \| \S`, // its last lines, whatever it has said since its start
	} {
		d.send(line)
		d.expect(answer)
	}
	d.send("quit")
	if code := d.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	nothingLeft(t, d.mark, d.tmp)
}

// droongaSearches is a client of Droonga's at a gateway: it sends a search, and gets
// the answer where it asks for it.
func droongaSearches(t *testing.T, addr string) {
	t.Helper()
	receiver, err := net.Listen("tcp", "127.15.5.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	_ = receiver.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	handle := &codec.MsgpackHandle{WriteExt: true}
	handle.RawToString = true
	search := map[string]any{"source": "Items", "condition": map[string]any{"query": "teapot", "matchTo": []string{"title"}},
		"output": map[string]any{"elements": []string{"count"}}}
	message := map[string]any{"id": "1", "type": "search", "dataset": "Default", "replyTo": receiver.Addr().String() + "/test",
		"body": map[string]any{"queries": map[string]any{"found": search}}}
	if err := codec.NewEncoder(conn, handle).Encode([]any{"droonga.message", time.Now().Unix(), message}); err != nil {
		t.Fatal(err)
	}
	back, err := receiver.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	_ = back.SetDeadline(time.Now().Add(10 * time.Second))
	var answer []any
	if err := codec.NewDecoder(back, handle).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	m, _ := answer[2].(map[any]any)
	body, _ := m["body"].(map[any]any)
	found, _ := body["found"].(map[any]any)
	if count, _ := found["count"].(int64); m["type"] != "search.result" || m["inReplyTo"] != "1" || count < 30 {
		t.Errorf("the answer to a search in Droonga's protocol: %v", answer)
	}
}
