package writelog

import (
	"maps"
	"slices"
	"time"
)

const (
	// maxEarlier bounds the names of earlier catalogs that are remembered.
	maxEarlier = 64
	// adoptAfter is after how long a leader no longer waits for a member to say that it knows
	// catalogs in the log: it does not report at all.
	adoptAfter = 10 * time.Second
)

// Catalog is what the log knows of the cluster that it belongs to: an entry replaces it, so
// that all gateways switch at the same place of the log. It is not changed.
type Catalog struct {
	Text     []byte     // the document, opaque to the log
	Sum      string     // names the document: equal ones have equal names
	Gateways []string   // the members that there are to be, by name
	Slices   [][]string // the servers of each slice
	Appliers []Served   // which gateway applies the log to which server, by server
}

// Served says which gateway applies the log to a server.
type Served struct {
	Server, Gateway string
}

// Applier is the gateway that applies the log to a server; "" if the catalog does not have it.
func (c *Catalog) Applier(server string) string {
	for _, s := range c.Appliers {
		if s.Server == server {
			return s.Gateway
		}
	}
	return ""
}

// change takes over another catalog. It has to be one for the catalog that holds, so that
// of two changes at a time one is made; a slice keeps a server that is read from; and a server
// that stays keeps its applier, since nobody could tell when the old one has sent its last.
func (s *State) change(index uint64, e *Entry) Verdict {
	next := e.Next
	if next == nil {
		s.Settled = s.Settled || e.Catalog == s.CatalogAt
		return Dropped
	}
	if e.Catalog != s.CatalogAt || s.CatalogAt != 0 && !s.goesOn(next) {
		return Outdated
	}
	if s.CatalogAt != 0 {
		s.enter(index, next)
		s.Earlier = append(slices.DeleteFunc(s.Earlier, func(sum string) bool { return sum == s.Catalog.Sum || sum == next.Sum }), s.Catalog.Sum)
		s.Earlier = s.Earlier[max(0, len(s.Earlier)-maxEarlier):]
	}
	s.Settled = s.CatalogAt == 0 // those that go by none have the same servers
	s.Catalog, s.CatalogAt = *next, index
	return Execute
}

// goesOn reports whether the cluster can be continued under another catalog.
func (s *State) goesOn(next *Catalog) bool {
	for _, slice := range next.Slices {
		complete := func(server string) bool {
			_, out := s.Out[server]
			return !out && s.Catalog.Applier(server) != ""
		}
		if !slices.ContainsFunc(slice, complete) {
			return false
		}
	}
	for _, served := range next.Appliers {
		if before := s.Catalog.Applier(served.Server); before != "" && before != served.Gateway {
			return false
		}
	}
	return true
}

// enter puts servers that are new out of the read set, and forgets those that are gone. What
// a new one has from an earlier time is not to be continued: entries in between did not name it.
func (s *State) enter(index uint64, next *Catalog) {
	gone := func(server string, _ uint64) bool { return next.Applier(server) == "" }
	maps.DeleteFunc(s.Out, gone)
	maps.DeleteFunc(s.Since, gone)
	maps.DeleteFunc(s.Drained, gone)
	for _, served := range next.Appliers {
		if s.Catalog.Applier(served.Server) == "" {
			s.Out[served.Server], s.Since[served.Server] = index, index
		}
	}
}

// drain takes a server out of the read set until it is said that it may enter it again. The last one of a slice that
// may be read from stays.
func (s *State) drain(index uint64, e *Entry) Verdict {
	if e.Catalog != s.CatalogAt || s.Catalog.Applier(e.Server) == "" {
		return Outdated
	}
	if !e.Out {
		delete(s.Drained, e.Server)
		return Execute
	}
	if s.last(e.Server) {
		return Outdated
	}
	s.Drained[e.Server] = index
	if _, out := s.Out[e.Server]; !out {
		s.Out[e.Server] = index
	}
	return Execute
}

// last reports whether a server is the only one of a slice of the catalog that may be read from.
func (s *State) last(server string) bool {
	other := func(o string) bool {
		_, out := s.Out[o]
		return o != server && !out
	}
	return slices.ContainsFunc(s.Catalog.Slices, func(slice []string) bool {
		return slices.Contains(slice, server) && !slices.ContainsFunc(slice, other)
	})
}

// cluster takes over which servers there are and who applies to them.
func (m *Machine) cluster() {
	m.slices, m.reporters = m.cfg.Slices, m.cfg.Reporters
	if m.state.CatalogAt == 0 {
		return
	}
	m.slices, m.reporters = m.state.Catalog.Slices, make(map[string]string)
	for _, s := range m.state.Catalog.Appliers {
		m.reporters[s.Server] = s.Gateway
	}
}

// switched takes another catalog: what was known of servers that it adds is of an earlier time.
func (l *lead) switched(m *Machine, index uint64) {
	for server, since := range m.state.Since { // order-free: each by itself
		if since == index {
			delete(l.servers, server)
			l.server(server).over = index
		}
	}
	l.recheck = true
}

// everybodySwitched reports whether nobody answers searches by an earlier catalog any more: from a
// server that writes do not name.
func (l *lead) everybodySwitched(m *Machine, now time.Duration) bool {
	switch at := m.state.CatalogAt; {
	case m.state.Settled || at == 0 || l.settled == at:
		return true
	case !l.everybodyKnows(m, now, at):
		return false
	default:
		l.settled = at
		_ = m.append(&Entry{Op: OpCatalog, Catalog: at}) // if it cannot be, the next leader waits once more
		return true
	}
}

// removed reports whether the catalog does not have a server any more: writes from before may
// still name it.
func (m *Machine) removed(server string) bool {
	return m.state.CatalogAt != 0 && m.reporters[server] == ""
}

// lastSwitch is the newest entry that a member has to know before it may answer searches: by
// which a server has left the read set, or the catalog has changed.
func (m *Machine) lastSwitch() uint64 { return max(m.lastOut(), m.state.CatalogAt) }

// adopt proposes the catalog of this member's configuration for a log that has none, once all
// members know what that is.
func (l *lead) adopt(m *Machine, now time.Duration) {
	if m.state.CatalogAt != 0 || m.cfg.Catalog == nil || l.adopting {
		return
	}
	var gateways []string
	for id, of := range m.state.Members { // order-free: sorted below
		f := l.member(id)
		if !f.catalogs && (f.boot != 0 || now < l.safeAt+adoptAfter) {
			return
		}
		gateways = append(gateways, of.Name)
	}
	slices.Sort(gateways)
	l.adopting = m.append(&Entry{Op: OpCatalog, Next: m.cfg.Catalog(gateways)}) == nil
}

// retire takes out a member that the catalog does not have any more; if that is this one,
// another one leads first.
func (l *lead) retire(m *Machine, now time.Duration) {
	if m.state.CatalogAt == 0 {
		return
	}
	for _, id := range sortedKeys(m.state.Members) {
		if slices.Contains(m.state.Catalog.Gateways, m.state.Members[id].Name) {
			continue
		}
		if id == m.cfg.Self {
			m.Transfer()
		} else {
			_ = m.Remove(now, id) // if it cannot be now, at the next tick
		}
		return
	}
}
