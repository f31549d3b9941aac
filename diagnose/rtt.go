package diagnose

import (
	"time"

	"github.com/ibuki-dev/ibuki/coordinate"
	"github.com/ibuki-dev/ibuki/rpc"
)

// RoundTrip estimates the time between two members from their coordinates; false
// if those are of different dimensions.
func RoundTrip(a, b *rpc.Coordinate) (time.Duration, bool) {
	if len(a.Vec) != len(b.Vec) {
		return 0, false
	}
	return point(a).DistanceTo(point(b)), true
}

func point(c *rpc.Coordinate) coordinate.Coordinate {
	return coordinate.Coordinate{Vec: c.Vec, Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
}
