package agent

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// OptionKeys are the names of all keys, in the order of Options.
func OptionKeys() []string {
	t := reflect.TypeFor[Options]()
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("json")
	}
	return keys
}

// Said are the keys of o that were said, with their values in JSON.
func Said(o Options) map[string]json.RawMessage {
	v := reflect.ValueOf(o)
	said := make(map[string]json.RawMessage)
	for i, key := range OptionKeys() {
		f := v.Field(i)
		if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 || f.Kind() == reflect.Map && f.Len() == 0 {
			continue
		}
		value, err := json.Marshal(f.Interface())
		if err != nil {
			value = json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(f.Interface())))
		}
		said[key] = value
	}
	return said
}

// MarshalText writes what Set reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// explainSizes are the sizes of clusters that Explain calculates for.
var explainSizes = []int{3, 32, 1000, 10000}

// Explain says what the settings come to: rows of a constant's key in tuning, its
// value, and its effect; then of what the cluster will do at some sizes.
func Explain(c Config) [][]string {
	s := c.Swim
	rows := [][]string{{"CONSTANT", "VALUE", "EFFECT"}}
	add := func(key string, value any, effect string) {
		rows = append(rows, []string{key, fmt.Sprint(value), effect})
	}
	add("probe_interval", s.ProbeInterval, "Each node probes one member, in turn, this often.")
	add("probe_timeout", s.ProbeTimeout, "A ping without an answer for this long is repeated through other members.")
	add("indirect_checks", s.IndirectChecks, "How many other members are asked to ping it.")
	add("suspicion_mult", s.SuspicionMult, "A larger value means fewer false alarms and later failure reports (of plain members).")
	add("suspicion_max_mult", s.SuspicionMaxMult, "How many times longer a suspicion lasts that no other member confirms.")
	add("awareness_max", s.AwarenessMax, "How many times longer a node waits at most that is overloaded itself.")
	add("gossip_interval", s.GossipInterval, "How often updates are gossiped to plain members, and repaired among natives.")
	add("gossip_nodes", s.GossipNodes, "To how many members at a time.")
	add("gossip_to_the_dead", s.GossipToTheDead, "How long a dead member still gets the gossip, so that it can refute.")
	add("retransmit_mult", s.RetransmitMult, "An update is sent this many times the logarithm of the cluster's size.")
	add("push_pull_interval", s.PushPullInterval, "How often two nodes exchange their full state (push/pull); less often beyond 32 nodes.")
	add("stream_timeout", s.StreamTimeout, "How long such an exchange may take.")
	add("packet_size", s.PacketSize, "The size of a packet in bytes; it must fit the network's MTU.")
	l := c.serfConfig(c.Bind, 0).WithDefaults()
	add("reap_interval", l.ReapInterval, "How often the list is searched for members to remove.")
	add("recent_intent_timeout", l.RecentIntentTimeout, "How long an intent about an unknown member is kept.")
	add("flap_timeout", l.FlapTimeout, "A member that fails and returns within this time flaps.")
	add("leave_propagate_delay", l.LeavePropagateDelay, "How long a leaving node stays at most to spread its leave; if all members are natives, until all have acknowledged it.")
	add("event_buffer", l.EventBuffer, "How many user events are remembered, to drop duplicates and for nodes that join.")
	add("query_buffer", l.QueryBuffer, "The same for queries.")
	add("query_timeout_mult", l.QueryTimeoutMult, "A query waits this many gossip intervals times the logarithm of the cluster's size.")
	add("max_queue_depth", l.MaxQueueDepth, "How many messages wait at most in each queue; the oldest are dropped.")
	add("queue_depth_warning", l.QueueDepthWarning, "The queue length from which the agent logs a warning.")
	for _, n := range explainSizes {
		add(fmt.Sprintf("%d nodes", n), "", explainAt(&s, n))
	}
	return rows
}

// explainAt is when a cluster of n finds a failure, as the papers of SWIM and Lifeguard
// and the native rules have it.
func explainAt(s *swim.Config, n int) string {
	scale := math.Max(1, math.Log10(float64(n)))
	least := time.Duration(float64(s.SuspicionMult) * scale * float64(s.ProbeInterval))
	first := time.Duration(1.58 * float64(s.ProbeInterval))
	plain := fmt.Sprintf("plain: detected after about %v, at most %v later if no member confirms",
		(first + least).Round(100*time.Millisecond), (time.Duration(s.SuspicionMaxMult-1) * least).Round(100*time.Millisecond))
	if s.Plain {
		return plain
	}
	return fmt.Sprintf("a pause of %v is not reported; %s", s.Patience().Round(time.Millisecond), plain)
}
