package access

import (
	"fmt"
	"strings"
)

// Verbs is a set of what one may do.
type Verbs uint8

// The verbs.
const (
	Read  Verbs = 1 << iota // members, coordinates, figures, the log, the stream of events
	Event                   // send user events
	Query                   // ask queries, and answer them
	admin                   // what only Admin has
)

// Admin may do everything: join, leave, force-leave, tags, keys, and all else.
const Admin = Read | Event | Query | admin

var verbWords = []struct {
	verbs Verbs
	word  string
}{{Admin, "admin"}, {Read, "read"}, {Event, "event"}, {Query, "query"}}

// ParseVerbs reads verbs by their words: read, event, query, admin.
func ParseVerbs(words []string) (Verbs, error) {
	var all Verbs
next:
	for _, w := range words {
		for _, v := range verbWords {
			if v.word == w {
				all |= v.verbs
				continue next
			}
		}
		return 0, fmt.Errorf("'%s' is none of read, event, query, admin", w)
	}
	return all, nil
}

// Has reports whether all of want are in the set.
func (v Verbs) Has(want Verbs) bool { return v&want == want }

// String is the words of the set.
func (v Verbs) String() string {
	var words []string
	for _, w := range verbWords {
		if w.verbs != 0 && v.Has(w.verbs) {
			words = append(words, w.word)
			v &^= w.verbs
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
