package dispatch

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies counts how long answers took, so that quantiles of the recent ones can
// be told. Adding takes no lock. The buckets are an eighth of an octave wide, from
// a microsecond on.
type latencies struct {
	counts [numBuckets]atomic.Uint32
}

const (
	subBuckets = 8
	numBuckets = 32 * subBuckets
)

func bucketOf(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 1))
	octave := bits.Len64(us) - 1
	// The three bits behind the first one.
	sub := int((us << 3 >> octave) & (subBuckets - 1))
	return min(octave*subBuckets+sub, numBuckets-1)
}

// bucketEnd is the upper end of a bucket.
func bucketEnd(i int) time.Duration {
	octave, sub := i/subBuckets, i%subBuckets
	return time.Duration((uint64(1)<<octave)*uint64(subBuckets+sub+1)/subBuckets) * time.Microsecond
}

func (l *latencies) add(d time.Duration) { l.counts[bucketOf(d)].Add(1) }

// quantiles returns upper bounds of the given quantiles (ascending, 0 to 1), and
// of how many answers; zeros if there are none.
func (l *latencies) quantiles(qs ...float64) (values []time.Duration, total uint64) {
	var counts [numBuckets]uint64
	for i := range l.counts {
		counts[i] = uint64(l.counts[i].Load())
		total += counts[i]
	}
	values = make([]time.Duration, len(qs))
	if total == 0 {
		return values, 0
	}
	var sum uint64
	next := 0
	for i := range counts {
		sum += counts[i]
		for next < len(qs) && float64(sum) >= qs[next]*float64(total) {
			values[next] = bucketEnd(i)
			next++
		}
	}
	return values, total
}

// age halves what was counted, so that the old counts less and less.
func (l *latencies) age() {
	for i := range l.counts {
		if n := l.counts[i].Load(); n > 0 {
			l.counts[i].Add(-(n - n/2))
		}
	}
}
