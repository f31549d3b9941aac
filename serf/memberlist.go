package serf

import "slices"

// memberList holds the members sorted by name, so that everything that is
// listed has an order, and counts those that are gone. It has no index beside
// it: push/pulls between our own kind come sorted too, and there hint finds
// nearly every name at once; others cost a binary search.
type memberList struct {
	sorted       []*member
	failed, left int
	hint         int // where the last one was found
}

// find returns the place of a name, or where it would have to be inserted.
func (l *memberList) find(name string) (int, bool) {
	for i := l.hint; i < len(l.sorted) && i < l.hint+2; i++ {
		if l.sorted[i].name == name {
			l.hint = i
			return i, true
		}
	}
	lo, hi := 0, len(l.sorted)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.sorted[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	found := lo < len(l.sorted) && l.sorted[lo].name == name
	if found {
		l.hint = lo
	}
	return lo, found
}

// known returns the string of the member whose name is b, without allocating.
func (l *memberList) known(b []byte) (string, bool) {
	for i := l.hint; i < len(l.sorted) && i < l.hint+2; i++ {
		if l.sorted[i].name == string(b) {
			l.hint = i
			return l.sorted[i].name, true
		}
	}
	lo, hi := 0, len(l.sorted)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.sorted[mid].name < string(b) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(l.sorted) && l.sorted[lo].name == string(b) {
		l.hint = lo
		return l.sorted[lo].name, true
	}
	return "", false
}

// get returns the member of that name, nil if there is none.
func (l *memberList) get(name string) *member {
	if i, ok := l.find(name); ok {
		return l.sorted[i]
	}
	return nil
}

func (l *memberList) insert(i int, mem *member) { l.sorted = slices.Insert(l.sorted, i, mem) }
func (l *memberList) remove(i int)              { l.sorted = slices.Delete(l.sorted, i, i+1) }

// count adds n to the number of those with status s.
func (l *memberList) count(s Status, n int) {
	switch s {
	case StatusFailed:
		l.failed += n
	case StatusLeft:
		l.left += n
	}
}

// names makes strings of the bytes in messages: those of members it has, and of
// the others (names of events and queries, keys of tags) it remembers some, so
// that what is gossiped again and again is not allocated again and again.
type names struct {
	members *memberList
	others  [256]string // by hash; a newer string takes the place of an older
}

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
	slot := &n.others[h%uint32(len(n.others))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
