package agent

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEnvOptions(t *testing.T) {
	got, err := EnvOptions([]string{
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
		Tuning: &TuningOptions{GossipNodes: 5}, LiveNodes: got.LiveNodes}
	if !reflect.DeepEqual(got, want) || len(got.LiveNodes) != 1 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Every key has a variable, and a value that is no good is named with it.
func TestEnvOptionsOfEveryKey(t *testing.T) {
	for _, key := range OptionKeys() {
		name := EnvName(key)
		bad := "\x01{"
		_, err := EnvOptions([]string{name + "=" + bad})
		o, ok := Options{}, false
		switch reflect.TypeOf(optionFields(&o)[strings.ToLower(key)]).Elem().Kind() {
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
	o, err := DecodeOptions(strings.NewReader(`{"node_name": "a", "retry_interval": "1m", "tags": {}, "tuning": {"probe_interval": "2s"}, "plain": true}`))
	if err != nil {
		t.Fatal(err)
	}
	said := Said(o)
	if got := slices.Sorted(maps.Keys(said)); !slices.Equal(got, []string{"node_name", "plain", "retry_interval", "tuning"}) {
		t.Errorf("said %q", got)
	}
	if string(said["retry_interval"]) != `"1m0s"` {
		t.Errorf("a time is %s", said["retry_interval"])
	}
}

// What tuning says reaches the machine, and each of its keys does.
func TestTuningReachesTheMachine(t *testing.T) {
	var all TuningOptions
	for i, n := range all.numbers(&all) {
		v := int64(i + 1)
		if !isCount[n.key] {
			v = int64(time.Duration(i+1) * time.Second)
		}
		if n.key == "packet_size" {
			v = 1500
		}
		n.set(v)
	}
	all.ProbeInterval = Duration(time.Minute)
	o := Options{NodeName: "a", Bind: "127.0.0.1", Tuning: (&TuningOptions{NoStreamPing: true}).merge(&all)}
	c, _, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	s := c.serfConfig(c.Bind, 0)
	values := []int64{int64(s.Swim.ProbeInterval), int64(s.Swim.ProbeTimeout), int64(s.Swim.IndirectChecks), int64(s.Swim.SuspicionMult),
		int64(s.Swim.SuspicionMaxMult), int64(s.Swim.AwarenessMax), int64(s.Swim.GossipInterval), int64(s.Swim.GossipNodes),
		int64(s.Swim.GossipToTheDead), int64(s.Swim.RetransmitMult), int64(s.Swim.PushPullInterval), int64(s.Swim.StreamTimeout),
		int64(s.Swim.PacketSize), int64(s.ReapInterval), int64(s.RecentIntentTimeout), int64(s.FlapTimeout), int64(s.LeavePropagateDelay),
		int64(s.EventBuffer), int64(s.QueryBuffer), int64(s.QueryTimeoutMult), int64(s.MaxQueueDepth), int64(s.QueueDepthWarning)}
	for i, n := range all.numbers(&all) {
		if values[i] != n.value {
			t.Errorf("%s is %d, want %d", n.key, values[i], n.value)
		}
	}
	if !s.Swim.NoStreamPing {
		t.Error("no_tcp_pings is lost in a merge")
	}
	rows := Explain(c)
	for _, n := range all.numbers(&all) {
		if !slices.ContainsFunc(rows, func(r []string) bool { return r[0] == n.key && r[2] != "" }) {
			t.Errorf("%s is not explained", n.key)
		}
	}
}
