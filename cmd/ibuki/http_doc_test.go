//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHTTPPage runs every command of docs/http-api.md, as it is, against an agent that
// has the page's configuration.
func TestHTTPPage(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no program: ", err)
	}
	page, err := os.ReadFile("../../docs/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	var config string
	var commands []string
	for i, block := range strings.Split(string(page), "```") {
		if text, ok := strings.CutPrefix(block, "json\n"); ok && i%2 == 1 {
			config = text
		}
		if text, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
			commands = append(commands, strings.Split(strings.TrimSpace(text), "\n")...)
		}
	}
	file := filepath.Join(t.TempDir(), "agent.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startAgent(t, "node0", "-tag=role=web", "-http=0", "-event-handler=query:uptime=echo up", "-config-file="+file)
	p.waitFor(t, "HTTP API: http://")
	_, after, _ := strings.Cut(p.output(), "HTTP API: ")
	api, _, _ := strings.Cut(after, "/\n")
	wait, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for exec.CommandContext(wait, "curl", "-sf", api+"/healthz").Run() != nil {
		if wait.Err() != nil {
			t.Fatal("the API is not there")
		}
	}
	want := map[string]string{
		"/v1/members":    `"name":"node0"`,
		"status=alive":   `"tags":{"role":"web"}`,
		"/members/node0": `"changes":[`,
		"/v1/live":       `"num_alive":1`,
		"/coordinates":   `"node0":{"vec"`,
		"/v1/agent":      `"stats":{`,
		"/v1/why/node0":  `"node":"node0","status":"alive"`,
		"stream?last=":   "event: member",
		"/v1/event":      `{"status":"sent"}`,
		"/v1/query":      `"responses":[{"from":"node0","payload":"up\n","exit":0}],"finished":true`,
		"/v1/stream":     "event: hello",
		"Last-Event-ID":  `"reason":"restarted"`,
		"/healthz":       `{"status":"ok"}`,
		"/metrics":       "ibuki_loop_lateness_seconds_count",
		"/openapi.json":  `"openapi"`,
	}
	variables := ""
	for _, c := range commands {
		if !strings.HasPrefix(c, "curl") {
			variables += strings.Replace(c, "http://127.0.0.1:8080", api, 1) + "\n"
			continue
		}
		out, err := exec.Command("/bin/sh", "-c", variables+c).Output()
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
		// The longest key that the command has says what is to come.
		key := ""
		for k := range want {
			if strings.Contains(c, k) && len(k) > len(key) {
				key = k
			}
		}
		if key == "" || !strings.Contains(string(out), want[key]) {
			t.Errorf("%s: %s, want %s", c, out, want[key])
		}
	}
	if len(commands) < 15 {
		t.Errorf("the page has %d commands", len(commands))
	}
}
