package applier

import (
	"cmp"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// item is an entry that is not yet applied.
type item struct {
	Entry
	reach reach
	bytes int

	running bool
	applied bool      // and its group waits until that is written down
	single  bool      // not with others
	settles bool      // it was in a batch that failed
	after   time.Time // not before: the server could not take it
	tries   int
}

// queue holds the entries that were read and are not applied, in the order of the log, and
// says which may be done now. It is pure: it has no clock and starts nothing.
type queue struct {
	groups *groups
	items  []*item
	bytes  int
	read   uint64 // all entries for this volume up to here were read
	prefix uint64 // all up to here are applied
	last   uint64 // the last entry at or before prefix, and its term
	term   uint64
	missed Position // where the session began: what it covers is not done again

	held   bool // only what may be done twice is begun
	paused bool // nothing is begun
	heldUp bool // and something waits for that alone, as of the last next

	open []lastOf // entries that were read, applied or not, after prefix
}

// lastOf is an entry's index and term.
type lastOf struct{ index, term uint64 }

func newQueue(g *groups, at Position) *queue {
	return &queue{groups: g, read: at.Index, prefix: at.Index, last: at.Last, term: at.Term, missed: at}
}

// push takes entries, and that there are no others for this volume up to upTo.
func (q *queue) push(upTo uint64, entries ...Entry) {
	for _, e := range entries {
		if e.Index <= q.read {
			continue
		}
		q.read = e.Index
		r := q.groups.reach(e.Command)
		q.open = append(q.open, lastOf{e.Index, e.Term})
		if q.missed.Covers(e.Index) {
			continue
		}
		it := &item{Entry: e, reach: r, bytes: size(e.Command)}
		q.items = append(q.items, it)
		q.bytes += it.bytes
	}
	q.read = max(q.read, upTo)
	q.advance()
}

// size is about what a command takes in memory.
func size(c *groonga.Command) int {
	n := 256 + len(c.Body)
	for _, a := range c.Args {
		n += 64 + len(a.Name) + len(a.Value)
	}
	return n
}

// remove takes away items that are applied.
func (q *queue) remove(items []*item) {
	gone := make(map[*item]bool, len(items))
	for _, it := range items {
		gone[it] = true
		q.bytes -= it.bytes
	}
	kept := q.items[:0]
	for _, it := range q.items {
		if !gone[it] {
			kept = append(kept, it)
		}
	}
	clear(q.items[len(kept):])
	q.items = kept
	q.advance()
}

// advance moves the prefix to before the first entry that is not applied.
func (q *queue) advance() {
	q.prefix = q.read
	for _, it := range q.items {
		if !it.applied {
			q.prefix = it.Index - 1
			break
		}
	}
	n := 0
	for n < len(q.open) && q.open[n].index <= q.prefix {
		q.last, q.term = q.open[n].index, q.open[n].term
		n++
	}
	q.open = q.open[n:]
}

// position is what is applied now.
func (q *queue) position() Position {
	p := Position{Index: q.prefix, Last: q.last, Term: q.term, Seen: max(q.prefix, q.read, q.missed.Seen)}
	var before uint64 // the item before, if it is missing as well
	for _, it := range q.items {
		if it.applied {
			before = 0
			continue
		}
		if before > 0 && q.adjacent(before, it.Index) {
			p.Missing[len(p.Missing)-1].To = it.Index
		} else {
			p.Missing = append(p.Missing, Run{it.Index, it.Index})
		}
		before = it.Index
	}
	for _, r := range q.missed.Missing { // what is not read yet
		if r.To > q.read {
			p.Missing = append(p.Missing, Run{max(r.From, q.read+1), r.To})
		}
	}
	return p
}

// adjacent reports whether no entry for this volume is between two. Those of others may be named
// missing as well: they are never asked about.
func (q *queue) adjacent(a, b uint64) bool {
	i, _ := slices.BinarySearchFunc(q.open, a+1, func(o lastOf, index uint64) int { return cmp.Compare(o.index, index) })
	return i < len(q.open) && q.open[i].index == b
}

// full reports whether no more can be read now.
func (q *queue) full(entries, bytes int) bool {
	return len(q.items) >= entries || q.bytes >= bytes || len(q.open) >= maxOpen
}

// maxOpen are the entries that may be read beyond one that is not applied.
const maxOpen = 1 << 18

// work is what may be done now: one entry, or loads that go out together.
type work struct {
	items []*item
	batch *batch // nil for one entry alone
}

// next returns what may be done now besides what runs, at most free of them, and marks it as running.
// wake is when it is worth asking again although nothing has happened; zero for never.
func (q *queue) next(ts tables, now time.Time, free int) (list []*work, wake time.Time) {
	busy := make(map[string]*work) // groups of which something comes before; nil work: nobody may join
	var all bool                   // everything has to wait for an entry before
	var gaps int                   // of the position, if what is found is done
	var last uint64
	if q.heldUp = q.paused && len(q.items) > 0; q.paused {
		return nil, wake
	}
	for _, it := range q.items {
		if !q.adjacent(last, it.Index) {
			gaps++
		}
		if last = it.Index; all || gaps > maxGaps {
			break
		}
		roots := q.roots(it)
		if w := joinable(busy, roots, it); w != nil && w.batch.join(ts, it.Command) {
			it.running = true
			w.items = append(w.items, it)
			continue
		}
		ready := !it.running && !it.reach.all
		for _, r := range roots {
			if _, there := busy[r]; there {
				ready = false
			}
		}
		if it.reach.all {
			all = true
			ready = !it.running && len(busy) == 0
		}
		if ready && it.after.After(now) {
			ready = false
			if wake.IsZero() || it.after.Before(wake) {
				wake = it.after
			}
		}
		if ready && q.held && !ts.repeatable(it.Command) {
			ready, q.heldUp = false, true
		}
		var w *work
		if ready && free > len(list) {
			it.running = true
			w = &work{items: []*item{it}}
			if !it.single {
				w.batch = ts.newBatch(it.Command)
			}
			list = append(list, w)
		}
		for _, r := range roots {
			busy[r] = w
		}
	}
	return list, wake
}

// maxGaps is how many runs of entries that are not applied there may be before one that is: so many fit
// into a position.
const maxGaps = 400

// joinable is the work that a load could join: the one before it in its group.
func joinable(busy map[string]*work, roots []string, it *item) *work {
	if len(roots) != 1 || it.running || it.single {
		return nil
	}
	if w := busy[roots[0]]; w != nil && w.batch != nil {
		return w
	}
	return nil
}

// roots are the groups of an item.
func (q *queue) roots(it *item) []string {
	roots := make([]string, 0, 2)
	for _, t := range it.reach.tables {
		r := q.groups.find(t)
		if len(roots) == 0 || roots[0] != r {
			roots = append(roots, r)
		}
	}
	return roots
}

// relearn takes other groups, learnt from the server while nothing runs.
func (q *queue) relearn(g *groups) {
	q.groups = g
	for _, it := range q.items {
		it.reach = g.reach(it.Command)
	}
}
