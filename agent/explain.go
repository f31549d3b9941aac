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
	add("probe_timeout", s.ProbeTimeout, "So long a ping may take before others are asked to try.")
	add("indirect_checks", s.IndirectChecks, "So many others are asked.")
	add("suspicion_mult", s.SuspicionMult, "Longer: fewer false alarms, later failures (of plain members).")
	add("suspicion_max_mult", s.SuspicionMaxMult, "A suspicion that nobody confirms lasts so many times longer.")
	add("awareness_max", s.AwarenessMax, "A node that is unwell waits up to so many times longer.")
	add("gossip_interval", s.GossipInterval, "How often news is passed on to plain members, and repaired among natives.")
	add("gossip_nodes", s.GossipNodes, "To so many members at a time.")
	add("gossip_to_the_dead", s.GossipToTheDead, "So long the dead are told that they are held to be so.")
	add("retransmit_mult", s.RetransmitMult, "News is sent so many times the logarithm of the cluster's size.")
	add("push_pull_interval", s.PushPullInterval, "How often two nodes compare all that they know; less often beyond 32 nodes.")
	add("stream_timeout", s.StreamTimeout, "So long that may take.")
	add("packet_size", s.PacketSize, "Bytes of a packet; it has to fit the network's.")
	l := c.serfConfig(c.Bind, 0).WithDefaults()
	add("reap_interval", l.ReapInterval, "How often members are looked through for those to forget.")
	add("recent_intent_timeout", l.RecentIntentTimeout, "So long what is said of a member that is not known yet is kept.")
	add("flap_timeout", l.FlapTimeout, "Who fails and is back within this time flaps.")
	add("leave_propagate_delay", l.LeavePropagateDelay, "So long a node that left stays at most to pass it on: until all natives have answered, if there are no others.")
	add("event_buffer", l.EventBuffer, "So many user events are remembered, against doubles and for those who join.")
	add("query_buffer", l.QueryBuffer, "The same of queries.")
	add("query_timeout_mult", l.QueryTimeoutMult, "A query waits so many gossip intervals times the logarithm of the cluster's size.")
	add("max_queue_depth", l.MaxQueueDepth, "So many messages wait at most in each queue; the oldest are dropped.")
	add("queue_depth_warning", l.QueueDepthWarning, "From so many on it is said.")
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
	plain := fmt.Sprintf("plain: found after about %v, at most %v later if nobody confirms",
		(first + least).Round(100*time.Millisecond), (time.Duration(s.SuspicionMaxMult-1) * least).Round(100*time.Millisecond))
	if s.Plain {
		return plain
	}
	return fmt.Sprintf("a pause of %v is not reported; %s", s.Patience().Round(time.Millisecond), plain)
}
