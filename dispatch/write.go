package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// write has a write done by the log.
func (d *Dispatcher) write(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	if d.logged == nil {
		return groonga.Answer{}, ErrNoLog
	}
	return d.logged.write(ctx, ds, c)
}

// replicaPoll is how often it is looked whether a replica is there again.
const replicaPoll = 5 * time.Millisecond

// awaitReplicas refuses a write that nobody could answer, before it is proposed: of a slice
// no server can be reached. It waits for a moment, because an agent that was started anew
// lists itself alone until it has joined.
func (d *Dispatcher) awaitReplicas(ctx context.Context, shares []share) error {
	for begun := time.Now(); ; {
		if !slices.ContainsFunc(shares, func(s share) bool { return !slices.ContainsFunc(s.volumes, (*volume).reachable) }) {
			return nil
		}
		if time.Since(begun) >= d.cfg.WriteWait {
			return ErrNoReplica
		}
		select {
		case <-time.After(replicaPoll):
		case <-ctx.Done():
			return ctx.Err()
		case <-d.ctx.Done():
			return ErrStopped
		}
	}
}

// reachable reports whether a server may answer.
func (v *volume) reachable() bool { return v.listed.Load() && v.state() != down }

// boot names this run of the program.
func boot() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
