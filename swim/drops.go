package swim

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// Drop is a reason for which input from the network was not used.
type Drop uint8

// The reasons.
const (
	DropTruncated      Drop = iota // the bytes end before the message does
	DropMalformed                  // anything else that wire refuses
	DropLimit                      // beyond one of the limits of wire
	DropType                       // a message type that does not exist, or not in this place
	DropCRC                        // wrong checksum
	DropName                       // a name that is empty or longer than MaxName
	DropMeta                       // metadata longer than wire.MetaMax
	DropAddr                       // an address that is none
	DropVersions                   // announced versions that cannot be
	DropIncompatible               // a member, or a whole push/pull, whose versions do not fit this node's
	DropIncarnation                // a first claim at incarnation 0
	DropMembers                    // MaxMembers reached
	DropRelays                     // MaxRelays reached
	DropUnexpectedPing             // a ping for another node
	DropStrayAck                   // an ack or nack that nobody waits for: late, repeated or forged
	DropCluster                    // a member of a cluster of another name
	DropStrayDial                  // the end of a Dial that is not open

	// NumDrops is the number of reasons.
	NumDrops = int(iota)
)

var dropNames = [NumDrops]string{"truncated", "malformed", "limit", "type", "crc", "name", "meta",
	"addr", "versions", "incompatible", "incarnation", "members", "relays", "unexpected-ping",
	"stray-ack", "cluster", "stray-dial"}

// String is a short word for the reason, for metrics and logs.
func (d Drop) String() string {
	if int(d) < NumDrops {
		return dropNames[d]
	}
	return "drop-" + strconv.Itoa(int(d))
}

// dropOf is the reason for an error of wire.
func dropOf(err error) Drop {
	switch {
	case errors.Is(err, wire.ErrTruncated):
		return DropTruncated
	case errors.Is(err, wire.ErrLimit):
		return DropLimit
	case errors.Is(err, wire.ErrType):
		return DropType
	case errors.Is(err, wire.ErrCRC):
		return DropCRC
	}
	return DropMalformed
}

// reportEvery is how often a reason is reported at most: a flood of bad packets
// must not become a flood of records.
const reportEvery = time.Minute

// drops counts unused input.
//
// Rule: everything is counted; of each reason one record is made, and then none
// for reportEvery. Invariant: counts never fall; quiet[d] counts what was
// dropped since the last record.
type drops struct {
	counts [NumDrops]uint64
	quiet  [NumDrops]int
	last   [NumDrops]time.Duration // of the last record, on the real clock; 0: never
}

// add counts one and reports whether a record is due, for how many.
func (d *drops) add(why Drop, now time.Duration) (n int, report bool) {
	d.counts[why]++
	d.quiet[why]++
	if d.last[why] != 0 && now-d.last[why] < reportEvery {
		return 0, false
	}
	n, d.quiet[why], d.last[why] = d.quiet[why], 0, max(now, 1)
	return n, true
}

// Drops returns how often input was not used, by reason.
func (m *Machine) Drops() [NumDrops]uint64 { return m.drops.counts }

// drop counts a packet, or a part of one, that is not used.
func (m *Machine) drop(why Drop, from netip.AddrPort, err error) {
	m.dropAs(TraceBadPacket, why, from, err)
}

func (m *Machine) dropAs(kind TraceKind, why Drop, from netip.AddrPort, err error) {
	if n, report := m.drops.add(why, m.clock.real); report {
		m.trace(Trace{Kind: kind, Level: LevelError, Addr: from, N: int(why), Of: n, Err: err})
	}
}
