package agent

import (
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
	NodeName           string            `json:"node_name"`
	Role               string            `json:"role"`
	DisableCoordinates bool              `json:"disable_coordinates"`
	Tags               map[string]string `json:"tags"`
	TagsFile           string            `json:"tags_file"`
	Bind               string            `json:"bind"`
	Advertise          string            `json:"advertise"`
	EncryptKey         string            `json:"encrypt_key"`
	KeyringFile        string            `json:"keyring_file"`
	LogLevel           string            `json:"log_level"`
	RPCAddr            string            `json:"rpc_addr"`
	RPCAuth            string            `json:"rpc_auth"`
	Protocol           int               `json:"protocol"`
	ReplayOnJoin       bool              `json:"replay_on_join"`

	QueryResponseSizeLimit int `json:"query_response_size_limit"`
	QuerySizeLimit         int `json:"query_size_limit"`
	UserEventSizeLimit     int `json:"user_event_size_limit"`

	StartJoin        []string `json:"start_join"`
	RetryJoin        []string `json:"retry_join"`
	RetryMaxAttempts int      `json:"retry_max_attempts"`
	RetryInterval    Duration `json:"retry_interval"`
	EventHandlers    []string `json:"event_handlers"`
	Profile          string   `json:"profile"`

	LeaveOnTerm    bool `json:"leave_on_terminate"`
	SkipLeaveOnInt bool `json:"skip_leave_on_interrupt"`

	ReconnectInterval Duration `json:"reconnect_interval"`
	ReconnectTimeout  Duration `json:"reconnect_timeout"`
	TombstoneTimeout  Duration `json:"tombstone_timeout"`
	BroadcastTimeout  Duration `json:"broadcast_timeout"`

	DisableNameResolution bool  `json:"disable_name_resolution"`
	ValidateNodeNames     bool  `json:"validate_node_names"`
	EnableCompression     *bool `json:"enable_compression"` // nil: on

	SnapshotPath     string `json:"snapshot_path"`
	RejoinAfterLeave bool   `json:"rejoin_after_leave"`

	// Not Serf's: what its library has and its agent does not.
	VerifyIncoming *bool  `json:"encrypt_verify_incoming"` // nil: true
	VerifyOutgoing *bool  `json:"encrypt_verify_outgoing"` // nil: true
	ClusterLabel   string `json:"cluster_label"`
	ClusterName    string `json:"cluster_name"`

	// Not Serf's: how quickly nodes of ibuki find each other dead, and whether to be one.
	DetectWithin Duration `json:"detect_within"`
	Plain        bool     `json:"plain"`

	// Not Serf's: its windows of coalescing, which its agent has built in.
	CoalescePeriod  Duration `json:"coalesce_period"`
	QuiescentPeriod Duration `json:"quiescent_period"`

	// Not Serf's: event handlers with settings of their own.
	Handlers []HandlerOptions `json:"handlers"`
	// Files that the live-node list is written to.
	LiveNodes []livefile.Spec `json:"live_nodes"`

	// Not Serf's: who may ask for what.
	Tokens      []TokenOptions `json:"tokens"`
	Anonymous   TextList       `json:"anonymous"`
	TLS         *TLSOptions    `json:"tls"`
	RPCTLS      bool           `json:"rpc_tls"`
	HTTPAddr    string         `json:"http"`
	HTTPTLS     bool           `json:"http_tls"`
	HTTPHosts   TextList       `json:"http_hosts"`
	Gateway     string         `json:"gateway_status"`
	SocketMode  string         `json:"socket_mode"`
	SocketOwner string         `json:"socket_owner"`
	AddrFile    string         `json:"addr_file"`

	// Not Serf's: the form of the log, and a file for it.
	LogFormat       string `json:"log_format"`
	LogFile         string `json:"log_file"`
	LogFileMaxMB    int    `json:"log_file_max_mb"`
	LogFileMaxFiles int    `json:"log_file_max_files"`
	LogFileMaxDays  int    `json:"log_file_max_days"`

	// Not Serf's: the constants of the protocol.
	Tuning *TuningOptions `json:"tuning"`

	Discover       string       `json:"discover"`
	MDNS           *MDNSOptions `json:"mdns"`
	Interface      string       `json:"interface"`
	EnableSyslog   bool         `json:"enable_syslog"`
	SyslogFacility string       `json:"syslog_facility"`
	StatsiteAddr   string       `json:"statsite_addr"`
	StatsdAddr     string       `json:"statsd_addr"`

	// MsgpackUseNewTimeFormat says how times are written on the wire; no message
	// that either program sends has one.
	MsgpackUseNewTimeFormat bool `json:"MsgpackUseNewTimeFormat"`
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

// Merge lets other, which counts more, override o: lists grow, tags are united.
func (o Options) Merge(other Options) Options {
	for _, p := range []struct{ to, from *string }{
		{&o.NodeName, &other.NodeName}, {&o.Role, &other.Role}, {&o.TagsFile, &other.TagsFile},
		{&o.Bind, &other.Bind}, {&o.Advertise, &other.Advertise}, {&o.EncryptKey, &other.EncryptKey},
		{&o.KeyringFile, &other.KeyringFile}, {&o.LogLevel, &other.LogLevel}, {&o.RPCAddr, &other.RPCAddr}, {&o.HTTPAddr, &other.HTTPAddr},
		{&o.RPCAuth, &other.RPCAuth}, {&o.Profile, &other.Profile}, {&o.SnapshotPath, &other.SnapshotPath},
		{&o.Discover, &other.Discover}, {&o.Interface, &other.Interface}, {&o.SyslogFacility, &other.SyslogFacility},
		{&o.StatsiteAddr, &other.StatsiteAddr}, {&o.StatsdAddr, &other.StatsdAddr},
		{&o.LogFormat, &other.LogFormat}, {&o.LogFile, &other.LogFile},
		{&o.SocketMode, &other.SocketMode}, {&o.SocketOwner, &other.SocketOwner}, {&o.AddrFile, &other.AddrFile}, {&o.Gateway, &other.Gateway},
	} {
		override(p.to, *p.from)
	}
	for _, p := range []struct {
		to   *bool
		from bool
	}{
		{&o.DisableCoordinates, other.DisableCoordinates}, {&o.ReplayOnJoin, other.ReplayOnJoin},
		{&o.LeaveOnTerm, other.LeaveOnTerm}, {&o.SkipLeaveOnInt, other.SkipLeaveOnInt},
		{&o.DisableNameResolution, other.DisableNameResolution}, {&o.ValidateNodeNames, other.ValidateNodeNames},
		{&o.RejoinAfterLeave, other.RejoinAfterLeave}, {&o.EnableSyslog, other.EnableSyslog},
		{&o.RPCTLS, other.RPCTLS}, {&o.HTTPTLS, other.HTTPTLS},
	} {
		override(p.to, p.from)
	}
	override(&o.Protocol, other.Protocol)
	override(&o.QueryResponseSizeLimit, other.QueryResponseSizeLimit)
	override(&o.QuerySizeLimit, other.QuerySizeLimit)
	override(&o.UserEventSizeLimit, other.UserEventSizeLimit)
	override(&o.RetryMaxAttempts, other.RetryMaxAttempts)
	override(&o.RetryInterval, other.RetryInterval)
	override(&o.ReconnectInterval, other.ReconnectInterval)
	override(&o.ReconnectTimeout, other.ReconnectTimeout)
	override(&o.TombstoneTimeout, other.TombstoneTimeout)
	override(&o.BroadcastTimeout, other.BroadcastTimeout)
	override(&o.CoalescePeriod, other.CoalescePeriod)
	override(&o.QuiescentPeriod, other.QuiescentPeriod)
	override(&o.EnableCompression, other.EnableCompression)
	o.MDNS = o.MDNS.merge(other.MDNS)
	o.Tuning = o.Tuning.merge(other.Tuning)
	override(&o.LogFileMaxMB, other.LogFileMaxMB)
	override(&o.LogFileMaxFiles, other.LogFileMaxFiles)
	override(&o.LogFileMaxDays, other.LogFileMaxDays)
	override(&o.VerifyIncoming, other.VerifyIncoming)
	override(&o.VerifyOutgoing, other.VerifyOutgoing)
	override(&o.ClusterLabel, other.ClusterLabel)
	override(&o.ClusterName, other.ClusterName)
	override(&o.DetectWithin, other.DetectWithin)
	override(&o.Plain, other.Plain)
	if len(other.Tags) > 0 {
		tags := maps.Clone(o.Tags)
		if tags == nil {
			tags = make(map[string]string)
		}
		maps.Copy(tags, other.Tags)
		o.Tags = tags
	}
	o.StartJoin = joined(o.StartJoin, other.StartJoin)
	o.RetryJoin = joined(o.RetryJoin, other.RetryJoin)
	o.EventHandlers = joined(o.EventHandlers, other.EventHandlers)
	o.Handlers = joined(o.Handlers, other.Handlers)
	o.LiveNodes = joined(o.LiveNodes, other.LiveNodes)
	o.Tokens = joined(o.Tokens, other.Tokens)
	o.HTTPHosts = joined(o.HTTPHosts, other.HTTPHosts)
	if other.Anonymous != nil {
		o.Anonymous = other.Anonymous
	}
	o.TLS = o.TLS.merge(other.TLS)
	return o
}

func override[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}

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
func (o Options) Config() (c Config, warnings []string, err error) {
	var faults []error
	add := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	c = Config{
		Name: o.NodeName, RPCAddr: o.RPCAddr, RPCAuth: o.RPCAuth, TagsFile: o.TagsFile,
		EventHandlers: o.EventHandlers, Join: o.StartJoin, RetryJoin: o.RetryJoin,
		RetryInterval: time.Duration(o.RetryInterval), RetryMax: o.RetryMaxAttempts, Replay: o.ReplayOnJoin,
		Profile: o.Profile, NoCompression: isFalse(o.EnableCompression),
		NoCoordinates: o.DisableCoordinates, NoConflictResolution: o.DisableNameResolution,
		ReconnectInterval: time.Duration(o.ReconnectInterval), ReconnectTimeout: time.Duration(o.ReconnectTimeout),
		TombstoneTimeout: time.Duration(o.TombstoneTimeout), BroadcastTimeout: time.Duration(o.BroadcastTimeout),
		CoalescePeriod: time.Duration(o.CoalescePeriod), QuiescentPeriod: time.Duration(o.QuiescentPeriod),
		QueryResponseSizeLimit: o.QueryResponseSizeLimit, QuerySizeLimit: o.QuerySizeLimit,
		UserEventSizeLimit: o.UserEventSizeLimit,
		SnapshotPath:       o.SnapshotPath, RejoinAfterLeave: o.RejoinAfterLeave,
		Seeds:       joined(o.StartJoin, o.RetryJoin),
		KeyringFile: o.KeyringFile, Label: o.ClusterLabel, ClusterName: o.ClusterName,
		NoVerifyIncoming: isFalse(o.VerifyIncoming), NoVerifyOutgoing: isFalse(o.VerifyOutgoing),
	}
	if c.Name == "" {
		c.Name, err = os.Hostname()
		add(err)
	}
	if c.RPCAddr == "" {
		c.RPCAddr = defaultRPC
	}
	warnings, err = o.addresses(&c)
	add(err)
	add(o.profile(&c))
	add(o.detection(&c))
	add(o.tune(&c))
	add(o.level(&c))
	add(o.logFile(&c))
	add(o.key(&c))
	add(o.protocol(&c))
	add(o.name(c.Name))
	add(o.mdns(&c))
	add(o.lists(&c))
	add(o.targets())
	add(o.outputs(&c))
	add(o.handlers(&c))
	add(o.access(&c))
	warnings = append(append(warnings, o.intervals(&c)...), o.openly()...)
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
	c.Tags = sortedTags(tags)
	add(c.Validate())
	return c, warnings, errors.Join(faults...)
}

// isFalse: said, and false.
func isFalse(b *bool) bool { return b != nil && !*b }

// addresses reads those that sockets are opened at. told are lines for the user.
func (o *Options) addresses(c *Config) (told []string, err error) {
	bind := o.Bind
	if bind == "" {
		bind = defaultBind
	}
	var bindErr, advErr, rpcErr error
	if c.Bind, bindErr = parseAddr(bind); bindErr != nil {
		// So that Validate does not say that it is missing.
		c.Bind = netip.AddrPortFrom(netip.IPv4Unspecified(), DefaultPort)
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
		return netip.AddrPortFrom(ip.Unmap(), DefaultPort), nil
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		var ae *net.AddrError
		if !errors.As(err, &ae) || ae.Err != "missing port in address" {
			return netip.AddrPort{}, err
		}
		s = fmt.Sprintf("%s:%d", s, DefaultPort)
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

func (o *Options) profile(c *Config) error {
	switch c.Profile {
	case "":
		c.Profile = "lan"
		c.Swim = swim.LAN()
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

// detection says how soon who fell silent is to be found.
func (o *Options) detection(c *Config) error {
	c.Swim.Plain, c.Swim.DetectWithin = o.Plain, time.Duration(o.DetectWithin)
	if d := c.Swim.DetectWithin; d != 0 && d < swim.MinDetectWithin {
		return fmt.Errorf("'detect_within' is %v, which is less than %v", d, swim.MinDetectWithin)
	}
	return nil
}

func (o *Options) level(c *Config) (err error) {
	level := o.LogLevel
	if level == "" {
		level = "INFO"
	}
	c.LogLevel, err = logging.ParseLevel(level)
	return err
}

func (o *Options) logFile(c *Config) (err error) {
	c.LogFile = logging.File{Path: o.LogFile, MaxMB: o.LogFileMaxMB, MaxFiles: o.LogFileMaxFiles, MaxDays: o.LogFileMaxDays}
	if c.LogFormat, err = logging.ParseFormat(o.LogFormat); c.LogFormat == logging.LogText && o.LogFile != "" {
		c.LogFormat = logging.LogLines
	}
	return errors.Join(append(c.LogFile.Validate(), err)...)
}

func (o *Options) key(c *Config) error {
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

// openly says that keys are there and what is not encrypted gets by all the same.
func (o *Options) openly() (warnings []string) {
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

func (o *Options) protocol(c *Config) error {
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
func (o *Options) intervals(c *Config) (warnings []string) {
	if c.RetryInterval > 0 && c.RetryInterval < minRetryInterval {
		c.RetryInterval = minRetryInterval
		warnings = append(warnings, fmt.Sprintf("Warning: 'RetryInterval' is too low. Setting to %v", minRetryInterval))
	}
	if c.BroadcastTimeout > 0 && c.BroadcastTimeout < time.Second {
		c.BroadcastTimeout = time.Second
		warnings = append(warnings, fmt.Sprintf("Warning: 'BroadcastTimeout' is too low. Setting to %v", time.Second))
	}
	return warnings
}
