package agent

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/agent/snapshot"
	"github.com/ibuki-dev/ibuki/serf"
)

// fadedMax is how many peers are remembered that the list of members has
// forgotten. One that still lives is enough to find all the others.
const fadedMax = 64

// roster remembers the others, beyond what the list of members does: those of
// a former life, and those who failed so long ago that they were reaped. They
// are the ones that a partition may have taken away.
//
// Rule: who left or was removed by hand is forgotten; who failed is kept, at most
// fadedMax of those who are not listed any more. Invariant: every other member that
// is listed alive or failed is in it.
type roster struct {
	self  string
	reap  time.Duration // a failed member is unlisted after it
	seed  maphash.Seed  // which of too many are kept differs from node to node
	known map[string]*known
}

type known struct {
	snapshot.Peer
	listed bool      // in the present list of members
	since  time.Time // unlisted: from when on; else when it got its status
}

func newRoster(self string, reap time.Duration) *roster {
	if reap == 0 {
		reap = 24 * time.Hour // the machine's default
	}
	return &roster{self: self, reap: reap, seed: maphash.MakeSeed(), known: make(map[string]*known)}
}

// recall takes the peers of a former life.
func (r *roster) recall(now time.Time, peers []snapshot.Peer) {
	for _, p := range peers {
		if p.Name != r.self {
			r.known[p.Name] = &known{Peer: p, since: now}
		}
	}
}

// update takes a new list of members.
func (r *roster) update(now time.Time, members []serf.Member) {
	before := r.known
	r.known = make(map[string]*known, len(members))
	for i := range members {
		m := &members[i]
		switch {
		case m.Name == r.self:
		case m.Status == serf.StatusAlive, m.Status == serf.StatusLeaving, m.Status == serf.StatusFailed:
			lost := m.Status == serf.StatusFailed
			r.known[m.Name] = &known{Peer: snapshot.Peer{Name: m.Name, Addr: m.Addr, Lost: lost}, listed: true, since: m.Since}
		}
		delete(before, m.Name)
	}
	for name, k := range before { // order-free: each by itself
		if k.listed && !(k.Lost && now.Sub(k.since) >= r.reap) {
			continue // it left, or somebody has removed it
		}
		if k.listed {
			k.listed, k.since = false, now
		}
		r.known[name] = k
	}
	r.trim(now)
}

// trim forgets some of those who are not listed any more. Those of a former life
// have a day to be found before they count.
func (r *roster) trim(now time.Time) {
	var faded []*known
	for _, k := range r.known { // order-free: sorted below
		if !k.listed && (k.Lost || now.Sub(k.since) >= r.reap) {
			faded = append(faded, k)
		}
	}
	if len(faded) <= fadedMax {
		return
	}
	rank := func(k *known) uint64 { return maphash.String(r.seed, k.Name) }
	slices.SortFunc(faded, func(a, b *known) int {
		if x, y := rank(a), rank(b); x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, k := range faded[fadedMax:] {
		delete(r.known, k.Name)
	}
}

// peers are all who are remembered, sorted by name. The slice is the caller's.
func (r *roster) peers() []snapshot.Peer {
	out := make([]snapshot.Peer, 0, len(r.known))
	for _, k := range r.known { // order-free: sorted below
		out = append(out, k.Peer)
	}
	slices.SortFunc(out, func(a, b snapshot.Peer) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// lost are those peers who are not listed alive, and whose address no live member
// has either: whoever is there now is who could be found.
func (r *roster) lost(present map[netip.AddrPort]bool) []contact {
	var out []contact
	for _, k := range r.known { // order-free: sorted below
		if (k.Lost || !k.listed) && !present[k.Addr] {
			out = append(out, contact{name: k.Name, addr: k.Addr})
		}
	}
	slices.SortFunc(out, func(a, b contact) int { return strings.Compare(a.name, b.name) })
	return out
}
