package broadcast

import "slices"

// A broadcast that came by PushFresh waits for a first, eager sending; only
// then is it among those that Take gives out, as a repair. This file is that wait.

// fresh are the broadcasts that nobody was sent yet.
//
// Rule: the urgent ones go first, of each kind the oldest. Invariant: bytes is
// what all messages here are long together, n how many they are; no entry is nil.
type fresh struct {
	kinds [2][]*broadcast // urgent, other
	n     int
	bytes int
}

// PushFresh queues msg as Push does, for TakeFresh first and for Take after that.
// Urgent ones (deaths and leaves) go out before the others. (P221)
func (q *Queue) PushFresh(name string, msg []byte, urgent bool, done func()) {
	b := q.place(name, msg, done)
	kind := 1
	if urgent {
		kind = 0
	}
	b.isFresh = true
	f := &q.fresh
	f.kinds[kind] = append(f.kinds[kind], b)
	f.n++
	f.bytes += len(b.msg)
}

// TakeFresh appends fresh messages that fit into limit, each costing overhead
// more than its length. Each is given out so once. Take gives them out transmits
// times more. The slices are valid until the next Push.
func (q *Queue) TakeFresh(dst [][]byte, overhead, limit, transmits int) [][]byte {
	f := &q.fresh
	for kind := range f.kinds {
		list := f.kinds[kind]
		kept := list[:0]
		for i, b := range list {
			if limit <= overhead {
				kept = append(kept, list[i:]...)
				break
			}
			if overhead+len(b.msg) > limit {
				kept = append(kept, b)
				continue
			}
			limit -= overhead + len(b.msg)
			dst = append(dst, b.msg)
			q.settleFresh(b, transmits)
		}
		clear(list[len(kept):])
		f.kinds[kind] = kept
		if len(kept) == 0 && cap(list) > maxSpare {
			f.kinds[kind] = nil
		}
	}
	return dst
}

// settleFresh makes an ordinary broadcast of a fresh one that was just given out.
func (q *Queue) settleFresh(b *broadcast, transmits int) {
	b.isFresh = false
	q.fresh.n--
	q.fresh.bytes -= len(b.msg)
	if transmits > 0 {
		q.insert(b)
		return
	}
	q.forget(b)
	q.finish(b)
}

// remove takes one out of the wait.
func (f *fresh) remove(b *broadcast) {
	for kind := range f.kinds {
		if i := slices.Index(f.kinds[kind], b); i >= 0 {
			f.kinds[kind] = slices.Delete(f.kinds[kind], i, i+1)
			f.n--
			f.bytes -= len(b.msg)
			b.isFresh = false
			return
		}
	}
}

// last is the one that would go out last, nil if there is none.
func (f *fresh) last() *broadcast {
	for kind := len(f.kinds) - 1; kind >= 0; kind-- {
		if n := len(f.kinds[kind]); n > 0 {
			return f.kinds[kind][n-1]
		}
	}
	return nil
}

// Fresh is how many broadcasts wait for their first sending.
func (q *Queue) Fresh() int { return q.fresh.n }

// FreshCost is how much room these would take, overhead for each included.
func (q *Queue) FreshCost(overhead int) int { return q.fresh.bytes + q.fresh.n*overhead }

// Cost is how much room everything that is queued would take.
func (q *Queue) Cost(overhead int) int { return q.bytes + q.n*overhead }
