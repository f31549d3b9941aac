package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/renameio/v2/maybe"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/applier"
	"github.com/ibuki-dev/ibuki/writelog/fill"
	"github.com/ibuki-dev/ibuki/writelog/member"
)

// outWait is how long it may take until a server that is to be filled is not read from any more.
const outWait = 10 * time.Second

// Faults of a filling.
var (
	errNoSource = errors.New("no complete server of its slice can be reached")
	errLogBound = errors.New("the log has nearly as many bytes as it may (-log-size): it is not kept for this server")
	errReadFrom = errors.New("it is still read from: a majority of the gateways has to know that it is not")
)

// Filling is how far a server's filling is.
type Filling struct {
	From  string    `json:"from"`
	Since time.Time `json:"since"`
	Step  string    `json:"step"`
	Rows  int       `json:"rows"` // records that it has been sent
}

// FillTarget is how a server stands that is filled or may have to be.
type FillTarget struct {
	Server   string    `json:"server"`
	Position *Position `json:"position"`
	Why      string    `json:"why,omitempty"`   // why it was filled, or is
	Fault    string    `json:"fault,omitempty"` // of the filling before
	Filled   int       `json:"filled"`          // how many times it was, since its gateway was started
}

// filler is what fills a server; guarded by volumeApplier.mu.
type filler struct {
	schedule  fill.Schedule
	asked     bool               // somebody wants it
	discard   bool               // whatever it has
	interrupt context.CancelFunc // ends the applier, so that it is looked at
	wake      chan struct{}      // holds one: it is asked for

	now    *Filling // nil: it is not being filled
	pin    uint64   // the log is kept after this entry for it; 0: not
	why    string
	fault  string
	filled int
}

// target tells how a server stands, and has it filled if it is asked to.
func (l *logged) target(q *fillQuestion) (*FillTarget, error) {
	v := l.d.now().byAddr[q.Server]
	a := l.d.now().appliers[v]
	if v == nil || a == nil {
		return nil, fmt.Errorf("%s is not applied to by this gateway", q.Server)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &a.filler
	if q.Ask == askFill {
		f.discard = f.discard || q.Discard // for all until one is done
	}
	if q.Ask == askFill && f.now == nil {
		f.schedule.Ask()
		f.asked, f.fault = true, ""
		if f.interrupt != nil {
			f.interrupt()
		}
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	return &FillTarget{Server: q.Server, Position: a.positionStatus(), Why: a.filler.why, Fault: a.filler.fault, Filled: a.filler.filled}, nil
}

// Fill has the servers of a node, or the one of an address, filled from complete ones of their slices, by the
// gateways that apply the log to them. It does not wait. discard: also if they have data that is not known to be a
// copy of this cluster's.
func (d *Dispatcher) Fill(ctx context.Context, node string, discard bool) ([]*FillTarget, error) {
	return d.askTargets(ctx, node, fillQuestion{Ask: askFill, Discard: discard})
}

// Fillings tells how the servers of a node stand, as the gateways say that apply the log to them.
func (d *Dispatcher) Fillings(ctx context.Context, node string) ([]*FillTarget, error) {
	return d.askTargets(ctx, node, fillQuestion{Ask: askFilling})
}

func (d *Dispatcher) askTargets(ctx context.Context, node string, q fillQuestion) (list []*FillTarget, err error) {
	if d.logged == nil {
		return nil, errors.New("the gateway keeps no log of writes")
	}
	for _, v := range d.now().volumes {
		if v.addr != node && v.address.Host != node && v.address.Node() != node {
			continue
		}
		q.Server = v.addr
		answer, err := d.logged.ask(ctx, d.logged.gatewayOf(v), &q)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.addr, err)
		}
		list = append(list, answer.Target)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the catalog has no server %q", node)
	}
	return list, nil
}

// gatewayOf is the gateway that applies the log to a server.
func (l *logged) gatewayOf(v *volume) string {
	if view := l.member.View(); view.CatalogAt != 0 {
		return view.Catalog.Applier(v.addr)
	}
	names := []string{l.name}
	for _, p := range l.d.now().peers {
		names = append(names, p.Addr)
	}
	return applierOf(v.address.Host, names)
}

func (l *logged) ask(ctx context.Context, gateway string, q *fillQuestion) (a fillAnswer, err error) {
	question, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	wait := holdLapse / 2
	if q.Ask == askHold {
		wait += holdWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err := member.Ask(ctx, l.member, gateway, question)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(answer, &a)
}

// running is the context that the applier runs in. It has ended if somebody wants the server filled.
func (a *volumeApplier) running() (context.Context, context.CancelFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, cancel := context.WithCancel(a.v.ctx)
	if a.filler.interrupt = cancel; a.filler.asked {
		cancel()
	}
	return ctx, cancel
}

// mend does what there is to do when nothing can be applied any more: it has the server filled, if that helps or
// somebody wants it, and else waits.
func (a *volumeApplier) mend(fault error) {
	asked, _, wait := a.due(fault)
	if !asked {
		a.l.d.log.Error("server is not written to", "volume", a.v.addr, "error", fault)
		if !errors.Is(fault, applier.ErrSuspect) {
			wait = applyAgain
		}
	}
	select {
	case <-a.v.ctx.Done():
		return
	case <-a.filler.wake:
	case <-time.After(min(wait, applyAgain)):
	}
	asked, discard, wait := a.due(fault)
	if !asked && (wait > 0 || !errors.Is(fault, applier.ErrSuspect)) {
		return // perhaps the reason is gone
	}
	a.mu.Lock()
	if a.filler.why = "somebody has asked for it"; !asked {
		a.filler.why = fault.Error()
	}
	a.mu.Unlock()
	if err := a.fill(discard); a.v.ctx.Err() == nil {
		a.filled(err)
	}
}

// due tells whether somebody wants the server filled, whatever it has, and how long to wait if nobody does.
func (a *volumeApplier) due(fault error) (asked, discard bool, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(fault, applier.ErrDiffers) {
		return a.filler.asked, a.filler.discard, a.filler.schedule.WaitDiffering(time.Now())
	}
	return a.filler.asked, a.filler.discard, a.filler.schedule.Wait(time.Now())
}

// filled notes what became of a filling.
func (a *volumeApplier) filled(err error) {
	a.report(func() {
		f := &a.filler
		f.schedule.Ended(time.Now(), err)
		f.asked, f.fault, f.now, f.pin = false, "", nil, 0
		if err != nil {
			f.fault = err.Error()
		} else {
			f.discard = false
			f.filled++
		}
	})
	if err != nil {
		a.l.d.log.Error("server could not be filled", "volume", a.v.addr, "error", err)
		return
	}
	a.l.d.log.Info("server was filled", "volume", a.v.addr)
}

// step notes what a filling does now.
func (a *volumeApplier) step(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.filler.now.Step = what
}

// fill makes the server a copy of another one, and its position that of the copy.
func (a *volumeApplier) fill(discard bool) (err error) {
	d := a.l.d
	if len(a.sources()) == 0 {
		return errNoSource
	}
	a.report(func() {
		a.state, a.why = applier.Down, "it is filled"
		a.filler.now = &Filling{Since: time.Now(), Step: "waiting until nobody reads from it"}
	})
	ctx, cancel := context.WithCancelCause(a.v.ctx)
	defer cancel(nil)
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause // what broke the rest off
		}
	}()
	if err := a.awaitOut(ctx); err != nil {
		return err
	}
	a.step("waiting for its source")
	c, err := a.begin(ctx, cancel)
	if err != nil {
		return err
	}
	defer c.end(ctx)
	if since := a.l.member.View().Since[a.v.addr]; c.position.Index < since {
		return fmt.Errorf("the source has come to entry %d, and this server was added by entry %d", c.position.Index, since)
	}
	if c.position.Index+1 < a.firstIndex() {
		return fmt.Errorf("the source has come to entry %d, and this gateway's log begins later", c.position.Index)
	}
	a.l.member.Exchanged(a.v.addr) // before it reports anything else
	a.report(func() { a.filler.pin, a.prefix, a.durable = c.position.Index, 0, c.position.Index })
	// What a database of this server lacks that is emptied is not all in the log.
	if err := maybe.WriteFile(a.mark(), []byte(markPartial), 0o640); err != nil {
		return err
	}
	a.step("emptying it")
	at := *c.position
	at.Boot, at.Nonce, at.Doubt = d.cfg.WriteLog.Boot, c.hold, 0
	if err := c.copy(ctx, at, discard); err != nil {
		return err
	}
	return ctx.Err()
}

// firstIndex is that of the first entry that this gateway's log has.
func (a *volumeApplier) firstIndex() uint64 {
	first, begins := a.First()
	if begins {
		return 0
	}
	return first
}

// sources are those that the server may be filled from, the best first.
func (a *volumeApplier) sources() []string {
	d, out, own := a.l.d, a.l.member.View().Out, a.l.d.slicesOf(a.v)
	var list []fill.Replica
	for _, u := range d.now().volumes {
		if u != a.v && containsAll(d.slicesOf(u), own) {
			list = append(list, fill.Replica{Server: u.addr, Read: out[u.addr] == 0, Alive: u.state() == up && u.listed.Load(), Load: int(u.outstanding.Load())})
		}
	}
	return fill.Sources(list)
}

func containsAll(list, want []string) bool {
	return !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(list, s) })
}

// awaitOut waits until nobody reads from the server: it is out of the read set, and the leases are over that were
// granted before.
func (a *volumeApplier) awaitOut(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, outWait, errReadFrom)
	defer cancel()
	for view := a.l.member.View(); view.Out[a.v.addr] == 0 || view.Leader == ""; view = a.l.member.View() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return pause(ctx, 2*writelog.DefaultLease)
}

// pause waits, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// errUnfit is the fault of a server that must not be read from, though the read set may not say so yet.
var errUnfit = errors.New("its database is being filled, or is another one than before")

// fit looks whether a server may be read from at all, for the time until the read set says so and for a gateway that is
// cut off from the log: not if it is being filled, nor if it lost the name that its database had.
func (l *logged) fit(v *volume) error {
	name, err := l.d.setting(v, applier.KeyNonce)
	if err != nil {
		return err
	}
	filling, err := l.d.setting(v, applier.KeyFilling)
	if err != nil {
		return err
	}
	_, named := l.named.Load(v)
	if name != "" && !named {
		l.named.Store(v, true)
	}
	unfit := filling != "" || name == "" && named
	if v.emptied.Swap(unfit) != unfit {
		if unfit {
			l.d.log.Warn("server is not used", "volume", v.addr, "error", errUnfit)
		}
	}
	if !unfit {
		return nil
	}
	if v.setState(down, time.Now(), errUnfit.Error()) {
		v.probeNow()
	}
	return errUnfit
}

// setting asks one server for a configuration key.
func (d *Dispatcher) setting(v *volume, key string) (value string, err error) {
	answer, err := d.question(v, &groonga.Command{Name: "config_get", Args: []groonga.Arg{{Name: "key", Value: key}}})
	if err != nil {
		return "", err
	}
	body, err := groonga.Result(answer.Body)
	if err != nil {
		return "", err
	}
	return value, json.Unmarshal(body, &value)
}

// pinned is up to where the server lets the log be cut; a.mu is held. For a database that cannot be continued
// nothing is kept while there is another one.
func (a *volumeApplier) pinned() uint64 {
	switch {
	case a.filler.pin > 0:
		return a.filler.pin
	case a.state == applier.Suspect && a.filler.now == nil && len(a.sources()) > 0:
		return math.MaxUint64
	}
	return a.durable
}
