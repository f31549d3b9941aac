package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// DefaultPort is the port of the gossip protocol.
const DefaultPort = 7946

// Config are the settings of an agent. New copies it. Zero means the default
// that is said at each field.
type Config struct {
	// Config are the protocol's settings. In Swim, which is the timing profile (zero:
	// swim.LAN), the agent sets Name, Cluster and Addr, and takes what framing adds off
	// PacketSize. CoalescePeriod and QuiescentPeriod are 3 s and 1 s if they are zero, and
	// are those of user events too; if CoalescePeriod is negative, no event is held back.
	serf.Config

	// Name is this node's name. Required, unique in the cluster.
	Name string
	// Bind is the address that packets and streams are received at. Port 0 is a
	// free port. Required.
	Bind netip.AddrPort
	// Advertise is the address that the others are told. Not valid: Bind, or if
	// that is unspecified, a private address of this host. A port of 0 is Bind's.
	Advertise netip.AddrPort
	// RPCAddr is host:port of the RPC listener, or unix:PATH. Empty: no RPC.
	RPCAddr string
	// RPCAuth is what RPC clients have to say. Empty: nothing.
	RPCAuth string
	// Tokens are further ones, each good for its verbs; Anonymous is what those may
	// do who present none. Without RPCAuth and all of this, everybody may do everything.
	Tokens    []access.Token
	Anonymous access.Verbs
	// TLS is the material for TLS, RPCTLS whether RPC is over it.
	TLS    access.TLSFiles
	RPCTLS bool
	// HTTPAddr is HOST:PORT or unix:PATH of the HTTP API, HTTPTLS whether that is over
	// TLS. The agent itself does not serve it: whoever runs it does (package dashboard).
	HTTPAddr string
	HTTPTLS  bool
	// HTTPHosts are the names by which clients may ask for the API. Empty: the node's and the machine's.
	HTTPHosts []string
	// Gateway is HOST:PORT of the gateway beside this agent, for the dashboard; "": none.
	Gateway string
	// Socket says who may open the agent's Unix sockets.
	Socket access.Socket
	// AddrFile gets the addresses that are listened at, while the agent runs. Empty: none does.
	AddrFile string

	// TagsFile keeps the tags from one start to the next. Tags must be empty then.
	TagsFile string
	// EventHandlers are specifications as ParseHandler reads them.
	EventHandlers []string
	// Handlers are more of them, with settings of their own.
	Handlers []handler.Handler

	// Join are addresses that Start joins by; it fails if none works.
	Join []string
	// RetryJoin are addresses that are tried from Start on until one works.
	RetryJoin []string
	// RetryInterval is the time between attempts. 0: 30 s; at least 1 s.
	RetryInterval time.Duration
	// RetryMax is how many times RetryJoin is tried again after it failed; then
	// the agent ends with ErrRetryJoin. 0: no limit.
	RetryMax int
	// Replay: the user events from before a startup join are delivered.
	Replay bool
	// Seeds are addresses that are tried again whenever no live member has
	// them, for as long as the agent runs. Join and RetryJoin are among them.
	Seeds []string
	// SnapshotPath is a file that keeps what this node knows of the cluster from one
	// start to the next, in Serf's format. Empty: nothing is kept.
	SnapshotPath string
	// RejoinAfterLeave: what is in that file counts even if this node left.
	RejoinAfterLeave bool

	// LiveNodes are files that are kept in step with the live-node list.
	LiveNodes []livefile.Target

	// Discover is a cluster's name: its members in this network are found by multicast
	// DNS and joined, for as long as the agent runs. Empty: nobody is looked for.
	Discover string
	// DiscoverInterface is where they are looked for. Empty: where the system sends multicast.
	DiscoverInterface string
	// DiscoverNoIPv4 and DiscoverNoIPv6: no question is asked over that protocol.
	DiscoverNoIPv4, DiscoverNoIPv6 bool

	// Profile is the profile's name, for those who ask. Empty: "lan".
	Profile string
	// Keys encrypt: 16, 24 or 32 bytes each, the first one is used to send. None: no encryption.
	Keys [][]byte
	// KeyringFile keeps the keys from one start to the next, as key queries change
	// them. If it is there, Keys do not count; if not, it is made of Keys.
	KeyringFile string
	// NoVerifyIncoming accepts what is not encrypted although there are keys,
	// NoVerifyOutgoing sends so: for a cluster that changes over to encryption
	// while it runs.
	NoVerifyIncoming, NoVerifyOutgoing bool
	// Label keeps clusters apart.
	Label string
	// ClusterName does so too, and lets nodes in that name none, as Serf's do: it is told as
	// a tag, and members with another one there are refused. Empty: everybody is let in.
	ClusterName string
	// NoCompression sends everything as it is.
	NoCompression bool

	// UpdateAfterChange follows every member-join, member-leave and
	// member-failed with a member-update of the same members, for clients that
	// were written for a Serf that did so by mistake.
	UpdateAfterChange bool

	// LogOutput gets the log lines, from LogOpen on. nil: nobody.
	LogOutput io.Writer
	// LogFormat is how they are printed.
	LogFormat logging.Format
	// LogFile is where the program lets LogOutput end up, if it has a Path.
	LogFile logging.File
	// LogLevel is from which level on they are printed.
	LogLevel slog.Level

	// Syslog sends the log to the host's syslog too, from LogLevel on.
	Syslog bool
	// SyslogFacility is where it is filed. Empty: LOCAL0.
	SyslogFacility string
	// StatsiteAddr and StatsdAddr are host:port of servers for metrics: one is
	// spoken to by TCP, the other by UDP. Empty: nobody.
	StatsiteAddr, StatsdAddr string

	// Listen opens the transport. nil: transport.ListenNet.
	Listen func(netip.AddrPort) (transport.Transport, error)
	// Resolve looks names up. nil: net.DefaultResolver.
	Resolve Resolver
	// Seed is for the machine's randomness. 0: from the system.
	Seed uint64
	// MaxStreams is how many inbound streams are served at once. 0: 128.
	MaxStreams int
}

// Errors of Start, Stop and the commands.
var (
	// ErrRetryJoin: RetryMax was reached.
	ErrRetryJoin = errors.New("maximum retry join attempts made")
	// ErrStopped: the agent has ended.
	ErrStopped = errors.New("agent has ended")
	// ErrStarted: Start was called twice.
	ErrStarted = errors.New("agent was started before")
	// ErrSetup: what the agent needs of this machine before it can start is not there.
	ErrSetup = errors.New("agent cannot be set up")
	// ErrConflictLost: another node has this node's name and the cluster's vote.
	ErrConflictLost = errors.New("another member has this node's name; shut down")
)

// Validate returns all faults at once, nil if there are none.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		fault("node name is empty")
	}
	if len(c.Name) > swim.MaxName {
		fault("node name is longer than %d bytes", swim.MaxName)
	}
	if !c.Bind.IsValid() {
		fault("bind address is missing")
	}
	if a := c.Advertise; a.Addr().IsValid() && a.Addr().IsUnspecified() {
		fault("advertise address %v is not an address to reach this node at", a.Addr())
	}
	if c.Protocol != 0 && (c.Protocol < serf.ProtocolMin || c.Protocol > serf.ProtocolMax) {
		fault("Protocol version '%d' not supported: must be in range %d to %d", c.Protocol, serf.ProtocolMin, serf.ProtocolMax)
	}
	if c.TagsFile != "" && len(c.Tags) > 0 {
		fault("Tags config not allowed while using tag files")
	}
	tags := c.Tags
	if c.ClusterName != "" {
		tags = append(slices.Clip(tags), wire.Tag{Key: serf.ClusterTag, Value: c.ClusterName})
		if c.Protocol == 1 || c.Protocol == 2 {
			fault("a cluster name needs protocol 3 or later")
		}
	}
	if (c.Protocol == 0 || c.Protocol > 2) && len(wire.AppendTags(nil, tags)) > wire.MetaMax {
		faults = append(faults, serf.ErrTagsTooLong)
	}
	for _, spec := range c.EventHandlers {
		if _, err := handler.Parse(spec); err != nil {
			faults = append(faults, err)
		}
	}
	for i := range c.Handlers {
		if err := c.Handlers[i].Validate(); err != nil {
			faults = append(faults, fmt.Errorf("handlers[%d]: %w", i, OneLineError(err)))
		}
	}
	faults = append(faults, c.validateLists()...)
	for _, k := range c.Keys {
		if _, err := wire.NewKey(k); err != nil {
			fault("Invalid encryption key: it must be 16, 24 or 32 bytes, not %d", len(k))
		}
	}
	if len(c.Label) > wire.LabelMax {
		fault("label is longer than %d bytes", wire.LabelMax)
	}
	if _, err := logging.ParseFacility(c.SyslogFacility); err != nil {
		fault("Syslog setup failed: %w", err)
	}
	faults = append(faults, c.validateAccess()...)
	faults = append(faults, c.validateNumbers()...)
	return errors.Join(faults...)
}

func (c *Config) validateNumbers() (faults []error) {
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"retry interval", int64(c.RetryInterval)},
		{"retry limit", int64(c.RetryMax)},
		{"reconnect interval", int64(c.ReconnectInterval)},
		{"reconnect timeout", int64(c.ReconnectTimeout)},
		{"tombstone timeout", int64(c.TombstoneTimeout)},
		{"broadcast timeout", int64(c.BroadcastTimeout)},
		{"quiescent period", int64(c.QuiescentPeriod)},
		{"query response size limit", int64(c.QueryResponseSizeLimit)},
		{"query size limit", int64(c.QuerySizeLimit)},
		{"user event size limit", int64(c.UserEventSizeLimit)},
		{"stream limit", int64(c.MaxStreams)},
	} {
		if n.value < 0 {
			faults = append(faults, fmt.Errorf("%s is negative", n.name))
		}
	}
	if c.UserEventSizeLimit > userEventSizeMax {
		faults = append(faults, fmt.Errorf("user event size limit exceeds limit of %d bytes", userEventSizeMax))
	}
	return faults
}

// userEventSizeMax is Serf's limit for UserEventSizeLimit, in bytes.
const userEventSizeMax = 9 * 1024

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	c.Seeds = slices.Concat(c.Seeds, c.Join, c.RetryJoin)
	def(&c.RetryInterval, 30*time.Second)
	c.RetryInterval = max(c.RetryInterval, MinRetryInterval)
	def(&c.CoalescePeriod, 3*time.Second)
	if c.CoalescePeriod > 0 {
		def(&c.QuiescentPeriod, min(time.Second, c.CoalescePeriod))
	}
	if c.Profile == "" {
		c.Profile = "lan"
	}
	if c.Listen == nil {
		c.Listen = transport.ListenNet
	}
	if c.Resolve == nil {
		c.Resolve = net.DefaultResolver
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 128
	}
	if c.LogOutput == nil {
		c.LogOutput = io.Discard
	}
	return c
}

// MinRetryInterval is the shortest time between attempts of a retry-join.
const MinRetryInterval = time.Second

const (
	// leadingEdge is how long events are held back that follow one that was told at
	// once, for those who want them at once: long enough that a burst does not start a
	// handler for each member.
	leadingEdge = 10 * time.Millisecond
	// failureEdge is the same for failures, for those who get events as Serf tells them.
	failureEdge = 100 * time.Millisecond
)

// serfConfig are the machine's settings.
func (c *Config) serfConfig(addr netip.AddrPort, overhead int) serf.Config {
	s := c.Config
	s.UserCoalescePeriod, s.UserQuiescentPeriod = c.CoalescePeriod, c.QuiescentPeriod
	if c.CoalescePeriod > 0 {
		s.LeadingEdge, s.FailureEdge = leadingEdge, failureEdge
	}
	s.Swim.Name = c.Name
	s.Swim.Cluster = c.ClusterName
	s.Swim.Addr = addr
	if s.Swim.PacketSize == 0 {
		s.Swim.PacketSize = swim.LAN().PacketSize
	}
	s.Swim.PacketSize -= overhead
	return s
}

// OneLineError is err on one line; nil stays nil.
func OneLineError(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
