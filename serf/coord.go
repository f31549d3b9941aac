package serf

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/coordinate"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// newCoordinates returns the client that follows this node's own coordinate.
func newCoordinates(rng *rand.Rand) (*coordinate.Client, error) {
	return coordinate.New(coordinate.Default(), rng)
}

// dimensions is that of the default settings, which all Serf nodes have.
const dimensions = 8

// coord is a peer's coordinate, packed.
type coord struct {
	vec                       [dimensions]float64
	err, adjustment, heightOf float64
}

// appendCoordinate appends what rides in an ack (P121).
func (m *Machine) appendCoordinate(dst []byte) []byte {
	if m.coords == nil {
		return dst
	}
	c := wire.Coordinate(m.coords.Get())
	return c.AppendTo(dst)
}

// observe takes a ping's round-trip time and the coordinate in its ack.
func (m *Machine) observe(name string, rtt time.Duration, payload []byte) {
	if m.coords == nil || len(payload) == 0 {
		return
	}
	c := wire.Coordinate{Vec: m.vec[:0]}
	if err := c.Decode(payload); err != nil {
		m.trace(swim.Trace{Kind: TraceCoordinateBad, Level: swim.LevelError, Node: name, Err: err})
		return
	}
	m.vec = c.Vec
	mem := m.members.get(name)
	if mem == nil {
		return
	}
	before := m.coords.Get()
	m.before = append(m.before[:0], before.Vec...)
	before.Vec = m.before // Update writes into its own
	after, err := m.coords.Update(mem.Name(), coordinate.Coordinate(c), rtt)
	if err != nil {
		m.trace(swim.Trace{Kind: TraceCoordinateRejected, Level: swim.LevelTrace, Node: name, Err: err})
		return
	}
	m.countAdjustment(before, after, rtt)
	of := m.coordsOf[mem.Name()]
	if of == nil {
		of = new(coord)
		m.coordsOf[mem.Name()] = of
	}
	*of = coord{err: c.Error, adjustment: c.Adjustment, heightOf: c.Height}
	copy(of.vec[:], c.Vec)
}

// forgetCoordinate drops what was measured of a member (P129).
func (m *Machine) forgetCoordinate(name string) {
	if m.coords != nil {
		m.coords.Forget(name)
		delete(m.coordsOf, name)
	}
}

// Coordinate returns the network coordinate of a member (or of this node).
func (m *Machine) Coordinate(name string) (wire.Coordinate, bool) {
	if m.coords == nil {
		return wire.Coordinate{}, false
	}
	if name == m.cfg.Swim.Name {
		return wire.Coordinate(m.coords.Get().Clone()), true
	}
	c := m.coordsOf[name]
	if c == nil {
		return wire.Coordinate{}, false
	}
	return wire.Coordinate{
		Vec: slices.Clone(c.vec[:]), Error: c.err, Adjustment: c.adjustment, Height: c.heightOf,
	}, true
}
