package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/serf"
)

// TuningOptions are the constants of the protocol. What is not given is the profile's
// or Serf's. All nodes of a cluster should have the same.
type TuningOptions struct {
	ProbeInterval    Duration
	ProbeTimeout     Duration
	IndirectChecks   int
	NoStreamPing     bool
	SuspicionMult    int
	SuspicionMaxMult int
	AwarenessMax     int
	GossipInterval   Duration
	GossipNodes      int
	GossipToTheDead  Duration
	RetransmitMult   int
	PushPullInterval Duration
	StreamTimeout    Duration
	PacketSize       int

	ReapInterval        Duration
	RecentIntentTimeout Duration
	FlapTimeout         Duration
	LeavePropagateDelay Duration
	EventBuffer         int
	QueryBuffer         int
	QueryTimeoutMult    int
	MaxQueueDepth       int
	QueueDepthWarning   int
}

// UnmarshalJSON refuses keys that do not exist, by name.
func (t *TuningOptions) UnmarshalJSON(b []byte) error {
	fields := make(map[string]any, len(constants))
	for i := range constants {
		fields[constants[i].key] = constants[i].value(t)
	}
	return decodeFields(b, fields)
}

// decodeFields reads an object whose keys are those of fields, in any letter case, into
// what they point to.
func decodeFields(b []byte, fields map[string]any) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(b, &given); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		field, ok := fields[strings.ToLower(key)]
		if !ok {
			return fmt.Errorf("json: unknown field %q", key)
		}
		err := json.Unmarshal(given[key], field)
		if e := new(json.UnmarshalTypeError); errors.As(err, &e) {
			e.Field = key
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON writes what is given.
func (t TuningOptions) MarshalJSON() ([]byte, error) {
	given := make(map[string]any)
	for i := range constants {
		if v := constants[i].value(&t); !reflect.ValueOf(v).Elem().IsZero() {
			given[constants[i].key] = v
		}
	}
	return json.Marshal(given)
}

// The bounds of what a user may set: beyond them are slips, not wishes.
const (
	constantTimeMin  = time.Millisecond
	constantTimeMax  = 7 * 24 * time.Hour
	constantCountMax = 1 << 16

	// packetOverhead is what framing may take of a packet, in bytes: label, encryption.
	packetOverhead = 2 + 255 + 64
)

// constant is one of the protocol's constants, a part of the setting tuning.
type constant struct {
	key    string
	value  func(*TuningOptions) any // the field that keeps it
	into   func(*serf.Config) any   // the field that it ends up in
	effect string

	least, most int // bounds of a count that has others than 1 and constantCountMax
}

// isSwitch reports whether the constant is neither a time nor a count.
func (k *constant) isSwitch() bool {
	_, ok := k.value(&TuningOptions{}).(*bool)
	return ok
}

// text is its value in c.
func (k *constant) text(c *serf.Config) string {
	return fmt.Sprint(reflect.ValueOf(k.into(c)).Elem().Interface())
}

// check returns the fault of its value in t, nil if there is none.
func (k *constant) check(t *TuningOptions) error {
	switch v := k.value(t).(type) {
	case *Duration:
		if d := time.Duration(*v); d != 0 && (d < constantTimeMin || d > constantTimeMax) {
			return fmt.Errorf("tuning: %s is %v: it has to be within %v and %v", k.key, d, constantTimeMin, constantTimeMax)
		}
	case *int:
		least, most := max(k.least, 1), constantCountMax
		if k.most > 0 {
			most = k.most
		}
		if *v != 0 && (*v < least || *v > most) {
			return fmt.Errorf("tuning: %s is %d: it has to be within %d and %d", k.key, *v, least, most)
		}
	}
	return nil
}

// apply overrides what the profile says, if the constant is given.
func (k *constant) apply(t *TuningOptions, c *serf.Config) {
	from, to := reflect.ValueOf(k.value(t)).Elem(), reflect.ValueOf(k.into(c)).Elem()
	if !from.IsZero() {
		to.Set(from.Convert(to.Type()))
	}
}

// tune puts what is given into the settings of the machine.
func (o *Options) tune(c *agent.Config) error {
	var faults []error
	for i := range constants {
		if err := constants[i].check(&o.Tuning); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for i := range constants {
		constants[i].apply(&o.Tuning, &c.Config)
	}
	if o.Tuning != (TuningOptions{}) && c.Swim.ProbeTimeout >= c.Swim.ProbeInterval {
		return fmt.Errorf("tuning: probe_timeout is %v: it has to be less than probe_interval, %v", c.Swim.ProbeTimeout, c.Swim.ProbeInterval)
	}
	return nil
}
