package agent

import (
	"fmt"

	"github.com/ibuki-dev/ibuki/serf"
)

// openSnapshot reads what a former life has left. Without a snapshot file
// that is nothing, and store is nil.
func (a *Agent) openSnapshot() (store *snapshotStore, restored *memory, err error) {
	if a.cfg.SnapshotPath == "" {
		return nil, &memory{}, nil
	}
	store, r, err := openSnapshot(&timedFS{snapshotFS: diskFS{}, meter: a.meter}, realPath(a.cfg.SnapshotPath), a.cfg.RejoinAfterLeave)
	if err != nil {
		return nil, nil, fmt.Errorf("Failed to setup snapshot: failed to open snapshot: %w", err)
	}
	if r.left > 0 && a.cfg.RejoinAfterLeave {
		a.logger.Info("serf: Ignoring previous leave in snapshot")
	}
	if r.bad > 0 {
		a.logger.Warn(fmt.Sprintf("serf: %d lines of the snapshot could not be read", r.bad))
	}
	store.self = peer{name: a.cfg.Name, addr: a.addr}
	if i, ok := findPeer(store.mem.peers, a.cfg.Name); ok { // Serf lists the node itself too
		store.mem.peers = append(store.mem.peers[:i:i], store.mem.peers[i+1:]...)
	}
	own := store.mem
	return store, &own, nil
}

// keepSnapshot begins to write; a nil store is none.
func (a *Agent) keepSnapshot(store *snapshotStore) {
	if store != nil {
		a.snapshot = startSnapshot(store, a.logger)
	}
}

// restore lets the machine go on from a former life.
func (m *memory) restore(cfg *serf.Config) {
	cfg.Swim.Incarnation = m.incarnation
	cfg.Clock, cfg.EventClock, cfg.QueryClock = m.clock, m.event, m.query
}

// remember notes, before an event goes to anybody, what a next life must not
// tell again. It is called by the loop at every turn.
func (a *Agent) remember(out *serf.Output) {
	if a.snapshot == nil {
		return
	}
	r := a.machine.Restorable()
	r.EventMin = max(r.EventMin, a.loop.kept.EventMin)
	r.QueryMin = max(r.QueryMin, a.loop.kept.QueryMin)
	for i := range out.Events {
		switch e := &out.Events[i]; e.Type {
		case serf.EventUser:
			r.EventMin = max(r.EventMin, e.LTime)
		case serf.EventQuery:
			r.QueryMin = max(r.QueryMin, e.LTime)
		}
	}
	if r != a.loop.kept {
		a.loop.kept = r
		a.snapshot.times(r)
	}
	if s := a.machine.State(); !a.loop.leaves && (s == serf.Leaving || s == serf.Left) {
		a.loop.leaves = true
		a.snapshot.leave()
	}
}

// recorded waits until a next life would not tell the event again.
func (a *Agent) recorded(e *serf.Event) {
	if a.snapshot != nil {
		a.snapshot.recorded(e)
	}
}
