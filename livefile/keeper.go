package livefile

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

// ConfirmEvery is how often a Keeper looks whether the file still is what it wrote,
// and sets its time.
const ConfirmEvery = 10 * time.Second

const (
	// ordersWaiting is how many orders may wait for one file.
	ordersWaiting = 64
	// updateMax bounds one update: the wait for the lock, and the clocks.
	updateMax = 10 * time.Second
)

// KeeperConfig are the settings of a Keeper.
type KeeperConfig struct {
	// List is what is written.
	List *live.List
	// Targets are where to. Two of one path would undo each other.
	Targets []Target
	// Clocks are the cluster's; nil: not known.
	Clocks func(context.Context) Clocks
	// Report is told what goes wrong with a target, once until it is right again, then
	// nil. From several goroutines; nil: nobody is told.
	Report func(t *Target, fault error)
	// Remark is told what is to be said of a node beside its line in the file, once until
	// that changes. From several goroutines; nil: nobody is told.
	Remark func(t *Target, r live.Remark)
	// Confirm is in place of ConfirmEvery; 0: that.
	Confirm time.Duration
}

// Keeper writes files as a list changes. Nobody who changes the list or gives orders
// ever waits for it: it is always behind by what the disk takes, never by more
// than one list.
type Keeper struct {
	cfg     KeeperConfig
	targets []*kept
	dropped atomic.Uint64
	leftOut atomic.Int64
	wg      sync.WaitGroup
}

// kept is one file. Its goroutine is the only one to touch what has no comment.
type kept struct {
	Target
	k        *Keeper
	renderer live.Renderer
	views    <-chan *live.View
	orders   chan ordered
	run      chan struct{} // to whoever runs the command; has room for one
	remarks  map[string]live.Remark
	left     int64 // how many nodes are left out

	faultLock sync.Mutex
	faults    [2]bool // of writing and of the command
}

// ordered is an order that waits.
type ordered struct {
	Order
	done func(Result, error) // nil: nobody wants to know
}

// Keep starts a Keeper, which ends with ctx.
func Keep(ctx context.Context, cfg KeeperConfig) *Keeper {
	if cfg.Confirm <= 0 {
		cfg.Confirm = ConfirmEvery
	}
	if cfg.Report == nil {
		cfg.Report = func(*Target, error) {}
	}
	if cfg.Remark == nil {
		cfg.Remark = func(*Target, live.Remark) {}
	}
	if cfg.Clocks == nil {
		cfg.Clocks = func(context.Context) Clocks { return Clocks{} }
	}
	k := &Keeper{cfg: cfg}
	for _, t := range cfg.Targets {
		one := &kept{Target: t, k: k, renderer: live.Renderer{Rendering: t.Rendering}, views: cfg.List.Watch(ctx),
			orders: make(chan ordered, ordersWaiting), run: make(chan struct{}, 1)}
		k.targets = append(k.targets, one)
		k.wg.Go(func() { one.keep(ctx) })
		if t.Run != "" {
			k.wg.Go(func() { one.runs(ctx) })
		}
	}
	return k
}

// Order hands an order to every file and never waits; it reports whether there was
// room for it. done, which may be nil, is told what came of it for the first one.
func (k *Keeper) Order(o Order, done func(Result, error)) bool {
	all := true
	for i, t := range k.targets {
		one := ordered{Order: o}
		if i == 0 {
			one.done = done
		}
		select {
		case t.orders <- one:
		default:
			all = false
			k.dropped.Add(1)
		}
	}
	return all
}

// Dropped is how many orders there was no room for.
func (k *Keeper) Dropped() uint64 { return k.dropped.Load() }

// LeftOut is how many nodes are alive and not in a file, over all files.
func (k *Keeper) LeftOut() int { return int(k.leftOut.Load()) }

// Wait waits for the Keeper's end, after its ctx ended.
func (k *Keeper) Wait() { k.wg.Wait() }

func (t *kept) keep(ctx context.Context) {
	tick := time.NewTicker(t.k.cfg.Confirm)
	defer tick.Stop()
	// The command may not have been run for what an earlier process wrote.
	pending := true
	var orders <-chan ordered // they wait for the first list
	for {
		confirms := false
		var o ordered
		select {
		case <-ctx.Done():
			return
		case view, ok := <-t.views:
			if !ok {
				return
			}
			if view.Version() > 0 {
				orders = t.orders
			}
		case o = <-orders:
		case <-tick.C:
			confirms = true
		}
		r, err := t.update(ctx, o.Order)
		if ctx.Err() != nil {
			return
		}
		if o.done != nil {
			o.done(r, err)
		}
		if confirms && err == nil && r.View != nil && !r.Changed {
			err = confirm(t.Path, time.Now())
		}
		t.report(0, err)
		if r.View != nil {
			t.remark(t.Remarks(r.View))
		}
		if r.View != nil && (r.Changed || pending) {
			pending = false
			t.wantRun()
		}
	}
}

// update writes what the list is when the lock is there, which may be newer than
// what woke us.
func (t *kept) update(ctx context.Context, o Order) (Result, error) {
	if t.k.cfg.List.Current().Version() == 0 {
		return Result{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, updateMax)
	defer cancel()
	ask := func(ctx context.Context) (Cluster, error) {
		clocks := t.k.cfg.Clocks(ctx)
		return Cluster{Clocks: clocks, View: t.k.cfg.List.Current()}, nil
	}
	return t.Target.update(ctx, o, ask, t.renderer.Render)
}

func (t *kept) wantRun() {
	select {
	case t.run <- struct{}{}:
	default: // one is to come, and will find the newest file
	}
}

// runs runs the command beside keep: the list does not wait for it.
func (t *kept) runs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.run:
		}
		err := t.RunCommand(ctx, true)
		if ctx.Err() != nil {
			return
		}
		t.report(1, err)
	}
}

// remark tells what is new.
func (t *kept) remark(all []live.Remark) {
	was, left := t.remarks, int64(0)
	t.remarks = make(map[string]live.Remark, len(all))
	for _, r := range all {
		if was[r.Node] != r {
			t.k.cfg.Remark(&t.Target, r)
		}
		if r.LeftOut {
			left++
		}
		t.remarks[r.Node] = r
	}
	t.k.leftOut.Add(left - t.left)
	t.left = left
}

// report tells a fault when it is new, and once when there is none any more.
func (t *kept) report(kind int, err error) {
	t.faultLock.Lock()
	news := t.faults[kind] != (err != nil)
	t.faults[kind] = err != nil
	t.faultLock.Unlock()
	if news {
		t.k.cfg.Report(&t.Target, err)
	}
}
