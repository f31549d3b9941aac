package serf

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/coordinate"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// dimensions is that of the default settings, which all Serf nodes have.
const dimensions = 8

// coord is a peer's coordinate, packed.
type coord struct {
	vec                       [dimensions]float64
	err, adjustment, heightOf float64
}

// coordinates are this node's own coordinate and those of its peers. The zero value has
// none.
type coordinates struct {
	client *coordinate.Client // follows the own one; nil: there are no coordinates
	of     map[string]*coord  // the members' that sent theirs
	vec    []float64          // scratch, for one coordinate
	before []float64          // scratch, for this node's own one
}

func newCoordinates(rng *rand.Rand) (coordinates, error) {
	client, err := coordinate.New(coordinate.Default(), rng)
	return coordinates{client: client, of: make(map[string]*coord)}, err
}

// append appends what rides in an ack (P121).
func (c *coordinates) append(dst []byte) []byte {
	if c.client == nil {
		return dst
	}
	own := wire.Coordinate(c.client.Get())
	return own.AppendTo(dst)
}

// decode reads a peer's coordinate, which is valid until the next call.
func (c *coordinates) decode(payload []byte) (wire.Coordinate, error) {
	peer := wire.Coordinate{Vec: c.vec[:0]}
	err := peer.Decode(payload)
	if err == nil {
		c.vec = peer.Vec
	}
	return peer, err
}

// observe takes a ping's round-trip time to a member, and its coordinate. It returns how
// far that moved this node's own one.
func (c *coordinates) observe(name string, peer wire.Coordinate, rtt time.Duration) (moved time.Duration, err error) {
	before := c.client.Get()
	c.before = append(c.before[:0], before.Vec...)
	before.Vec = c.before // Update writes into its own
	after, err := c.client.Update(name, coordinate.Coordinate(peer), rtt)
	if err != nil {
		return 0, err
	}
	of := c.of[name]
	if of == nil {
		of = new(coord)
		c.of[name] = of
	}
	*of = coord{err: peer.Error, adjustment: peer.Adjustment, heightOf: peer.Height}
	copy(of.vec[:], peer.Vec)
	return before.DistanceTo(after), nil
}

// forget drops what was measured of a member (P129).
func (c *coordinates) forget(name string) {
	if c.client != nil {
		c.client.Forget(name)
		delete(c.of, name)
	}
}

// resets counts how often the own coordinate had to start over.
func (c *coordinates) resets() (n int) {
	if c.client != nil {
		n = c.client.Resets()
	}
	return n
}

// observe takes a ping's round-trip time and the coordinate in its ack.
func (m *Machine) observe(name string, rtt time.Duration, payload []byte) {
	if m.coords.client == nil || len(payload) == 0 {
		return
	}
	peer, err := m.coords.decode(payload)
	if err != nil {
		m.trace(swim.Trace{Kind: TraceCoordinateBad, Level: swim.LevelError, Node: name, Err: err})
		return
	}
	mem := m.members.get(name)
	if mem == nil {
		return
	}
	moved, err := m.coords.observe(mem.Name(), peer, rtt)
	if err != nil {
		m.trace(swim.Trace{Kind: TraceCoordinateRejected, Level: swim.LevelTrace, Node: name, Err: err})
		return
	}
	m.counts.Adjustments++
	if rtt == 0 {
		m.counts.ZeroRTT++
	}
	m.counts.Adjusted += moved
}

// Coordinate returns the network coordinate of a member (or of this node).
func (m *Machine) Coordinate(name string) (wire.Coordinate, bool) {
	if m.coords.client == nil {
		return wire.Coordinate{}, false
	}
	if name == m.cfg.Swim.Name {
		return wire.Coordinate(m.coords.client.Get().Clone()), true
	}
	c := m.coords.of[name]
	if c == nil {
		return wire.Coordinate{}, false
	}
	return wire.Coordinate{
		Vec: slices.Clone(c.vec[:]), Error: c.err, Adjustment: c.adjustment, Height: c.heightOf,
	}, true
}
