package sim

import (
	"math/rand/v2"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// Mass is a measurement: of Nodes members that know each other, Killed end together.
type Mass struct {
	Nodes, Killed int
	// Silent are those of the killed whose hosts are gone too: nothing refuses there,
	// nothing answers.
	Silent int
	// Waves spreads the crashes over so many groups, 50 ms apart; 0 and 1: all at one moment.
	Waves int
	Plain bool
	Seed  uint64
	// Link is what the ways are like. Zero: a delay of 0.25 to 0.75 ms.
	Link Link
	// Limit is how long reports are waited for.
	Limit time.Duration
}

// MassResult is what came of it: when the last survivor had reported the last of
// the killed, counted from the last crash, how many reports are missing at the limit,
// and how many there were about members that run.
type MassResult struct {
	Last           time.Duration
	Missing, False int
}

// waveGap is the time between two waves.
const waveGap = 50 * time.Millisecond

// Run plays it.
func (a Mass) Run() (r MassResult, err error) {
	s, err := NewScale(ScaleOptions{Nodes: a.Nodes, Seed: a.Seed, Plain: a.Plain, Link: a.Link})
	if err != nil {
		return r, err
	}
	rng := rand.New(rand.NewPCG(a.Seed, 7))
	// Another moment of all timers each time.
	if err := s.Advance(settledAfter + time.Duration(rng.Int64N(int64(2*time.Second)))); err != nil {
		return r, err
	}
	c, order := s.c, rng.Perm(a.Nodes)
	killed := make(map[string]bool)
	for _, i := range order[:a.Killed] {
		killed[c.nodes[i].name] = true
	}
	missing := make(map[[2]string]bool)
	for _, i := range order[a.Killed:] {
		for _, j := range order[:a.Killed] {
			missing[[2]string{c.nodes[i].name, c.nodes[j].name}] = true
		}
	}
	var last time.Duration
	c.onEvent = func(o *Node, ev *serf.Event) {
		if ev.Type != serf.EventMemberFailed {
			return
		}
		for _, m := range ev.Members {
			switch at := [2]string{o.name, m.Name}; {
			case !killed[m.Name]:
				r.False++
			case missing[at]:
				delete(missing, at)
				last = c.clock.now
			}
		}
	}
	for i, at := range order[:a.Killed] {
		if i > 0 && a.Waves > 1 && i*a.Waves/a.Killed != (i-1)*a.Waves/a.Killed {
			c.Advance(waveGap)
		}
		c.nodes[at].Crash(i < a.Silent)
	}
	from := c.clock.now
	for end := from + a.Limit; len(missing) > 0 && c.clock.now < end && c.failed == nil; {
		c.Advance(5 * time.Millisecond)
	}
	r.Last, r.Missing = last-from, len(missing)
	c.Advance(consequences)
	return r, c.failed
}
