package applier

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrForeign says that a server that is to be filled has data of which nobody knows that it may go.
var ErrForeign = errors.New("the database has tables that are not known to be this cluster's")

// Prepare begins to fill a server: nothing that was sent to it before lands after this, and its database says
// from now on that it is being filled, so that it is suspect until Adopt, whatever ends in between. mark names this
// filling. discard: also data that is not known to be a copy of this cluster's may go; else that is ErrForeign.
func Prepare(ctx context.Context, server Server, cluster uint64, mark string, discard bool) error {
	s := &session{asker: asker{server}}
	f, dump, err := s.fence(ctx)
	if err != nil {
		return err
	}
	if !discard && !f.ours(cluster) {
		return ErrForeign
	}
	if err := s.set(ctx, keyServer, s.process); err != nil {
		return err
	}
	if err := s.set(ctx, KeyFilling, fmt.Sprintf("%x %s", cluster, mark)); err != nil {
		return err
	}
	if err := s.sync(ctx); err != nil {
		return err
	}
	for line := range strings.Lines(string(dump)) {
		rest, own := strings.CutPrefix(line, "config_set "+Prefix)
		key, _, _ := strings.Cut(rest, " ")
		if key = Prefix + key; !own || key == KeyFilling || key == keyServer || key == keyThreads {
			continue
		}
		if err := s.unset(ctx, key); err != nil {
			return err
		}
	}
	return s.sync(ctx)
}

// ours reports whether what a database has may go: it has nothing, or what this cluster has put there.
func (f *found) ours(cluster uint64) bool {
	known := false
	for _, value := range []string{f.position, f.durable} {
		p, err := DecodePosition(value)
		if err == nil && p.Cluster != cluster {
			return false
		}
		known = known || err == nil
	}
	if of, _, marked := strings.Cut(f.filling, " "); marked {
		n, err := strconv.ParseUint(of, 16, 64)
		return err == nil && n == cluster
	}
	return known || f.empty
}

// Adopt ends what Prepare began: the database holds what the log amounts to when it is applied from a position on.
// It is an error if it is not the one that Prepare has marked.
func Adopt(ctx context.Context, server Server, at Position, mark string) error {
	q := asker{server}
	marked, err := q.get(ctx, KeyFilling)
	if err != nil {
		return err
	}
	if marked != fmt.Sprintf("%x %s", at.Cluster, mark) {
		return errors.New("the server has another database than when its filling began")
	}
	if err := q.syncAll(ctx); err != nil {
		return err
	}
	if err := q.set(ctx, KeyNonce, at.Nonce); err != nil {
		return err
	}
	for _, key := range []string{keyDurable, keyPosition} {
		if err := q.put(ctx, key, 1, at.Encode()); err != nil {
			return err
		}
	}
	if err := q.sync(ctx); err != nil { // before the mark goes
		return err
	}
	if err := q.unset(ctx, KeyFilling); err != nil {
		return err
	}
	return q.sync(ctx)
}
