package writelog

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// remote is what the leader knows of a server.
type remote struct {
	member          uint64 // that applies entries to it; 0: none has said so
	prefix, durable uint64
	down            bool
	life            uint64
	answers         map[uint64]Answer
	earlier         map[uint64]Answer // of the life before: what was said, not what it has
	order           []uint64          // of answers, oldest first
	bytes           int

	over      uint64 // up to this index writes may have been acknowledged without it
	leaving   bool   // that it leaves the read set is proposed
	entering  bool   // that it enters it is proposed: it will, so no write is acknowledged without it
	returning bool   // writes wait for it again, so that it can enter
	waitSince time.Duration
	retryAt   time.Duration
}

func (l *lead) server(name string) *remote {
	r := l.servers[name]
	if r == nil {
		r = &remote{down: true, answers: make(map[uint64]Answer)}
		l.servers[name] = r
	}
	return r
}

// has reports whether the server has applied the entry at an index.
func (r *remote) has(index uint64) bool {
	if r.prefix >= index {
		return true
	}
	_, ok := r.answers[index]
	return ok
}

// takeReport takes over how a server stands.
func (l *lead) takeReport(m *Machine, from uint64, s *ServerReport) {
	if name, ok := m.reporters[s.Server]; ok && name != m.state.Members[from].Name {
		return // another one applies entries to it
	}
	r := l.server(s.Server)
	if r.member != from || r.prefix != s.Prefix || r.down != s.Down {
		l.recheck = true
	}
	if r.life != s.Life {
		r.life, r.earlier = s.Life, r.answers
		r.answers, r.order, r.bytes = make(map[uint64]Answer), nil, 0
	}
	r.member, r.prefix, r.durable, r.down = from, s.Prefix, s.Durable, s.Down
	for _, a := range s.Answers {
		l.recheck = true
		if _, ok := r.answers[a.Index]; ok {
			continue
		}
		r.answers[a.Index] = a.Answer
		r.order = append(r.order, a.Index)
		r.bytes += len(a.Answer.Body)
		for len(r.order) > 4*maxAnswers || r.bytes > 4*maxAnswerBytes && len(r.order) > 1 {
			r.bytes -= len(r.answers[r.order[0]].Body)
			delete(r.answers, r.order[0])
			r.order = r.order[1:]
		}
	}
}

// absent reports whether a server cannot be waited for.
func (l *lead) absent(server string) bool {
	r := l.server(server)
	return r.down || r.member == 0 || l.member(r.member).gone
}

// putOut proposes that a server leaves the read set because it lacks the entry at an
// index. It does only if another one of its slice stays that has it: the last one of a
// slice never leaves.
func (l *lead) putOut(m *Machine, server string, slice []string, index uint64) {
	r := l.server(server)
	if r.leaving {
		return
	}
	stays := func(other string) bool {
		o := l.server(other)
		_, out := m.state.Out[other]
		return other != server && !out && !o.leaving && o.has(index)
	}
	if !slices.ContainsFunc(slice, stays) {
		return
	}
	if m.append(&Entry{Op: OpReadSet, Server: server, Out: true, Catalog: m.state.CatalogAt}) == nil {
		r.leaving = true
	}
}

// manage takes servers out of the read set that are gone, and back in that have all.
func (l *lead) manage(m *Machine, now time.Duration) {
	for _, slice := range m.slices {
		for _, server := range slice {
			r := l.server(server)
			if _, out := m.state.Out[server]; !out {
				l.watch(m, now, server, slice)
			} else if !l.absent(server) && m.state.Drained[server] == 0 && now >= r.retryAt {
				l.takeBack(m, now, server)
			} else if r.returning {
				r.returning = false
				l.recheck = true
			}
		}
	}
}

// watch takes a server out that has been gone for as long as a write waits.
func (l *lead) watch(m *Machine, now time.Duration, server string, slice []string) {
	r := l.server(server)
	if !l.absent(server) || now < l.safeAt {
		r.waitSince = 0
		return
	}
	if r.waitSince == 0 {
		r.waitSince = max(now, 1)
	}
	if now-r.waitSince < m.cfg.WriteWait {
		return
	}
	here := func(other string) bool {
		return other != server && !l.absent(other) && l.server(other).prefix >= r.over
	}
	if slices.ContainsFunc(slice, here) {
		l.putOut(m, server, slice, 0)
	}
}

// takeBack has a server that has nearly all waited for, and then proposes that it
// enters the read set. From when writes wait for it none is acknowledged without it.
func (l *lead) takeBack(m *Machine, now time.Duration, server string) {
	r := l.server(server)
	if !r.returning {
		if r.prefix+nearly >= r.over {
			r.returning, r.waitSince = true, now
			l.recheck = true
		}
		return
	}
	if r.prefix >= r.over {
		if !r.entering && m.append(&Entry{Op: OpReadSet, Server: server, Catalog: m.state.CatalogAt}) == nil {
			r.entering = true
		}
		return
	}
	if now-r.waitSince >= m.cfg.WriteWait {
		r.returning, r.retryAt = false, now+4*m.cfg.WriteWait
		l.recheck = true
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func compareIDs(a, b WriteID) int {
	return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Boot, b.Boot), cmp.Compare(a.Number, b.Number))
}
