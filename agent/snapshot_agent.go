package agent

import (
	"fmt"

	"github.com/ibuki-dev/ibuki/agent/snapshot"
	"github.com/ibuki-dev/ibuki/serf"
)

// openSnapshot reads what a former life has left. Without a snapshot file
// that is nothing, and store is nil.
func (a *Agent) openSnapshot() (store *snapshot.Store, restored *snapshot.Memory, err error) {
	if a.cfg.SnapshotPath == "" {
		return nil, &snapshot.Memory{}, nil
	}
	path, err := snapshot.RealPath(a.cfg.SnapshotPath)
	if err != nil {
		return nil, nil, fmt.Errorf("Failed to setup snapshot: failed to open snapshot: %w", err)
	}
	store, r, err := snapshot.Open(&timedFS{FS: snapshot.Disk{}, meter: a.meter}, path, a.cfg.RejoinAfterLeave)
	if err != nil {
		return nil, nil, fmt.Errorf("Failed to setup snapshot: failed to open snapshot: %w", err)
	}
	if r.Left > 0 && a.cfg.RejoinAfterLeave {
		a.logger.Info("serf: Ignoring previous leave in snapshot")
	}
	if r.Bad > 0 {
		a.logger.Warn("serf: lines of the snapshot could not be read", "lines", r.Bad)
	}
	store.Self = snapshot.Peer{Name: a.cfg.Name, Addr: a.addr}
	if i, ok := snapshot.FindPeer(store.Memory.Peers, a.cfg.Name); ok { // Serf lists the node itself too
		store.Memory.Peers = append(store.Memory.Peers[:i:i], store.Memory.Peers[i+1:]...)
	}
	own := store.Memory
	return store, &own, nil
}

// keepSnapshot begins to write; a nil store is none.
func (a *Agent) keepSnapshot(store *snapshot.Store) {
	if store != nil {
		a.snapshot = snapshot.Start(store, a.logger)
	}
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
		a.snapshot.Times(r)
	}
	if s := a.machine.State(); !a.loop.leaves && (s == serf.Leaving || s == serf.Left) {
		a.loop.leaves = true
		a.snapshot.Leave()
	}
}

// recorded waits until a next life would not tell the event again.
func (a *Agent) recorded(e *serf.Event) {
	if a.snapshot != nil {
		a.snapshot.Recorded(e)
	}
}
