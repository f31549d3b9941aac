package serf

import (
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/swim"
)

// Base is what a machine knows of the members, frozen, for others to start from
// and to share: see swim.Base. Such a machine is told of itself only, as any
// machine is at its start.
type Base struct {
	swim   *swim.Base
	list   []member // sorted by name, all shared and alive
	places map[string]int32
}

// Base freezes the alive members that the machine knows at present.
func (m *Machine) Base() *Base {
	b := &Base{swim: m.swim.Base(), places: make(map[string]int32, m.members.len())}
	for i := range m.members.len() {
		if mem := m.members.at(i); mem.status == StatusAlive {
			r := *mem
			r.shared, r.since, r.listed = true, 0, 0
			b.places[r.Name()] = int32(len(b.list))
			b.list = append(b.list, r)
		}
	}
	return b
}

// Len is the number of members in the base.
func (b *Base) Len() int { return len(b.list) }

// enter makes this node a member of its own list.
func (m *Machine) enter() {
	if m.cfg.Base == nil {
		m.memberJoined(m.swim.Local())
		return
	}
	l := &m.members
	l.base, l.diff = m.cfg.Base, make(map[*member]*member, 1)
	own := l.own(l.get(m.cfg.Swim.Name))
	m.tellMember(EventMemberJoin, TraceMemberJoin, own)
}

// own returns the entry that may be changed in place of e, which may be shared.
// Who changes an entry calls it first.
func (l *memberList) own(e *member) *member {
	if !e.shared {
		return e
	}
	d := l.diff[e]
	if d == nil {
		d = new(member)
		*d = *e
		d.shared = false
		l.diff[e] = d
		l.marks |= 1 << (l.base.places[e.Name()] & 63)
	}
	return d
}

// changed has, in order, every member that is not alive, and maybe others. It is
// valid until the list changes or changed is called again.
func (l *memberList) changed() []*member {
	if l.base == nil {
		return l.list
	}
	l.mine = l.mine[:0]
	for _, e := range l.diff { // order-free: they are sorted
		l.mine = append(l.mine, e)
	}
	slices.SortFunc(l.mine, func(a, b *member) int { return strings.Compare(a.Name(), b.Name()) })
	return l.mine
}

// inBase returns the place in the base of the member with this name.
func inBase[N string | []byte](l *memberList, name N) (int, bool) {
	list := l.base.list
	for i := l.hint; i < len(list) && i < l.hint+2; i++ {
		if list[i].Name() == string(name) {
			l.hint = i
			return i, true
		}
	}
	i, ok := l.base.places[string(name)]
	if ok {
		l.hint = int(i)
	}
	return int(i), ok
}

// detach ends the sharing: the list is this machine's alone from now on. Entries
// that were its own stay where they are.
func (l *memberList) detach() {
	if l.base == nil {
		return
	}
	list := make([]*member, len(l.base.list))
	for i := range list {
		list[i] = l.own(&l.base.list[i])
	}
	*l = memberList{list: list, failed: l.failed, left: l.left}
}
