package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2/maybe"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/applier"
	"github.com/ibuki-dev/ibuki/writelog/fill"
	"github.com/ibuki-dev/ibuki/writelog/member"
)

// LogConfig are the settings of the replicated log of writes.
type LogConfig struct {
	Dir       string           // where this gateway's part of it is kept; needed
	Transport member.Transport // to the gateways in Config.Peers; needed if there are any
	MaxBytes  int64            // of the log on disk: 1 GiB
	Boot      string           // boot id of this host; needed
	// FillPause is how long a write may wait for a server that is copied, if no other one can take it: 30 s.
	FillPause time.Duration
	Now       func() time.Duration
	// CompareRate is how many records a second are read of each server to compare it with the
	// others: 1,000; negative: none, unless somebody asks for it.
	CompareRate int
	// CompareRest is how many times as long as a server has worked for that it is then left
	// alone: 60; negative: not at all.
	CompareRest int
	// ComparePause is how long the gateway that leads waits between two comparisons: 30 s.
	ComparePause time.Duration
}

// logged is the replicated log as the dispatcher uses it: writes are put into it, the
// entries are applied to the servers that are this gateway's, and what may be read from
// is what it says.
type logged struct {
	d        *Dispatcher
	name     string // of this gateway in the log
	holds    holds
	named    sync.Map // the volumes whose databases have had a name
	member   *member.Member
	ready    chan struct{}                   // closed when the appliers are there
	file     atomic.Pointer[catalog.Catalog] // what the gateway was given, or was given last
	fault    atomic.Pointer[string]          // why that one does not do; nil: it does
	comparer *comparer
	index    atomic.Uint64 // the last entry that is committed, as far as this gateway knows
}

// volumeApplier applies the log to one server.
type volumeApplier struct {
	l *logged
	v *volume
	*applier.Applier

	mu              sync.Mutex
	prefix, durable uint64
	state           applier.State
	why             string
	filler          filler

	silences silences
}

// openLog starts the member and the appliers.
func (d *Dispatcher) openLog() error {
	l := &logged{d: d, ready: make(chan struct{})}
	l.file.Store(d.cfg.Catalog)
	l.comparer = newComparer(l)
	cfg := member.Config{
		Dir: d.cfg.WriteLog.Dir, Name: d.cfg.Self, Transport: d.cfg.WriteLog.Transport, MaxBytes: d.cfg.WriteLog.MaxBytes,
		WriteWait: d.cfg.WriteWait, Now: d.cfg.WriteLog.Now, Log: d.log, Appliers: make(map[string]string),
		Committed: l.committed, Changed: l.changed, Asked: l.asked, Sum: d.cfg.Catalog.Sum(),
		Catalog: func(gateways []string) *writelog.Catalog { return logCatalog(d.cfg.Catalog, gateways, nil) },
	}
	if cfg.Name == "" {
		cfg.Name = "alone"
	}
	l.name, l.holds.held = cfg.Name, make(map[string]*heldServer)
	if err := fill.RemoveSpools(cfg.Dir); err != nil {
		return err
	}
	for _, p := range d.now().peers {
		cfg.Peers = append(cfg.Peers, p.Addr)
	}
	own := logCatalog(d.cfg.Catalog, append(slices.Clone(cfg.Peers), cfg.Name), nil)
	cfg.Slices = own.Slices
	for _, served := range own.Appliers {
		cfg.Appliers[served.Server] = served.Gateway
	}
	var err error
	if l.member, err = member.Open(cfg); err != nil {
		return err
	}
	d.logged = l
	t := d.now()
	for _, v := range t.volumes {
		if cfg.Appliers[v.addr] == cfg.Name {
			t.appliers[v] = l.newApplier(v)
		}
	}
	for _, a := range t.appliers { // order-free: each by itself
		d.start(a.run)
	}
	close(l.ready)
	d.start(l.comparer.run)
	return nil
}

// committed hands the entries to the appliers. It is the member's loop.
func (l *logged) committed(upTo uint64, entries []writelog.Committed) {
	<-l.ready
	l.index.Store(upTo)
	for v, a := range l.d.now().appliers { // order-free: each by itself
		a.Feed(upTo, v.entriesOf(entries)...)
	}
}

// entriesOf are the entries that have something for a server.
func (v *volume) entriesOf(list []writelog.Committed) (entries []applier.Entry) {
	for i := range list {
		if c := &list[i]; c.Verdict == writelog.Execute {
			entries = v.appendShares(entries, c.Index, c.Term, c.Entry.Shares)
		}
	}
	return entries
}

func (v *volume) appendShares(entries []applier.Entry, index, term uint64, shares []writelog.Share) []applier.Entry {
	for _, s := range shares {
		for _, addr := range s.Servers {
			if addr != v.addr {
				continue
			}
			command, err := decodeCommand(s.Command)
			if err != nil {
				panic(fmt.Sprintf("dispatch: entry %d: %v", index, err)) // this program has written it
			}
			return append(entries, applier.Entry{Index: index, Term: term, Command: command})
		}
	}
	return entries
}

// changed takes over what may be read from.
func (l *logged) changed(view *member.View) {
	<-l.ready
	l.follow(view)
	for _, v := range l.d.now().volumes {
		out := view.Out[v.addr]
		if was := v.out.Swap(out); (was != 0) != (out != 0) {
			l.d.log.Info("read set", "volume", v.addr, "readFrom", out == 0)
		}
	}
}

// write puts a write into the log and waits until it may be acknowledged.
func (l *logged) write(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	if applier.Reserved(c) {
		return groonga.Answer{}, fmt.Errorf("%w: configuration keys that begin with %s are the gateway's own", ErrForbidden, applier.Prefix)
	}
	if err := c.Deterministic(); err != nil {
		return groonga.Answer{}, fmt.Errorf("%w: %w", ErrNotSafe, err)
	}
	for {
		answer, err := l.propose(ctx, ds, c)
		if !errors.Is(err, writelog.ErrOtherCatalog) {
			return answer, err
		}
		if ds, err = l.switched(ctx, ds); err != nil {
			return groonga.Answer{}, err
		}
	}
}

// propose proposes a write by the catalog of a dataset. ErrOtherCatalog says that another one holds
// by now, and that it was not done.
func (l *logged) propose(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	shares, err := ds.shares(c)
	if err != nil {
		return groonga.Answer{}, err
	}
	if len(shares) == 0 { // a load of nothing still has an answer
		shares = ds.everywhere(c)[:1]
	}
	if err := l.d.awaitReplicas(ctx, shares); err != nil {
		return groonga.Answer{}, err
	}
	list := make([]writelog.Share, len(shares))
	size := 0
	for i, s := range shares {
		command := s.command.Clone()
		command.Dataset = ds.name
		list[i].Command = encodeCommand(command)
		size += len(list[i].Command)
		for _, v := range s.volumes {
			list[i].Servers = append(list[i].Servers, v.addr)
		}
	}
	if size > writelog.MaxEntry-1<<20 {
		return groonga.Answer{}, fmt.Errorf("%w: %d bytes", ErrWriteTooLarge, size)
	}
	ctx, cancel := context.WithTimeout(ctx, l.d.cfg.WriteTimeout)
	defer cancel()
	said, err := l.member.Write(ctx, list, ds.at, c.ID)
	if err != nil {
		return groonga.Answer{}, logFault(err)
	}
	answers := make([]groonga.Answer, len(said))
	for i, a := range said {
		answers[i] = groonga.Answer{Status: a.Status, ContentType: a.Type, Body: a.Body, Code: a.Code}
	}
	return combineWrites(c, shares, answers), nil
}

// logFault is a fault of the log's as one of delivery.
func logFault(err error) error {
	for _, f := range []struct{ of, is error }{
		{member.ErrNoMajority, ErrNoMajority}, {member.ErrFull, ErrLogFull}, {member.ErrStopped, ErrStopped},
		{writelog.ErrBusy, ErrOverload}, {writelog.ErrAnswerGone, ErrAnswerGone}, {writelog.ErrDropped, ErrGivenUp},
		{writelog.ErrUnconfirmed, ErrUnconfirmed}, {context.DeadlineExceeded, ErrUnconfirmed},
	} {
		if errors.Is(err, f.of) {
			return f.is
		}
	}
	return err
}

// read answers a search from the read set while this gateway holds a lease; else the
// gateway that leads does; else it is answered, marked as what may be old.
func (l *logged) read(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	if l.member.Lease(ctx) {
		return l.readSet(ctx, ds, c)
	}
	if view := l.member.View(); view.Leader != "" && view.Leader != l.d.cfg.Self && !c.Forwarded && l.d.cfg.PeerClient != nil {
		passing, cancel := context.WithTimeout(ctx, passOnFor)
		answer, err := l.d.cfg.PeerClient.Forward(passing, view.Leader, c)
		cancel()
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
	}
	stale := l.member.StaleFor()
	answer, err := l.readSet(ctx, ds, c)
	answer.Stale = max(stale, time.Millisecond)
	return answer, err
}

// readSet answers from the read set, without what is the gateway's own in the databases.
func (l *logged) readSet(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	if applier.Reserved(c) { // a key that is not there
		c = &groonga.Command{Name: c.Name, Dataset: c.Dataset, Args: []groonga.Arg{{Name: "key", Value: "-"}}}
	}
	answer, err := l.d.read(ctx, ds, c)
	if err == nil && c.Name == "dump" {
		answer.Body = applier.StripDump(answer.Body)
	}
	return answer, err
}

// passOnFor is how long a search waits for the gateway that leads.
const passOnFor = 2 * time.Second

// gone tells the member of gateways that the list of live nodes does not have any more.
func (l *logged) gone(alive func(node string) bool) {
	for _, p := range l.d.now().peers {
		if !alive(p.Name) {
			l.member.Gone(p.Addr)
		}
	}
}

// restarted has the server of this gateway looked at anew: it was started, and its
// database may be another one.
func (l *logged) restarted(v *volume) {
	if a := l.d.now().appliers[v]; a != nil {
		a.Begin("the server was started")
	}
}

// LogRequest answers another gateway that shares the log; it is nil if there is none.
func (d *Dispatcher) LogRequest() func(ctx context.Context, request []byte) ([]byte, error) {
	if d.logged == nil {
		return nil
	}
	return d.logged.member.Handle
}

func (l *logged) close() error {
	l.holds.endAll()
	return l.member.Close()
}

// applyAgain is after how long an applier that had to stop looks whether the reason is gone.
const applyAgain = 10 * time.Second

// run applies the log to the server for as long as the gateway runs.
func (a *volumeApplier) run() {
	d := a.l.d
	var view *member.View
	for view = a.l.member.View(); !view.Formed || view.Cluster == 0 || view.CatalogAt != d.now().at; view = a.l.member.View() {
		select {
		case <-a.v.ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	if d.now().appliers[a.v] != a {
		return // the catalog of the log has another gateway apply to it
	}
	since := view.Since[a.v.addr]
	founding, partial := a.origin(view.Founder, since)
	made, err := applier.New(applier.Config{
		Server: a, Source: a, Events: a, Cluster: view.Cluster, Epoch: view.Epoch,
		Boot: d.cfg.WriteLog.Boot, Nonce: fmt.Sprintf("%016x", view.Self) + boot(),
		Founding: founding, Partial: partial, Paused: a.paused, Since: since,
	})
	if err != nil {
		d.log.Error("log of writes", "volume", a.v.addr, "error", err)
		return
	}
	a.mu.Lock()
	a.Applier = made
	a.mu.Unlock()
	made.Feed(max(view.Index, a.l.index.Load()))
	for a.v.ctx.Err() == nil {
		ctx, cancel := a.running()
		err := made.Run(ctx)
		cancel()
		if a.v.ctx.Err() == nil {
			a.mend(err)
		}
	}
}

// Feed hands entries on, once there is an applier.
func (a *volumeApplier) Feed(upTo uint64, entries ...applier.Entry) {
	a.mu.Lock()
	made := a.Applier
	a.mu.Unlock()
	if made != nil {
		made.Feed(upTo, entries...)
	}
}

// Begin has the server looked at anew, once there is an applier.
func (a *volumeApplier) Begin(why string) {
	a.mu.Lock()
	made := a.Applier
	a.mu.Unlock()
	if made != nil {
		made.Begin(why)
	}
}

// Do sends a command to the server: see applier.Server.
func (a *volumeApplier) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	d, v := a.l.d, a.v
	at := &attempt{volume: v, start: time.Now()}
	defer context.AfterFunc(ctx, at.interrupt)()
	defer a.silences.begin(c)()
	v.begin(at)
	d.watch.begun()
	answer, _, err := at.run(c, true)
	v.end(at)
	if err != nil {
		if ctx.Err() == nil {
			d.failed(v, err)
		}
		return answer, err
	}
	v.lastAnswer.Store(int64(time.Since(d.epoch)))
	v.answers.Add(1)
	if v.state() == late {
		v.setState(up, time.Now(), "")
	}
	return answer, nil
}

// Entries reads what was committed back from the log: see applier.Source.
func (a *volumeApplier) Entries(after uint64, maxBytes int) (entries []applier.Entry, upTo uint64, err error) {
	stored, upTo, err := a.l.member.Stored(after, maxBytes)
	if errors.Is(err, member.ErrCompacted) {
		return nil, 0, applier.ErrCompacted
	}
	for _, s := range stored {
		entries = a.v.appendShares(entries, s.Index, s.Term, s.Shares)
	}
	return entries, upTo, err
}

// First, Last and Term are those of the log: see applier.Source.
func (a *volumeApplier) First() (index uint64, begins bool) { return a.l.member.First() }

// Last is the log's.
func (a *volumeApplier) Last() uint64 { return a.l.member.Last() }

// Term is the log's.
func (a *volumeApplier) Term(index uint64) (term uint64, known bool) { return a.l.member.TermOf(index) }

// Applied, Prefix, Durable and State are an applier.Events: they go to the member.
func (a *volumeApplier) Applied(index uint64, answer groonga.Answer) {
	a.v.delivered.Add(1)
	a.l.member.Applied(a.v.addr, index, writelog.Answer{
		Code: answer.Code, Status: answer.Status, Type: answer.ContentType, Body: answer.Body,
	})
}

// Prefix takes how far the server is.
func (a *volumeApplier) Prefix(index uint64) { a.report(func() { a.prefix = index }) }

// Durable takes how far its disk is.
func (a *volumeApplier) Durable(index uint64) { a.report(func() { a.durable = index }) }

// State takes how it stands.
func (a *volumeApplier) State(s applier.State, why string) {
	changed := false
	a.report(func() {
		changed = a.state != s || a.why != why
		a.state, a.why = s, why
	})
	if _, err := os.Stat(a.mark()); s == applier.Up && err != nil {
		var text []byte
		if why == applier.AsItWas {
			text = []byte(markPartial)
		}
		if err := maybe.WriteFile(a.mark(), text, 0o640); err != nil {
			a.l.d.log.Error("log of writes", "error", err)
		}
	}
	if changed {
		a.l.d.log.Info("server and log", "volume", a.v.addr, "state", s.String(), "why", why)
	}
}

func (a *volumeApplier) report(change func()) {
	a.mu.Lock()
	change()
	prefix, durable, down := a.prefix, a.pinned(), a.state != applier.Up || a.filler.now != nil
	a.mu.Unlock()
	a.l.member.Progress(a.v.addr, prefix, durable, down)
}

// markPartial is in the mark of a server that had tables before the log began.
const markPartial = "it had tables before the log began\n"

// origin tells whether the log was never applied to the server, and whether it lacks what
// the databases had when it began.
func (a *volumeApplier) origin(founder bool, since uint64) (founding, partial bool) {
	if since != 0 {
		return false, true // the log says nothing of what it should have had before
	}
	text, err := os.ReadFile(a.mark())
	if err != nil {
		return founder, !founder
	}
	return false, string(text) == markPartial
}

// mark is the file that says that the log was applied to the server.
func (a *volumeApplier) mark() string {
	return filepath.Join(a.l.d.cfg.WriteLog.Dir, "applied-"+url.PathEscape(a.v.addr))
}
