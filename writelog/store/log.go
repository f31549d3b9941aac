package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Identity says whose log it is. It is written once, before anything else.
type Identity struct {
	Cluster uint64 // not 0
	Member  uint64 // Raft's id of this member, not 0
}

// Options bound a Log. Zero values mean the defaults.
type Options struct {
	SegmentSize int64        // a file's size before the next one is begun; 64 MiB, at most an eighth of MaxBytes
	MaxBytes    int64        // of all files together, before Save takes no more entries; 1 GiB
	CacheBytes  int          // of the newest entries that are kept in memory; 4 MiB
	Log         *slog.Logger // nil: nothing is logged
	FS          FS           // nil: the directory's files
}

// Validate returns all faults at once.
func (o Options) Validate() error {
	var faults []error
	for _, f := range []struct {
		name        string
		value, most int64
	}{
		{"SegmentSize", o.SegmentSize, 1 << 30},
		{"MaxBytes", o.MaxBytes, math.MaxInt64 / 2},
		{"CacheBytes", int64(o.CacheBytes), math.MaxInt64},
	} {
		if f.value < 0 || f.value > f.most {
			faults = append(faults, fmt.Errorf("%s: %d is not between 0 and %d", f.name, f.value, f.most))
		}
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults(dir string) Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = 64 << 20
	}
	o.SegmentSize = max(64, min(o.SegmentSize, o.MaxBytes/8))
	if o.CacheBytes == 0 {
		o.CacheBytes = 4 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = dirFS(dir)
	}
	return o
}

// Log is the log of one member. It implements raft.Storage. All methods may be called
// concurrently; entries that a Save has not yet made durable are not seen.
//
// After a write, an fsync or a reading that failed, and after damage was found, the Log
// is dead: each later call but Close returns ErrFailed. It may be opened again, and then
// holds all that was acknowledged.
type Log struct {
	opt  Options
	dir  string
	fs   FS
	lock io.Closer

	writing sync.Mutex // held by the one who writes; taken before mu
	buf     []byte     // the batch that is written

	failed atomic.Pointer[error]

	mu       sync.RWMutex
	closed   bool
	id       Identity   // zero: none yet
	segments []*segment // by number, without gaps; the last is written to
	prev     uint32     // the checksum of the newest record
	total    int64      // bytes of the segments
	state    *state
	cache    cache
}

// Open opens the log in a directory, which is made if need be, and reads it through
// once. A write that a crash left unfinished is cut off, which is logged; damage is an
// ErrDamaged, a *Damage. The directory belongs to this Log until Close: another gets
// ErrInUse.
func Open(dir string, o Options) (*Log, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.FS == nil {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
	}
	o = o.withDefaults(dir)
	lock, err := o.FS.Lock()
	if err != nil {
		return nil, err
	}
	l := &Log{opt: o, dir: dir, fs: o.FS, lock: lock, state: newState(), cache: cache{most: o.CacheBytes}}
	if err := l.recover(); err != nil {
		_ = l.closeFiles()
		return nil, err
	}
	return l, nil
}

// Close gives the directory up. Nothing waits to be written.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.closeFiles()
}

func (l *Log) closeFiles() error {
	var errs []error
	for _, s := range l.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// usable returns why nothing can be done any more. l.mu or l.writing is held.
func (l *Log) usable() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	if l.closed {
		return ErrClosed
	}
	return nil
}

// fail ends the log. The first reason stays.
func (l *Log) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	l.failed.CompareAndSwap(nil, &err)
	return *l.failed.Load()
}

// Identity returns whose log it is, and whether that was set.
func (l *Log) Identity() (Identity, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.id, l.id != Identity{}
}

// SetIdentity says, durably and once, whose log it is. A second call with the same
// identity does nothing, one with another is ErrIdentity.
func (l *Log) SetIdentity(id Identity) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	switch {
	case id.Cluster == 0 || id.Member == 0:
		return fmt.Errorf("%w: neither the cluster nor the member can be 0", ErrIdentity)
	case l.id == id:
		return nil
	case l.id != Identity{}:
		return fmt.Errorf("%w: it is of member %x of cluster %x, not of member %x of cluster %x",
			ErrIdentity, l.id.Member, l.id.Cluster, id.Member, id.Cluster)
	}
	s, sum, err := l.create(1, id)
	if err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id, l.prev = id, sum
	l.segments = append(l.segments, s)
	l.total += s.end
	return nil
}

// Size returns the bytes of all segments.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.total
}

func (l *Log) newest() *segment { return l.segments[len(l.segments)-1] }

// cache holds the newest entries.
type cache struct {
	most, bytes int
	entries     []*pb.Entry // without a gap, up to the last
	sizes       []int
}

// first returns the index of the oldest entry that is held; none if there is none.
func (c *cache) first() uint64 {
	if len(c.entries) == 0 {
		return math.MaxUint64
	}
	return c.entries[0].GetIndex()
}

func (c *cache) add(e *pb.Entry, size int) {
	c.entries, c.sizes = append(c.entries, e), append(c.sizes, size)
	c.bytes += size + entryOverhead
	for c.bytes > c.most && len(c.entries) > 0 {
		c.bytes -= c.sizes[0] + entryOverhead
		c.entries[0] = nil
		c.entries, c.sizes = c.entries[1:], c.sizes[1:]
	}
}

// entryOverhead is about what an entry takes in memory beside its data.
const entryOverhead = 128

// truncate forgets the entries behind index.
func (c *cache) truncate(index uint64) {
	for n := len(c.entries); n > 0 && c.entries[n-1].GetIndex() > index; n-- {
		c.bytes -= c.sizes[n-1] + entryOverhead
		c.entries[n-1] = nil
		c.entries, c.sizes = c.entries[:n-1], c.sizes[:n-1]
	}
}

func (c *cache) clear() { c.bytes, c.entries, c.sizes = 0, nil, nil }
