package settings

import (
	"fmt"
	"math"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

// explainSizes are the sizes of clusters that Explain calculates for.
var explainSizes = []int{3, 32, 1000, 10000}

// explainAt is when a cluster of n finds a failure, as the papers of SWIM and Lifeguard
// and the native rules have it.
func explainAt(s *swim.Config, n int) string {
	scale := math.Max(1, math.Log10(float64(n)))
	least := time.Duration(float64(s.SuspicionMult) * scale * float64(s.ProbeInterval))
	first := time.Duration(1.58 * float64(s.ProbeInterval))
	plain := fmt.Sprintf("plain: detected after about %v, at most %v later if no member confirms",
		(first + least).Round(100*time.Millisecond), (time.Duration(s.SuspicionMaxMult-1) * least).Round(100*time.Millisecond))
	if s.Plain {
		return plain
	}
	return fmt.Sprintf("a pause of %v is not reported; %s", s.Patience().Round(time.Millisecond), plain)
}
