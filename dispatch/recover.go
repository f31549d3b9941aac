package dispatch

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

func (w *writer) init(d *Dispatcher) {
	w.d, w.buffer = d, d.cfg.Buffer
	w.jobs = make(map[string]*job)
	w.refused = make(map[string]map[*volume]groonga.Answer)
	w.state = newStateFile(d.cfg.Dir)
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	w.boot = hex.EncodeToString(b[:])
}

// newID names a write. w.mu is held.
func (w *writer) newID() string {
	w.number++
	return w.boot + "-" + strconv.FormatUint(w.number, 36)
}

// snapshot is what the state file has to say.
func (w *writer) snapshot() savedState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := savedState{Held: make(map[string]map[string]int64)}
	for _, v := range w.d.volumes {
		if v.behind {
			s.Behind = append(s.Behind, v.addr)
		}
		for gateway, stamp := range v.heldBy { // order-free: into another map
			if s.Held[gateway] == nil {
				s.Held[gateway] = make(map[string]int64)
			}
			s.Held[gateway][v.addr] = stamp
		}
	}
	return s
}

// restore takes over what was known when the process ended. It comes before anything
// is said to other gateways, or written down.
func (w *writer) restore() error {
	saved, err := w.state.load()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.d.volumes {
		v.behind = slices.Contains(saved.Behind, v.addr)
		v.behindAt, v.told = time.Now(), v.behind
		for gateway, held := range saved.Held { // order-free: into another map
			if stamp, ok := held[v.addr]; ok && w.d.peers.has(gateway) {
				v.heldBy[gateway] = stamp
			}
		}
		v.judge()
	}
	return nil
}

// recover takes up the writes that an earlier process has left, and starts the
// senders. Of a server that was known to be behind they are delivered as they are.
// The others were acknowledged to nobody, and other gateways may have gone on
// meanwhile: so they are put in sequence once more, for all replicas alike.
func (w *writer) recover() error {
	if w.buffer == nil {
		return nil
	}
	w.mu.Lock()
	w.stamp = max(w.stamp, time.Now().UnixNano())
	begun := w.stamp
	w.mu.Unlock()
	redone := make(map[string]bool)
	for _, v := range w.d.volumes {
		if !v.behind && w.buffer.Waiting(v.addr) > 0 {
			if err := w.redo(v, begun, redone); err != nil {
				return err
			}
		}
	}
	for _, v := range w.d.volumes {
		w.d.start(func() { w.sender(v) })
		w.wake(v)
	}
	return nil
}

// redo puts the writes in sequence once more that wait for a server and were
// acknowledged to nobody.
func (w *writer) redo(v *volume, begun int64, redone map[string]bool) error {
	for {
		p, ok, err := w.buffer.Next(v.addr)
		if err != nil || !ok {
			return err
		}
		e, err := decodeEntry(p.Data)
		if err != nil {
			return err
		}
		if e.stamp > begun {
			return nil // from here on they are those of this process
		}
		if !redone[e.id] && !w.d.peers.known(e.command.ID) {
			redone[e.id] = true
			if err := w.again(e); err != nil {
				return err
			}
		}
		if err := w.buffer.Delivered(v.addr, p.Ticket); err != nil {
			return err
		}
	}
}

// again appends an entry for all servers that it is for.
func (w *writer) again(e *entry) error {
	ds, err := w.d.dataset(e.command.Dataset)
	if err != nil {
		w.d.log.Error("write of a dataset that is no more is left out", "error", err)
		return nil
	}
	shares, err := ds.shares(e.command)
	if err != nil {
		return err
	}
	for _, s := range shares {
		w.mu.Lock()
		w.stamp++
		next := entry{stamp: w.stamp, id: w.newID(), command: s.command.Clone()}
		w.mu.Unlock()
		next.command.Dataset = ds.name
		addrs := make([]string, len(s.volumes))
		for i, v := range s.volumes {
			addrs[i] = v.addr
		}
		if _, err := w.buffer.Append(next.encode(), addrs...); err != nil {
			return err
		}
	}
	return nil
}

// idSet remembers the last so many names.
type idSet struct {
	known map[string]bool
	ring  []string
	next  int
}

const maxSeen = 1 << 15

func (s *idSet) add(id string) {
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	if s.known[id] {
		return
	}
	s.known[id] = true
	if len(s.ring) < maxSeen {
		s.ring = append(s.ring, id)
		return
	}
	delete(s.known, s.ring[s.next])
	s.ring[s.next] = id
	s.next = (s.next + 1) % maxSeen
}

// remember notes that a write that another gateway may also have begun is done here.
func (w *writer) remember(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.add(id)
}
