package settings

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFromEnviron(t *testing.T) {
	got, err := FromEnviron([]string{
		"IBUKI_NODE_NAME=n=1", "IBUKI_PROTOCOL=4", "IBUKI_RETRY_INTERVAL=45s", "IBUKI_ENABLE_COMPRESSION=false",
		"IBUKI_RETRY_JOIN=10.0.0.1:7946", `IBUKI_START_JOIN=["a","b"]`, `IBUKI_TAGS={"role":"web"}`,
		`IBUKI_TUNING={"gossip_nodes":5}`, "IBUKI_BIND=", "IBUKI_NOSUCH=1", "NODE_NAME=x", "IBUKI_LIVE_NODES=haproxy:/x",
	})
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := Options{NodeName: "n=1", Protocol: 4, RetryInterval: Duration(45 * time.Second), EnableCompression: &off,
		RetryJoin: []string{"10.0.0.1:7946"}, StartJoin: []string{"a", "b"}, Tags: map[string]string{"role": "web"},
		Tuning: TuningOptions{GossipNodes: 5}, LiveNodes: got.LiveNodes}
	if !reflect.DeepEqual(got, want) || len(got.LiveNodes) != 1 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Every key has a variable, and a value that is no good is named with it.
func TestEnvOptionsOfEveryKey(t *testing.T) {
	for _, key := range Keys() {
		name := EnvName(key)
		bad := "\x01{"
		_, err := FromEnviron([]string{name + "=" + bad})
		o, ok := Options{}, false
		switch reflect.TypeOf(o.fields()[strings.ToLower(key)]).Elem().Kind() {
		case reflect.String: // any text is one
			ok = err == nil
		case reflect.Slice: // of texts: as well
			ok = err == nil || strings.HasPrefix(err.Error(), "Error in the environment: "+name+": ")
		default:
			ok = err != nil && strings.HasPrefix(err.Error(), "Error in the environment: "+name+": ")
		}
		if !ok {
			t.Errorf("%s=%q: %v", name, bad, err)
		}
	}
}

func TestSaidKeys(t *testing.T) {
	o, err := Decode(strings.NewReader(`{"node_name": "a", "retry_interval": "1m", "tags": {}, "tuning": {"probe_interval": "2s"}, "plain": true}`))
	if err != nil {
		t.Fatal(err)
	}
	said := NonZero(o)
	if got := slices.Sorted(maps.Keys(said)); !slices.Equal(got, []string{"node_name", "plain", "retry_interval", "tuning"}) {
		t.Errorf("said %q", got)
	}
	if said["retry_interval"] != `"1m0s"` {
		t.Errorf("a time is %s", said["retry_interval"])
	}
}

// What tuning says reaches the machine, and each of its keys does.
func TestTuningReachesTheMachine(t *testing.T) {
	var given TuningOptions
	for i := range constants {
		switch v := constants[i].value(&given).(type) {
		case *Duration:
			*v = Duration(time.Duration(i+1) * time.Second)
		case *int:
			*v = max(i+1, constants[i].least)
		case *bool:
			*v = true
		}
	}
	given.ProbeInterval = Duration(time.Minute)
	o := Options{NodeName: "a", Bind: "127.0.0.1", Tuning: TuningOptions{GossipNodes: 1}}.Merge(Options{Tuning: given})
	c, _, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	rows := Explain(c)
	seen := make(map[any]string)
	for i := range constants {
		k := &constants[i]
		got, want := reflect.ValueOf(k.into(&c.Config)).Elem(), reflect.ValueOf(k.value(&given)).Elem()
		if !got.Equal(want.Convert(got.Type())) {
			t.Errorf("%s is %v, want %v", k.key, got, want)
		}
		if other := seen[k.into(&c.Config)]; other != "" {
			t.Errorf("%s and %s are one", k.key, other)
		}
		seen[k.into(&c.Config)] = k.key
		if !k.isSwitch() && !slices.ContainsFunc(rows, func(r []string) bool { return r[0] == k.key && r[2] != "" }) {
			t.Errorf("%s is not explained", k.key)
		}
	}
	// Written and read again they are the same; each key is read into its own field.
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	var again TuningOptions
	if err := json.Unmarshal(text, &again); err != nil || again != given {
		t.Errorf("%s: %+v, %v", text, again, err)
	}
}
