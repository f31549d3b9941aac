package swim

import (
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// Config are the machine's settings. New copies it; it is never written back.
// A zero value means the LAN profile's value.
type Config struct {
	// Name is this node's name, unique in the cluster. Required.
	Name string
	// Addr is the address that others reach this node at. Required.
	Addr netip.AddrPort
	// Versions are announced to the others. Zero: PMin 1, PMax 5, PCur 2 and
	// the Serf range 2, 5, 5.
	Versions wire.Versions
	// Meta is this node's first metadata.
	Meta []byte
	// Incarnation to start above; 0 for a first start.
	Incarnation uint32
	// Base is a table to start from and to share; nil: the machine knows only
	// itself. Versions, Meta and Incarnation are then those in the base.
	Base *Base

	// Plain makes this node what a Serf is, and no more. Without it, it does better
	// where the other end is such a one too, and is plain to all others.
	Plain bool

	// Introduce has a native ping each member soon after it joined, for the sake of
	// Layer.PingDone.
	Introduce bool

	// Cluster is the name of this node's cluster: members of one with another name are not
	// taken in. Empty: whoever comes is. What a member's metadata say is for the Layer to tell.
	Cluster string

	// DetectWithin is how soon at the latest a native that falls silent, or hangs, is to
	// be failed in everybody's list. 0: 1.3 s if its host is silent too, 3 s if not; in
	// the WAN profile longer. At least MinDetectWithin.
	DetectWithin time.Duration

	ProbeInterval  time.Duration // one member is probed per interval (SWIM's protocol period)
	ProbeTimeout   time.Duration // how long a direct ping may take before others are asked
	IndirectChecks int           // how many others are asked
	NoStreamPing   bool          // no ping over TCP beside the indirect ones

	SuspicionMult    int // suspicion lasts at least Mult × log10(n) × ProbeInterval
	SuspicionMaxMult int // and at most this many times that
	AwarenessMax     int // Lifeguard's local health score stays below this

	GossipInterval  time.Duration
	GossipNodes     int           // how many members get a gossip packet per interval
	GossipToTheDead time.Duration // how long the dead still get gossip, and are remembered
	RetransmitMult  int           // a broadcast is sent Mult × ceil(log10(n+1)) times

	PushPullInterval time.Duration // scaled up for clusters of more than 32
	StreamTimeout    time.Duration // bound of a push/pull

	// PacketSize is how many bytes a packet's plain message may have: the
	// datagram size less what framing adds.
	PacketSize int
}

// LAN returns the timing profile for a local network, memberlist's default.
func LAN() Config {
	return Config{
		ProbeInterval:    time.Second,
		ProbeTimeout:     500 * time.Millisecond,
		IndirectChecks:   3,
		SuspicionMult:    4,
		SuspicionMaxMult: 6,
		AwarenessMax:     8,
		GossipInterval:   200 * time.Millisecond,
		GossipNodes:      3,
		GossipToTheDead:  30 * time.Second,
		RetransmitMult:   4,
		PushPullInterval: 30 * time.Second,
		StreamTimeout:    10 * time.Second,
		PacketSize:       1400,
	}
}

// WAN returns the timing profile for links with long and uneven delays.
func WAN() Config {
	c := LAN()
	c.StreamTimeout = 30 * time.Second
	c.SuspicionMult = 6
	c.PushPullInterval = 60 * time.Second
	c.ProbeTimeout = 3 * time.Second
	c.ProbeInterval = 5 * time.Second
	c.GossipNodes = 4
	c.GossipInterval = 500 * time.Millisecond
	c.GossipToTheDead = 60 * time.Second
	return c
}

// Local returns the timing profile for nodes on one host.
func Local() Config {
	c := LAN()
	c.StreamTimeout = time.Second
	c.IndirectChecks = 1
	c.RetransmitMult = 2
	c.SuspicionMult = 3
	c.PushPullInterval = 15 * time.Second
	c.ProbeTimeout = 200 * time.Millisecond
	c.GossipInterval = 100 * time.Millisecond
	c.GossipToTheDead = 15 * time.Second
	return c
}
