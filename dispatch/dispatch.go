package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/live"
)

// Doer is what the fronts need of a Dispatcher.
type Doer interface {
	// Do delivers a command and returns the answer for the client. The command is
	// not changed and not kept. The error is one of the faults of delivery (answer.go)
	// or of ctx; an answer of Groonga's with a return code is none.
	Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error)
}

// Dispatcher delivers commands to the servers of a catalog. Its methods may be
// called concurrently.
type Dispatcher struct {
	cfg   Config
	log   *slog.Logger
	epoch time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	topology atomic.Pointer[topology]

	underway atomic.Int64
	turn     atomic.Uint64 // rotates between equals
	reads    atomic.Uint64
	refused  atomic.Uint64 // commands refused for overload
	latency  latencies
	watch    watchdog
	logged   *logged // the log of writes; nil: writes are refused

	listVersion atomic.Uint64
}

// New makes a Dispatcher and starts what it does by itself.
func New(cfg Config) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	d := &Dispatcher{cfg: cfg, log: cfg.Log, epoch: time.Now()}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.watch.d, d.watch.wake = d, make(chan struct{}, 1)
	d.topology.Store(new(topology))
	t, err := d.build(cfg.Catalog, d.now(), nil)
	if err != nil {
		d.cancel()
		return nil, err
	}
	t.peers = cfg.Peers
	d.adopt(t)
	if cfg.WriteLog != nil {
		if err := d.openLog(); err != nil {
			d.cancel()
			return nil, err
		}
	}
	d.follow(cfg.List.Current())
	d.start(d.watch.run)
	d.start(func() {
		for v := range cfg.List.Watch(d.ctx) {
			d.follow(v)
		}
	})
	d.start(d.starts)
	return d, nil
}

func (d *Dispatcher) start(f func()) {
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		f()
	}()
}

// Close ends all that is under way.
func (d *Dispatcher) Close() {
	d.cancel()
	for _, v := range d.now().volumes {
		v.interruptAll()
	}
	if d.logged != nil {
		if err := d.logged.close(); err != nil {
			d.log.Error("log of writes", "error", err)
		}
	}
	d.wg.Wait()
	for _, v := range d.now().volumes {
		v.pool.drop()
	}
}

// follow takes over a new live-node list (M16, M17). A node is alive if the list
// says so of its host, or of its full name; before the first list all are (M15).
func (d *Dispatcher) follow(view *live.View) {
	if view.Version() < d.listVersion.Load() {
		return
	}
	d.listVersion.Store(view.Version())
	for _, v := range d.now().volumes {
		alive := view.Version() == 0 || isAlive(view.Get(v.address.Host)) || isAlive(view.Get(v.address.Node()))
		if v.listed.Load() == alive {
			continue
		}
		d.log.Info("live-node list", "volume", v.addr, "alive", alive)
		v.listed.Store(alive)
		if alive {
			v.probeNow()
		}
	}
	if d.logged != nil && view.Version() != 0 {
		d.logged.gone(func(node string) bool { e := view.Get(node); return e == nil || isAlive(e) })
	}
}

func isAlive(e *live.Entry) bool { return e != nil && e.Status == live.Alive }

// Do delivers a command: see Doer.
func (d *Dispatcher) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	defer d.underway.Add(-1)
	if d.underway.Add(1) > int64(d.cfg.MaxCommands) {
		d.refused.Add(1)
		return groonga.Answer{}, ErrOverload
	}
	if d.ctx.Err() != nil {
		return groonga.Answer{}, ErrStopped
	}
	if d.logged != nil {
		if err := d.logged.barred(ctx); err != nil {
			return groonga.Answer{}, err
		}
	}
	ds, err := d.dataset(c.Dataset)
	if err != nil {
		return groonga.Answer{}, err
	}
	kind := c.Kind()
	if kind == groonga.Forbidden {
		return groonga.Answer{}, ErrForbidden
	}
	if c, err = d.prepare(ctx, ds, c); err != nil {
		return groonga.Answer{}, err
	}
	switch kind {
	case groonga.Read:
		d.reads.Add(1)
		if d.logged != nil {
			return d.logged.read(ctx, ds, c)
		}
		return d.read(ctx, ds, c)
	case groonga.Everywhere:
		return d.everywhere(ctx, ds, c)
	case groonga.Unknown:
		return d.unknown(ctx, ds, c)
	}
	if c.Name != "load" && c.Name != "delete" {
		defer ds.schema.forget()
	}
	return d.write(ctx, ds, c)
}
