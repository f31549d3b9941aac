package swim

import (
	"errors"
	"fmt"

	"github.com/ibuki-dev/ibuki/wire"
)

// Errors of the commands and of New.
var (
	ErrNoName       = errors.New("name is empty")
	ErrNameTooLong  = fmt.Errorf("name exceeds %d bytes", MaxName)
	ErrNoAddr       = errors.New("address is not valid or has no port")
	ErrMetaTooLong  = fmt.Errorf("metadata exceeds %d bytes", wire.MetaMax)
	ErrVersions     = errors.New("impossible protocol versions")
	ErrPacketSize   = fmt.Errorf("packet size is not within %d and %d bytes", MinPacketSize, MaxPacketSize)
	ErrNegative     = errors.New("a duration or count is negative")
	ErrDetect       = fmt.Errorf("detection within less than %v", MinDetectWithin)
	ErrMissing      = errors.New("layer and random source are required")
	ErrTooManyDials = fmt.Errorf("more than %d streams are being opened", MaxDials)
)

// Limits on what the machine keeps.
const (
	// MaxName is the longest name of a member in bytes. The peers have no limit
	// but the packet; a name must leave room for the rest of an alive message.
	MaxName = 255
	// MaxMembers is the most members that a machine keeps. Claims about further
	// ones are dropped: an alive costs its sender 60 bytes and the machine 300.
	MaxMembers = 1 << 17
	// MaxRelays is the most indirect pings relayed at a time. Each member asks
	// for one per failed probe, so that a healthy cluster needs a handful.
	MaxRelays = 1024
	// MaxDials is the most streams asked for and not yet answered.
	MaxDials = 1024
	// MinPacketSize is the least PacketSize: an alive message of the longest name
	// and metadata has to fit.
	MinPacketSize = MaxName + wire.MetaMax + 128
	// MaxPacketSize is what a UDP datagram can carry at most.
	MaxPacketSize = 65507
)

// DefaultVersions are what a node announces unless told otherwise.
var DefaultVersions = wire.Versions{PMin: 1, PMax: 5, PCur: 2, DMin: 2, DMax: 5, DCur: 5}

// withDefaults fills in what is zero from the LAN profile.
func (c Config) withDefaults() Config {
	d := LAN()
	orDefault(&c.ProbeInterval, d.ProbeInterval)
	orDefault(&c.ProbeTimeout, d.ProbeTimeout)
	orDefault(&c.IndirectChecks, d.IndirectChecks)
	orDefault(&c.SuspicionMult, d.SuspicionMult)
	orDefault(&c.SuspicionMaxMult, d.SuspicionMaxMult)
	orDefault(&c.AwarenessMax, d.AwarenessMax)
	orDefault(&c.GossipInterval, d.GossipInterval)
	orDefault(&c.GossipNodes, d.GossipNodes)
	orDefault(&c.GossipToTheDead, d.GossipToTheDead)
	orDefault(&c.RetransmitMult, d.RetransmitMult)
	orDefault(&c.PushPullInterval, d.PushPullInterval)
	orDefault(&c.StreamTimeout, d.StreamTimeout)
	orDefault(&c.PacketSize, d.PacketSize)
	if c.Versions == (wire.Versions{}) {
		c.Versions = DefaultVersions
	}
	return c
}

func orDefault[T int | ~int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Validate returns everything that is wrong with c, joined; zero values are
// right (except Name and Addr).
func (c Config) Validate() error {
	var errs []error
	check := func(bad bool, err error) {
		if bad {
			errs = append(errs, err)
		}
	}
	check(c.Name == "", ErrNoName)
	check(len(c.Name) > MaxName, ErrNameTooLong)
	check(!c.Addr.IsValid() || c.Addr.Port() == 0, ErrNoAddr)
	check(len(c.Meta) > wire.MetaMax, ErrMetaTooLong)
	c = c.withDefaults()
	v := c.Versions
	check(badVersions(v) || v.PCur < v.PMin || v.PCur > v.PMax || v.DCur < v.DMin || v.DCur > v.DMax, ErrVersions)
	check(c.PacketSize < MinPacketSize || c.PacketSize > MaxPacketSize, ErrPacketSize)
	check(c.DetectWithin != 0 && c.DetectWithin < MinDetectWithin, ErrDetect)
	check(min(c.ProbeInterval, c.ProbeTimeout, c.GossipInterval, c.GossipToTheDead,
		c.PushPullInterval, c.StreamTimeout) < 0, ErrNegative)
	check(min(c.IndirectChecks, c.SuspicionMult, c.SuspicionMaxMult, c.AwarenessMax,
		c.GossipNodes, c.RetransmitMult) < 0, ErrNegative)
	return errors.Join(errs...)
}

// badVersions reports announced versions that cannot be. (P38)
func badVersions(v wire.Versions) bool {
	return v.PMin == 0 || v.PMax == 0 || v.PMin > v.PMax
}
