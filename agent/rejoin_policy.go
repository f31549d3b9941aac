package agent

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const (
	// attemptsAtOnce is how many attempts to reach somebody may be under way.
	attemptsAtOnce = 8
	// attemptGap is the mean time between attempts once attemptsAtOnce were made.
	attemptGap = 250 * time.Millisecond
	// attemptPause is the time until the first attempt to reach somebody who
	// was lost; it doubles up to attemptPauseMax, which is kept as long as the agent runs.
	attemptPause    = time.Second
	attemptPauseMax = 30 * time.Second
	// attemptCrowd is how many live members may each try that often. In a larger
	// cluster each tries more rarely, down to once in attemptSlow, so that
	// whoever comes back is not met by everybody at once.
	attemptCrowd = 8
	attemptSlow  = 10 * time.Minute
	// answeredPause is the time until the next attempt if somebody answers at an
	// address that no member has: a forwarded port, or a name for many hosts.
	answeredPause = 5 * time.Minute
)

// contact is somebody whom this node wants to be in touch with: a remembered
// peer by name and address, or a seed as its user wrote it.
type contact struct {
	seed string
	name string
	addr netip.AddrPort
}

// String is how Serf writes a node that it joins again.
func (c contact) String() string {
	switch {
	case c.seed != "":
		return c.seed
	case c.name == "":
		return c.addr.String()
	}
	return c.name + ": " + c.addr.String()
}

// attempts decide whom to try when (P164). It is pure: what happens and when is
// handed in.
//
// Rule: whoever is lost is tried, sooner first, then every attemptPauseMax and
// half as much again at random, for as long as it is lost. Invariant: running is
// the number of entries under way, those that were forgotten meanwhile included.
type attempts struct {
	rng     *rand.Rand
	entries []*attempt // in the order in which they were lost
	known   map[contact]*attempt
	running int
	alive   int
	spent   time.Time // attempts are paid for until then
}

type attempt struct {
	contact
	due     time.Time
	tries   int
	running bool
	wanted  bool // scratch of set
}

func newAttempts(rng *rand.Rand) *attempts {
	return &attempts{rng: rng, known: make(map[contact]*attempt)}
}

// set says who is lost at present and how many members are alive. Who is new in
// it is due after a first pause, but not before the given time.
func (p *attempts) set(now time.Time, lost []contact, alive int, before time.Time) {
	p.alive = alive
	for _, e := range p.entries {
		e.wanted = false
	}
	for _, c := range lost {
		e := p.known[c]
		if e == nil {
			e = &attempt{contact: c, due: now.Add(p.pause(0))}
			if e.due.Before(before) {
				e.due = before
			}
			p.known[c] = e
			p.entries = append(p.entries, e)
		}
		e.wanted = true
	}
	p.entries = slices.DeleteFunc(p.entries, func(e *attempt) bool {
		if !e.wanted {
			delete(p.known, e.contact)
		}
		return !e.wanted
	})
}

// urge makes those that are meant due at once, in random order: this node has
// just begun.
func (p *attempts) urge(now time.Time, meant func(contact) bool) {
	p.rng.Shuffle(len(p.entries), func(i, j int) { p.entries[i], p.entries[j] = p.entries[j], p.entries[i] })
	for _, e := range p.entries {
		if meant(e.contact) {
			e.due = now
		}
	}
}

// take returns who is to be tried now; each of them ends by done.
func (p *attempts) take(now time.Time) []contact {
	var out []contact
	for p.running < attemptsAtOnce && !p.free().After(now) {
		var first *attempt
		for _, e := range p.entries {
			if !e.running && !e.due.After(now) && (first == nil || e.due.Before(first.due)) {
				first = e
			}
		}
		if first == nil {
			break
		}
		first.running = true
		p.running++
		if p.spent.Before(now) {
			p.spent = now
		}
		p.spent = p.spent.Add(attemptGap)
		out = append(out, first.contact)
	}
	return out
}

// free is when the next attempt may begin.
func (p *attempts) free() time.Time { return p.spent.Add(-(attemptsAtOnce - 1) * attemptGap) }

// done: an attempt has ended; answered: somebody was there.
func (p *attempts) done(now time.Time, c contact, answered bool) {
	p.running--
	e := p.known[c]
	if e == nil || !e.running { // it was found, and perhaps lost again, in between
		return
	}
	e.running = false
	if answered {
		e.due = now.Add(answeredPause + p.jitter(answeredPause/2))
		return
	}
	e.tries++
	e.due = now.Add(p.pause(e.tries))
}

// next is when take has something to return; zero if that depends on done or set.
func (p *attempts) next() time.Time {
	var at time.Time
	if p.running >= attemptsAtOnce {
		return at
	}
	for _, e := range p.entries {
		if !e.running && (at.IsZero() || e.due.Before(at)) {
			at = e.due
		}
	}
	if free := p.free(); !at.IsZero() && at.Before(free) {
		return free
	}
	return at
}

// pause is the time after so many failed attempts.
func (p *attempts) pause(tries int) time.Duration {
	d := attemptPauseMax
	if tries < 5 {
		d = min(d, attemptPause<<tries)
	}
	d = min(d*time.Duration(max(p.alive/attemptCrowd, 1)), attemptSlow)
	return d + p.jitter(d/2)
}

func (p *attempts) jitter(d time.Duration) time.Duration {
	return time.Duration(p.rng.Int64N(int64(d)))
}
