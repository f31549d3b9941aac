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
	if len(met) == 0 {
		return
	}
	m.members.rings.met = met[:0]
	var packets [][][]byte
	room := 0
	for i := range m.members.len() {
		e := m.members.at(i)
		if e.state == wire.StateAlive || e == m.local || m.clock.real-e.changed > wordsKept {
			continue
		}
		word := m.appendWord(nil, e)
		if room -= wire.CompoundPartOverhead + len(word); room < 0 {
			if len(packets) == spreadPackets {
				break
			}
			packets, room = append(packets, nil), m.room(true)-wire.CompoundPartOverhead-len(word)
		}
		last := &packets[len(packets)-1]
		*last = append(*last, word)
	}
	for _, e := range met {
		for _, parts := range packets {
			m.copyParts(e, parts)
		}
	}
	clear(met)
}

// recently are the moments at which the last members went, on the real clock; at is where
// the next one goes.
type recently struct {
	when [manyAre]time.Duration
	at   int
}

// add notes that a member goes, and reports whether many have gone lately. (P295)
func (g *recently) add(now time.Duration) bool {
	g.when[g.at] = now
	g.at = (g.at + 1) % manyAre
	first := g.when[g.at]
	return first != 0 && now-first <= manyWithin
}
