package dispatch

import (
	"time"
)

// judge decides whether a server may be read from. writer.mu is held.
func (v *volume) judge() {
	v.missing.Store(v.out || v.behind || !v.doubtedAt.IsZero() || len(v.heldBy) > 0 || v.emptied.Load())
}

// judge is volume.judge for who does not hold writer.mu.
func (w *writer) judge(v *volume) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v.judge()
}

// tablesWait reports whether a server may get its tables yet by the writes that wait for
// it. If the oldest is about records, it had the table.
func (w *writer) tablesWait(v *volume) bool {
	w.mu.Lock()
	elsewhere := len(v.heldBy) > 0
	w.mu.Unlock()
	if elsewhere || w.buffer == nil {
		return elsewhere
	}
	p, ok, err := w.buffer.Next(v.addr)
	if err != nil || !ok {
		return err != nil
	}
	e, err := decodeEntry(p.Data)
	return err != nil || e.command.Name != "load" && e.command.Name != "delete"
}

// fallBehind makes it known that servers lack writes, on disk and to the other
// gateways, before those writes are acknowledged. Nobody reads from them until
// they are complete.
func (w *writer) fallBehind(volumes []*volume) {
	if len(volumes) == 0 {
		return
	}
	untold := false
	w.mu.Lock()
	for _, v := range volumes {
		if !v.behind {
			v.behind, v.behindAt = true, time.Now()
			v.judge()
			w.d.log.Info("server is behind", "volume", v.addr)
		}
		untold = untold || !v.told
	}
	w.mu.Unlock()
	if !untold {
		return
	}
	w.publish()
	for _, v := range volumes {
		w.wake(v)
	}
	w.mu.Lock()
	for _, j := range w.jobs { // order-free: each is told
		j.poke()
	}
	w.mu.Unlock()
}

// publish writes down who is behind, and tells the other gateways.
func (w *writer) publish() {
	w.pushing.Lock()
	defer w.pushing.Unlock()
	since := make(map[*volume]time.Time)
	w.mu.Lock()
	for _, v := range w.d.volumes {
		if v.behind {
			since[v] = v.behindAt
		}
	}
	w.mu.Unlock()
	w.save()
	w.d.peers.push()
	w.mu.Lock()
	defer w.mu.Unlock()
	for v, at := range since { // order-free: each by itself
		// One that was complete in between is not what was told.
		v.told = v.told || v.behind && v.behindAt.Equal(at)
	}
}

// save writes down how this gateway stands.
func (w *writer) save() {
	w.saving.Lock()
	defer w.saving.Unlock()
	if err := w.state.save(w.snapshot()); err != nil {
		w.d.log.Error("state file", "error", err)
	}
}

// complete makes a server that has everything readable again.
func (w *writer) complete(v *volume) {
	w.mu.Lock()
	changed := v.behind && w.buffer.Waiting(v.addr) == 0
	if changed {
		v.behind, v.told = false, false
		v.judge()
		w.d.log.Info("server has all writes", "volume", v.addr, "after", time.Since(v.behindAt).Round(time.Millisecond))
	}
	w.mu.Unlock()
	if changed {
		w.d.start(func() { _ = w.d.probe(v) }) // its tables can be judged now
		w.d.start(w.publish)
	}
}

// notYet reports whether another gateway has older writes for the server: they
// come first.
func (w *writer) notYet(v *volume, stamp int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, oldest := range v.heldBy { // order-free: any older one counts
		if oldest < stamp {
			return true
		}
	}
	return false
}
