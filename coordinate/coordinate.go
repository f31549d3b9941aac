package coordinate

import (
	"math"
	"slices"
	"time"
)

// coincident is the distance in seconds below which two points count as one, so
// that there is no direction from one to the other.
const coincident = 1.0e-6

// Coordinate is a point in the network space. All but Error are in seconds.
type Coordinate struct {
	// Vec is the Euclidean part.
	Vec []float64
	// Error is how little the coordinate can be trusted, relative to the
	// times it predicts: 0 is perfect, Config.ErrorMax knows nothing.
	Error float64
	// Adjustment corrects predictions by what they were wrong on average.
	Adjustment float64
	// Height is the way from the node to the network, which every path has.
	Height float64
}

// Clone returns a copy that shares no memory with c.
func (c Coordinate) Clone() Coordinate {
	c.Vec = slices.Clone(c.Vec)
	return c
}

// Valid reports whether all numbers are finite, and error and height not
// negative: a negative error would lend an observation unbounded weight. (P127)
func (c Coordinate) Valid() bool {
	for _, x := range c.Vec {
		if !finite(x) {
			return false
		}
	}
	return finite(c.Error) && finite(c.Adjustment) && finite(c.Height) && c.Error >= 0 && c.Height >= 0
}

// within reports whether no part of c but the error is larger than most.
func (c Coordinate) within(most float64) bool {
	for _, x := range c.Vec {
		if math.Abs(x) > most {
			return false
		}
	}
	return math.Abs(c.Adjustment) <= most && c.Height <= most
}

// DistanceTo estimates the round-trip time between c and other. Where one has
// fewer dimensions, those that it lacks count as 0. (P129)
func (c Coordinate) DistanceTo(other Coordinate) time.Duration {
	return toDuration(c.seconds(other))
}

// seconds is the estimated round-trip time with the adjustments, which are
// left out if they would make it negative.
func (c Coordinate) seconds(other Coordinate) float64 {
	dist := c.rawSeconds(other)
	if adjusted := dist + c.Adjustment + other.Adjustment; adjusted > 0 {
		return adjusted
	}
	return dist
}

// rawSeconds is the estimated round-trip time without the adjustments.
func (c Coordinate) rawSeconds(other Coordinate) float64 {
	a, b := c.Vec, other.Vec
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := 0.0
	for i, x := range a {
		if i < len(b) {
			x -= b[i]
		}
		sum += x * x
	}
	return math.Sqrt(sum) + c.Height + other.Height
}

// toDuration converts seconds. What a Duration cannot hold becomes the nearest
// that it can, since the result of converting it is not defined.
func toDuration(seconds float64) time.Duration {
	ns := seconds * 1.0e9
	switch {
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns <= math.MinInt64:
		return math.MinInt64
	case math.IsNaN(ns):
		return 0
	}
	return time.Duration(ns)
}

func finite(x float64) bool {
	return !math.IsInf(x, 0) && !math.IsNaN(x)
}

func magnitude(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}
