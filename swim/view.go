package swim

import "github.com/ibuki-dev/ibuki/wire"

// This file shows the members to the layer. A Member is a view that is filled
// in when it is asked for: what the machine keeps is smaller.

// view fills v with what is known of e.
func (m *Machine) view(v *Member, e *member) *Member {
	verdict := e.verdict
	if e.state == wire.StateLeft { // it only says that the process has ended
		verdict = wire.VerdictNone
	}
	if s := m.members.suspects[e]; s != nil {
		verdict = s.verdict
	}
	*v = Member{Face: e.Face, Name: e.name, Addr: e.at(), Meta: e.meta, Versions: e.versions,
		State: e.state, Incarnation: e.incarnation, Changed: m.clock.start.Add(e.changed), Native: e.native,
		Verdict: verdict, Degraded: !m.cfg.Plain && e.state == wire.StateSuspect}
	return v
}

// Local is this node's own entry. The view is valid until the next call of Local.
func (m *Machine) Local() *Member { return m.view(&m.own, m.local) }

// Member returns the member of that name, nil if unknown. The view is valid
// until the next call of Member; its Meta as long as the member has it.
func (m *Machine) Member(name string) *Member {
	e := m.members.get(name)
	if e == nil {
		return nil
	}
	return m.view(&m.asked, e)
}

// Each calls f for every known member, in the order in which they became
// known, until f returns false. The view is valid during the call of f.
func (m *Machine) Each(f func(*Member) bool) {
	for i := range m.members.len() {
		if !f(m.view(&m.listed, m.members.at(i))) {
			return
		}
	}
}

// NumMembers is the number of known members, NumAlive of those neither dead nor left.
func (m *Machine) NumMembers() int { return m.members.len() }

// NumAlive is the number of members that are alive or suspect, this node included.
func (m *Machine) NumAlive() int { return m.members.numPresent() }

// Intern returns the known member name equal to b, or a new string.
func (m *Machine) Intern(b []byte) string {
	// The compiler does not allocate for this conversion.
	if m.members.base != nil {
		if e := inBase(&m.members, b); e != nil {
			return e.name
		}
	}
	if e := findIn(&m.members.index, m.members.all, b); e != nil {
		return e.name
	}
	return string(b)
}
