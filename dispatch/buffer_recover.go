package dispatch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// recovery reads a log from its oldest segment to the end.
type recovery struct {
	b    *Buffer
	byID map[uint64]*replicaQueue
	in   recordReader
}

// recover reads what is on disk. b is not shared yet.
func (b *Buffer) recover() error {
	if err := b.openSegments(); err != nil {
		return err
	}
	v := recovery{b: b, byID: make(map[uint64]*replicaQueue)}
	for i, s := range b.segments {
		limit, err := v.limit(i)
		if err != nil {
			return err
		}
		end, err := v.segment(s, limit)
		if err == nil {
			s.size = limit
		} else if err = v.cut(i, end, limit, err); err != nil {
			return err
		}
		s.seen, s.synced = s.size, s.size
		b.total += s.size
	}
	if len(b.segments) == 0 {
		return nil
	}
	if b.cfg.Sync != SyncNever {
		if err := b.last().file.Sync(); err != nil {
			return err
		}
	}
	return b.reclaim()
}

// openSegments opens the files. A newest one that was never finished, so that
// nothing in it was acknowledged, is removed.
func (b *Buffer) openSegments() error {
	numbers, err := b.files.list()
	if err != nil {
		return err
	}
	for i, n := range numbers {
		if i > 0 && n != numbers[i-1]+1 {
			return b.damage(numbers[i-1]+1, 0, badRecord("the file is missing"))
		}
		file, err := b.files.open(n)
		if err != nil {
			return err
		}
		s := &segment{number: n, file: file}
		b.segments = append(b.segments, s)
		info, err := file.Stat()
		if err != nil {
			return err
		}
		s.size = info.Size()
		if i < len(numbers)-1 || headOf(s) == nil {
			continue
		}
		if acked, err := ackedBeyond(file, n, 0, s.size); err != nil || acked {
			return errors.Join(err, b.damage(n, 0, headOf(s)))
		}
		file.Close()
		b.segments = b.segments[:i]
		if err := b.files.remove(n); err != nil {
			return err
		}
	}
	return nil
}

// headOf reads a segment's first record into its firstSeq.
func headOf(s *segment) error {
	_, err := readHead(s)
	return err
}

func readHead(s *segment) (record, error) {
	var in recordReader
	r, _, err := in.read(s.file, s.number, 0, s.size)
	if err == nil && r.kind != recordHead {
		err = badRecord("the first record is not a segment's head")
	}
	return r, err
}

// limit returns how many bytes of the i-th segment count: the next one's head says
// where it ended, what is behind was given up.
func (v *recovery) limit(i int) (int64, error) {
	s := v.b.segments[i]
	if i+1 == len(v.b.segments) {
		return s.size, nil
	}
	next := v.b.segments[i+1]
	head, err := readHead(next)
	if err != nil {
		return 0, v.b.damage(next.number, 0, err)
	}
	if head.prevEnd > s.size {
		return 0, v.b.damage(s.number, s.size, badRecord("%d bytes are missing at the end", head.prevEnd-s.size))
	}
	return head.prevEnd, nil
}

// segment applies the records of a segment up to limit. With an error it returns
// where the record that it is about begins.
func (v *recovery) segment(s *segment, limit int64) (end int64, err error) {
	for at := int64(0); at < limit; {
		r, next, err := v.in.read(s.file, s.number, at, limit)
		if err == nil {
			err = v.apply(s, position{s.number, at}, &r)
		}
		if err != nil {
			return at, err
		}
		at = next
	}
	return limit, nil
}

// cut ends the i-th segment where a record is bad, if nothing from there on was
// acknowledged. That can only be so in the last.
func (v *recovery) cut(i int, end, limit int64, bad error) error {
	s := v.b.segments[i]
	if !errors.Is(bad, errBadRecord) || i+1 < len(v.b.segments) {
		return v.b.damage(s.number, end, bad)
	}
	acked, err := ackedBeyond(s.file, s.number, end, limit)
	if err != nil {
		return fmt.Errorf("the write buffer: %w", err)
	}
	if acked {
		return v.b.damage(s.number, end, bad)
	}
	s.size = end
	return s.file.Truncate(end)
}

func (v *recovery) apply(s *segment, at position, r *record) error {
	switch r.kind {
	case recordHead:
		return v.head(s, at, r)
	case recordReplica:
		return v.replica(s, r)
	case recordWrite:
		return v.write(s, at, r)
	case recordDelivered:
		return v.delivered(s, r)
	default:
		return v.cursor(s, r)
	}
}

func (v *recovery) head(s *segment, at position, r *record) error {
	if at.offset != 0 || r.seq <= v.b.seq {
		return badRecord("a head that does not belong there")
	}
	s.firstSeq = r.seq
	v.b.seq = r.seq - 1
	return nil
}

func (v *recovery) replica(s *segment, r *record) error {
	q := v.byID[r.id]
	if q == nil {
		if _, forgotten := v.b.names[string(r.name)]; forgotten {
			v.forget(string(r.name))
		}
		q = v.b.addQueue(r.id, string(r.name))
		v.byID[r.id] = q
	}
	if q.name != string(r.name) {
		return badRecord("replica %d is %q and %q", r.id, q.name, r.name)
	}
	q.declared = s.number
	return nil
}

// forget drops a replica that has got another id since.
func (v *recovery) forget(name string) {
	q := v.b.names[name]
	delete(v.b.names, name)
	for i, o := range v.b.replicas {
		if o == q {
			v.b.replicas = append(v.b.replicas[:i], v.b.replicas[i+1:]...)
			return
		}
	}
}

func (v *recovery) known(s *segment, id uint64) (*replicaQueue, error) {
	q := v.byID[id]
	if q == nil || q.declared != s.number {
		return nil, badRecord("replica %d is unknown", id)
	}
	return q, nil
}

func (v *recovery) write(s *segment, at position, r *record) error {
	if r.seq <= v.b.seq {
		return badRecord("write %d after write %d", r.seq, v.b.seq)
	}
	for rest := r.ids; len(rest) > 0; {
		id, n := binary.Uvarint(rest)
		if n <= 0 {
			return badRecord("malformed replicas")
		}
		q, err := v.known(s, id)
		if err != nil {
			return err
		}
		q.add(r.seq, at, len(r.data))
		rest = rest[n:]
	}
	v.b.seq = r.seq
	return nil
}

func (v *recovery) delivered(s *segment, r *record) error {
	q, err := v.known(s, r.id)
	if err == nil && r.seq >= v.b.segments[0].firstSeq {
		q.take(Ticket{r.seq, r.size}, v.b.seq)
	}
	return err
}

// cursor takes over what was known when the record was written. The position is
// the beginning of a segment; Next finds the write from there. A cursor that counts
// writes of a removed segment is older than what was delivered of them, and the
// marks of that were lost with the power: what is counted here is right then.
func (v *recovery) cursor(s *segment, r *record) error {
	q, err := v.known(s, r.id)
	if err != nil || r.seq+1 < v.b.segments[0].firstSeq {
		return err
	}
	if r.seq > v.b.seq || uint64(r.waiting) > v.b.seq-r.seq {
		return badRecord("%d writes after %d wait for %s, and the newest is %d", r.waiting, r.seq, q.name, v.b.seq)
	}
	q.done, q.waiting, q.bytes = r.seq, r.waiting, r.bytes
	for seq := range q.ahead { // order-free: each is judged by itself
		if seq <= r.seq {
			delete(q.ahead, seq)
		}
	}
	for _, o := range v.b.segments {
		if o.firstSeq <= r.seq+1 && o.number <= s.number {
			q.pos = position{o.number, 0}
		}
	}
	return nil
}
