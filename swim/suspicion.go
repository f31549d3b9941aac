package swim

import (
	"math"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// suspicion is the time that a suspect has to refute, Lifeguard's way.
//
// Rule: it lasts most, if nobody else agrees; each independent confirmation
// shortens it along a logarithm, until with want of them it lasts least.
// If no confirmations are to be had (want 0) it lasts least from the start.
// Invariant: least <= limit() <= most; the first accuser and everybody in from
// counts once; len(from)-1 <= want.
type suspicion struct {
	timer       timer
	began       time.Duration // on the awake clock
	least, most time.Duration
	want        int
	verdict     wire.Verdict // none: it is Lifeguard's, else see doubt.go
	mine        bool         // self accuses too
	bySilence   bool         // it is Crashed, and lasts as one that is silent
	asked       bool         // self does not, and has asked the suspect before it believes in the end
	from        []string     // who accused: the first accuser, then the confirmations
}

// suspicionTimes computes the shortest and longest suspicion and how many
// confirmations lead from one to the other, for a cluster of n known members of
// whom present are neither dead nor left. Only they can confirm: to wait for the
// word of the dead, as memberlist does, would make the second failure in a small
// cluster take six times as long as the first. Suspects count, since a node that
// is itself cut off suspects everybody, and must not be in a hurry then.
func suspicionTimes(cfg *Config, n, present int) (least, most time.Duration, want int) {
	scale := math.Max(1, math.Log10(math.Max(1, float64(n))))
	// To the thousandth, as the peers compute it; divided first, against overflow.
	least = time.Duration(cfg.SuspicionMult) * time.Duration(scale*1000) * (cfg.ProbeInterval / 1000)
	most = time.Duration(cfg.SuspicionMaxMult) * least
	want = cfg.SuspicionMult - 2
	// Neither we nor the suspect can confirm.
	if present-2 < want {
		want = 0
	}
	return least, most, max(0, want)
}

// begin starts a suspicion that from raised, or starts it anew: its bounds stay.
func (s *suspicion) begin(now time.Duration, from string) {
	s.began = now
	s.from = append(s.from[:0], from)
}

// confirmations is how many others agreed.
func (s *suspicion) confirmations() int { return len(s.from) - 1 }

// confirm registers that from suspects too. It reports whether that is news.
func (s *suspicion) confirm(from string) bool {
	if s.confirmations() >= s.want {
		return false
	}
	for _, f := range s.from {
		if f == from {
			return false
		}
	}
	s.from = append(s.from, from)
	return true
}

// limit is how long the suspicion lasts with the confirmations so far.
func (s *suspicion) limit() time.Duration {
	if s.want < 1 {
		return s.least
	}
	frac := math.Log(float64(s.confirmations()+1)) / math.Log(float64(s.want+1))
	secs := s.most.Seconds() - frac*(s.most-s.least).Seconds()
	d := time.Duration(math.Floor(1000*secs)) * time.Millisecond
	return max(s.least, d)
}

// ends is the moment at which the suspect is held to be dead.
func (s *suspicion) ends() time.Duration { return s.began + s.limit() }
