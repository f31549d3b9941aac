package member

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/writelog"
)

const (
	// greetEvery is how often the others are asked who they are, and greetAlone how often while
	// nobody leads.
	greetEvery = 5 * time.Second
	greetAlone = time.Second
	// changeWait is how long a catalog may take to be taken over.
	changeWait = 10 * time.Second
)

// others are the other gateways, as this one hears of them beside the log: whether they have it
// among them.
type others struct {
	m   *Member
	met chan struct{} // closed when they were asked once who they are

	mu     sync.Mutex
	barred string // why nothing may be answered: see Barred
	final  bool   // and that stays so
}

// greeting is what a gateway says of who it is.
type greeting struct {
	name  string
	hello hello
	err   error
}

// greetAll asks gateways who they are, at once; in the order of the names.
func (o *others) greetAll(names []string) []greeting {
	list := make([]greeting, len(names))
	var waiting sync.WaitGroup
	for i, name := range names {
		waiting.Go(func() {
			h, err := o.m.greet(name)
			list[i] = greeting{name, h, err}
		})
	}
	waiting.Wait()
	return list
}

// gateways are those that there are to be: by the catalog of the log, or by the configuration.
func (o *others) gateways() []string {
	if v := o.m.View(); v.CatalogAt != 0 {
		return v.Catalog.Gateways
	}
	return append(slices.Clone(o.m.cfg.Peers), o.m.cfg.Name)
}

// watch asks the others now and again who they are. A gateway that was removed, or without which
// the cluster was recovered, hears of it nowhere else: nobody sends it anything.
func (o *others) watch() {
	for {
		v := o.m.View()
		if v.Cluster != 0 {
			o.judge(v, o.greetAll(o.known()))
			o.meet()
		}
		every := greetEvery
		if !v.Formed || v.Leader == "" {
			every = greetAlone
		}
		wake := v.changed
		if v.Cluster != 0 {
			wake = nil
		}
		select {
		case <-o.m.ctx.Done():
			return
		case <-wake:
		case <-time.After(every):
		}
	}
}

// known are the other gateways that the log or the configuration names.
func (o *others) known() []string {
	names := append(slices.Clone(o.gateways()), o.m.cfg.Peers...)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == o.m.cfg.Name })
}

// judge finds out from what the others say whether this gateway is one of them.
func (o *others) judge(v *View, said []greeting) {
	if v.Cluster == 0 {
		return // it has joined, and the log is on its way to it
	}
	foreign := ""
	for _, g := range said {
		h := g.hello
		switch {
		case g.err != nil || h.Cluster == 0:
		case h.Cluster != v.Cluster:
			foreign = fmt.Sprintf("gateway %s belongs to another cluster: give this one the catalog of its own, "+
				"or stop it, move the directory of its log away, and start it", g.name)
		case !h.Stranger || !v.ids[o.m.id]: // one that has just joined is not known everywhere
		case h.Epoch > v.Epoch:
			o.end(ErrLeftBehind)
		default:
			o.end(ErrRemoved)
		}
	}
	if o.m.View().Leader != "" {
		foreign = "" // the other one is wrong, and hears it itself
	}
	o.bar(foreign)
}

// end has the loop end.
func (o *others) end(err error) {
	o.m.do(func(time.Duration) {
		if o.m.machine != nil {
			o.m.failure = err
		}
	})
}

// bar says why nothing may be answered; "" is no reason.
func (o *others) bar(why string) {
	o.mu.Lock()
	changed := o.barred != why && !o.final
	if changed {
		o.barred = why
	}
	o.mu.Unlock()
	if changed && why != "" {
		o.m.log.Error("gateway answers nothing", "error", why)
	}
}

// barForGood says why nothing may be answered any more.
func (o *others) barForGood(why string) {
	o.bar(why)
	o.mu.Lock()
	o.final, o.barred = true, why
	o.mu.Unlock()
}

// meet notes that the others were asked.
func (o *others) meet() {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.met:
	default:
		close(o.met)
	}
}

// Barred tells why a gateway may answer no searches, not even old ones: it is none of the cluster, as far as
// the others say that it reaches. "": it may. It waits until they were asked once, and not longer than ctx.
func Barred(ctx context.Context, m *Member) string {
	o := &m.others
	select {
	case <-o.met:
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.barred
}

// Change has the log take over another catalog in the place of the one of entry at. An error says that it has not; after
// ctx's it may yet.
func Change(ctx context.Context, m *Member, at uint64, next *writelog.Catalog) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changeWait, fmt.Errorf("the log has not taken the catalog over within %v", changeWait))
	defer cancel()
	e := &writelog.Entry{Op: writelog.OpCatalog, Catalog: at, Next: next}
	return see(ctx, m, e, func(v *View) (bool, error) {
		switch {
		case v.CatalogAt == at:
			return false, nil
		case v.Catalog.Sum == next.Sum && slices.Equal(v.Catalog.Gateways, next.Gateways):
			return true, nil
		}
		return false, writelog.ErrOtherCatalog
	})
}

// Drain has a server leave the read set until it is said that it may enter it again (out is false), and waits until the log
// says so.
func Drain(ctx context.Context, m *Member, server string, out bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changeWait, fmt.Errorf("the log has not taken it over within %v", changeWait))
	defer cancel()
	e := &writelog.Entry{Op: writelog.OpDrain, Catalog: m.View().CatalogAt, Server: server, Out: out}
	return see(ctx, m, e, func(v *View) (bool, error) { return (v.Drained[server] != 0) == out, nil })
}

// see proposes an entry that may be proposed more than once, until a view shows what has come of it.
func see(ctx context.Context, m *Member, e *writelog.Entry, done func(*View) (bool, error)) error {
	for proposed := time.Duration(0); ; {
		v := m.View()
		if ok, err := done(v); ok || err != nil {
			return err
		}
		if now := m.cfg.Now(); m.wayTo(v) != "" && now-proposed > time.Second {
			if _, err := m.ask(ctx, v, e); err == nil {
				proposed = now
			}
		}
		if err := m.pause(ctx, v); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}
