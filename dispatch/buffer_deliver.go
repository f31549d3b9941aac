package dispatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// maxAhead bounds what is remembered, per replica, of deliveries out of order, and
// how many deliveries there are between two cursor records.
const maxAhead = 1024

// Next returns the oldest write that waits for a replica; ok is false if there is
// none. It is the same one until Delivered takes it. A write that cannot be read
// any more is a *BufferDamage, again and again: later ones would come before it.
func (b *Buffer) Next(replica string) (p Pending, ok bool, err error) {
	b.mu.Lock()
	q, closed := b.names[replica], b.closed
	b.mu.Unlock()
	if closed {
		return p, false, ErrBufferClosed
	}
	if q == nil {
		return p, false, nil
	}
	q.reading.Lock()
	defer q.reading.Unlock()
	r, ok, err := b.advance(q)
	if !ok || err != nil {
		return p, false, err
	}
	return Pending{Ticket{r.seq, len(r.data)}, time.UnixMilli(r.at), slices.Clone(r.data)}, true, nil
}

// advance moves the replica's position to the first write that waits for it, and
// returns that. q.reading is held, and b.mu is not.
func (b *Buffer) advance(q *replicaQueue) (r record, ok bool, err error) {
	for {
		pos, s, limit, err := b.whereNext(q)
		if s == nil || err != nil {
			return r, false, err
		}
		r, next, err := q.reader.read(s.file, s.number, pos.offset, limit)
		if errors.Is(err, os.ErrClosed) && b.removed(s) {
			continue
		}
		if err != nil {
			return r, false, b.damage(s.number, pos.offset, err)
		}
		if b.stays(q, &r, pos, position{s.number, next}) {
			return r, true, nil
		}
	}
}

// whereNext says where the replica's next record is; s is nil if nothing waits.
func (b *Buffer) whereNext(q *replicaQueue) (pos position, s *segment, limit int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.waiting == 0 || b.closed {
		return pos, nil, 0, nil
	}
	for _, s := range b.segments {
		if s.number < q.pos.segment {
			continue
		}
		if s.number > q.pos.segment {
			q.pos = position{s.number, 0}
		}
		if q.pos.offset < s.seen {
			return q.pos, s, s.seen, nil
		}
	}
	missing := badRecord("%d writes for %s are not there", q.waiting, q.name)
	return pos, nil, 0, b.damage(b.last().number, b.last().seen, missing)
}

// removed reports whether a segment is one no more.
func (b *Buffer) removed(s *segment) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.closed && !slices.Contains(b.segments, s)
}

// stays reports whether the record at pos is a write that waits for the replica;
// if not, the position moves on to next.
func (b *Buffer) stays(q *replicaQueue, r *record, pos, next position) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.pos != pos || q.waiting == 0 {
		return false // everything was delivered meanwhile
	}
	if r.kind == recordWrite && r.seq > q.done {
		_, delivered := q.ahead[r.seq]
		if !delivered && r.has(q.id) {
			return true
		}
		delete(q.ahead, r.seq)
		q.done = r.seq
		if delivered {
			q.noted++
		}
	}
	q.pos = next
	if q.noted >= maxAhead {
		q.noted = 0
		_ = b.note(q) // it only shortens the next start
	}
	return false
}

// Delivered says that a replica has a write, in any order; saying so twice does no
// harm. The replica's Append and this may be concurrent with anything. An error
// means that the mark is not on disk: after a restart the write may be delivered
// once more.
func (b *Buffer) Delivered(replica string, t Ticket) error {
	b.mu.Lock()
	spent := !b.closed && len(b.segments) > 0 && b.spent()
	b.mu.Unlock()
	if spent {
		_ = b.renew(false) // if it fails, so does the mark
	}
	b.mu.Lock()
	q := b.names[replica]
	if b.closed || q == nil || !q.take(t, b.seq) {
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return ErrBufferClosed
		}
		return nil
	}
	err := b.mark(q, t)
	if q.waiting == 0 {
		err = errors.Join(err, b.reclaim())
	}
	crowded := len(q.ahead) > maxAhead
	b.mu.Unlock()
	if crowded {
		q.reading.Lock()
		defer q.reading.Unlock()
		_, _, damage := b.advance(q)
		return errors.Join(err, damage)
	}
	return err
}

// add counts a write as waiting.
func (q *replicaQueue) add(seq uint64, at position, size int) {
	if q.waiting == 0 { // all before is delivered: the search begins here
		q.pos, q.done = at, seq-1
		clear(q.ahead)
	}
	q.waiting++
	q.bytes += int64(size)
}

// take counts a write as delivered, unless it is already or is none.
func (q *replicaQueue) take(t Ticket, newest uint64) bool {
	if q.waiting == 0 || t.Seq <= q.done || t.Seq > newest {
		return false
	}
	if _, twice := q.ahead[t.Seq]; twice {
		return false
	}
	q.ahead[t.Seq] = struct{}{}
	q.waiting--
	q.bytes -= int64(t.size)
	return true
}

// mark puts on disk that a write is delivered. b.mu is held.
func (b *Buffer) mark(q *replicaQueue, t Ticket) error {
	if q.waiting == 0 && !slices.Contains(b.tailQueue, q) {
		q.done, q.noted = b.seq, 0
		clear(q.ahead)
		return b.note(q)
	}
	if err := b.markable(q); err != nil {
		return err
	}
	return b.put(&record{kind: recordDelivered, id: q.id, seq: t.Seq, size: t.size})
}

func (b *Buffer) markable(q *replicaQueue) error {
	if err := b.last().failed; err != nil {
		return err
	}
	return b.declare(q)
}

// note puts a replica's cursor on disk. What is written but not acknowledged yet
// counts too: it is in the file before the cursor. b.mu is held.
func (b *Buffer) note(q *replicaQueue) error {
	if err := b.markable(q); err != nil {
		return err
	}
	r := record{kind: recordCursor, id: q.id, seq: q.done, waiting: q.waiting, bytes: q.bytes}
	at := 0
	for _, u := range b.tail {
		if slices.Contains(b.tailQueue[at:at+u.queues], q) {
			r.waiting++
			r.bytes += int64(u.size)
		}
		at += u.queues
	}
	return b.put(&r)
}

// reclaim removes the oldest segments as long as all of their writes are
// delivered. b.mu is held.
func (b *Buffer) reclaim() error {
	needed := b.last().number
	for _, q := range b.replicas {
		if q.waiting > 0 {
			needed = min(needed, q.pos.segment)
		}
	}
	for b.segments[0].number < needed {
		s := b.segments[0]
		if err := b.files.remove(s.number); err != nil {
			return fmt.Errorf("the write buffer: %w", err)
		}
		b.segments = slices.Delete(b.segments, 0, 1)
		b.total -= s.size
		s.file.Close()
		// One after the other: a power cut must not leave a gap.
		if b.cfg.Sync == SyncNever {
			continue
		}
		if err := b.files.sync(); err != nil {
			return fmt.Errorf("the write buffer: %w", err)
		}
	}
	return nil
}

// advanceAll moves each replica's position as far as it goes.
func (b *Buffer) advanceAll() {
	b.mu.Lock()
	queues := slices.Clone(b.replicas)
	b.mu.Unlock()
	for _, q := range queues {
		q.reading.Lock()
		_, _, _ = b.advance(q) // damage shows when it is to be delivered
		q.reading.Unlock()
	}
}

// Waiting returns how many writes wait for a replica.
func (b *Buffer) Waiting(replica string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.names[replica]; q != nil {
		return q.waiting
	}
	return 0
}

// Backlogs returns what waits for each replica that it has heard of, by name. It
// reads a record per replica.
func (b *Buffer) Backlogs() ([]Backlog, error) {
	b.mu.Lock()
	queues := slices.Clone(b.replicas)
	b.mu.Unlock()
	list := make([]Backlog, 0, len(queues))
	var faults []error
	for _, q := range queues {
		q.reading.Lock()
		r, ok, err := b.advance(q)
		q.reading.Unlock()
		l := Backlog{Replica: q.name}
		if ok {
			l.Oldest = time.UnixMilli(r.at)
		}
		b.mu.Lock()
		l.Writes, l.Bytes = q.waiting, q.bytes
		b.mu.Unlock()
		faults = append(faults, err)
		list = append(list, l)
	}
	return list, errors.Join(faults...)
}

// Forget drops what waits for a replica that is no more.
func (b *Buffer) Forget(replica string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrBufferClosed
	}
	q := b.names[replica]
	if q == nil {
		return nil
	}
	delete(b.names, replica)
	b.replicas = slices.DeleteFunc(b.replicas, func(o *replicaQueue) bool { return o == q })
	if q.waiting == 0 {
		return nil
	}
	q.waiting, q.bytes, q.done = 0, 0, b.seq
	clear(q.ahead)
	return errors.Join(b.note(q), b.reclaim())
}

func (b *Buffer) damage(number uint64, offset int64, err error) error {
	if errors.Is(err, os.ErrClosed) {
		return ErrBufferClosed
	}
	if !errors.Is(err, errBadRecord) {
		return fmt.Errorf("the write buffer: %w", err)
	}
	return &BufferDamage{filepath.Join(b.dir, segmentName(number)), offset, err.Error()}
}
