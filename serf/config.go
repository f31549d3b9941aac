package serf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// Serf's protocol versions: what this implementation understands.
const (
	ProtocolMin = 2
	ProtocolMax = 5
)

// Bounds that are not settings.
const (
	// maxUserEvent is the most that name and payload of a user event may have,
	// whatever is configured: Serf's own bound. A received one beyond it cannot
	// be from a Serf node and is dropped.
	maxUserEvent = 9 * 1024
	// maxQueryTimeout bounds how long a query is kept for its answer.
	maxQueryTimeout = 24 * time.Hour
)

// WithDefaults returns cfg with zero fields filled in and slices of its own.
func (cfg Config) WithDefaults() Config {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&cfg.ReconnectInterval, 30*time.Second)
	or(&cfg.ReconnectTimeout, 24*time.Hour)
	or(&cfg.TombstoneTimeout, 24*time.Hour)
	or(&cfg.ReapInterval, 15*time.Second)
	or(&cfg.RecentIntentTimeout, 5*time.Minute)
	or(&cfg.FlapTimeout, 60*time.Second)
	or(&cfg.BroadcastTimeout, 5*time.Second)
	or(&cfg.LeavePropagateDelay, time.Second)
	or(&cfg.QueueCheckInterval, 30*time.Second)

	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	num(&cfg.EventBuffer, 512)
	num(&cfg.QueryBuffer, 512)
	num(&cfg.QueryTimeoutMult, 16)
	num(&cfg.QuerySizeLimit, 1024)
	num(&cfg.QueryResponseSizeLimit, 1024)
	num(&cfg.UserEventSizeLimit, 512)
	num(&cfg.MaxQueueDepth, 4096)
	num(&cfg.QueueDepthWarning, 128)
	num(&cfg.Swim.GossipNodes, 3)
	num(&cfg.Swim.RetransmitMult, 4)
	num(&cfg.Swim.PacketSize, 1400)
	or(&cfg.Swim.GossipInterval, 200*time.Millisecond)

	if cfg.Protocol == 0 {
		cfg.Protocol = ProtocolMax
	}
	cfg.Tags = sortedTags(cfg.Tags)
	return cfg
}

// validate returns all faults at once. Texts that Serf has are Serf's.
func (cfg *Config) validate() error {
	var faults []error
	if cfg.Swim.Name == "" {
		faults = append(faults, errors.New("serf: no node name"))
	}
	if cfg.Protocol < ProtocolMin {
		faults = append(faults, fmt.Errorf("Protocol version '%d' too low. Must be in range: [%d, %d]",
			cfg.Protocol, ProtocolMin, ProtocolMax))
	}
	if cfg.Protocol > ProtocolMax {
		faults = append(faults, fmt.Errorf("Protocol version '%d' too high. Must be in range: [%d, %d]",
			cfg.Protocol, ProtocolMin, ProtocolMax))
	}
	if cfg.UserEventSizeLimit > maxUserEvent {
		faults = append(faults, fmt.Errorf("user event size limit exceeds limit of %d bytes", maxUserEvent))
	}
	if len(encodeTags(cfg.Protocol, withOwn(cfg.Tags, cfg.Swim.Cluster, 0))) > wire.MetaMax {
		faults = append(faults, ErrTagsTooLong)
	}
	if cfg.Swim.Cluster != "" && cfg.Protocol < 3 {
		faults = append(faults, errors.New("serf: a cluster name needs protocol 3 or later"))
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"EventBuffer", cfg.EventBuffer},
		{"QueryBuffer", cfg.QueryBuffer},
		{"MaxQueueDepth", cfg.MaxQueueDepth},
	} {
		if n.value < 0 {
			faults = append(faults, fmt.Errorf("serf: %s is negative", n.name))
		}
	}
	return errors.Join(faults...)
}

// sortedTags returns a copy of tags sorted by key; of a key that is there
// twice the last one counts.
func sortedTags(tags []wire.Tag) []wire.Tag {
	out := slices.Clone(tags)
	slices.SortStableFunc(out, func(a, b wire.Tag) int { return strings.Compare(a.Key, b.Key) })
	n := 0
	for i := range out {
		if i+1 < len(out) && out[i+1].Key == out[i].Key {
			continue
		}
		out[n] = out[i]
		n++
	}
	return out[:n]
}
