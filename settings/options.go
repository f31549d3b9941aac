package settings

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

// Options are an agent's settings as users write them, on the command line or
// in a JSON file under the names in the tags, which are Serf's. Zero means not
// said. Config makes typed ones of them.
type Options struct {
	NodeName           string
	Role               string
	DisableCoordinates bool
	Tags               map[string]string
	TagsFile           string
	Bind               string
	Advertise          string
	EncryptKey         string
	KeyringFile        string
	LogLevel           string
	RPCAddr            string
	RPCAuth            string
	Protocol           int
	ReplayOnJoin       bool

	QueryResponseSizeLimit int
	QuerySizeLimit         int
	UserEventSizeLimit     int

	StartJoin        []string
	RetryJoin        []string
	RetryMaxAttempts int
	RetryInterval    Duration
	EventHandlers    []string
	Profile          string

	LeaveOnTerm    bool
	SkipLeaveOnInt bool

	ReconnectInterval Duration
	ReconnectTimeout  Duration
	TombstoneTimeout  Duration
	BroadcastTimeout  Duration

	DisableNameResolution bool
	ValidateNodeNames     bool
	EnableCompression     *bool // nil: on

	SnapshotPath     string
	RejoinAfterLeave bool

	// Not Serf's: what its library has and its agent does not.
	VerifyIncoming *bool // nil: true
	VerifyOutgoing *bool // nil: true
	ClusterLabel   string
	ClusterName    string

	// Not Serf's: how quickly nodes of ibuki find each other dead, and whether to be one.
	DetectWithin Duration
	Plain        bool

	// Not Serf's: its windows of coalescing, which its agent has built in.
	CoalescePeriod  Duration
	QuiescentPeriod Duration

	// Not Serf's: event handlers with settings of their own.
	Handlers []HandlerOptions
	// Files that the live-node list is written to.
	LiveNodes []livefile.Spec

	// Not Serf's: who may ask for what.
	Tokens      []TokenOptions
	Anonymous   TextList
	TLS         TLSOptions
	RPCTLS      bool
	HTTPAddr    string
	HTTPTLS     bool
	HTTPHosts   TextList
	Gateway     string
	SocketMode  string
	SocketOwner string
	AddrFile    string

	// Not Serf's: the form of the log, and a file for it.
	LogFormat       string
	LogFile         string
	LogFileMaxMB    int
	LogFileMaxFiles int
	LogFileMaxDays  int

	// Not Serf's: the constants of the protocol.
	Tuning TuningOptions

	Discover       string
	MDNS           MDNSOptions
	Interface      string
	EnableSyslog   bool
	SyslogFacility string
	StatsiteAddr   string
	StatsdAddr     string

	// MsgpackUseNewTimeFormat says how times are written on the wire; no message
	// that either program sends has one.
	MsgpackUseNewTimeFormat bool
}

// Duration is a time.Duration written as "30s" in JSON.
type Duration time.Duration

// Set reads what time.ParseDuration reads. The empty string is no duration and
// changes nothing.
func (d *Duration) Set(s string) error {
	if s == "" {
		return nil
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// UnmarshalText is Set, for JSON.
func (d *Duration) UnmarshalText(b []byte) error { return d.Set(string(b)) }

func joined[T any](a, b []T) []T { return append(append([]T(nil), a...), b...) }

// ParseTags reads KEY=VALUE pairs; the value begins after the first =.
func ParseTags(pairs []string) (map[string]string, error) {
	tags := make(map[string]string, len(pairs))
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("Invalid tag: '%s'", p)
		}
		tags[k] = v
	}
	return tags, nil
}

// The defaults of addresses, as Serf has them.
const (
	defaultBind = "0.0.0.0"
	defaultRPC  = "127.0.0.1:7373"
)

// Config turns what was said into a Config. All faults are returned at once.
// warnings are lines for the user about what was changed.
func (o Options) Config() (c agent.Config, warnings []string, err error) {
	var faults []error
	add := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	add(o.profile(&c))
	for _, set := range keyed() {
		set.copyInto(&o, &c)
	}
	c.Seeds = joined(o.StartJoin, o.RetryJoin)
	if c.Name == "" {
		c.Name, err = os.Hostname()
		add(err)
	}
	if c.RPCAddr == "" {
		c.RPCAddr = defaultRPC
	}
	warnings, err = o.addresses(&c)
	add(err)
	add(detection(&c))
	add(o.tune(&c))
	add(o.level(&c))
	add(o.logFile(&c))
	add(o.key(&c))
	add(o.protocol(&c))
	add(o.name(c.Name))
	add(o.mdns(&c))
	add(o.lists(&c))
	add(o.targets())
	add(o.servers())
	add(o.handlers(&c))
	add(o.access(&c))
	warnings = append(append(warnings, o.intervals(&c)...), o.plaintextWarnings()...)
	if o.RejoinAfterLeave && o.SnapshotPath == "" {
		warnings = append(warnings, "Warning: 'RejoinAfterLeave' enabled without snapshot file")
	}
	tags := maps.Clone(o.Tags)
	if o.Role != "" {
		warnings = append(warnings, "Deprecation warning: 'Role' has been replaced with 'Tags'")
		if tags == nil {
			tags = make(map[string]string)
		}
		tags["role"] = o.Role
	}
	c.Tags = agent.SortedTags(tags)
	add(c.Validate())
	return c, warnings, errors.Join(faults...)
}

// isFalse: said, and false.
func isFalse(b *bool) bool { return b != nil && !*b }

// addresses reads those that sockets are opened at. told are lines for the user.
func (o *Options) addresses(c *agent.Config) (told []string, err error) {
	bind := o.Bind
	if bind == "" {
		bind = defaultBind
	}
	var bindErr, advErr, rpcErr error
	if c.Bind, bindErr = parseAddr(bind); bindErr != nil {
		// So that Validate does not say that it is missing.
		c.Bind = netip.AddrPortFrom(netip.IPv4Unspecified(), agent.DefaultPort)
		bindErr = fmt.Errorf("Invalid bind address: %w", bindErr)
	} else {
		var line string
		if line, bindErr = o.bindInterface(c); line != "" {
			told = append(told, line)
		}
	}
	if err := access.CheckAddr(c.RPCAddr); err != nil {
		rpcErr = fmt.Errorf("Invalid RPC address: %w", err)
	}
	if o.Advertise != "" {
		if c.Advertise, advErr = parseAddr(o.Advertise); advErr != nil {
			advErr = fmt.Errorf("Invalid advertise address: %w", advErr)
		}
	}
	return told, errors.Join(bindErr, advErr, rpcErr)
}

// parseAddr reads HOST or HOST:PORT, where HOST may be a name.
func parseAddr(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, errors.New("it is empty")
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), agent.DefaultPort), nil
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		var ae *net.AddrError
		if !errors.As(err, &ae) || ae.Err != "missing port in address" {
			return netip.AddrPort{}, err
		}
		s = fmt.Sprintf("%s:%d", s, agent.DefaultPort)
	}
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ap := a.AddrPort()
	if a.IP == nil { // ":7946"
		return netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Port()), nil
	}
	return transport.PlainAddr(ap), nil
}

// profile begins with the timing for the kind of network.
func (o *Options) profile(c *agent.Config) error {
	c.Profile = cmp.Or(o.Profile, "lan")
	switch c.Profile {
	case "lan":
		c.Swim = swim.LAN()
	case "wan":
		c.Swim = swim.WAN()
	case "local":
		c.Swim = swim.Local()
	default:
		return fmt.Errorf("Unknown profile: %s", c.Profile)
	}
	return nil
}

// detection checks how soon a silent member is to be detected.
func detection(c *agent.Config) error {
	if d := c.Swim.DetectWithin; d != 0 && d < swim.MinDetectWithin {
		return fmt.Errorf("'detect_within' is %v, which is less than %v", d, swim.MinDetectWithin)
	}
	return nil
}

func (o *Options) level(c *agent.Config) (err error) {
	level := o.LogLevel
	if level == "" {
		level = "INFO"
	}
	c.LogLevel, err = logging.ParseLevel(level)
	return err
}

func (o *Options) logFile(c *agent.Config) (err error) {
	if c.LogFormat, err = logging.ParseFormat(o.LogFormat); c.LogFormat == logging.LogText && o.LogFile != "" {
		c.LogFormat = logging.LogLines
	}
	return errors.Join(append(c.LogFile.Validate(), err)...)
}

func (o *Options) key(c *agent.Config) error {
	if o.EncryptKey == "" {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(o.EncryptKey)
	if err != nil {
		return fmt.Errorf("Invalid encryption key: %w", err)
	}
	c.Keys = [][]byte{key}
	return nil
}

// plaintextWarnings say that there are keys, and unencrypted messages pass all the same.
func (o *Options) plaintextWarnings() (warnings []string) {
	if o.EncryptKey == "" && o.KeyringFile == "" {
		return nil
	}
	if isFalse(o.VerifyIncoming) {
		warnings = append(warnings, "Warning: unencrypted messages are accepted: 'encrypt_verify_incoming' is false")
	}
	if isFalse(o.VerifyOutgoing) {
		warnings = append(warnings, "Warning: messages are sent unencrypted: 'encrypt_verify_outgoing' is false")
	}
	return warnings
}

func (o *Options) protocol(c *agent.Config) error {
	if o.Protocol == 0 {
		return nil
	}
	if o.Protocol < serf.ProtocolMin || o.Protocol > serf.ProtocolMax {
		return fmt.Errorf("Protocol version '%d' not supported: must be in range %d to %d", o.Protocol, serf.ProtocolMin, serf.ProtocolMax)
	}
	c.Protocol = uint8(o.Protocol)
	return nil
}

// nodeName is what ValidateNodeNames accepts.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,128}$`)

func (o *Options) name(name string) error {
	if o.ValidateNodeNames && !nodeName.MatchString(name) {
		return fmt.Errorf("Node name '%s' is not valid: only letters, digits, dashes and dots, at most 128", name)
	}
	return nil
}

// intervals raises what is too short, as Serf does.
func (o *Options) intervals(c *agent.Config) (warnings []string) {
	if c.RetryInterval > 0 && c.RetryInterval < agent.MinRetryInterval {
		c.RetryInterval = agent.MinRetryInterval
		warnings = append(warnings, fmt.Sprintf("Warning: 'RetryInterval' is too low. Setting to %v", agent.MinRetryInterval))
	}
	if c.BroadcastTimeout > 0 && c.BroadcastTimeout < time.Second {
		c.BroadcastTimeout = time.Second
		warnings = append(warnings, fmt.Sprintf("Warning: 'BroadcastTimeout' is too low. Setting to %v", time.Second))
	}
	return warnings
}
