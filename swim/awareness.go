package swim

import "time"

// awareness is Lifeguard's local health: how much this node should distrust
// its own view of others.
//
// Rule: the score rises by one for each failed probe without nacks to excuse
// it, for each nack that did not come, and for each accusation that had to be
// refuted; it falls by one for each probe that succeeded. The probe interval is
// stretched by score+1. Invariant: 0 <= score < limit.
type awareness struct {
	score int
	limit int
}

// apply adds delta within the bounds.
func (a *awareness) apply(delta int) {
	a.score = max(0, min(a.score+delta, a.limit-1))
}

// scale stretches d by how unwell this node is.
func (a *awareness) scale(d time.Duration) time.Duration {
	return d * time.Duration(a.score+1)
}
