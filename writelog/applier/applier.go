package applier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// Server is the Groonga server that is written to.
type Server interface {
	// Do sends one command and waits for its answer, however long it takes, or until ctx is done. An error
	// means that nothing is known about whether the command was done. It must not send a command a second time.
	Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error)
}

// Source is the log.
type Source interface {
	// Entries returns the committed entries for this volume after an index, about maxBytes of them and
	// at least one, and up to which index these are all. ErrCompacted: the log begins later.
	Entries(after uint64, maxBytes int) (entries []Entry, upTo uint64, err error)
	// First is the index of the first entry that the log holds, for whatever volume, and whether that
	// is the very first that there was.
	First() (index uint64, begins bool)
	// Last is the index of the last entry that the log holds, committed or not.
	Last() uint64
	// Term returns the term of an entry, if it is known.
	Term(index uint64) (term uint64, known bool)
}

// ErrCompacted is what a Source says of entries that it no longer has.
var ErrCompacted = errors.New("the log no longer has these entries")

// Entry is a committed entry that has something for this volume.
type Entry struct {
	Index   uint64
	Term    uint64
	Command *groonga.Command // not changed by anybody any more
}

// State is how an applier stands with its server.
type State uint8

// The states.
const (
	// Down: it does not apply now, and tries again by itself.
	Down State = iota
	// Up: it applies.
	Up
	// Unsettled: it applies, and does loads that failed together again one by one: what can be read is
	// for this moment not what it was at any point of the log.
	Unsettled
	// Suspect: the database has to be filled.
	Suspect
)

func (s State) String() string { return [...]string{"down", "up", "unsettled", "suspect"}[s] }

// Events hears what comes of the entries. Its methods are called by one goroutine at a time, and must not wait.
type Events interface {
	// Applied: an entry was done, with this answer. After a fault or a start it may be called again for an
	// entry, with another answer to the same command.
	Applied(index uint64, a groonga.Answer)
	// Prefix: all entries up to index are applied.
	Prefix(index uint64)
	// Durable: all entries up to index are applied and on the disk.
	Durable(index uint64)
	// State: how it stands, and why.
	State(s State, why string)
}

// Config is what an Applier is made of. Zero means the default where one is given.
type Config struct {
	Server Server
	Source Source
	Events Events

	Cluster    uint64 // whose log it is; not 0
	Epoch      uint64 // recovery epoch
	EpochBegan uint64 // the first index of that epoch
	Since      uint64 // the entry by which the server was added to the cluster; 0: it was there from the beginning
	Boot       string // boot id of the server's host
	Nonce      string // names a database that has no name yet: random, new for each start

	// Founding: the log was never applied to this server. A database that has tables and no position is
	// then the one that the log begins with.
	Founding bool
	// Partial: the log began over databases that had tables, or it is not known whether it did. An empty
	// database can then not be made from it.
	Partial bool

	// Accept decides whether a fault of the server's host (HostFault) is the answer to an entry, after so many
	// tries: for one that no replica can do. nil: never, and the entry is tried until it is done.
	Accept func(index uint64, a groonga.Answer, tries int) bool

	// Paused takes a hold that an entry has begun (Pause), and names it. nil: there are none.
	Paused func(h *Hold) string

	Parallel   int           // commands at a time; default 4. Less than the server's thread limit, or nobody else is served
	MaxEntries int           // entries held in memory; default 4096
	MaxBytes   int           // bytes of them, about; default 16 MiB
	SaveEvery  time.Duration // how often the position is written at most; default 250 ms
	FlushEvery time.Duration // how often it is made durable; default 3 s
	RetryMin   time.Duration // the first wait after a fault; default 20 ms
	RetryMax   time.Duration // the longest; default 1 s
}

// Validate returns all faults of a configuration.
func (c *Config) Validate() error {
	var faults []error
	for name, missing := range map[string]bool{"Server": c.Server == nil, "Source": c.Source == nil, "Events": c.Events == nil,
		"Cluster": c.Cluster == 0, "Boot": c.Boot == "", "Nonce": c.Nonce == ""} { // order-free: joined for people
		if missing {
			faults = append(faults, fmt.Errorf("applier: no %s", name))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) defaults() {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Parallel, 4}, {&c.MaxEntries, 4096}, {&c.MaxBytes, 16 << 20}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.SaveEvery, 250 * time.Millisecond}, {&c.FlushEvery, 3 * time.Second}, {&c.RetryMin, 20 * time.Millisecond}, {&c.RetryMax, time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// Applier applies the entries of a log to one server.
type Applier struct {
	cfg   Config
	more  chan struct{} // holds one: something was fed
	again chan string   // holds one: begin anew
	holds chan *Hold

	mu        sync.Mutex
	committed uint64  // the log is committed up to here
	fedAfter  uint64  // fed are the entries after this one
	fed       []Entry // not yet taken
	fedBytes  int
}

// New makes an Applier. Run starts it.
func New(cfg Config) (*Applier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	return &Applier{cfg: cfg, more: make(chan struct{}, 1), again: make(chan string, 1), holds: make(chan *Hold)}, nil
}

// Feed says that the log is committed up to upTo, and that entries are all those for this volume after
// the upTo of the call before (of the first call: whatever is known). It never waits. What is too much to hold is
// read from the Source when it is its turn. It is called by one goroutine, with indexes that do not fall.
func (a *Applier) Feed(upTo uint64, entries ...Entry) {
	a.mu.Lock()
	before := a.committed
	a.committed = max(before, upTo)
	n := 0
	for _, e := range entries {
		n += size(e.Command)
	}
	switch {
	case before == 0, len(a.fed)+len(entries) > a.cfg.MaxEntries/2, a.fedBytes+n > a.cfg.MaxBytes/2:
		a.fed, a.fedBytes, a.fedAfter = nil, 0, a.committed
	default:
		a.fed, a.fedBytes = append(a.fed, entries...), a.fedBytes+n
	}
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// Begin has the applier fence the server and read its position anew: the server was started, or its database
// may be another one.
func (a *Applier) Begin(why string) {
	select {
	case a.again <- why:
	default:
	}
}

// take returns what was fed if it goes on after an index, and up to where the log is committed.
func (a *Applier) take(after uint64) (entries []Entry, fits bool, committed uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if after < a.fedAfter {
		return nil, false, a.committed
	}
	entries = a.fed
	a.fed, a.fedBytes, a.fedAfter = nil, 0, a.committed
	return entries, true, a.committed
}

// Run applies until ctx is done, or until nothing can be applied any more: ErrSuspect, ErrRefused. It may be called
// again after that, when the reason is gone.
func (a *Applier) Run(ctx context.Context) error {
	pause := a.cfg.RetryMin
	for {
		s := &session{Applier: a}
		err := s.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrSuspect) || errors.Is(err, ErrRefused) {
			if errors.Is(err, ErrSuspect) {
				s.markSuspect(ctx, err)
			}
			a.cfg.Events.State(Suspect, err.Error())
			return err
		}
		a.cfg.Events.State(Down, err.Error())
		if s.applied > 0 {
			pause = a.cfg.RetryMin
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, a.cfg.RetryMax)
	}
}
