package live

import (
	"slices"
	"strings"
)

// tagSets remembers the last different sets of tags. In most clusters many nodes have
// the same, and their entries share them: with three tags that saves 96 bytes a node
// in each list, and most of what a change of a list costs.
//
// Rule: sets are sorted and never change. Nodes that have each its own cost a few
// comparisons, and share nothing.
type tagSets struct {
	sets [16][]Tag
	next int // where the next new one goes
}

// of returns these tags, sorted; they may be shared.
func (s *tagSets) of(tags []Tag) []Tag {
	if len(tags) == 0 {
		return nil
	}
	if have := s.find(tags); have != nil {
		return have
	}
	tags = slices.Clone(tags)
	sortTags(tags)
	if have := s.find(tags); have != nil {
		return have
	}
	s.sets[s.next%len(s.sets)] = tags
	s.next++
	return tags
}

func (s *tagSets) find(tags []Tag) []Tag {
	for _, have := range s.sets {
		if slices.Equal(have, tags) {
			return have
		}
	}
	return nil
}

func sortTags(tags []Tag) {
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
}
