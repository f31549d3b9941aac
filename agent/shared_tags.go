package agent

import (
	"slices"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// sharedTags remembers the last different sets of tags, so that members that have the same
// share them in what Agent.Members returns. What was shared never changes.
type sharedTags struct {
	sets [16][]wire.Tag
	next int // where the next new one goes
}

// share has members share what they have in common. They were decoded each for itself.
func (s *sharedTags) share(members []serf.Member) {
	for i := range members {
		m := &members[i]
		at := slices.IndexFunc(s.sets[:], func(have []wire.Tag) bool { return slices.Equal(have, m.Tags) })
		switch {
		case len(m.Tags) == 0:
		case at >= 0:
			m.Tags = s.sets[at]
		default:
			s.sets[s.next%len(s.sets)] = m.Tags
			s.next++
		}
	}
}
