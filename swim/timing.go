package swim

import "time"

// watchersEach is how many natives watch each member: one may be wrong and one
// may have died at the same time.
const watchersEach = 3

// timing holds the times of the natives' detection. (P197)
//
// Rule: a member that falls silent is dead within the bound that the times were
// made for: the longest wait for a watcher's next ping, that ping's time-out, the
// burst, the suspicion. Invariant: all are positive.
type timing struct {
	every      time.Duration // a native is pinged this often, by all its watchers together
	everyPlain time.Duration // and a plain member, which does not say when it wants to be
	answer     time.Duration // how long an answer may take at least
	burst      time.Duration // how long a member that did not answer is tried on all ways, at least
	again      time.Duration // from one ping of a burst to the next
	hang       time.Duration // how long a stream may be connected and not answered, at least
	late       time.Duration // how late the ping of a watcher may be at least
	silent     suspicionSpan // if neither the member nor its host answers
	hung       suspicionSpan // if only its host does
	// crashed: its host says that nobody is there, and nobody else could be asked.
	crashed suspicionSpan
}

// suspicionSpan is how long a suspicion lasts if somebody agrees, and if nobody does.
type suspicionSpan struct{ least, most time.Duration }

// The bounds that hold unless Config.DetectWithin says otherwise.
const (
	silentWithin = 1300 * time.Millisecond
	hungWithin   = 3 * time.Second
	// MinDetectWithin is the shortest DetectWithin: below it, what an ordinary
	// machine does at times would be reported.
	MinDetectWithin = 200 * time.Millisecond
)

func newTiming(cfg *Config) timing {
	silent, hung := cfg.DetectWithin, cfg.DetectWithin
	if silent == 0 {
		// A profile for longer ways takes as much longer as its time-outs do.
		scale := max(1, float64(cfg.ProbeTimeout)/float64(500*time.Millisecond))
		silent, hung = time.Duration(scale*float64(silentWithin)), time.Duration(scale*float64(hungWithin))
	}
	t := timing{
		every:      min(silent*6/13, 600*time.Millisecond),
		everyPlain: min(silent/6, 200*time.Millisecond),
		answer:     min(silent/32, 40*time.Millisecond),
		burst:      min(silent*11/100, 140*time.Millisecond),
	}
	t.again = t.burst / 4
	t.hang, t.late = t.burst/3, t.answer*2/3
	seen := t.every + t.answer + t.burst
	t.silent = suspicionSpan{(silent - seen) * 2 / 3, silent - seen}
	seenHung := t.every + t.answer + t.hang // that much sooner
	t.hung = suspicionSpan{hung - seenHung, hung - seenHung}
	t.crashed = suspicionSpan{t.burst, t.burst}
	return t
}

// Patience is how long this node lets a member whose host answers be silent
// before it holds it to be failed, at least: the pause that a healthy process may take.
func (c Config) Patience() time.Duration {
	c = c.withDefaults()
	t := newTiming(&c)
	return t.answer + t.hang + t.hung.least
}
