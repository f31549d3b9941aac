package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
)

const (
	// comparePause is how long the gateway that leads waits between two rounds.
	comparePause = 30 * time.Second
	// compareRest is how many times as long as a server has worked it is then left alone in
	// the background.
	compareRest = 60
	// markWait is how long it may take until a server knows that it differs.
	markWait = 5 * time.Second
	// DefaultCompareRate is how many records a second are read of each server.
	DefaultCompareRate = 1000
)

// errNotReadFrom ends a comparison: a server that lacks writes differs.
var errNotReadFrom = errors.New("it is not read from now")

// ErrComparing says that the gateway compares already because somebody has asked for it.
var ErrComparing = errors.New("the gateway is comparing already")

// comparer compares the servers of each slice: in the background if this gateway leads, and
// when it is asked to.
type comparer struct {
	l     *logged
	asked sync.Mutex // held while somebody waits for a comparison

	mu    sync.Mutex
	under map[string]*SliceComparison // under way, by slice
	last  map[string]*SliceComparison // ended, by slice
}

// SliceComparison is what the comparison of the servers of a slice has come to.
type SliceComparison struct {
	Slice   string    `json:"slice"`
	Servers []string  `json:"servers"` // those that were compared
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
	compare.Result
	// Differ are the servers that differ from most of the others; if there are differences
	// and none is named here, somebody has to decide which is right.
	Differ []string `json:"differ,omitempty"`
	Fault  string   `json:"fault,omitempty"` // why it did not come to its end
	Says   string   `json:"says,omitempty"`  // what differs, in one line
}

// CompareRequest is a comparison that somebody wants.
type CompareRequest struct {
	Tables []string // only these; nil: all
	Full   bool     // also all that is found through indexes
	// Rate is how many records a second are read; then servers are left alone as they are in
	// the background. 0: as many as can be.
	Rate int
}

// CompareStatus is how the comparison of replicas stands at the gateway that leads.
type CompareStatus struct {
	Rate  int               `json:"rate"` // records a second; 0: it does not compare by itself
	Under []SliceComparison `json:"under_way,omitempty"`
	Last  []SliceComparison `json:"last,omitempty"`
}

func newComparer(l *logged) *comparer {
	return &comparer{
		l: l, under: make(map[string]*SliceComparison), last: make(map[string]*SliceComparison),
	}
}

// run compares in the background for as long as the gateway runs.
func (c *comparer) run() {
	d := c.l.d
	rate := d.cfg.WriteLog.CompareRate
	if rate < 0 {
		return
	}
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-time.After(d.cfg.WriteLog.ComparePause):
		}
		if !c.leads() {
			c.forget()
			continue
		}
		ctx, cancel := context.WithCancel(d.ctx)
		cfg := compare.Config{Rate: rate, Rest: max(0, d.cfg.WriteLog.CompareRest), Report: func(compare.Progress) {
			if !c.leads() {
				cancel()
			}
		}}
		_, _ = c.round(ctx, cfg) // what came of it is kept
		cancel()
	}
}

// leads reports whether this gateway compares: one does for all.
func (c *comparer) leads() bool {
	v := c.l.member.View()
	return v.Formed && v.Leader != "" && (v.Leader == c.l.d.cfg.Self || c.l.d.cfg.Self == "")
}

// forget drops what was found when this gateway led.
func (c *comparer) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.last)
}

// round compares all slices, one after the other.
func (c *comparer) round(ctx context.Context, cfg compare.Config) (list []SliceComparison, err error) {
	for _, ds := range c.l.d.now().datasets {
		for _, layout := range ds.layouts {
			for _, p := range layout.parts {
				if len(p.volumes) < 2 {
					continue
				}
				s, err := c.slice(ctx, ds, p, cfg)
				if err != nil {
					return list, err
				}
				list = append(list, *s)
			}
		}
	}
	return list, nil
}

// slice compares the servers of a slice. The error is ctx's; another is in what it returns.
func (c *comparer) slice(ctx context.Context, ds *dataset, p *part, cfg compare.Config) (*SliceComparison, error) {
	s := &SliceComparison{Slice: joinName(ds.name, p.label), Began: time.Now().UTC()}
	r := &replicas{c: c, ds: ds}
	for _, v := range p.volumes {
		if r.usable(v) {
			r.volumes = append(r.volumes, v)
			s.Servers = append(s.Servers, v.addr)
		}
	}
	if len(r.volumes) < 2 {
		s.Fault = "fewer than two servers are read from"
	} else {
		report := cfg.Report
		cfg.Servers, cfg.Report = r, func(p compare.Progress) {
			c.mu.Lock()
			s.Progress = p
			c.mu.Unlock()
			report(p)
		}
		c.mu.Lock()
		c.under[s.Slice] = s
		c.mu.Unlock()
		result, err := compare.Run(ctx, cfg)
		c.mu.Lock()
		s.Result = *result
		c.mu.Unlock()
		if ctx.Err() != nil {
			c.drop(s)
			return s, ctx.Err()
		}
		if err != nil {
			s.Fault = err.Error()
		}
	}
	c.drop(s) // from here on nobody else sees it until it is kept
	s.Ended = time.Now().UTC()
	d := c.l.d
	d.log.Debug("comparison", "slice", s.Slice, "took", s.Ended.Sub(s.Began), "records", s.Records, "terms", s.Terms, "differences", len(s.Differences), "fault", s.Fault)
	c.judge(ctx, s, r)
	if cfg.Tables == nil {
		c.keep(s)
	}
	return s, nil
}

func (c *comparer) drop(s *SliceComparison) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under[s.Slice] == s {
		delete(c.under, s.Slice)
	}
}

// keep keeps what came of a comparison. One that was broken off says nothing against what an
// earlier one has found.
func (c *comparer) keep(s *SliceComparison) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.last[s.Slice]; old != nil && s.Fault != "" && len(s.Differences) == 0 {
		s.Differences, s.Differ, s.Says, s.More = old.Differences, old.Differ, old.Says, old.More
	}
	c.last[s.Slice] = s
}

// judge finds which servers are wrong, and has them leave the read set.
func (c *comparer) judge(ctx context.Context, s *SliceComparison, r *replicas) {
	if len(s.Differences) == 0 {
		return
	}
	d := c.l.d
	odd := s.Odd()
	first := &s.Differences[0]
	for _, i := range odd {
		s.Differ = append(s.Differ, s.Servers[i])
	}
	count := fmt.Sprint(len(s.Differences))
	if s.More {
		count += " or more"
	}
	s.Says = fmt.Sprintf("%d servers hold different data: %s (differences: %s)", len(s.Servers), first.Where(), count)
	if len(odd) == len(r.volumes) { // each is wrong somewhere: there is none to fill the others from
		s.Differ = nil
	}
	d.log.Error("replicas differ", "slice", s.Slice, "servers", s.Servers, "wrong", s.Differ, "where", first.Where(), "values", first.Values, "count", count)
	if s.Differ == nil {
		return
	}
	for _, i := range odd {
		of := slices.IndexFunc(s.Differences, func(d compare.Difference) bool { return slices.Contains(d.Odd, i) })
		c.mark(ctx, r.volumes[i], s.Differences[of].Where())
	}
}

// mark has a server be suspect, so that nobody reads from it, and it is filled.
func (c *comparer) mark(ctx context.Context, v *volume, where string) {
	d := c.l.d
	ctx, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	nonce, err := c.nonce(ctx, v)
	if err == nil {
		_, err = c.l.atPosition(ctx, []*volume{v}, applier.Differs(nonce, where))
	}
	if err != nil {
		d.log.Error("replica differs, and is still read from", "volume", v.addr, "error", err)
	}
}

// nonce asks for the name of a server's database.
func (c *comparer) nonce(ctx context.Context, v *volume) (nonce string, err error) {
	answer, err := c.l.d.inquire(ctx, v, applier.Nonce())
	if err != nil {
		return "", err
	}
	body, err := groonga.Result(answer.Body)
	if err != nil {
		return "", err
	}
	return nonce, json.Unmarshal(body, &nonce)
}

// replicas are the servers of a slice that are compared: a compare.Servers.
type replicas struct {
	c       *comparer
	ds      *dataset
	volumes []*volume
}

// Count is how many there are.
func (r *replicas) Count() int { return len(r.volumes) }

// usable reports whether a server has everything that it should.
func (r *replicas) usable(v *volume) bool { return v.rank() == good }

// Ask asks one of them now.
func (r *replicas) Ask(ctx context.Context, i int, c *groonga.Command) (groonga.Answer, error) {
	v := r.volumes[i]
	if v.lacks() {
		return groonga.Answer{}, fmt.Errorf("%s: %w", v.addr, errNotReadFrom)
	}
	answer, err := r.c.l.d.inquire(ctx, v, c)
	if err != nil {
		return answer, fmt.Errorf("%s: %w", v.addr, err)
	}
	return answer, nil
}

// AskAt asks all of them at one place of the log.
func (r *replicas) AskAt(ctx context.Context, c *groonga.Command) ([]groonga.Answer, error) {
	for _, v := range r.volumes {
		if v.lacks() {
			return nil, fmt.Errorf("%s: %w", v.addr, errNotReadFrom)
		}
	}
	return r.c.l.atPosition(ctx, r.volumes, c)
}

// inquire asks a server a question of the gateway's own.
func (d *Dispatcher) inquire(ctx context.Context, v *volume, c *groonga.Command) (answer groonga.Answer, err error) {
	for {
		at := &attempt{volume: v, start: time.Now()}
		stop := context.AfterFunc(ctx, at.interrupt)
		v.begin(at)
		d.watch.begun()
		var reused bool
		answer, reused, err = at.run(c, false)
		v.end(at)
		stop()
		switch {
		case err == nil:
			return answer, nil
		case ctx.Err() != nil:
			return answer, ctx.Err()
		case !reused:
			return answer, err
		}
	}
}

// Compare compares the servers of all slices now, and what follows from differences is as in
// the background. report is called as it goes on; it must not wait. ErrComparing: somebody
// else has asked for it and it is under way.
func (d *Dispatcher) Compare(ctx context.Context, q CompareRequest, report func(compare.Progress)) ([]SliceComparison, error) {
	if d.logged == nil {
		return nil, errors.New("the gateway keeps no log of writes")
	}
	c := d.logged.comparer
	if !c.asked.TryLock() {
		return nil, ErrComparing
	}
	defer c.asked.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	cfg := compare.Config{Tables: q.Tables, Full: q.Full, Rate: q.Rate, MaxDifferences: mostAsked, Report: report}
	if q.Rate > 0 {
		cfg.Rest = max(0, d.cfg.WriteLog.CompareRest)
	}
	return c.round(ctx, cfg)
}

// mostAsked is how many differences somebody gets who asks for a comparison.
const mostAsked = 10000

// status is how the comparison stands; nil: another gateway compares.
func (c *comparer) status() *CompareStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &CompareStatus{Rate: max(0, c.l.d.cfg.WriteLog.CompareRate)}
	for _, name := range slices.Sorted(maps.Keys(c.under)) {
		s.Under = append(s.Under, c.under[name].brief())
	}
	for _, name := range slices.Sorted(maps.Keys(c.last)) {
		s.Last = append(s.Last, c.last[name].brief())
	}
	if len(s.Last)+len(s.Under) == 0 && !c.leads() {
		return nil
	}
	return s
}

// examples is how many differences a status has.
const examples = 5

// brief is a copy with some of the differences.
func (s *SliceComparison) brief() SliceComparison {
	b := *s
	if len(b.Differences) > examples {
		b.Differences, b.More = b.Differences[:examples:examples], true
	}
	return b
}
