package agent

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// maxSpoken is how many addresses are remembered. Only those that speak another key
	// than the first are, and who does so has a key of ours.
	maxSpoken = 4096
	// spokenFor is how long an address that is silent is remembered: when something
	// speaks there again it may be a new process with other keys.
	spokenFor = time.Minute
	// spokenBoth is how often an address gets a packet in the first key too.
	spokenBoth = time.Second
)

// peerKeys remembers, by address, who speaks another key than this node's first.
// Such a peer is answered in the key that it spoke (P180), as long as that is in the ring: it may
// have slept through a rotation and know no other.
//
// Two nodes that both know the first key must not hold each other to an old one. So
// whoever is heard in the first key is forgotten here, and each of the others gets one packet
// a second in both keys, the first key last: if it understands, its answer is in that (P181).
type peerKeys struct {
	size atomic.Int32 // of by: most of the time there is nothing to look up
	mu   sync.Mutex
	by   map[netip.AddrPort]*spoken
	news chan struct{} // has one while somebody speaks another key
}

type spoken struct {
	key  wire.Key
	last time.Time // heard
	both time.Time // last sent to in both keys
}

func (s *peerKeys) init() {
	s.by = make(map[netip.AddrPort]*spoken)
	s.news = make(chan struct{}, 1)
}

// heard notes that a packet from there was sealed with key, while first is ours.
func (s *peerKeys) heard(now time.Time, from netip.AddrPort, key, first wire.Key) {
	if !key.Valid() || key.Equal(first) {
		if key.Valid() && s.size.Load() > 0 {
			s.mu.Lock()
			delete(s.by, from)
			s.size.Store(int32(len(s.by)))
			s.mu.Unlock()
		}
		return
	}
	s.mu.Lock()
	e := s.by[from]
	if e == nil {
		if s.makeRoom(now); len(s.by) < maxSpoken {
			e = &spoken{}
			s.by[from] = e
			s.size.Store(int32(len(s.by)))
		}
	}
	if e != nil {
		e.key, e.last = key, now
	}
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// makeRoom forgets those that have been silent, if it is time to.
func (s *peerKeys) makeRoom(now time.Time) {
	if len(s.by) < maxSpoken {
		return
	}
	for addr, e := range s.by { // order-free: all that are old go
		if now.Sub(e.last) > spokenFor {
			delete(s.by, addr)
		}
	}
}

// keyFor returns the key to speak to an address, not a valid one if that is the
// first, and whether it is time to send in the first one too.
func (s *peerKeys) keyFor(now time.Time, to netip.AddrPort) (key wire.Key, both bool) {
	if s.size.Load() == 0 {
		return wire.Key{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.by[to]
	if e == nil {
		return wire.Key{}, false
	}
	if now.Sub(e.last) > spokenFor {
		delete(s.by, to)
		s.size.Store(int32(len(s.by)))
		return wire.Key{}, false
	}
	if both = now.Sub(e.both) >= spokenBoth; both {
		e.both = now
	}
	return e.key, both
}

// recent returns the addresses that were heard in another key within d.
func (s *peerKeys) recent(now time.Time, d time.Duration) map[netip.AddrPort]wire.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[netip.AddrPort]wire.Key)
	for addr, e := range s.by { // order-free: a map of them
		if now.Sub(e.last) <= d {
			out[addr] = e.key
		}
	}
	return out
}
