package settings

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// badValues has, for each key of the configuration, values that are refused and
// a part of the one line that says so.
var badValues = map[string][][2]string{
	"node_name":                 {{`5`, "key 'node_name'"}, {`"` + strings.Repeat("n", 4096) + `"`, "node name is longer"}},
	"role":                      {{`[]`, "key 'role'"}, {`"` + strings.Repeat("r", 600) + `"`, "Encoded length of tags exceeds limit of 512 bytes"}},
	"disable_coordinates":       {{`"yes"`, "key 'disable_coordinates'"}},
	"tags":                      {{`["a"]`, "key 'tags'"}, {`{"a": 1}`, "key 'tags.a'"}, {`{"a": "` + strings.Repeat("x", 600) + `"}`, "Encoded length of tags"}},
	"tags_file":                 {{`1`, "key 'tags_file'"}},
	"bind":                      {{`"1:2:3:x"`, "Invalid bind address"}, {`"127.0.0.1:99999"`, "Invalid bind address"}, {`0`, "key 'bind'"}},
	"advertise":                 {{`"127.0.0.1:x"`, "Invalid advertise address"}, {`"0.0.0.0"`, "advertise address 0.0.0.0"}},
	"encrypt_key":               {{`"!"`, "Invalid encryption key"}, {`"AAAA"`, "Invalid encryption key"}},
	"keyring_file":              {{`true`, "key 'keyring_file'"}},
	"log_level":                 {{`"loud"`, "Invalid log level: LOUD"}},
	"rpc_addr":                  {{`"127.0.0.1"`, "Invalid RPC address"}, {`"127.0.0.1:99999"`, "Invalid RPC address"}, {`"unix:"`, "Invalid RPC address"}, {`"unix:/` + strings.Repeat("s", 101) + `"`, "the path is longer"}},
	"rpc_auth":                  {{`7`, "key 'rpc_auth'"}},
	"protocol":                  {{`1`, "Protocol version '1'"}, {`6`, "Protocol version '6'"}, {`-1`, "Protocol version '-1'"}, {`"4"`, "key 'protocol'"}},
	"replay_on_join":            {{`1`, "key 'replay_on_join'"}},
	"query_response_size_limit": {{`-1`, "query response size limit is negative"}},
	"query_size_limit":          {{`-1`, "query size limit is negative"}},
	"user_event_size_limit":     {{`-1`, "user event size limit is negative"}, {`9217`, "user event size limit exceeds"}},
	"start_join":                {{`"a"`, "key 'start_join'"}, {`["1:2:x"]`, "Invalid address to join '1:2:x'"}, {`[""]`, "Invalid address to join ''"}, {`["/10.0.0.1"]`, "Invalid address to join"}},
	"retry_join":                {{`["a", 1]`, "key 'retry_join[1]'"}, {`["host:99999"]`, "Invalid address to join 'host:99999'"}},
	"retry_max_attempts":        {{`-1`, "retry limit is negative"}, {`1.5`, "key 'retry_max_attempts'"}},
	"retry_interval":            {{`"soon"`, "key 'retry_interval'"}, {`"-1s"`, "retry interval is negative"}, {`30`, "key 'retry_interval'"}},
	"event_handlers":            {{`["nosuch=cmd"]`, "Invalid event script"}, {`"x"`, "key 'event_handlers'"}},
	"handlers": {{`"x"`, "key 'handlers'"}, {`[{"run": "x"}, {"run": "x", "nosuch": 1}]`, "invalid keys: handlers[1].nosuch (line 1, column 42)"}, {`[{"run": "x"}]`, "handlers[0]: there is no event"},
		{`[{"on": "user"}]`, "handlers[0]: there is no command"}, {`[{"on": ["nosuch"], "run": "x"}]`, "handlers[0]: on: 'nosuch' is no event"},
		{`[{"on": "*", "run": "x", "timeout": "-1s"}]`, "timeout is -1s"}, {`[{"on": "*", "run": "x", "timeout": 1}]`, "key 'handlers[0].timeout'"},
		{`[{"on": "*", "run": "x", "parallel": 999}]`, "parallel is 999"}, {`[{"on": "*", "run": "x", "parallel": -1}]`, "parallel is -1"},
		{`[{"on": "*", "run": "x", "queue": -1}]`, "queue is -1"}, {`[{"on": "*", "run": "x", "queue": 100000}]`, "queue is 100000"},
		{`[{"on": "*", "run": "x", "drop": "all"}]`, "drop: 'all' is none of"}, {`[{"on": "*", "run": "x", "retries": 101}]`, "retries is 101"},
		{`[{"on": "*", "run": "x", "retry_pause": "2m"}]`, "retry_pause is 2m0s"}, {`[{"on": "*", "run": "x", "input": "xml"}]`, "input: 'xml'"},
		{`[{"on": "*", "run": "x", "one_of": {"tags": {"a": "["}}}]`, "one_of: tag 'a'"}, {`[{"on": "*", "run": "x", "one_of": {"tag": {}}}]`, "invalid keys: handlers[0].one_of.tag (line 1, column 50; did you mean tags?)"},
		{`[{"on": "*", "run": "x", "one_of": {"covered": "2h"}}]`, "one_of: covered is 2h"}},
	"http": {{`1`, "key 'http'"}, {`"host"`, "Invalid HTTP address"}, {`"127.0.0.1:99999"`, "Invalid HTTP address"}, {`"unix:"`, "Invalid HTTP address"}},
	"gateway_status": {{`1`, "key 'gateway_status'"}, {`"host"`, "Invalid gateway address"}, {`"host:0"`, "Invalid gateway address"},
		{`":http"`, "Invalid gateway address"}, {`"a/b:1"`, "Invalid gateway address"}},
	"http_hosts": {{`"http://node0"`, "http_hosts: 'http://node0' is no name"}, {`["node0:8080"]`, "is no name of a host"}, {`1`, "key 'http_hosts'"}},
	"http_tls":   {{`1`, "key 'http_tls'"}, {`true`, "rpc_tls and http_tls need tls"}},
	"live_nodes": {{`"x"`, "key 'live_nodes'"}, {`[""]`, "no file is named"}, {`["nginx:x"]`, "needs the port"}, {`["x", "x"]`, "is named twice"}, {`["/nosuch/dir/x"]`, "there is no directory /nosuch/dir"},
		{`[{"file": "x", "nosuch": 1}]`, "invalid keys: live_nodes[0].nosuch"}, {`[{"format": "xml"}]`, "no such format"}, {`["file=x,port=y"]`, "key 'live_nodes[0]'"}},
	"tokens": {{`"x"`, "key 'tokens'"}, {`[{"nosuch": 1}]`, "invalid keys: tokens[0].nosuch"}, {`[{"name": "a", "secret": "short", "verbs": "read"}]`, "tokens[0]: its secret is shorter than 16 bytes"},
		{`[{"secret": "0123456789abcdef", "verbs": "read"}]`, "tokens[0]: it has no name"}, {`[{"name": "a", "secret": "0123456789abcdef"}]`, "tokens[0]: it has no verbs"},
		{`[{"name": "a", "verbs": "read"}]`, "tokens[0]: it has neither a secret nor a cert"}, {`[{"name": "a", "secret": "0123456789abcdef", "verbs": ["write"]}]`, "tokens[0]: verbs: 'write' is none of"},
		{`[{"name": "a", "secret_file": "/nosuch/file", "verbs": "read"}]`, "tokens[0]: open /nosuch/file"}, {`[{"name": "a", "secret_file": "/dev/null", "verbs": "read"}]`, "/dev/null is empty"},
		{`[{"name": "a", "secret_file": "/dev/null", "secret": "0123456789abcdef", "verbs": "read"}]`, "a secret and a secret_file"},
		{`[{"name": "a", "cert": "x", "verbs": "read"}]`, "tls needs client_ca_file"}},
	"anonymous":          {{`5`, "key 'anonymous'"}, {`["all"]`, "anonymous: 'all' is none of"}},
	"tls":                {{`"x"`, "key 'tls'"}, {`{"cert": "x"}`, "invalid keys: tls.cert"}, {`{}`, "tls needs cert_file and key_file"}, {`{"cert_file": "/nosuch", "key_file": "/nosuch"}`, "tls: open /nosuch"}},
	"rpc_tls":            {{`1`, "key 'rpc_tls'"}, {`true`, "rpc_tls and http_tls need tls"}},
	"socket_mode":        {{`660`, "key 'socket_mode'"}, {`"rw"`, "socket_mode: 'rw'"}, {`"7777"`, "mode 7777"}, {`"0888"`, "socket_mode: '0888'"}},
	"socket_owner":       {{`"no-such-user-here"`, "no user 'no-such-user-here'"}, {`":no-such-group-here"`, "no group 'no-such-group-here'"}, {`1`, "key 'socket_owner'"}},
	"addr_file":          {{`1`, "key 'addr_file'"}},
	"log_format":         {{`"xml"`, "Invalid log format: 'xml'"}, {`1`, "key 'log_format'"}},
	"log_file":           {{`1`, "key 'log_file'"}},
	"log_file_max_mb":    {{`-1`, "log_file_max_mb is -1"}, {`5`, "log_file_max_mb needs log_file"}, {`"x"`, "key 'log_file_max_mb'"}},
	"log_file_max_files": {{`-1`, "log_file_max_files is -1"}, {`"x"`, "key 'log_file_max_files'"}},
	"log_file_max_days":  {{`-1`, "log_file_max_days is -1"}, {`"x"`, "key 'log_file_max_days'"}},
	"tuning": {{`"x"`, "key 'tuning'"}, {`{"nosuch": 1}`, "invalid keys: tuning.nosuch"}, {`{"probe_interval": "soon"}`, "key 'tuning.probe_interval'"},
		{`{"probe_interval": "1us"}`, "tuning: probe_interval is 1µs"}, {`{"gossip_nodes": -1}`, "tuning: gossip_nodes is -1"},
		{`{"packet_size": 100}`, "tuning: packet_size is 100"}, {`{"event_buffer": 1000000}`, "tuning: event_buffer is 1000000"},
		{`{"probe_timeout": "2s"}`, "probe_timeout is 2s: it has to be less than probe_interval"}},
	"detect_within":           {{`"10ms"`, "'detect_within' is 10ms"}, {`"-1s"`, "'detect_within' is -1s"}, {`1`, "key 'detect_within'"}},
	"plain":                   {{`1`, "key 'plain'"}},
	"profile":                 {{`"moon"`, "Unknown profile: moon"}},
	"leave_on_terminate":      {{`"no"`, "key 'leave_on_terminate'"}},
	"skip_leave_on_interrupt": {{`0`, "key 'skip_leave_on_interrupt'"}},
	"reconnect_interval":      {{`"-1s"`, "reconnect interval is negative"}, {`"x"`, "key 'reconnect_interval'"}},
	"reconnect_timeout":       {{`"-1s"`, "reconnect timeout is negative"}, {`"x"`, "key 'reconnect_timeout'"}},
	"tombstone_timeout":       {{`"-1s"`, "tombstone timeout is negative"}, {`"x"`, "key 'tombstone_timeout'"}},
	"broadcast_timeout":       {{`"-1s"`, "broadcast timeout is negative"}, {`"x"`, "key 'broadcast_timeout'"}},
	"coalesce_period":         {{`"x"`, "key 'coalesce_period'"}},
	"quiescent_period":        {{`"-1s"`, "quiescent period is negative"}, {`"x"`, "key 'quiescent_period'"}},
	"disable_name_resolution": {{`1`, "key 'disable_name_resolution'"}},
	"validate_node_names":     {{`"x"`, "key 'validate_node_names'"}, {`true, "node_name": "a b"`, "Node name 'a b' is not valid"}},
	"enable_compression":      {{`1`, "key 'enable_compression'"}},
	"snapshot_path":           {{`1`, "key 'snapshot_path'"}},
	"rejoin_after_leave":      {{`1`, "key 'rejoin_after_leave'"}},
	"encrypt_verify_incoming": {{`1`, "key 'encrypt_verify_incoming'"}},
	"encrypt_verify_outgoing": {{`1`, "key 'encrypt_verify_outgoing'"}},
	"cluster_label":           {{`"` + strings.Repeat("l", 256) + `"`, "label is longer"}},
	"cluster_name":            {{`"` + strings.Repeat("n", 600) + `"`, "Encoded length of tags"}, {`"n", "protocol": 2`, "a cluster name needs protocol 3"}},
	"discover":                {{`1`, "key 'discover'"}, {`"` + strings.Repeat("d", 60) + `"`, "Invalid mDNS discovery name"}, {`"a..b"`, "Invalid mDNS discovery name"}, {`"d", "node_name": "a..b"`, "cannot be announced by mDNS"}},
	"mdns": {{`"eth0"`, "key 'mdns'"}, {`{"iface": "eth0"}`, "invalid keys: mdns.iface"}, {`{"interface": "lo"}`, "mDNS interface specified without enabling mDNS discovery"},
		{`{"disable_ipv4": true, "disable_ipv6": true}, "discover": "d"`, "both IPv4 and IPv6 are disabled"},
		{`{"interface": "nosuch0"}, "discover": "d"`, "Invalid mDNS network interface"}},
	"interface":               {{`"nosuch0"`, "Invalid network interface"}, {`1`, "key 'interface'"}},
	"enable_syslog":           {{`1`, "key 'enable_syslog'"}},
	"syslog_facility":         {{`"LOCAL9"`, "invalid syslog facility: LOCAL9"}},
	"statsite_addr":           {{`"host"`, "Invalid statsite address 'host'"}, {`":8125"`, "Invalid statsite address"}, {`"h:0"`, "Invalid statsite address"}},
	"statsd_addr":             {{`"h:99999"`, "Invalid statsd address 'h:99999'"}, {`"h:port"`, "Invalid statsd address"}},
	"msgpackusenewtimeformat": {{`1`, "key 'MsgpackUseNewTimeFormat'"}},
}

// Every key refuses what it cannot use, in one line that names it or the value.
func TestBadValuesOfEveryKey(t *testing.T) {
	var o Options
	for key := range o.fields() {
		if len(badValues[key]) == 0 {
			t.Errorf("no bad value of %s is tested", key)
		}
	}
	for key, list := range badValues {
		name := key
		if f := fieldName(key); f != "" {
			name = f
		}
		for _, bad := range list {
			text := `{"` + name + `": ` + bad[0] + `}`
			o, err := Decode(strings.NewReader(text))
			if err == nil {
				_, _, err = o.Config()
			}
			if err == nil || !strings.Contains(err.Error(), bad[1]) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%.80s: %v, want one line with %q", text, err, bad[1])
			}
		}
	}
}

// fieldName is the key as Serf writes it.
func fieldName(key string) string {
	for _, name := range Keys() {
		if strings.EqualFold(name, key) {
			return name
		}
	}
	return ""
}

func TestFlagsAndFilesOfMDNSAreUnited(t *testing.T) {
	file, err := Decode(strings.NewReader(`{"discover": "c", "mdns": {"interface": "a", "disable_ipv6": true}}`))
	if err != nil {
		t.Fatal(err)
	}
	all := file.Merge(Options{MDNS: MDNSOptions{Interface: "b"}})
	if all.MDNS != (MDNSOptions{Interface: "b", DisableIPv6: true}) {
		t.Errorf("got %+v", all.MDNS)
	}
	if file.MDNS != (MDNSOptions{Interface: "a", DisableIPv6: true}) {
		t.Errorf("Merge wrote into its receiver: %+v", file.MDNS)
	}
}

// What is often wrong in a file is said in an operator's words: where it is, and the cure.
func TestFaultsOfFiles(t *testing.T) {
	for text, want := range map[string]string{
		"{\n  // a comment\n  \"bind\": \"x\"}":            "line 2, column 3: JSON has no comments",
		"{\"bind\": \"x\", # why\n}":                       "line 1, column 15: JSON has no comments",
		"// a comment\n{}":                                 "JSON has no comments",
		"{\n  \"tags\": {\"a\": \"b\"},\n}":                "line 3, column 1: there is a comma before the closing bracket",
		"{\"start_join\": [\"a\",]}":                       "line 1, column 21: there is a comma before the closing bracket",
		"{\"bind\": 'x'}":                                  "line 1, column 10: texts are in double quotes",
		"{\"bind\": \"x\"":                                 "it ends too early",
		"\xef\xbb\xbf{}":                                   "byte-order mark",
		"node_name: x\nbind: y\n":                          "is it YAML?",
		`["T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="]`: "as a keyring file is",
		"": "it is empty",
		`{"tags": {"port": 8080, "ok": true, "a": "b"}}`:  "key 'tags.port': a text in quotes is wanted, not a JSON number (line 1, column 19)\nkey 'tags.ok': a text in quotes is wanted, not a JSON bool (line 1, column 31)",
		"{\n\n\"retry_interval\": 30}":                    `key 'retry_interval': a time in quotes, like "30s", is wanted, not a JSON number (line 3, column 19)`,
		`{"retry_interval": "5"}`:                         `a time has a unit, like "30s"`,
		`{"protocol": "4"}`:                               "a whole number, without quotes, is wanted, not a JSON string",
		`{"leave_on_terminate": "yes"}`:                   "true or false, without quotes, is wanted, not a JSON string",
		`{"start_join": "a"}`:                             "a list in square brackets is wanted, not a JSON string",
		`{"mdns": {"interface": 1}}`:                      "key 'mdns.interface': a text in quotes is wanted, not a JSON number (line 1, column 24)",
		"{\n\"node_nam\": \"x\", \"nothing_like_it\": 1}": "invalid keys: node_nam (line 2, column 1; did you mean node_name?), nothing_like_it (line 2, column 18)",
		"{\"handlers\": [{\"on\": \"user\", \"run\": \"x\"},\n  {\"on\": \"user\", \"run\": 5, \"timeout\": \"1\"},\n  {\"onn\": \"x\"}]}": `key 'handlers[1].run': a text in quotes is wanted, not a JSON number (line 2, column 25)
key 'handlers[1].timeout': missing unit in duration "1"; a time has a unit, like "30s" (line 2, column 39)
invalid keys: handlers[2].onn (line 3, column 4; did you mean on?)`,
		`{"handlers": [{"on": ["user", 5], "run": "x"}]}`:   "key 'handlers[0].on[1]': a text in quotes is wanted, not a JSON number (line 1, column 31)",
		`{"bind": "x", "protocol": "4", "nonsens": 1}`:      "key 'protocol'",
		"{\"tags\": {\"a\": \"b\"}}\n// after it is nobody": "",
	} {
		_, err := Decode(strings.NewReader(text))
		if want == "" && err == nil {
			continue
		}
		if err == nil || want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n%v, want\n%s", text, err, want)
		}
	}
}

// The faults of all files are said at once.
func TestFaultsOfAllFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.json": `{"bindd": "x"}`, "b.json": `{"protocol": "x", "nonsens": 1}`, "c.json": `{}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read([]string{dir}); err == nil || !strings.Contains(err.Error(), "did you mean bind?") || !strings.Contains(err.Error(), "b.json': key 'protocol'") ||
		!strings.Contains(err.Error(), "b.json': invalid keys: nonsens") {
		t.Error(err)
	}
}

// A handler whose program is not there is warned of; what a shell makes of a line is not guessed at.
func TestHandlersWithoutPrograms(t *testing.T) {
	look := func(name string) (string, error) {
		if name == "act" || name == "/usr/bin/act" {
			return name, nil
		}
		return "", exec.ErrNotFound
	}
	o := Options{EventHandlers: []string{"/no/such", "user=nosuch -x a=b", "act", "*=/usr/bin/act x", "test -e x && act", "$HOME/x", "(nosuch)", "'nosuch'"},
		Handlers: []HandlerOptions{{Run: "act"}, {Run: " nosuch"}, {Run: "if true; then act; fi"}}}
	want := []string{"Warning: event handler '/no/such': there is no program /no/such",
		"Warning: event handler 'nosuch -x a=b': there is no program nosuch",
		"Warning: handlers[1]: there is no program nosuch"}
	if got := o.NoPrograms(look); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
