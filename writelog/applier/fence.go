package applier

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// fence has the server end what it does, so that nothing that was sent to it before lands after this; then
// reads what the database says of itself, and lets it go on.
//
// First the locks of whoever is gone, then the limit: one that waits for a lock never ends, and the limit
// waits for it. Then the locks once more: one that was cleared while its holder was at work is taken again, by
// nobody, when that ends.
func (s *session) fence(ctx context.Context) (*found, []byte, error) {
	if err := s.clearDeadLocks(ctx); err != nil {
		return nil, nil, err
	}
	limit, err := s.oldLimit(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.limit(ctx, 1); err != nil {
		return nil, nil, err
	}
	if _, err := s.ask(ctx, "lock_clear"); err != nil {
		return nil, nil, err
	}
	f, dump, err := s.find(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.limit(ctx, limit); err != nil {
		return nil, nil, err
	}
	if limit > 1 {
		err = s.unset(ctx, keyThreads)
	}
	return f, dump, err
}

// clearDeadLocks clears locks if the server was started since the last fence: a server that was killed leaves its
// locks in the database. In one that was not, each lock has a holder that is at work, and clearing it under that
// holder's hands can have it wait for itself for ever.
func (s *session) clearDeadLocks(ctx context.Context) error {
	started, up, err := s.started(ctx)
	if err != nil {
		return err
	}
	last, err := s.get(ctx, keyServer)
	if err != nil {
		return err
	}
	s.process, s.young = started, up == 0
	if last == started && up > 0 {
		return nil
	}
	_, err = s.ask(ctx, "lock_clear")
	return err
}

// oldLimit is the server's thread limit, or what it was before an applier that did not come to restore it.
func (s *session) oldLimit(ctx context.Context) (int, error) {
	started, _, err := s.started(ctx)
	if err != nil {
		return 0, err
	}
	limit, err := s.limit(ctx, 0)
	if err != nil {
		return 0, err
	}
	saved, err := s.get(ctx, keyThreads)
	if err != nil {
		return 0, err
	}
	if when, n, _ := strings.Cut(saved, " "); when == started && limit == 1 {
		if old, err := strconv.Atoi(n); err == nil && old > 1 {
			return old, nil
		}
	}
	if limit > 1 {
		err = s.set(ctx, keyThreads, fmt.Sprint(started, " ", limit))
	}
	return limit, err
}

// find reads what the database says of itself, and its schema.
func (s *session) find(ctx context.Context) (*found, []byte, error) {
	f := new(found)
	var err error
	if f.position, s.save.number, err = s.newest(ctx, keyPosition); err != nil {
		return nil, nil, err
	}
	if f.durable, s.flush.number, err = s.newest(ctx, keyDurable); err != nil {
		return nil, nil, err
	}
	if f.nonce, err = s.get(ctx, KeyNonce); err != nil {
		return nil, nil, err
	}
	if f.suspect, err = s.get(ctx, keySuspect); err != nil {
		return nil, nil, err
	}
	if f.filling, err = s.get(ctx, KeyFilling); err != nil {
		return nil, nil, err
	}
	dump, err := s.ask(ctx, "dump", "dump_records", "no")
	if err != nil {
		return nil, nil, err
	}
	f.empty = !strings.Contains("\n"+string(dump), "\ntable_create ")
	return f, dump, nil
}

// readIntents reads the intents in the database, and takes away those whose commands are applied.
func (s *session) readIntents(ctx context.Context, dump []byte, at *Position) error {
	for _, n := range intentsOf(dump) {
		text, err := s.get(ctx, keyIntent+strconv.Itoa(n))
		if err != nil {
			return err
		}
		_, value, whole := unseal(text)
		i, err := decodeIntent(value)
		if whole && err != nil {
			return fmt.Errorf("%w: %v", ErrSuspect, err)
		}
		if !whole || at.Covers(i.Index) { // one that is not whole was not answered, and its command not begun
			if err := s.unset(ctx, keyIntent+strconv.Itoa(n)); err != nil {
				return err
			}
			continue
		}
		s.slots[n] = true
		s.intents[i.Index] = &opened{intent: i, slot: n}
	}
	return nil
}
