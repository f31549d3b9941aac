package settings

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

func TestDecode(t *testing.T) {
	o, err := Decode(strings.NewReader(`{"node_name": "n", "Bind": "127.0.0.1:1", "tags": {"a": "b"}, "protocol": 4,
		"retry_interval": "15s", "event_handlers": ["x"], "leave_on_terminate": true, "enable_compression": false}`))
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := Options{NodeName: "n", Bind: "127.0.0.1:1", Tags: map[string]string{"a": "b"}, Protocol: 4,
		RetryInterval: Duration(15 * time.Second), EventHandlers: []string{"x"}, LeaveOnTerm: true, EnableCompression: &off}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v", o)
	}
	for in, want := range map[string]string{
		`{"nonsense": 1, "bind": "x", "other": 2}`:  "invalid keys: nonsense (line 1, column 2), other (line 1, column 30)",
		`{"protocol": "x"}`:                         "key 'protocol'",
		`{"retry_interval": "5 parsecs"}`:           "key 'retry_interval'",
		`{"retry_interval": "x", "no_such_key": 1}`: "no_such_key",
		`[]`: "array",
		`{`:  "ends too early",
	} {
		if _, err := Decode(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// Every key of Serf's agent is known, whether or not it does something here.
func TestAllKeysOfSerfAreKnown(t *testing.T) {
	var o Options
	known := o.fields()
	for _, key := range strings.Fields(`node_name role disable_coordinates tags tags_file bind advertise encrypt_key
		keyring_file log_level rpc_addr rpc_auth protocol replay_on_join query_response_size_limit query_size_limit
		user_event_size_limit start_join event_handlers profile snapshot_path leave_on_terminate skip_leave_on_interrupt
		discover mdns interface reconnect_interval reconnect_timeout tombstone_timeout disable_name_resolution
		enable_syslog syslog_facility retry_join retry_max_attempts retry_interval rejoin_after_leave enable_compression
		statsite_addr statsd_addr broadcast_timeout validate_node_names msgpackusenewtimeformat`) {
		if known[key] == nil {
			t.Errorf("%s is unknown", key)
		}
		delete(known, key)
	}
	for _, ours := range []string{"encrypt_verify_incoming", "encrypt_verify_outgoing", "cluster_label", "cluster_name", "handlers", "live_nodes", "http", "http_tls", "http_hosts", "gateway_status", "tokens", "anonymous", "tls", "rpc_tls", "socket_mode", "socket_owner", "addr_file",
		"coalesce_period", "quiescent_period", "detect_within", "plain",
		"log_file", "log_file_max_mb", "log_file_max_files", "log_file_max_days", "log_format", "tuning"} {
		delete(known, ours)
	}
	for key := range known {
		t.Errorf("%s is no key of Serf's", key)
	}
}

func TestReadOptionsLaterCountsMore(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.json": `{"node_name": "b", "tags": {"x": "2", "y": "2"}, "start_join": ["two"]}`,
		"a.json": `{"node_name": "a", "rpc_auth": "k", "tags": {"x": "1", "z": "1"}, "start_join": ["one"]}`,
		"c.conf": `not json`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(t.TempDir(), "last")
	if err := os.WriteFile(last, []byte(`{"node_name": "c"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := Read([]string{dir, last})
	if err != nil {
		t.Fatal(err)
	}
	want := Options{NodeName: "c", RPCAuth: "k", Tags: map[string]string{"x": "2", "y": "2", "z": "1"}, StartJoin: []string{"one", "two"}}
	o.RetryJoin, o.EventHandlers = nil, nil
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v", o)
	}
	if _, err := Read([]string{filepath.Join(dir, "nosuch")}); err == nil || !strings.HasPrefix(err.Error(), "Error reading '") {
		t.Errorf("a file that does not exist: %v", err)
	}
	if _, err := Read([]string{filepath.Join(dir, "c.conf")}); err == nil || !strings.HasPrefix(err.Error(), "Error decoding '") {
		t.Errorf("a file that is not JSON: %v", err)
	}
}

func TestMergeCoversEveryField(t *testing.T) {
	var full Options
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(5)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]string{"x": "y"}))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Struct:
			f.Set(reflect.ValueOf(map[reflect.Type]any{
				reflect.TypeFor[MDNSOptions]():   MDNSOptions{Interface: "x", DisableIPv4: true},
				reflect.TypeFor[TLSOptions]():    TLSOptions{CertFile: "x", Given: true},
				reflect.TypeFor[TuningOptions](): TuningOptions{GossipNodes: 5},
			}[f.Type()]))
		}
	}
	if got := (Options{}).Merge(full); !reflect.DeepEqual(got, full) {
		t.Errorf("empty.Merge(full): %+v", got)
	}
	if got := full.Merge(Options{}); !reflect.DeepEqual(got, full) {
		t.Errorf("full.Merge(empty): %+v", got)
	}
}

func TestOptionsConfig(t *testing.T) {
	o := Options{NodeName: "n", Bind: "127.0.0.1", Role: "web", Profile: "wan", Tags: map[string]string{"b": "2", "a": "1"},
		RetryInterval: Duration(time.Millisecond), EncryptKey: "AAAAAAAAAAAAAAAAAAAAAA==", LogLevel: "warn"}
	c, warnings, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Bind != netip.MustParseAddrPort("127.0.0.1:7946") || c.RPCAddr != "127.0.0.1:7373" || c.RetryInterval != time.Second ||
		!reflect.DeepEqual(c.Swim, swim.WAN()) || len(c.Keys) != 1 || c.LogLevel != logging.LevelWarn {
		t.Errorf("got %+v", c)
	}
	if want := []wire.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}, {Key: "role", Value: "web"}}; !reflect.DeepEqual(c.Tags, want) {
		t.Errorf("tags: %v", c.Tags)
	}
	if len(warnings) != 2 {
		t.Errorf("warnings: %q", warnings)
	}
	if _, ok := o.Tags["role"]; ok {
		t.Error("Config wrote into its receiver's tags")
	}
}

// All faults at once, each in one line.
func TestOptionsFaults(t *testing.T) {
	_, _, err := Options{
		Bind: "nonsense:x", Profile: "moon", LogLevel: "loud", Protocol: 9, EncryptKey: "!", EventHandlers: []string{"x:y=z"},
		SnapshotPath: "s", Discover: "d", RetryMaxAttempts: -1, UserEventSizeLimit: 10000, Tags: map[string]string{"a": "b"}, TagsFile: "f",
		NodeName: "a b", ValidateNodeNames: true,
	}.Config()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Invalid bind address", "Unknown profile: moon", "Invalid log level: LOUD", "Protocol version '9'", "Invalid encryption key",
		"Invalid event script", "retry limit is negative", "user event size limit exceeds",
		"Tags config not allowed", "Node name 'a b' is not valid",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
}

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:7946", "10.0.0.1:5": "10.0.0.1:5", "::1": "[::1]:7946", "[::1]": "[::1]:7946",
		"[::1]:0": "[::1]:0", ":5": "0.0.0.0:5", "0.0.0.0": "0.0.0.0:7946",
	} {
		got, err := parseAddr(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "10.0.0.1:x", "10.0.0.1:99999", "1:2:3:x"} {
		if got, err := parseAddr(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestParseTags(t *testing.T) {
	tags, err := ParseTags([]string{"a:b/c=1=2", "d="})
	if err != nil || tags["a:b/c"] != "1=2" || len(tags) != 2 {
		t.Errorf("%v, %v", tags, err)
	}
	for _, bad := range []string{"x", "=x", ""} {
		if _, err := ParseTags([]string{bad}); err == nil || err.Error() != "Invalid tag: '"+bad+"'" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLiveNodesOptions(t *testing.T) {
	o, err := Decode(strings.NewReader(`{"live_nodes": ["a.json", "cluster-state:b.json", {"file": "c.cfg", "format": "nginx", "port": 80, "run": "true"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := o.Config()
	if err != nil || len(c.LiveNodes) != 3 || c.LiveNodes[2].Port != 80 || c.LiveNodes[1].Format != "cluster-state" {
		t.Errorf("%+v, %v", c.LiveNodes, err)
	}
	for text, fault := range map[string]string{
		`["a.json", "./a.json"]`: "is named twice", `[{"file": "x", "format": "xml"}]`: "no such format", `["nginx:x"]`: "needs the port",
	} {
		o, err := Decode(strings.NewReader(`{"live_nodes": ` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.Config(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v, want %q", text, err, fault)
		}
	}
}

func TestNeedRestart(t *testing.T) {
	off := false
	o := Options{Bind: "a", LogLevel: "info", StartJoin: []string{}, Tags: map[string]string{"a": "b"}, EnableCompression: &off}
	same := false
	other := Options{Bind: "a", LogLevel: "debug", Tags: map[string]string{"c": "d"}, EnableCompression: &same, LeaveOnTerm: true}
	if keys := o.NeedRestart(other); keys != nil {
		t.Errorf("got %q", keys)
	}
	other.Bind, other.StartJoin, other.MDNS = "b", []string{"x"}, MDNSOptions{DisableIPv4: true}
	if keys := o.NeedRestart(other); !slices.Equal(keys, []string{"bind", "start_join", "mdns"}) {
		t.Errorf("got %q", keys)
	}
}

func TestSnapshotOptions(t *testing.T) {
	c, warnings, err := Options{NodeName: "a", SnapshotPath: "s", StartJoin: []string{"j"}, RetryJoin: []string{"r"}}.Config()
	if err != nil || len(warnings) > 0 || c.SnapshotPath != "s" || c.RejoinAfterLeave || !slices.Equal(c.Seeds, []string{"j", "r"}) {
		t.Errorf("%+v, %q, %v", c, warnings, err)
	}
	c, warnings, err = Options{NodeName: "a", RejoinAfterLeave: true}.Config()
	if err != nil || !c.RejoinAfterLeave || !slices.Equal(warnings, []string{"Warning: 'RejoinAfterLeave' enabled without snapshot file"}) {
		t.Errorf("%q, %v", warnings, err)
	}
}
