package serf

import (
	"iter"
	"slices"
	"strings"
)

// memberList holds the members sorted by name, so that everything that is
// listed has an order, and counts those that are gone. It has no index beside
// it: push/pulls between our own kind come sorted too, and there hint finds
// nearly every name at once; others cost a binary search.
//
// While it is shared, base takes the place of list, and diff has this machine's
// own entries by those of the base that they replace.
type memberList struct {
	base         *Base // nil: not shared
	diff         map[*member]*member
	marks        uint64    // a bit for each in diff, by its place: most are not there
	mine         []*member // of the running changed
	list         []*member
	failed, left int
	hint         int // where the last one was found
}

// find returns the place of a name, or where it would have to be inserted.
func (l *memberList) find(name string) (int, bool) {
	if l.base != nil {
		if i, ok := inBase(l, name); ok {
			return i, true
		}
		i, _ := slices.BinarySearchFunc(l.base.list, name, func(m member, name string) int { return strings.Compare(m.Name(), name) })
		return i, false
	}
	for i := l.hint; i < len(l.list) && i < l.hint+2; i++ {
		if l.list[i].Name() == name {
			l.hint = i
			return i, true
		}
	}
	lo, hi := 0, len(l.list)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.list[mid].Name() < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	found := lo < len(l.list) && l.list[lo].Name() == name
	if found {
		l.hint = lo
	}
	return lo, found
}

// known returns the string of the member whose name is b, without allocating.
func (l *memberList) known(b []byte) (string, bool) {
	if l.base != nil {
		i, ok := inBase(l, b)
		if !ok {
			return "", false
		}
		return l.base.list[i].Name(), true
	}
	for i := l.hint; i < len(l.list) && i < l.hint+2; i++ {
		if l.list[i].Name() == string(b) {
			l.hint = i
			return l.list[i].Name(), true
		}
	}
	lo, hi := 0, len(l.list)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.list[mid].Name() < string(b) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(l.list) && l.list[lo].Name() == string(b) {
		l.hint = lo
		return l.list[lo].Name(), true
	}
	return "", false
}

// get returns the member of that name, nil if there is none. It may be shared: see own.
func (l *memberList) get(name string) *member {
	if i, ok := l.find(name); ok {
		return l.at(i)
	}
	return nil
}

func (l *memberList) len() int {
	if l.base != nil {
		return len(l.base.list)
	}
	return len(l.list)
}

// at is the i-th member. It may be shared.
func (l *memberList) at(i int) *member {
	if l.base == nil {
		return l.list[i]
	}
	e := &l.base.list[i]
	if l.marks>>(i&63)&1 != 0 {
		if d := l.diff[e]; d != nil {
			return d
		}
	}
	return e
}

func (l *memberList) insert(i int, mem *member) {
	l.detach()
	l.list = slices.Insert(l.list, i, mem)
}

func (l *memberList) remove(i int) {
	l.detach()
	l.list = slices.Delete(l.list, i, i+1)
}

// count adds n to the number of those with status s.
func (l *memberList) count(s Status, n int) {
	switch s {
	case StatusFailed:
		l.failed += n
	case StatusLeft:
		l.left += n
	}
}

// departed are the names of those that have failed, or that have left, in order.
func (l *memberList) departed(left bool) iter.Seq[string] {
	of, n := StatusFailed, l.failed
	if left {
		of, n = StatusLeft, l.left
	}
	return func(yield func(string) bool) {
		if n == 0 {
			return
		}
		for _, mem := range l.changed() {
			if mem.status == of && !yield(mem.Name()) {
				return
			}
		}
	}
}

// names makes strings of the bytes in messages: those of members it has, and of
// the others (names of events and queries, keys of tags) it remembers some, so
// that what is gossiped again and again is not allocated again and again.
type names struct {
	members *memberList
	others  []string // by hash; a newer string takes the place of an older
}

// numRemembered is how many strings that are no members' names are remembered.
const numRemembered = 256

// maxRemembered is the longest string that is worth remembering.
const maxRemembered = 128

// Intern implements wire.Interner.
func (n *names) Intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := n.members.known(b); ok {
		return s
	}
	if len(b) > maxRemembered {
		return string(b)
	}
	h := uint32(2166136261) // FNV-1a
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	if n.others == nil {
		n.others = make([]string, numRemembered)
	}
	slot := &n.others[h%numRemembered]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
