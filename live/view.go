package live

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Status is what is known of a node.
type Status uint8

// The statuses. Only Alive nodes may be given work.
const (
	Unknown Status = iota
	Alive
	Leaving
	Left
	Failed
	// Excluded: an operator has taken the node out of the list, whatever it is
	// else. Only lists in files know it; no member event makes it.
	Excluded
)

// String is the word that `members` prints.
func (s Status) String() string {
	switch s {
	case Alive:
		return "alive"
	case Leaving:
		return "leaving"
	case Left:
		return "left"
	case Failed:
		return "failed"
	case Excluded:
		return "excluded"
	}
	return "none"
}

// ParseStatus reads the word of a status. Words that it does not know are
// Unknown: nobody is to be given work because of one.
func ParseStatus(word string) Status {
	for s := Alive; s <= Excluded; s++ {
		if s.String() == word {
			return s
		}
	}
	return Unknown
}

// Tag is one tag of a node.
type Tag struct {
	Key, Value string
}

// Entry is one node in a View.
type Entry struct {
	Name   string
	Addr   netip.AddrPort
	Tags   []Tag // sorted by Key; shared, not to be changed
	Status Status
	Since  time.Time // when Status became what it is
	// Verdict is why the node failed or is Degraded, as far as can be told: "crashed",
	// "silent", "hung", "restarting" (as it had announced) or nothing.
	Verdict string
	// Degraded: the node does not answer as it should, and is not failed yet. Work had
	// better go elsewhere for now; no member event tells of it.
	Degraded bool
}

// Tag returns the value of a tag.
func (e *Entry) Tag(key string) (value string, ok bool) {
	i, ok := slices.BinarySearchFunc(e.Tags, key, func(t Tag, k string) int { return strings.Compare(t.Key, k) })
	if !ok {
		return "", false
	}
	return e.Tags[i].Value, true
}

// same reports whether a and b say the same of a node; Since is not compared.
func (e *Entry) same(b *Entry) bool {
	return e.Name == b.Name && e.Addr == b.Addr && e.Status == b.Status && e.Verdict == b.Verdict && e.Degraded == b.Degraded && slices.Equal(e.Tags, b.Tags)
}

// View is the list as it was at one moment. It never changes and may be kept
// and read by anybody. The zero View is empty.
type View struct {
	version uint64
	time    time.Time
	entries []*Entry // sorted by name; shared between views
	alive   int
}

// Version grows by one with each change of the list; 0 is the empty list that
// nobody has published to yet.
func (v *View) Version() uint64 { return v.version }

// Time is when the list became what it is.
func (v *View) Time() time.Time { return v.time }

// Len is the number of nodes, whatever their status.
func (v *View) Len() int { return len(v.entries) }

// NumAlive is the number of nodes that are alive.
func (v *View) NumAlive() int { return v.alive }

// All are the nodes, sorted by name. The entries are not to be changed.
func (v *View) All() iter.Seq[*Entry] {
	return slices.Values(v.entries)
}

// Alive are the nodes that are alive, sorted by name.
func (v *View) Alive() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, e := range v.entries {
			if e.Status == Alive && !yield(e) {
				return
			}
		}
	}
}

// Get returns the node of that name, nil if there is none.
func (v *View) Get(name string) *Entry {
	if i, ok := find(v.entries, name); ok {
		return v.entries[i]
	}
	return nil
}

// With returns the View with these entries in place of those with their names. What is
// of no node in v is left out.
func (v *View) With(entries ...Entry) *View {
	next := *v
	next.entries = slices.Clone(v.entries)
	for i := range entries {
		at, ok := find(next.entries, entries[i].Name)
		if !ok {
			continue
		}
		if next.entries[at].Status == Alive {
			next.alive--
		}
		if entries[i].Status == Alive {
			next.alive++
		}
		next.entries[at] = &entries[i]
	}
	return &next
}

// find returns where name is in entries, or where it would have to be.
func find(entries []*Entry, name string) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e *Entry, n string) int { return strings.Compare(e.Name, n) })
}
