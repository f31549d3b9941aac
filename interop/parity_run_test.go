package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/settings"
)

var helpFlag = regexp.MustCompile(`(?m)^ +-([a-z0-9-]+)`)

// TestParityCommands: both overviews list the same commands, both help texts are
// shown alike, and every flag that a real help text has is on the page.
func TestParityCommands(t *testing.T) {
	t.Parallel()
	need(t, newest)
	need(t, ours)
	tables := readPage(t)
	_, overview, _ := command(t, newest, "-h")
	_, own, _ := command(t, ours, "-h")
	for _, r := range tables["Commands"] {
		for _, text := range []string{overview, own} {
			if !strings.Contains(text, "\n    "+r.item+" ") {
				t.Errorf("%s is not in the overview:\n%s", r.item, text)
			}
		}
		for _, p := range []program{newest, old} {
			if p.path == "" {
				continue
			}
			out, errOut, _ := command(t, p, r.item, "-h")
			for _, m := range helpFlag.FindAllStringSubmatch(out+errOut, -1) {
				name := r.item + " -" + m[1]
				if !slices.ContainsFunc(tables["Flags"], func(f row) bool { return f.item == name }) {
					t.Errorf("the help of %s has %s; the page does not name it", p.name, name)
				}
			}
		}
		_, realHelp, realCode := command(t, newest, r.item, "-h")
		_, help, code := command(t, ours, r.item, "-h")
		if code != realCode || (help == "") != (realHelp == "") || !strings.HasPrefix(help, "Usage: serf "+r.item) {
			t.Errorf("%s -h: exit %d, not %d: %s", r.item, code, realCode, help)
		}
	}
	ownFlags(t, tables)
	if len(helpFlag.FindAllString("  -bind=0.0.0.0:7946       Address", -1)) != 1 {
		t.Error("helpFlag finds no flags")
	}
}

// ownFlags: what our commands and configuration files have beyond the real ones' is
// named on the page as well.
func ownFlags(t *testing.T, tables map[string][]row) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n## Only ours\n")
	known := func(table, item, name string) {
		if !slices.ContainsFunc(tables[table], func(r row) bool { return r.item == item }) && !strings.Contains(rest, "`"+name+"`") {
			t.Errorf("ours has %s; the page does not name it", item)
		}
	}
	for _, r := range tables["Commands"] {
		_, help, _ := command(t, ours, r.item, "-h")
		for _, m := range helpFlag.FindAllStringSubmatch(help, -1) {
			known("Flags", r.item+" -"+m[1], "-"+m[1])
		}
	}
	for _, key := range settings.Keys() {
		if key != "mdns" {
			known("Configuration keys", key, key)
			continue
		}
		for part := range reflect.TypeFor[settings.MDNSOptions]().Fields() {
			name := key + "." + part.Tag.Get("json")
			known("Configuration keys", name, name)
		}
	}
}

// flagValues are values that each flag takes, for those that need one; the
// flags of the agent are in agentFlags.
var flagValues = map[string]string{
	"query -node": "a", "query -tag": "a=b", "query -timeout": "1s", "query -format": "json", "query -relay-factor": "2",
	"members -role": "web", "members -status": "alive", "members -format": "json", "members -tag": "a=b", "members -name": "n.*",
	"keys -install": "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s=", "keys -use": "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s=",
	"keys -remove": "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s=", "monitor -log-level": "debug",
	"tags -set": "a=b", "tags -delete": "a", "info -format": "json",
}

// flagArguments are what else the command wants.
var flagArguments = map[string][]string{
	"event": {"name"}, "query": {"name"}, "force-leave": {"node"}, "join": {"127.0.0.1:1"}, "rtt": {"a", "b"},
	"tags": {"-set=c=d"}, "keys": nil,
}

// TestParityFlags: each flag of a command gets as far as with the real program:
// to an agent that is not there.
func TestParityFlags(t *testing.T) {
	t.Parallel()
	need(t, newest)
	need(t, ours)
	for _, r := range readPage(t)["Flags"] {
		name, flag, _ := strings.Cut(r.item, " ")
		if name == "agent" {
			continue // TestParityAgent
		}
		args := []string{name, "-rpc-addr=127.0.0.1:1"}
		if flag != "-rpc-addr" {
			if v := flagValues[r.item]; v != "" {
				flag += "=" + v
			} else if flag == "-rpc-auth" {
				flag += "=secret"
			}
			args = append(args, flag)
		}
		if flag == "-rpc-addr" && name == "keys" {
			args = append(args, "-list")
		}
		if name == "keys" && strings.HasPrefix(flag, "-rpc-auth") {
			args = append(args, "-list")
		}
		args = append(args, flagArguments[name]...)
		wantOut, wantErr, wantCode := command(t, newest, args...)
		out, errOut, code := command(t, ours, args...)
		if !strings.Contains(wantOut+wantErr, "connect: connection refused") {
			t.Errorf("%v: the real program does not get to the agent: %s%s", args, wantOut, wantErr)
		}
		same := out == wantOut && errOut == wantErr && code == wantCode
		if same != r.works() {
			t.Errorf("%s is %q on the page, and %v prints (exit %d)\n%s%s; the real one (exit %d)\n%s%s",
				r.item, r.status, args, code, out, errOut, wantCode, wantOut, wantErr)
		}
	}
}

// trial runs our agent until it says that it runs, and ends it again. It returns what
// was printed.
func trial(t *testing.T, args ...string) (out string, runs bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	buf := &logtest.Buffer{}
	cmd := exec.CommandContext(ctx, ours.path, append([]string{"agent"}, args...)...)
	cmd.Stdout, cmd.Stderr = buf, buf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	await(t, fmt.Sprintf("an agent with %v", args), func() error {
		select {
		case <-ended:
			return nil
		default:
		}
		if runs = strings.Contains(buf.String(), "Log data will now stream in"); runs {
			return nil
		}
		return fmt.Errorf("it neither runs nor ends: %s", buf)
	})
	if runs {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	<-ended
	if !runs && cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: exit %d", args, cmd.ProcessState.ExitCode())
	}
	return buf.String(), runs
}

// judge compares what an agent did with a setting with what the page says.
func judge(t *testing.T, r row, out string, runs bool) {
	t.Helper()
	refused := strings.Contains(out, "Not supported yet")
	unknown := strings.Contains(out, "flag provided but not defined") || strings.Contains(out, "invalid keys")
	if noLog := !runs && strings.Contains(strings.ToLower(out), "syslog"); noLog && !refused && !unknown {
		runs = true // there is no log of the system to write to
	}
	got := does
	switch {
	case refused:
		got = refuses
	case unknown:
		got = notYet
	case !runs:
		got = "a failure"
	}
	if got != r.status && (r.status != different || got != does) {
		t.Errorf("%s is %q on the page, but here it is %q:\n%s", r.item, r.status, got, out)
	}
}

const aKey = "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="

// home is where trials run: an agent to join, and a place for files.
type home struct {
	*cluster
	host  *agent
	tries int
}

// place is a free address.
func (h *home) place() string { return h.net + "200:0" }

// fresh is a file name that was not used.
func (h *home) fresh(kind string) string {
	h.tries++
	return h.file(fmt.Sprintf("%s-%d", kind, h.tries))
}

// setting is a flag's or key's value and what must be said besides.
type setting struct {
	value any
	also  []string // flags
	bare  bool     // without -bind and -rpc-addr
}

func (h *home) settings() map[string]setting {
	keyring, dir := h.fresh("keyring"), h.fresh("dir")
	_ = os.WriteFile(keyring, []byte(`["`+aKey+`"]`), 0o600)
	_ = os.MkdirAll(dir, 0o700)
	_ = os.WriteFile(filepath.Join(dir, "a.json"), []byte(`{"tags": {"a": "b"}}`), 0o600)
	at, seed := "-bind="+h.place(), h.host.addr()
	rpc := "-rpc-addr=" + h.place()
	return map[string]setting{
		"bind": {h.place(), []string{rpc}, true}, "advertise": {value: "127.0.0.1:7946"}, "config-file": {value: filepath.Join(dir, "a.json")},
		"config-dir": {value: dir}, "encrypt": {value: aKey}, "keyring-file": {value: keyring}, "event-handler": {value: "member-join=true"},
		"join": {value: seed}, "replay": {value: true}, "log-level": {value: "debug"}, "node": {value: "other"}, "protocol": {value: 4},
		"role": {value: "web"}, "rpc-addr": {h.place(), []string{at}, true}, "profile": {value: "local"}, "snapshot": {value: h.fresh("snapshot")},
		"tag": {value: "a=b"}, "discover": {value: filepath.Base(h.dir)}, "iface": {"lo", []string{"-bind=127.0.0.1:0", rpc}, true},
		"mdns-iface": {value: "lo", also: []string{"-discover=" + filepath.Base(h.dir)}}, "mdns-disable-ipv4": {value: true}, "mdns-disable-ipv6": {value: true}, "tags-file": {value: h.fresh("tags")},
		"syslog": {value: true}, "retry-join": {value: seed}, "retry-max": {value: 3}, "retry-interval": {value: "2s"},
		"rejoin": {value: true, also: []string{"-snapshot=" + h.fresh("snapshot")}}, "disable-compression": {value: true},
		"broadcast-timeout": {value: "2s"},
		// The keys that are no flags.
		"disable_coordinates": {value: true}, "query_response_size_limit": {value: 1000}, "query_size_limit": {value: 1000},
		"user_event_size_limit": {value: 500}, "leave_on_terminate": {value: true}, "skip_leave_on_interrupt": {value: true},
		"mdns": {value: map[string]any{}, also: []string{"-discover=" + filepath.Base(h.dir)}}, "reconnect_interval": {value: "10s"}, "reconnect_timeout": {value: "10h"},
		"tombstone_timeout": {value: "10h"}, "disable_name_resolution": {value: true}, "syslog_facility": {value: "LOCAL1"},
		"enable_compression": {value: false}, "statsite_addr": {value: "127.0.0.1:8125"}, "statsd_addr": {value: "127.0.0.1:8125"},
		"validate_node_names": {value: true}, "MsgpackUseNewTimeFormat": {value: true}, "tags": {value: map[string]string{"a": "b"}},
		"rpc_auth": {value: "word"}, "start_join": {value: []string{seed}}, "retry_join": {value: []string{seed}}, "event_handlers": {value: []string{"user=true"}},
	}
}

// flagOfKey are the keys whose values are those of a flag of another name.
var flagOfKey = map[string]string{
	"node_name": "node", "encrypt_key": "encrypt", "replay_on_join": "replay", "snapshot_path": "snapshot", "interface": "iface",
	"enable_syslog": "syslog", "retry_max_attempts": "retry-max", "rejoin_after_leave": "rejoin",
}

func newHome(t *testing.T) *home {
	t.Helper()
	c := newCluster(t)
	return &home{cluster: c, host: c.add(ours, "host")}
}

// try runs an agent with the arguments, which say how things are set.
func (h *home) try(s setting, args ...string) (string, bool) {
	h.tries++
	if !s.bare {
		args = append(args, "-bind="+h.place(), "-rpc-addr="+h.place())
	}
	return trial(h.t, append(append(args, s.also...), fmt.Sprintf("-node=trial-%d", h.tries))...)
}

// TestParityAgent starts our agent with every flag of the real one.
func TestParityAgent(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	settings := h.settings()
	for _, r := range readPage(t)["Flags"] {
		flag, ok := strings.CutPrefix(r.item, "agent -")
		if !ok {
			continue
		}
		s, ok := settings[flag]
		if !ok {
			t.Errorf("there is no value to try -%s with", flag)
			continue
		}
		out, runs := h.try(s, fmt.Sprintf("-%s=%v", flag, s.value))
		judge(t, r, out, runs)
	}
}

// TestParityKeys starts our agent with every key of the real one's files.
func TestParityKeys(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	settings := h.settings()
	for _, r := range readPage(t)["Configuration keys"] {
		outer, inner, _ := strings.Cut(r.item, ".")
		name := flagOfKey[outer]
		if name == "" {
			name = strings.ReplaceAll(outer, "_", "-")
		}
		s, ok := settings[outer]
		if !ok {
			s, ok = settings[name]
		}
		if !ok {
			t.Errorf("there is no value to try %s with", r.item)
			continue
		}
		value := s.value
		if inner == "interface" {
			value = map[string]any{inner: "lo"}
		} else if inner != "" {
			value = map[string]any{inner: true}
		}
		text, err := json.Marshal(map[string]any{outer: value})
		if err != nil {
			t.Fatal(err)
		}
		file := h.fresh("key") + ".json"
		h.write(filepath.Base(file), string(text))
		out, runs := h.try(s, "-config-file="+file)
		judge(t, r, out, runs)
	}
}

// rpcBodies are what the commands of RPC want after their header; those that are
// not here want an empty map, and nil is nothing at all.
var rpcBodies = map[string]any{
	"handshake": map[string]int{"Version": 1}, "event": map[string]string{"Name": "x"}, "query": map[string]any{"Name": "x", "Timeout": 1000000},
	"join": map[string]any{"Existing": []string{"127.0.0.1:1"}}, "stream": map[string]string{"Type": "*"}, "monitor": map[string]string{"LogLevel": "INFO"},
	"get-coordinate": map[string]string{"Node": "x"}, "force-leave": map[string]string{"Node": "x"}, "auth": map[string]string{"AuthKey": "x"},
	"members": nil, "leave": nil, "list-keys": nil, "stats": nil,
}

// rpcError sends a command, after a handshake if it is another, and returns the
// error of its answer.
func rpcError(t *testing.T, addr, name string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h := &codec.MsgpackHandle{}
	enc, dec := codec.NewEncoder(conn, h), codec.NewDecoder(conn, h)
	call := func(seq uint64, name string) string {
		err := enc.Encode(map[string]any{"Command": name, "Seq": seq})
		body, ok := rpcBodies[name]
		if !ok {
			body = map[string]any{}
		}
		if err == nil && body != nil {
			err = enc.Encode(body)
		}
		var answer struct {
			Seq   uint64
			Error string
		}
		if err == nil {
			err = dec.Decode(&answer)
		}
		if err != nil || answer.Seq != seq {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
		return answer.Error
	}
	if name != "handshake" {
		if fault := call(1, "handshake"); fault != "" {
			t.Errorf("handshake: %s", fault)
		}
	}
	return call(2, name)
}

// TestParityRPC sends our agent every command of RPC, and asks for every type of
// event; error texts and kinds of records are the same.
func TestParityRPC(t *testing.T) {
	t.Parallel()
	tables := readPage(t)
	h := newHome(t)
	const unsupported = "Unsupported command"
	if got := rpcError(t, h.host.rpcAddr(), "no-such"); got != unsupported {
		t.Errorf("an unknown command: %q", got)
	}
	for _, r := range tables["RPC commands"] {
		if r.item == "leave" {
			continue // last: it ends the agent
		}
		if got := rpcError(t, h.host.rpcAddr(), r.item); (got != unsupported) != r.works() {
			t.Errorf("%s: %q, and the page says %q", r.item, got, r.status)
		}
	}
	for _, r := range append(tables["Event types"], row{"nonsense", notYet, ""}) {
		rpc := rpcAt(t, h.host, "")
		_, err := rpc.Stream(r.item, make(chan map[string]any, 64))
		if (err == nil) != r.works() {
			t.Errorf("a stream of %s: %v, and the page says %q", r.item, err, r.status)
		}
	}
	if got := rpcError(t, h.host.rpcAddr(), "leave"); got != "" {
		t.Errorf("leave: %q", got)
	}
	h.host.wait()
	s := &source{t: t, files: realSource(t).files}
	texts := unique(s.consts("../rpc", "*.go", regexp.MustCompile(`.`)))
	for _, r := range tables["RPC records, errors"] {
		if !slices.Contains(texts, r.item) && r.status == does {
			t.Errorf("rpc/ has no constant %q", r.item)
		}
	}
}
