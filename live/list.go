package live

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is what happened to the nodes of a Change.
type Kind uint8

// The kinds, named after Serf's member events.
const (
	Join   Kind = iota // they are alive
	Leave              // they left by their own will, or were forced to
	Fail               // they do not answer any more
	Update             // their tags or addresses are new
	Reap               // they are forgotten
)

// Change is one member event. Of the entries, Join, Leave and Fail set Status
// themselves; an Update takes the one given, or keeps the old one if that is
// Unknown. Since is never taken from them.
type Change struct {
	Kind    Kind
	Entries []Entry
}

// List publishes Views. All methods may be called concurrently. The zero List
// is empty and ready.
type List struct {
	current atomic.Pointer[View]

	mu       sync.Mutex // serializes publishers, and guards:
	watchers []chan *View
	tags     tagSets
}

var empty View

// Current returns the newest View, never nil. It takes no lock.
func (l *List) Current() *View {
	if v := l.current.Load(); v != nil {
		return v
	}
	return &empty
}

// Apply folds events, in order, and publishes the result. If they change
// nothing, nothing is published. It returns the newest View.
func (l *List) Apply(now time.Time, changes ...Change) *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := fold{now: now, entries: l.Current().entries, tags: &l.tags}
	for i := range changes {
		for j := range changes[i].Entries {
			f.apply(changes[i].Kind, &changes[i].Entries[j])
		}
	}
	return l.publish(&f)
}

// Publish replaces the whole list by entries, in any order; of two with one
// name the later counts. Since of those whose status is as it was stays. If it
// is the same list, nothing is published. It returns the newest View.
func (l *List) Publish(now time.Time, entries []Entry) *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := fold{now: now, entries: l.Current().entries, tags: &l.tags}
	keep := make(map[string]bool, len(entries))
	for i := range entries {
		keep[entries[i].Name] = true
		f.put(&entries[i])
	}
	f.keepOnly(keep)
	return l.publish(&f)
}

// Load is Publish for entries that come from another list: their statuses and
// Since are taken as they are. A Since of zero is one that is not known.
func (l *List) Load(now time.Time, entries []Entry) *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.Current().entries
	f := fold{now: now, entries: loaded(entries)}
	f.changed = len(f.entries) != len(old)
	for i, e := range f.entries {
		at, ok := find(old, e.Name)
		if ok && e.same(old[at]) && e.Since.Equal(old[at].Since) {
			f.entries[i] = old[at] // so that views share what they can
		} else {
			f.changed = true
		}
	}
	return l.publish(&f)
}

// Amend is Load for a part of the list: of the nodes that gone names, those remain that
// entries have, which are taken as they are; all others stay.
func (l *List) Amend(now time.Time, gone []string, entries []Entry) *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := fold{now: now, entries: l.Current().entries}
	fresh := loaded(entries)
	for _, name := range gone {
		if _, ok := find(fresh, name); !ok {
			f.remove(name)
		}
	}
	for _, e := range fresh {
		f.set(e)
	}
	return l.publish(&f)
}

// loaded are entries as a list has them: copied, sorted, each name once.
func loaded(entries []Entry) []*Entry {
	copies := slices.Clone(entries)
	all := make([]*Entry, len(copies))
	n := 0
	for i := range copies {
		n += len(copies[i].Tags)
	}
	tags := make([]Tag, 0, n) // of all of them
	for i := range copies {
		e := &copies[i]
		from := len(tags)
		tags = append(tags, e.Tags...)
		e.Tags = tags[from:len(tags):len(tags)]
		sortTags(e.Tags)
		all[i] = e
	}
	byName := func(a, b *Entry) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(all, byName) {
		slices.SortStableFunc(all, byName)
	}
	// Of two with one name the later counts.
	slices.Reverse(all)
	all = slices.CompactFunc(all, func(a, b *Entry) bool { return a.Name == b.Name })
	slices.Reverse(all)
	return all
}

// publish makes what f came to the current View and hands it to the watchers.
func (l *List) publish(f *fold) *View {
	old := l.Current()
	if !f.changed {
		return old
	}
	v := &View{version: old.version + 1, time: f.now, entries: f.entries}
	for _, e := range v.entries {
		if e.Status == Alive {
			v.alive++
		}
	}
	l.current.Store(v)
	for _, w := range l.watchers {
		offer(w, v)
	}
	return v
}

// Watch returns a channel that holds the newest View that was not yet received:
// the current one at first. A slow reader misses Views between, never the last
// one, and holds up nobody. The channel is closed when ctx ends.
func (l *List) Watch(ctx context.Context) <-chan *View {
	w := make(chan *View, 1)
	l.mu.Lock()
	w <- l.Current()
	l.watchers = append(l.watchers, w)
	l.mu.Unlock()
	context.AfterFunc(ctx, func() { l.unwatch(w) })
	return w
}

func (l *List) unwatch(w chan *View) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = slices.DeleteFunc(l.watchers, func(other chan *View) bool { return other == w })
	// Under the lock, so that no publisher sends on a closed channel.
	close(w)
}

// offer puts v into w in place of what the reader has not taken. The caller is
// the only sender, so that the second send cannot block.
func offer(w chan *View, v *View) {
	select {
	case <-w:
	default:
	}
	w <- v
}

// fold is a list of entries in the making. It copies on the first change:
// entries belong to older Views until then, and every Entry does for ever.
type fold struct {
	now     time.Time
	entries []*Entry
	changed bool
	tags    *tagSets // for put
}

func (f *fold) apply(kind Kind, e *Entry) {
	next := *e
	switch kind {
	case Join:
		next.Status = Alive
	case Leave:
		next.Status = Left
	case Fail:
		next.Status = Failed
	case Reap:
		f.remove(e.Name)
		return
	}
	f.put(&next)
}

// put adds or replaces an entry.
func (f *fold) put(e *Entry) {
	next := *e
	next.Tags = f.tags.of(e.Tags)
	next.Since = f.now

	i, ok := find(f.entries, e.Name)
	if !ok {
		if next.Status == Unknown {
			next.Status = Alive
		}
		f.own()
		f.entries = slices.Insert(f.entries, i, new(next))
		return
	}
	old := f.entries[i]
	if next.Status == Unknown {
		next.Status = old.Status
	}
	if next.same(old) {
		return
	}
	if next.Status == old.Status {
		next.Since = old.Since
	}
	f.own()
	f.entries[i] = new(next)
}

// set adds or replaces an entry as it is.
func (f *fold) set(e *Entry) {
	i, ok := find(f.entries, e.Name)
	switch {
	case ok && e.same(f.entries[i]) && e.Since.Equal(f.entries[i].Since):
	case ok:
		f.own()
		f.entries[i] = e
	default:
		f.own()
		f.entries = slices.Insert(f.entries, i, e)
	}
}

func (f *fold) remove(name string) {
	if i, ok := find(f.entries, name); ok {
		f.own()
		f.entries = slices.Delete(f.entries, i, i+1)
	}
}

func (f *fold) keepOnly(names map[string]bool) {
	if len(f.entries) == len(names) {
		return // every name was put, so there is no other
	}
	f.own()
	f.entries = slices.DeleteFunc(f.entries, func(e *Entry) bool { return !names[e.Name] })
}

// own makes entries a copy of our own before the first change.
func (f *fold) own() {
	if !f.changed {
		f.changed = true
		f.entries = slices.Clone(f.entries)
	}
}
