package fill

import (
	"slices"
	"time"
)

// The waits of a Schedule.
const (
	// tryFirst is how long after a filling that came to nothing the next one begins; the wait doubles up to tryMost.
	tryFirst = 2 * time.Second
	tryMost  = 5 * time.Minute
	// againFirst is the least time between two fillings of a server that nobody has asked for. It doubles, too, for one
	// that has to be filled again before calm is over.
	againFirst = 5 * time.Second
	calm       = 10 * time.Minute
	// notDiffering is the least time between two fillings of a server that differs from the others: if it did so
	// again at once, a filling would not help, and cost them much.
	notDiffering = time.Hour
)

// Schedule decides when a server is filled that needs it. It is pure: it has no clock. The zero value is ready.
type Schedule struct {
	next   time.Time
	filled time.Time // when it was last
	times  int       // and how often in a row without a time of calm
	faults int
	asked  bool
}

// Ask has the next filling begin at once.
func (s *Schedule) Ask() { s.asked, s.faults = true, 0 }

// Wait is how long to wait before the next filling.
func (s *Schedule) Wait(now time.Time) time.Duration {
	if s.asked {
		return 0
	}
	return max(0, s.next.Sub(now))
}

// WaitDiffering is the same for a server that differs from the others of its slice.
func (s *Schedule) WaitDiffering(now time.Time) time.Duration {
	if s.asked || s.filled.IsZero() {
		return s.Wait(now)
	}
	return max(s.Wait(now), s.filled.Add(notDiffering).Sub(now))
}

// Ended notes what became of a filling.
func (s *Schedule) Ended(now time.Time, err error) {
	s.asked = false
	if err == nil {
		if s.times++; now.Sub(s.filled) >= calm {
			s.times = 0
		}
		s.faults, s.filled = 0, now
		s.next = now.Add(min(tryMost, againFirst<<min(s.times, 16)))
		return
	}
	s.next = now.Add(min(tryMost, tryFirst<<min(s.faults, 16)))
	s.faults++
}

// Replica is a server that holds what the one to be filled holds.
type Replica struct {
	Server string
	Read   bool // it is in the read set
	Alive  bool // and answers
	Load   int  // what is under way there
}

// Sources are those that a server may be filled from, the best first: those that are read from, the ones with the
// least to do first.
func Sources(replicas []Replica) (servers []string) {
	able := slices.DeleteFunc(slices.Clone(replicas), func(r Replica) bool { return !r.Read || !r.Alive })
	slices.SortStableFunc(able, func(a, b Replica) int { return a.Load - b.Load })
	for _, r := range able {
		servers = append(servers, r.Server)
	}
	return servers
}
