package swim

import (
	"slices"
	"time"
)

// This file is how a native gets to know how far away each member is, soon after it has joined:
// the turn in which members are probed (P1) would take minutes for that. (P204)

const (
	// introduceEach bounds how often a member is pinged for this by all others together, and
	// how often it pings others: one in so long.
	introduceEach = time.Second / 30
	// introduceLeast is within which time members are pinged in a small cluster.
	introduceLeast = time.Second
	// introduceTries is how often one is pinged that does not answer.
	introduceTries = 3
)

// introductions are the members whose answer to a ping is still wanted, for their round trip
// and for what the answer carries.
//
// Rule: who joins is pinged once, at a random time that is the further away the larger the
// cluster is, so that one who joins many is not pinged by all of them at once. Invariant: each
// name is once in wait or in asked, or in neither; timer is armed if one is in either.
type introductions struct {
	timer timer
	every time.Duration // from one ping to the next; 0: nobody waits
	wait  []introduction
	asked []introduction // in the order of sent
}

type introduction struct {
	name   string
	tries  int
	seq    uint32
	sent   time.Duration // on the real clock
	asleep time.Duration // the clock's then
	due    time.Duration // when no answer is waited for any more, on the awake clock
}

// add notes a member that has joined a cluster of n. It reports whether it is the first that waits.
func (s *introductions) add(name string, n int) (first bool) {
	s.done(name)
	first = len(s.wait)+len(s.asked) == 0
	s.wait = append(s.wait, introduction{name: name})
	every := max(introduceLeast, time.Duration(n)*introduceEach) / time.Duration(len(s.wait))
	if first || every < s.every {
		s.every = every
	}
	return first
}

// done forgets a member: it was heard, or has gone.
func (s *introductions) done(name string) {
	is := func(i introduction) bool { return i.name == name }
	s.wait, s.asked = slices.DeleteFunc(s.wait, is), slices.DeleteFunc(s.asked, is)
}

// late gives up waiting for answers until now: these members are pinged again, unless they
// were often enough.
func (s *introductions) late(now time.Duration) {
	for len(s.asked) > 0 && s.asked[0].due <= now {
		if i := s.asked[0]; i.tries < introduceTries {
			s.wait = append(s.wait, i)
		}
		s.asked = slices.Delete(s.asked, 0, 1)
	}
}

// answered takes the answer with that number, and says whose it is and whether it is a round trip.
func (s *introductions) answered(seq uint32, c *clock) (name string, rtt time.Duration, ok bool) {
	at := slices.IndexFunc(s.asked, func(i introduction) bool { return i.seq == seq })
	if at < 0 {
		return "", 0, false
	}
	i := s.asked[at]
	s.asked = slices.Delete(s.asked, at, at+1)
	if i.asleep != c.asleep { // this node did not run meanwhile
		s.wait = append(s.wait, i)
	}
	return i.name, c.real - i.sent, i.asleep == c.asleep
}

// introduce pings the next member, and arms the timer for the one after it.
func (m *Machine) introduce() {
	s, now := &m.introductions, m.clock.awake()
	s.late(now)
	for len(s.wait) > 0 {
		pick := m.rng.IntN(len(s.wait))
		i := s.wait[pick]
		s.wait = slices.Delete(s.wait, pick, pick+1)
		e := m.members.get(i.name)
		if e == nil || !e.present() {
			continue
		}
		i.tries++
		i.seq, i.sent, i.asleep, i.due = m.nextSeq(), m.clock.real, m.clock.asleep, now+m.cfg.ProbeTimeout
		s.asked = append(s.asked, i)
		m.scratch = m.ping(i.seq, e.name).AppendTo(m.scratch[:0])
		m.send(e.at(), e.name, m.scratch)
		break
	}
	switch {
	case len(s.wait) > 0:
		m.arm(&s.timer, now+s.every/2+m.stagger(s.every))
	case len(s.asked) > 0:
		m.arm(&s.timer, s.asked[0].due)
	}
}
