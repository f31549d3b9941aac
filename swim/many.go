package swim

import (
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is what natives do because many members may be gone at the same moment: those to
// whom the word of it was passed, and those who would agree with it, may be among them.

const (
	// wordsKept is how long what was said of members that are not alive is told to a
	// native that has become the next in a ring. (P294)
	wordsKept = 2 * time.Second
	// manyAre is how many members are to go within manyWithin for a node to compare
	// with others. (P295)
	manyAre    = 3
	manyWithin = 2 * time.Second
)

// catchUp tells those who have become next in a ring what was said lately of members
// that are not alive: whoever was next before may not have passed it on. That is at most as
// much as goes to one of them at a time. (P294)
func (m *Machine) catchUp() {
	met := m.members.rings.met
	for _, to := range met {
		packets, room := 0, 0
		m.parts = m.parts[:0]
		for i := range m.members.len() {
			e := m.members.at(i)
			if e.state == wire.StateAlive || e == m.local || m.clock.real-e.changed > wordsKept || !e.toldTo(to) {
				continue
			}
			word := m.appendWord(nil, e)
			if room -= wire.CompoundPartOverhead + len(word); room < 0 {
				m.copyParts(to, m.parts)
				m.parts = m.parts[:0]
				if packets++; packets > spreadPackets {
					break
				}
				room = m.cfg.room(true) - wire.CompoundPartOverhead - len(word)
			}
			m.parts = append(m.parts, word)
		}
		m.copyParts(to, m.parts)
		clear(m.parts)
	}
	clear(met)
	m.members.rings.met = met[:0]
}

// toldTo reports whether what is held against e may be told to that member: not to one that came
// after it, which may come from a part of the network where e lives.
func (e *member) toldTo(to *member) bool { return to.changed <= e.changed }

// recently are the moments at which something happened last, the newest first.
type recently [manyAre]time.Duration

// add notes that it happens, and reports whether that is for the n-th time within that time.
func (g *recently) add(n int, within, now time.Duration) bool {
	copy(g[1:], g[:])
	g[0] = now
	return g[n-1] != 0 && now-g[n-1] <= within
}

// arrivals bounds how many members come that this node did not ask for: whoever can send to
// it can name any number. Those that are real it learns of by its next comparison as well.
// (P277)
type arrivals struct {
	spent time.Duration // the time by which what was taken is paid for, on the awake clock
}

const (
	arrivalEvery = time.Millisecond // one in so long, on average
	arrivalsMost = 4096             // at once
	// arrivalsOwn of these are for members that come from their own host.
	arrivalsOwn = arrivalsMost / 4
)

// take reports whether one more may come; own: it says so itself, from its host.
func (a *arrivals) take(now time.Duration, own bool) bool {
	room := arrivalsMost * arrivalEvery
	if !own {
		room -= arrivalsOwn * arrivalEvery
	}
	next := max(a.spent, now) + arrivalEvery
	if next > now+room {
		return false
	}
	a.spent = next
	return true
}
