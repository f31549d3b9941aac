package dispatch

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// What a Buffer refuses.
var (
	ErrBufferFull    = errors.New("the write buffer is full")
	ErrBufferLocked  = errors.New("another process uses the write buffer")
	ErrBufferClosed  = errors.New("the write buffer is closed")
	ErrWriteTooLarge = errors.New("the write is too large for the write buffer")
)

// SyncPolicy says when what was written is forced to the disk. It only matters
// when the machine itself stops: a killed process loses nothing by any of them.
type SyncPolicy uint8

// The policies.
const (
	SyncAlways   SyncPolicy = iota // before Append returns; concurrent Appends share one fsync
	SyncInterval                   // within BufferConfig.SyncEvery
	SyncNever                      // when the system does so by itself
)

var syncPolicies = []string{"always", "interval", "never"}

func (p SyncPolicy) String() string {
	if int(p) < len(syncPolicies) {
		return syncPolicies[p]
	}
	return fmt.Sprintf("SyncPolicy(%d)", p)
}

// ParseSyncPolicy reads "always", "interval" or "never".
func ParseSyncPolicy(text string) (SyncPolicy, error) {
	if i := slices.Index(syncPolicies, text); i >= 0 {
		return SyncPolicy(i), nil
	}
	return 0, fmt.Errorf("%q is none of always, interval and never", text)
}

// BufferConfig bounds a Buffer. Zero values mean the defaults.
type BufferConfig struct {
	MaxBytes     int64         // of all segments together; 1 GiB
	SegmentBytes int64         // a file's size before the next one is begun; 16 MiB, at most an eighth of MaxBytes
	MaxWrite     int           // one write's bytes; 64 MiB, at most half of MaxBytes
	Sync         SyncPolicy    // SyncAlways
	SyncEvery    time.Duration // the bound of SyncInterval, and of Delivered's marks with SyncAlways; 200 ms

	now   func() time.Time // the clock; the system's
	files bufferFiles      // the disk; the directory's
}

// Validate returns all faults at once.
func (c BufferConfig) Validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"MaxBytes", c.MaxBytes, math.MaxInt64},
		{"SegmentBytes", c.SegmentBytes, 1 << 30},
		{"MaxWrite", int64(c.MaxWrite), 1 << 30},
		{"SyncEvery", int64(c.SyncEvery), math.MaxInt64},
	} {
		if f.value < 0 || f.value > f.most {
			faults = append(faults, fmt.Errorf("%s: %d is not between 0 and %d", f.name, f.value, f.most))
		}
	}
	if int(c.Sync) >= len(syncPolicies) {
		faults = append(faults, fmt.Errorf("the policy Sync: there is no %d", c.Sync))
	}
	return errors.Join(faults...)
}

func (c BufferConfig) withDefaults() BufferConfig {
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 16 << 20
	}
	c.SegmentBytes = max(64, min(c.SegmentBytes, c.MaxBytes/8))
	if c.MaxWrite == 0 {
		c.MaxWrite = 64 << 20
	}
	c.MaxWrite = int(min(int64(c.MaxWrite), c.MaxBytes/2))
	if c.SyncEvery == 0 {
		c.SyncEvery = 200 * time.Millisecond
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// BufferDamage is what OpenBuffer and Next return when a file does not hold what
// was written and acknowledged. Nothing of it is skipped by itself: replicas for
// which writes waited may lack some.
type BufferDamage struct {
	File   string
	Offset int64 // of the first byte that cannot be understood
	Reason string
}

func (d *BufferDamage) Error() string {
	return fmt.Sprintf("the write buffer is damaged: %s at byte %d: %s", d.File, d.Offset, d.Reason)
}

// Ticket names one write in a Buffer. Tickets are comparable; a later write has
// a greater Seq.
type Ticket struct {
	Seq  uint64
	size int
}

// Pending is a write that waits for a replica. Data is the caller's.
type Pending struct {
	Ticket
	At   time.Time // when it was appended, in milliseconds
	Data []byte
}

// Backlog is what waits for one replica.
type Backlog struct {
	Replica string
	Writes  int
	Bytes   int64     // of the writes themselves
	Oldest  time.Time // when the one that waits longest was appended; zero if none waits
}

// Buffer keeps writes on disk, in order, until each replica that they are for has
// them. A write for several replicas is kept once. Files are segments that only
// grow; the oldest is removed when all of its writes are delivered, so a replica
// that is away holds on to everything since.
//
// All methods may be called concurrently. What Append has acknowledged is
// delivered at least once, also if this process is killed at any moment.
type Buffer struct {
	cfg   BufferConfig
	dir   string
	files bufferFiles
	lock  io.Closer

	syncMu sync.Mutex // held by the one who forces data to the disk; taken before mu

	mu        sync.Mutex
	closed    bool
	segments  []*segment // by number, without gaps; the last is written to
	total     int64      // their bytes
	seq       uint64     // of the newest write
	replicas  []*replicaQueue
	names     map[string]*replicaQueue
	nextID    uint64
	scratch   []byte        // the record that is written
	ids       []byte        // its replicas
	tail      []uncommitted // written, not yet acknowledged; SyncAlways only
	tailQueue []*replicaQueue
	dirty     bool // something is not forced yet, and flush is set to come
	flusher   *time.Timer
	syncErr   error // a flush that failed, for the next Append
}

// uncommitted is one write between its bytes reaching the file and the fsync.
type uncommitted struct {
	seq    uint64
	start  int64 // of its record in the last segment
	end    int64
	size   int
	queues int // how many of tailQueue are its
}

// replicaQueue is what a Buffer knows of one replica.
type replicaQueue struct {
	name     string
	id       uint64
	declared uint64 // the segment that says which name the id has

	// These are guarded by Buffer.mu.
	waiting int
	bytes   int64
	done    uint64              // all up to this write are delivered, or for others
	ahead   map[uint64]struct{} // those delivered beyond done
	pos     position            // where the first write after done is looked for
	noted   int                 // deliveries since the last cursor record

	reading sync.Mutex // taken before Buffer.mu, by the one who moves pos
	reader  recordReader
}

// position is a place in the log.
type position struct {
	segment uint64
	offset  int64
}

// OpenBuffer opens the buffer in a directory, which is made if need be, and
// reads it through once. A record that a kill or a power cut left unfinished is
// cut off; damage to what was acknowledged is a *BufferDamage. The directory
// belongs to this Buffer until Close: another gets ErrBufferLocked.
func OpenBuffer(dir string, cfg BufferConfig) (*Buffer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	lock, err := lockBufferDir(dir)
	if err != nil {
		return nil, err
	}
	b := &Buffer{cfg: cfg, dir: dir, files: cfg.files, lock: lock, names: make(map[string]*replicaQueue)}
	if b.files == nil {
		b.files = dirFiles(dir)
	}
	if err := b.recover(); err != nil {
		b.closeFiles()
		return nil, err
	}
	return b, nil
}

// Close forces what is written to the disk, unless the policy is SyncNever, and
// gives the directory up. Later calls of other methods return ErrBufferClosed.
func (b *Buffer) Close() error {
	b.syncMu.Lock()
	defer b.syncMu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.flusher != nil {
		b.flusher.Stop()
	}
	var err error
	if b.cfg.Sync != SyncNever && len(b.segments) > 0 {
		err = b.sealed(b.last())
	}
	return errors.Join(err, b.closeFiles())
}

func (b *Buffer) closeFiles() error {
	var errs []error
	for _, s := range b.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(append(errs, b.lock.Close())...)
}

// Size returns the bytes of all files, and how many there may be.
func (b *Buffer) Size() (bytes, most int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total, b.cfg.MaxBytes
}

func (b *Buffer) last() *segment { return b.segments[len(b.segments)-1] }

// queue returns the named replica's, made if need be.
func (b *Buffer) queue(name string) *replicaQueue {
	q := b.names[name]
	if q == nil {
		q = b.addQueue(b.nextID, name)
	}
	return q
}

func (b *Buffer) addQueue(id uint64, name string) *replicaQueue {
	q := &replicaQueue{name: name, id: id, ahead: make(map[uint64]struct{})}
	b.nextID = max(b.nextID, id+1)
	b.names[name] = q
	b.replicas = append(b.replicas, q)
	slices.SortFunc(b.replicas, func(x, y *replicaQueue) int { return strings.Compare(x.name, y.name) })
	return q
}
