package broadcast

import (
	"math"
	"slices"
	"sort"
)

// maxSpare bounds how many finished broadcasts a Queue keeps for reuse.
const maxSpare = 256

// Queue holds broadcasts until each has been sent often enough. It gives out
// the least sent first, among those the largest that still fits, among those
// the newest. It is used by the machine for membership and by the layer above
// for its own messages. The zero Queue is empty and ready.
//
// Rule: a broadcast is given out at most as often as Take's limit says, and
// never again once a newer one of the same name came. Invariant: tiers[i] holds
// exactly the broadcasts that Take gave out i times, sorted by size falling,
// then by age rising; names holds exactly the named ones.
type Queue struct {
	tiers [][]*broadcast
	names map[string]*broadcast
	spare []*broadcast
	taken []*broadcast // of the running Take
	fresh fresh        // of those that came by PushFresh
	id    uint64
	n     int
	bytes int // of all messages, the fresh ones too
	peak  int // the largest n since the queue was empty
}

// broadcast is one queued message.
type broadcast struct {
	name string
	msg  []byte
	id   uint64 // order of arrival
	sent int
	done func()

	isFresh bool // it is in Queue.fresh, not in a tier
}

// before reports whether b is given out before a message of that size and id
// in the same tier.
func (b *broadcast) before(size int, id uint64) bool {
	if len(b.msg) != size {
		return len(b.msg) > size
	}
	return b.id > id
}

// Push queues msg (the queue keeps its own copy). A non-empty name replaces an
// older broadcast of the same name.
// done, if not nil, is called once when it will not be sent any more: it was
// sent often enough, replaced or pruned. It must not call the queue.
func (q *Queue) Push(name string, msg []byte, done func()) {
	q.insert(q.place(name, msg, done))
}

// place makes an entry for msg in the place of an older one of that name. It is
// counted, but in no tier yet.
func (q *Queue) place(name string, msg []byte, done func()) *broadcast {
	if name != "" {
		if old := q.names[name]; old != nil {
			q.remove(old)
			q.finish(old)
		}
	}
	b := q.get()
	q.id++
	b.name, b.id, b.sent, b.done = name, q.id, 0, done
	b.msg = append(b.msg[:0], msg...)
	if name != "" {
		if q.names == nil {
			q.names = make(map[string]*broadcast)
		}
		q.names[name] = b
	}
	q.n++
	q.bytes += len(b.msg)
	q.peak = max(q.peak, q.n)
	return b
}

// Take appends messages that fit into limit, each costing overhead more than
// its length, and counts them as sent; those sent transmits times are dropped.
// The slices are valid until the next Push.
func (q *Queue) Take(dst [][]byte, overhead, limit, transmits int) [][]byte {
	if q.n == q.fresh.n {
		return dst
	}
	for tier := 0; tier < len(q.tiers); {
		room := limit - overhead
		if room <= 0 {
			break
		}
		t := q.tiers[tier]
		i := search(t, room, math.MaxUint64)
		if i == len(t) {
			tier++
			continue
		}
		b := t[i]
		limit -= overhead + len(b.msg)
		dst = append(dst, b.msg)
		q.tiers[tier] = slices.Delete(t, i, i+1)
		q.taken = append(q.taken, b)
	}
	// Only now do they go to the next tier, or the loop would meet them again.
	for i, b := range q.taken {
		q.taken[i] = nil
		b.sent++
		if b.sent < transmits {
			q.insert(b)
			continue
		}
		q.forget(b)
		q.finish(b)
	}
	q.taken = q.taken[:0]
	if q.n == 0 {
		q.shrink()
	}
	return dst
}

// shrink gives back what a burst has made large, once it is over.
func (q *Queue) shrink() {
	for i, t := range q.tiers {
		if cap(t) > maxSpare {
			q.tiers[i] = nil
		}
	}
	if q.peak > maxSpare {
		q.names = nil // a map does not get smaller by itself
	}
	q.peak = 0
}

// Len is the number of queued broadcasts.
func (q *Queue) Len() int { return q.n }

// Prune drops the most often sent until at most max remain, and returns how many it dropped.
func (q *Queue) Prune(max int) int {
	dropped := 0
	for tier := len(q.tiers) - 1; tier >= 0 && q.n > max; {
		t := q.tiers[tier]
		if len(t) == 0 {
			tier--
			continue
		}
		b := t[len(t)-1]
		q.remove(b)
		q.finish(b)
		dropped++
	}
	for b := q.fresh.last(); b != nil && q.n > max; b = q.fresh.last() {
		q.remove(b)
		q.finish(b)
		dropped++
	}
	return dropped
}

// Drop drops the broadcast of a name, if there is one.
func (q *Queue) Drop(name string) {
	if b := q.names[name]; b != nil {
		q.remove(b)
		q.finish(b)
	}
}

// TransmitLimit is mult × ceil(log10(n+1)): how often a broadcast is sent in a cluster of n.
func TransmitLimit(mult, n int) int {
	return mult * int(math.Ceil(math.Log10(float64(n+1))))
}

// search is the index in a tier of the first broadcast that is not before
// (size, id): the largest that is no larger than size.
func search(t []*broadcast, size int, id uint64) int {
	return sort.Search(len(t), func(i int) bool { return !t[i].before(size, id) })
}

func (q *Queue) insert(b *broadcast) {
	for len(q.tiers) <= b.sent {
		q.tiers = append(q.tiers, nil)
	}
	t := q.tiers[b.sent]
	q.tiers[b.sent] = slices.Insert(t, search(t, len(b.msg), b.id), b)
}

// remove takes b out of its tier and out of the count.
func (q *Queue) remove(b *broadcast) {
	if b.isFresh {
		q.fresh.remove(b)
		q.forget(b)
		return
	}
	t := q.tiers[b.sent]
	i := search(t, len(b.msg), b.id)
	q.tiers[b.sent] = slices.Delete(t, i, i+1)
	q.forget(b)
}

func (q *Queue) forget(b *broadcast) {
	if b.name != "" {
		delete(q.names, b.name)
	}
	q.n--
	q.bytes -= len(b.msg)
}

// finish tells the owner and keeps b for reuse. Its bytes stay as they are
// until the next Push.
func (q *Queue) finish(b *broadcast) {
	if b.done != nil {
		b.done()
	}
	b.name, b.done = "", nil
	if len(q.spare) < maxSpare {
		q.spare = append(q.spare, b)
	}
}

func (q *Queue) get() *broadcast {
	n := len(q.spare)
	if n == 0 {
		return &broadcast{}
	}
	b := q.spare[n-1]
	q.spare = q.spare[:n-1]
	return b
}
