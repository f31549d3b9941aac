package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

// TuningOptions are the constants of the protocol. What is not said is the profile's
// or Serf's. All nodes of a cluster should have the same.
type TuningOptions struct {
	ProbeInterval    Duration `json:"probe_interval"`
	ProbeTimeout     Duration `json:"probe_timeout"`
	IndirectChecks   int      `json:"indirect_checks"`
	NoStreamPing     bool     `json:"no_tcp_pings"`
	SuspicionMult    int      `json:"suspicion_mult"`
	SuspicionMaxMult int      `json:"suspicion_max_mult"`
	AwarenessMax     int      `json:"awareness_max"`
	GossipInterval   Duration `json:"gossip_interval"`
	GossipNodes      int      `json:"gossip_nodes"`
	GossipToTheDead  Duration `json:"gossip_to_the_dead"`
	RetransmitMult   int      `json:"retransmit_mult"`
	PushPullInterval Duration `json:"push_pull_interval"`
	StreamTimeout    Duration `json:"stream_timeout"`
	PacketSize       int      `json:"packet_size"`

	ReapInterval        Duration `json:"reap_interval"`
	RecentIntentTimeout Duration `json:"recent_intent_timeout"`
	FlapTimeout         Duration `json:"flap_timeout"`
	LeavePropagateDelay Duration `json:"leave_propagate_delay"`
	EventBuffer         int      `json:"event_buffer"`
	QueryBuffer         int      `json:"query_buffer"`
	QueryTimeoutMult    int      `json:"query_timeout_mult"`
	MaxQueueDepth       int      `json:"max_queue_depth"`
	QueueDepthWarning   int      `json:"queue_depth_warning"`
}

// UnmarshalJSON refuses keys that do not exist, by name.
func (t *TuningOptions) UnmarshalJSON(b []byte) error {
	type plain TuningOptions
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(t))
}

// merge lets other, which counts more, override t.
func (t *TuningOptions) merge(other *TuningOptions) *TuningOptions {
	if t == nil || other == nil {
		if t == nil {
			return other
		}
		return t
	}
	both := *t
	for _, n := range both.numbers(other) {
		if n.other != 0 {
			n.set(n.other)
		}
	}
	both.NoStreamPing = both.NoStreamPing || other.NoStreamPing
	return &both
}

// tuningNumber is one of the numbers and times, with that of another value.
type tuningNumber struct {
	key   string
	value int64
	other int64
	set   func(int64)
}

// numbers are all numbers and times of t, with those of other.
func (t *TuningOptions) numbers(other *TuningOptions) []tuningNumber {
	count := func(key string, to *int, o int) tuningNumber {
		return tuningNumber{key, int64(*to), int64(o), func(v int64) { *to = int(v) }}
	}
	span := func(key string, to *Duration, o Duration) tuningNumber {
		return tuningNumber{key, int64(*to), int64(o), func(v int64) { *to = Duration(v) }}
	}
	return []tuningNumber{
		span("probe_interval", &t.ProbeInterval, other.ProbeInterval),
		span("probe_timeout", &t.ProbeTimeout, other.ProbeTimeout),
		count("indirect_checks", &t.IndirectChecks, other.IndirectChecks),
		count("suspicion_mult", &t.SuspicionMult, other.SuspicionMult),
		count("suspicion_max_mult", &t.SuspicionMaxMult, other.SuspicionMaxMult),
		count("awareness_max", &t.AwarenessMax, other.AwarenessMax),
		span("gossip_interval", &t.GossipInterval, other.GossipInterval),
		count("gossip_nodes", &t.GossipNodes, other.GossipNodes),
		span("gossip_to_the_dead", &t.GossipToTheDead, other.GossipToTheDead),
		count("retransmit_mult", &t.RetransmitMult, other.RetransmitMult),
		span("push_pull_interval", &t.PushPullInterval, other.PushPullInterval),
		span("stream_timeout", &t.StreamTimeout, other.StreamTimeout),
		count("packet_size", &t.PacketSize, other.PacketSize),
		span("reap_interval", &t.ReapInterval, other.ReapInterval),
		span("recent_intent_timeout", &t.RecentIntentTimeout, other.RecentIntentTimeout),
		span("flap_timeout", &t.FlapTimeout, other.FlapTimeout),
		span("leave_propagate_delay", &t.LeavePropagateDelay, other.LeavePropagateDelay),
		count("event_buffer", &t.EventBuffer, other.EventBuffer),
		count("query_buffer", &t.QueryBuffer, other.QueryBuffer),
		count("query_timeout_mult", &t.QueryTimeoutMult, other.QueryTimeoutMult),
		count("max_queue_depth", &t.MaxQueueDepth, other.MaxQueueDepth),
		count("queue_depth_warning", &t.QueueDepthWarning, other.QueueDepthWarning),
	}
}

// The bounds of what a user may set: beyond them are slips, not wishes.
const (
	tuningTimeMin = time.Millisecond
	tuningTimeMax = 7 * 24 * time.Hour
	tuningCount   = 1 << 16
)

// tune puts what was said into the settings of the machine.
func (o *Options) tune(c *Config) error {
	t := o.Tuning
	if t == nil {
		return nil
	}
	var faults []error
	for _, n := range t.numbers(t) {
		if err := n.check(); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	t.swim(&c.Swim)
	c.Tuning = Tuning{
		ReapInterval: time.Duration(t.ReapInterval), RecentIntentTimeout: time.Duration(t.RecentIntentTimeout),
		FlapTimeout: time.Duration(t.FlapTimeout), LeavePropagateDelay: time.Duration(t.LeavePropagateDelay),
		EventBuffer: t.EventBuffer, QueryBuffer: t.QueryBuffer, QueryTimeoutMult: t.QueryTimeoutMult,
		MaxQueueDepth: t.MaxQueueDepth, QueueDepthWarning: t.QueueDepthWarning,
	}
	if c.Swim.ProbeTimeout >= c.Swim.ProbeInterval {
		return fmt.Errorf("tuning: probe_timeout is %v: it has to be less than probe_interval, %v", c.Swim.ProbeTimeout, c.Swim.ProbeInterval)
	}
	return nil
}

func (n *tuningNumber) check() error {
	if n.value == 0 {
		return nil
	}
	isTime := !isCount[n.key]
	d := time.Duration(n.value)
	switch {
	case isTime && (d < tuningTimeMin || d > tuningTimeMax):
		return fmt.Errorf("tuning: %s is %v: it has to be within %v and %v", n.key, d, tuningTimeMin, tuningTimeMax)
	case isTime:
		return nil
	case n.key == "packet_size" && (n.value < swim.MinPacketSize+packetOverhead || n.value > swim.MaxPacketSize):
		return fmt.Errorf("tuning: packet_size is %d: it has to be within %d and %d", n.value, swim.MinPacketSize+packetOverhead, swim.MaxPacketSize)
	case n.value < 0 || n.value > tuningCount:
		return fmt.Errorf("tuning: %s is %d: it has to be within 1 and %d", n.key, n.value, tuningCount)
	}
	return nil
}

// packetOverhead is what framing may take of a packet, in bytes: label, encryption.
const packetOverhead = 2 + 255 + 64

// isCount are the numbers that are no times.
var isCount = map[string]bool{
	"indirect_checks": true, "suspicion_mult": true, "suspicion_max_mult": true, "awareness_max": true, "gossip_nodes": true,
	"retransmit_mult": true, "packet_size": true, "event_buffer": true, "query_buffer": true, "query_timeout_mult": true,
	"max_queue_depth": true, "queue_depth_warning": true,
}

// swim overrides what the profile says.
func (t *TuningOptions) swim(c *swim.Config) {
	c.NoStreamPing = c.NoStreamPing || t.NoStreamPing
	override(&c.ProbeInterval, time.Duration(t.ProbeInterval))
	override(&c.ProbeTimeout, time.Duration(t.ProbeTimeout))
	override(&c.IndirectChecks, t.IndirectChecks)
	override(&c.SuspicionMult, t.SuspicionMult)
	override(&c.SuspicionMaxMult, t.SuspicionMaxMult)
	override(&c.AwarenessMax, t.AwarenessMax)
	override(&c.GossipInterval, time.Duration(t.GossipInterval))
	override(&c.GossipNodes, t.GossipNodes)
	override(&c.GossipToTheDead, time.Duration(t.GossipToTheDead))
	override(&c.RetransmitMult, t.RetransmitMult)
	override(&c.PushPullInterval, time.Duration(t.PushPullInterval))
	override(&c.StreamTimeout, time.Duration(t.StreamTimeout))
	override(&c.PacketSize, t.PacketSize)
}

// Tuning are the constants of Serf's layer that users may set. Zero means Serf's.
type Tuning struct {
	ReapInterval, RecentIntentTimeout, FlapTimeout, LeavePropagateDelay          time.Duration
	EventBuffer, QueryBuffer, QueryTimeoutMult, MaxQueueDepth, QueueDepthWarning int
}

// serf fills the machine's settings.
func (t *Tuning) serf(c *serf.Config) {
	c.ReapInterval, c.RecentIntentTimeout, c.FlapTimeout = t.ReapInterval, t.RecentIntentTimeout, t.FlapTimeout
	c.LeavePropagateDelay = t.LeavePropagateDelay
	c.EventBuffer, c.QueryBuffer, c.QueryTimeoutMult = t.EventBuffer, t.QueryBuffer, t.QueryTimeoutMult
	c.MaxQueueDepth, c.QueueDepthWarning = t.MaxQueueDepth, t.QueueDepthWarning
}
