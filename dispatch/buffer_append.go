package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Append keeps a write for the replicas, after all that were appended before. When
// it returns nil, the write is as safe as the policy says and will be delivered.
// Otherwise nothing is kept: the error is ErrBufferFull, ErrWriteTooLarge,
// ErrBufferClosed or the disk's. data is not kept.
func (b *Buffer) Append(data []byte, replicas ...string) (Ticket, error) {
	if err := b.acceptable(data, replicas); err != nil {
		return Ticket{}, err
	}
	if err := b.ready(int64(len(data)) + recordHeader + recordBody + 64); err != nil {
		return Ticket{}, err
	}
	t, end, err := b.write(data, replicas) // unlocks b.mu, which ready left locked
	if err != nil || b.cfg.Sync != SyncAlways {
		return t, err
	}
	if err := b.commit(end.segment, end.end); err != nil {
		return Ticket{}, err
	}
	return t, nil
}

func (b *Buffer) acceptable(data []byte, replicas []string) error {
	if len(data) > b.cfg.MaxWrite {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrWriteTooLarge, len(data), b.cfg.MaxWrite)
	}
	if len(replicas) == 0 || len(replicas) > maxReplicas {
		return fmt.Errorf("a write for %d replicas: between 1 and %d are possible", len(replicas), maxReplicas)
	}
	for _, name := range replicas {
		if name == "" || len(name) > maxReplicaName {
			return fmt.Errorf("a replica's name has between 1 and %d bytes, not %d", maxReplicaName, len(name))
		}
	}
	return nil
}

// ready locks b.mu when the last segment can take a record of about size bytes, a
// new segment begun if need be. On an error b.mu is not locked.
func (b *Buffer) ready(size int64) error {
	for tries := 0; ; tries++ {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return ErrBufferClosed
		}
		if err := b.syncErr; err != nil {
			b.syncErr = nil
			b.mu.Unlock()
			return fmt.Errorf("cannot force earlier writes to the disk: %w", err)
		}
		total := b.total
		full := total+size > b.cfg.MaxBytes
		if !full && !b.spent() {
			return nil
		}
		b.mu.Unlock()
		if full && tries > 0 {
			return fmt.Errorf("%w: %d of %d bytes", ErrBufferFull, total, b.cfg.MaxBytes)
		}
		if err := b.renew(full); err != nil {
			return err
		}
	}
}

// spent reports whether the last segment takes no more. b.mu is held.
func (b *Buffer) spent() bool {
	return len(b.segments) == 0 || b.last().size >= b.cfg.SegmentBytes || b.last().failed != nil
}

// renew begins a new segment if the last is spent, and removes what is not
// needed; if the buffer is full, it looks harder for such.
func (b *Buffer) renew(full bool) error {
	if full {
		b.advanceAll()
	}
	b.syncMu.Lock()
	defer b.syncMu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrBufferClosed
	}
	if b.spent() || full && b.idle() {
		if err := b.rotate(); err != nil {
			return err
		}
	}
	return b.reclaim()
}

// idle reports whether nothing waits. b.mu is held.
func (b *Buffer) idle() bool {
	for _, q := range b.replicas {
		if q.waiting > 0 {
			return false
		}
	}
	return len(b.tail) == 0
}

// rotate begins a new segment. What the last one holds is forced to the disk
// before, so that only the newest can have a torn tail. Both locks are held.
func (b *Buffer) rotate() error {
	number, prevEnd := uint64(1), int64(0)
	if len(b.segments) > 0 {
		last := b.last()
		if err := b.sealed(last); err != nil {
			return err
		}
		number, prevEnd = last.number+1, last.size
	}
	file, err := b.files.create(number)
	if err != nil {
		return fmt.Errorf("a new segment: %w", err)
	}
	s := &segment{number: number, file: file, firstSeq: b.seq + 1}
	head := appendRecord(nil, number, 0, &record{kind: recordHead, prevEnd: prevEnd, seq: s.firstSeq})
	if _, err = file.WriteAt(head, 0); err == nil && b.cfg.Sync != SyncNever {
		err = errors.Join(file.Sync(), b.files.sync())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("a new segment: %w", err), file.Close(), b.files.remove(number))
	}
	s.size, s.seen, s.synced = int64(len(head)), int64(len(head)), int64(len(head))
	b.segments = append(b.segments, s)
	b.total += s.size
	return nil
}

// sealed forces the last segment's bytes to the disk. Both locks are held.
func (b *Buffer) sealed(s *segment) error {
	if s.failed != nil || s.synced == s.size || b.cfg.Sync == SyncNever {
		return nil
	}
	err := s.file.Sync()
	b.synced(s, s.size, err)
	if b.cfg.Sync == SyncAlways {
		return err
	}
	return nil // b.syncErr has it
}

// write puts the record of a write into the last segment. b.mu is held, and
// unlocked at the end.
func (b *Buffer) write(data []byte, replicas []string) (t Ticket, end committedTo, err error) {
	defer b.mu.Unlock()
	s := b.last()
	from := len(b.tailQueue)
	for _, name := range replicas {
		if err := b.refer(name, from); err != nil {
			b.tailQueue = b.tailQueue[:from]
			return t, end, err
		}
	}
	queues := b.tailQueue[from:]
	b.ids = appendIDs(b.ids[:0], queues)
	r := record{kind: recordWrite, seq: b.seq + 1, at: b.cfg.now().UnixMilli(), ids: b.ids, data: data}
	start := s.size
	if err := b.put(&r); err != nil {
		b.tailQueue = b.tailQueue[:from]
		return t, end, err
	}
	b.seq++
	b.tail = append(b.tail, uncommitted{b.seq, start, s.size, len(data), len(queues)})
	if b.cfg.Sync != SyncAlways {
		b.acknowledge(s, s.size)
	}
	return Ticket{b.seq, len(data)}, committedTo{s, s.size}, nil
}

// committedTo is how far a segment has to be forced for one write.
type committedTo struct {
	segment *segment
	end     int64
}

// refer adds a replica to tailQueue, unless it is there from the index on, and its
// name to the segment.
func (b *Buffer) refer(name string, from int) error {
	q := b.queue(name)
	if slices.Contains(b.tailQueue[from:], q) {
		return nil
	}
	if err := b.declare(q); err != nil {
		return err
	}
	b.tailQueue = append(b.tailQueue, q)
	return nil
}

// declare writes into the last segment which replica an id stands for.
func (b *Buffer) declare(q *replicaQueue) error {
	if q.declared == b.last().number {
		return nil
	}
	if err := b.put(&record{kind: recordReplica, id: q.id, name: []byte(q.name)}); err != nil {
		return err
	}
	q.declared = b.last().number
	return nil
}

// put writes a record at the end of the last segment. What a failed write left
// there is overwritten by the next. b.mu is held.
func (b *Buffer) put(r *record) error {
	s := b.last()
	r.acked = s.seen
	b.scratch = appendRecord(b.scratch[:0], s.number, s.size, r)
	n := len(b.scratch)
	_, err := s.file.WriteAt(b.scratch, s.size)
	if cap(b.scratch) > 1<<20 {
		b.scratch = nil
	}
	if err != nil {
		return fmt.Errorf("the write buffer: %w", err)
	}
	s.size += int64(n)
	b.total += int64(n)
	if b.cfg.Sync != SyncAlways {
		s.seen = s.size
	}
	b.flushLater()
	return nil
}

// commit returns when an fsync has covered the segment up to end. The first one
// to come does it for all that is written by then, those who waited meanwhile
// find it done.
func (b *Buffer) commit(s *segment, end int64) error {
	b.syncMu.Lock()
	defer b.syncMu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.synced >= end {
		return nil
	}
	if s.failed != nil {
		return s.failed
	}
	target := s.size
	b.mu.Unlock()
	err := s.file.Sync()
	b.mu.Lock()
	b.synced(s, target, err)
	return err
}

// synced takes note of an fsync of the last segment. After one that failed, the
// system may have forgotten what it could not write, and the next fsync may
// claim success: the segment is given up where the last good one was, and its
// unacknowledged writes with it. Both locks are held.
func (b *Buffer) synced(s *segment, target int64, err error) {
	if err == nil {
		s.synced = target
		b.acknowledge(s, target)
		return
	}
	s.failed = fmt.Errorf("the write buffer: %w", err)
	if b.cfg.Sync != SyncAlways {
		b.syncErr = s.failed
		return
	}
	b.total -= s.size - s.synced
	s.size = s.synced
	b.tail, b.tailQueue = b.tail[:0], b.tailQueue[:0]
}

// acknowledge counts the writes up to end of the last segment as waiting.
func (b *Buffer) acknowledge(s *segment, end int64) {
	s.seen = end
	writes, queues := 0, 0
	for _, u := range b.tail {
		if u.end > end {
			break
		}
		for _, q := range b.tailQueue[queues : queues+u.queues] {
			q.add(u.seq, position{s.number, u.start}, u.size)
		}
		writes++
		queues += u.queues
	}
	b.tail = append(b.tail[:0], b.tail[writes:]...)
	b.tailQueue = append(b.tailQueue[:0], b.tailQueue[queues:]...)
}

// flushLater sets flush to come, if something will need it. b.mu is held.
func (b *Buffer) flushLater() {
	if b.dirty || b.cfg.Sync == SyncNever {
		return
	}
	b.dirty = true
	if b.flusher == nil {
		b.flusher = time.AfterFunc(b.cfg.SyncEvery, b.flush)
	} else {
		b.flusher.Reset(b.cfg.SyncEvery)
	}
}

// flush forces what nobody waits for: writes under SyncInterval, and marks.
func (b *Buffer) flush() {
	b.syncMu.Lock()
	defer b.syncMu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty = false
	if b.closed || len(b.segments) == 0 {
		return
	}
	s := b.last()
	if s.failed != nil || s.synced == s.size {
		return
	}
	target := s.size
	b.mu.Unlock()
	err := s.file.Sync()
	b.mu.Lock()
	b.synced(s, target, err)
}
