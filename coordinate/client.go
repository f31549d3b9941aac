package coordinate

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// RTTMax is the longest round-trip time that Update takes for one. (P127)
const RTTMax = 10 * time.Second

// PartMax is how large, in seconds, any part of a coordinate may be. Times are at most
// RTTMax and gravity pulls, so that an honest one stays well within; one beyond it
// would throw this node's own away with a single observation. (P127)
const PartMax = 30.0

// Reasons why Update and Set refuse their input.
var (
	ErrDimensions = errors.New("coordinate has another dimension")
	ErrInvalid    = errors.New("coordinate has an impossible value")
	ErrRTT        = errors.New("round-trip time is not within 0 and 10s")
)

// smallest is the lower bound of divisors: a measured time, a sum of errors.
const smallest = 1.0e-6

// Client is one node's coordinate, which follows its observations. It is not
// safe for concurrent use.
type Client struct {
	cfg Config
	rng *rand.Rand

	own    Coordinate
	origin Coordinate
	unit   []float64 // scratch: the direction of the present move

	filters map[string]*medianFilter
	window  adjustmentWindow
	resets  int
}

// New returns a client at the origin. rng chooses a direction where there is
// none.
func New(cfg Config, rng *rand.Rand) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if rng == nil {
		return nil, errors.New("no source of randomness")
	}
	cfg = cfg.withDefaults()
	c := &Client{
		cfg:     cfg,
		rng:     rng,
		unit:    make([]float64, cfg.Dimensions),
		filters: make(map[string]*medianFilter),
		window:  adjustmentWindow{samples: make([]float64, max(cfg.AdjustmentWindow, 0))},
	}
	c.own = c.start()
	c.origin = c.start()
	return c, nil
}

// start is the coordinate of a node that has seen nothing. (P120)
func (c *Client) start() Coordinate {
	return Coordinate{
		Vec:    make([]float64, c.cfg.Dimensions),
		Error:  c.cfg.ErrorMax,
		Height: c.cfg.HeightMin,
	}
}

// Get returns the present coordinate; its Vec is valid until the next Update or Set.
func (c *Client) Get() Coordinate { return c.own }

// Set replaces the present coordinate.
func (c *Client) Set(to Coordinate) error {
	if err := c.check(to); err != nil {
		return err
	}
	vec := append(c.own.Vec[:0], to.Vec...)
	c.own = to
	c.own.Vec = vec
	return nil
}

// Forget drops what is kept about a node. (P129)
func (c *Client) Forget(node string) { delete(c.filters, node) }

// Resets is how often the coordinate had to start anew. (P128)
func (c *Client) Resets() int { return c.resets }

// Update takes an observation: a ping to node, which is at other, took rtt. It
// returns the new coordinate (see Get), or why it refused the observation.
func (c *Client) Update(node string, other Coordinate, rtt time.Duration) (Coordinate, error) {
	if err := c.check(other); err != nil {
		return Coordinate{}, err
	}
	if rtt < 0 || rtt > RTTMax {
		return Coordinate{}, ErrRTT
	}
	seconds := c.filter(node).median(rtt.Seconds())
	c.vivaldi(other, seconds)
	c.adjust(other, seconds)
	c.gravity()
	if !c.own.Valid() || !c.own.within(PartMax) {
		c.reset()
	}
	return c.own, nil
}

// check is P127.
func (c *Client) check(other Coordinate) error {
	if len(other.Vec) != c.cfg.Dimensions {
		return ErrDimensions
	}
	if !other.Valid() || !other.within(PartMax) {
		return ErrInvalid
	}
	return nil
}

// vivaldi moves the coordinate and its error by one observation. (P123, P124)
func (c *Client) vivaldi(other Coordinate, rtt float64) {
	// Whole nanoseconds, as the peers have it.
	dist := c.own.DistanceTo(other).Seconds()
	rtt = max(rtt, smallest)
	wrongness := math.Abs(dist-rtt) / rtt
	weight := c.own.Error / max(c.own.Error+other.Error, smallest)

	ce := c.cfg.CE
	c.own.Error = min(ce*weight*wrongness+c.own.Error*(1-ce*weight), c.cfg.ErrorMax)

	c.push(c.cfg.CC*weight*(rtt-dist), other)
}

// adjust takes the prediction's error into the adjustment. (P125)
func (c *Client) adjust(other Coordinate, rtt float64) {
	if len(c.window.samples) == 0 {
		return
	}
	c.own.Adjustment = c.window.add(rtt-c.own.rawSeconds(other)) / 2
}

// gravity pulls towards the origin, against the drift of the whole cluster. (P126)
func (c *Client) gravity() {
	dist := c.origin.DistanceTo(c.own).Seconds()
	pull := dist / c.cfg.GravityRho
	c.push(-1.0*pull*pull, c.origin)
}

// push moves the coordinate away from other by force seconds.
func (c *Client) push(force float64, other Coordinate) {
	for i := range c.unit {
		c.unit[i] = c.own.Vec[i] - other.Vec[i]
	}
	mag := magnitude(c.unit)
	if mag > coincident {
		scale(c.unit, 1/mag)
	} else {
		c.randomUnit()
	}
	for i, u := range c.unit {
		c.own.Vec[i] += u * force
	}
	if mag > coincident {
		h := (c.own.Height+other.Height)*force/mag + c.own.Height
		c.own.Height = max(h, c.cfg.HeightMin)
	}
}

// randomUnit sets unit to a random direction.
func (c *Client) randomUnit() {
	for i := range c.unit {
		c.unit[i] = c.rng.Float64() - 0.5
	}
	if mag := magnitude(c.unit); mag > coincident {
		scale(c.unit, 1/mag)
		return
	}
	clear(c.unit)
	c.unit[0] = 1
}

// reset starts anew. The window goes too: an infinity in it would spoil every
// update until it has passed through. (P128)
func (c *Client) reset() {
	c.resets++
	clear(c.own.Vec)
	c.own.Error = c.cfg.ErrorMax
	c.own.Adjustment = 0
	c.own.Height = c.cfg.HeightMin
	clear(c.window.samples)
	c.window.next = 0
}

func (c *Client) filter(node string) *medianFilter {
	f := c.filters[node]
	if f == nil {
		n := c.cfg.FilterSize
		f = &medianFilter{samples: make([]float64, 0, n), sorted: make([]float64, 0, n)}
		c.filters[node] = f
	}
	return f
}

// medianFilter keeps the last observations of one node, so that a single
// outlier moves nothing. (P122)
type medianFilter struct {
	samples []float64 // oldest first, at most cap
	sorted  []float64 // scratch
}

// median adds an observation and returns the median of those kept, the upper
// one of an even number.
func (f *medianFilter) median(x float64) float64 {
	if len(f.samples) == cap(f.samples) {
		copy(f.samples, f.samples[1:])
		f.samples = f.samples[:len(f.samples)-1]
	}
	f.samples = append(f.samples, x)
	f.sorted = append(f.sorted[:0], f.samples...)
	slices.Sort(f.sorted)
	return f.sorted[len(f.sorted)/2]
}

// adjustmentWindow is a ring of the last differences between what was observed
// and what was predicted. It counts as full of zeros at first.
type adjustmentWindow struct {
	samples []float64
	next    int
}

// add replaces the oldest sample and returns the mean.
func (w *adjustmentWindow) add(x float64) float64 {
	w.samples[w.next] = x
	w.next = (w.next + 1) % len(w.samples)
	sum := 0.0
	for _, s := range w.samples {
		sum += s
	}
	return sum / float64(len(w.samples))
}

func scale(v []float64, by float64) {
	for i := range v {
		v[i] *= by
	}
}
