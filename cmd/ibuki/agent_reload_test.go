//go:build unix

package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hangUp has the agent read its configuration again and waits until that is done.
func (p *agentProcess) hangUp(t *testing.T) {
	t.Helper()
	const said = "==> Reloading configuration..."
	before := strings.Count(p.output(), said)
	_ = p.Process.Signal(syscall.SIGHUP)
	for end := time.Now().Add(15 * time.Second); strings.Count(p.output(), said) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no reload:\n%s", p.output())
		}
	}
}

// wantTags waits for the tags of the agent's own member.
func (p *agentProcess) wantTags(t *testing.T, want map[string]string) {
	t.Helper()
	var got map[string]string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out, _ := runProgram(t, "members", "-format=json", "-rpc-addr="+p.rpc)
		var list struct {
			Members []struct{ Tags map[string]string }
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Members) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		if got = list.Members[0].Tags; maps.Equal(got, want) {
			return
		}
	}
	t.Fatalf("tags %v, want %v", got, want)
}

func (p *agentProcess) setTags(t *testing.T, args ...string) {
	t.Helper()
	if out, code := runProgram(t, append([]string{"tags", "-rpc-addr=" + p.rpc}, args...)...); code != 0 {
		t.Fatal(out)
	}
}

// A reload changes what the configuration says; what was set and deleted at run
// time stays.
func TestReloadKeepsTagsSetAtRunTime(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "c.json")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"tags": {"a": "1", "b": "1", "c": "1"}}`)
	p := startAgent(t, "n", "-config-file", conf)
	p.setTags(t, "-set", "r=1", "-set", "a=2", "-delete", "b")
	p.hangUp(t)
	p.wantTags(t, map[string]string{"a": "2", "c": "1", "r": "1"})
	write(`{"tags": {"a": "3", "b": "3", "d": "3"}, "reconnect_interval": "9s"}`)
	p.hangUp(t)
	p.wantTags(t, map[string]string{"a": "2", "d": "3", "r": "1"})
	p.waitFor(t, "==> Not changed before the next start: reconnect_interval\n")
}

// A reload leaves the tags file alone, and the tags that it holds.
func TestReloadKeepsTheTagsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, conf := filepath.Join(dir, "tags"), filepath.Join(dir, "c.json")
	if err := os.WriteFile(conf, []byte(`{"tags_file": "`+file+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startAgent(t, "n", "-config-file", conf)
	p.setTags(t, "-set", "r=1")
	p.hangUp(t)
	p.wantTags(t, map[string]string{"r": "1"})
	var kept map[string]string
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	if err != nil || !maps.Equal(kept, map[string]string{"r": "1"}) {
		t.Errorf("%s, %v", b, err)
	}
}
