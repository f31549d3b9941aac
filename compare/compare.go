package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// Servers are those that hold the same, or should.
type Servers interface {
	// Count is how many there are: two at least.
	Count() int
	// Ask asks one of them now. It is called concurrently.
	Ask(ctx context.Context, server int, c *groonga.Command) (groonga.Answer, error)
	// AskAt has all of them answer at the same position in the order of the writes: what
	// came before is done, and nothing that comes after. The answers are in their order.
	AskAt(ctx context.Context, c *groonga.Command) ([]groonga.Answer, error)
}

// Config is what a pass is made of. Zero means the default where one is given.
type Config struct {
	Servers Servers  // needed
	Tables  []string // only these, and what is found through their indexes; none: all
	// Rate is how many records a second are read of each server; 0: as many as can be.
	Rate int
	// Rest is how many times as long as a server took it is then left alone; 0: not at all.
	Rest int
	// Full compares all that is found through each index; else of terms that are found often
	// only how often.
	Full bool
	// MaxDifferences is after how many a pass ends; default 100.
	MaxDifferences int
	MaxBytes       int // of memory for what waits to be compared, about; default 64 MiB
	// Report is called as the pass goes on; nil: it is not. It must not wait.
	Report func(Progress)
	// Pause waits: nil is the clock's. It is for tests.
	Pause func(ctx context.Context, d time.Duration) error
}

func (c Config) withDefaults() Config {
	if c.MaxDifferences == 0 {
		c.MaxDifferences = 100
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	if c.Report == nil {
		c.Report = func(Progress) {}
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	return c
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Progress is how far a pass has come.
type Progress struct {
	Table   string `json:"table,omitempty"` // or index, under way
	Tables  int    `json:"tables"`          // compared
	Records uint64 `json:"records"`         // read of each server
	Terms   uint64 `json:"terms"`           // searched for in indexes
}

// Result is what a pass came to.
type Result struct {
	Progress
	Differences []Difference `json:"differences,omitempty"`
	// More tells that there may be differences beside these: the pass has ended early.
	More bool `json:"more,omitempty"`
	// Undecided are tables of which nothing can be said, with the reason.
	Undecided []string `json:"undecided,omitempty"`
}

// Odd are the places of servers that differ from most of the others in something. Of the
// rest one at least agrees with a majority in everything that was compared.
func (r *Result) Odd() (places []int) {
	for i := range r.Differences {
		for _, p := range r.Differences[i].Odd {
			if !slices.Contains(places, p) {
				places = append(places, p)
			}
		}
	}
	slices.Sort(places)
	return places
}

// pass is one under way.
type pass struct {
	Config
	Result
	n     int
	slack time.Duration              // how long the servers may still be left alone for what was read
	wrong map[string]map[string]bool // by table: the keys of records that differ
	loose map[string]bool            // tables without keys whose records have other ids elsewhere
}

// errEnough ends a pass that has found as many differences as it may.
var errEnough = errors.New("enough differences")

// Run compares once. The error is that of a server which could not be asked, or ctx's; what
// was found until then is in the result.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	p := &pass{Config: cfg.withDefaults(), n: cfg.Servers.Count(), wrong: make(map[string]map[string]bool), loose: make(map[string]bool)}
	if p.n < 2 {
		return &p.Result, errors.New("compare: one server has nothing to be compared with")
	}
	err := p.run(ctx)
	p.Table = ""
	if errors.Is(err, errEnough) {
		p.More, err = true, nil
	}
	return &p.Result, err
}

func (p *pass) run(ctx context.Context) error {
	p.Report(p.Progress)
	schemas, err := p.schemas(ctx)
	if err != nil {
		return err
	}
	tables := common(schemas, p.Tables)
	for _, name := range p.Tables {
		missing := func(s *schema) bool { return s.tables[name] == nil }
		if !slices.ContainsFunc(schemas, func(s *schema) bool { return !missing(s) }) {
			return fmt.Errorf("there is no table %q", name)
		}
	}
	for _, t := range tables {
		if t.derived() {
			continue
		}
		p.begin(t.name)
		if err := p.table(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		p.Progress.Tables++
	}
	return p.indexes(ctx, common(schemas, nil))
}

// indexes compares what is found through the indexes of tables that all have.
func (p *pass) indexes(ctx context.Context, tables []*table) error {
	byName := make(map[string]*table)
	for _, t := range tables {
		byName[t.name] = t
	}
	for _, t := range tables {
		for _, x := range t.indexes {
			source := byName[x.source]
			if source == nil || len(p.Tables) > 0 && !slices.Contains(p.Tables, t.name) && !slices.Contains(p.Tables, x.source) {
				continue
			}
			p.begin(t.name + "." + x.name)
			if err := p.index(ctx, t, x, source); err != nil {
				return fmt.Errorf("index %s.%s: %w", t.name, x.name, err)
			}
		}
	}
	return nil
}

func (p *pass) begin(table string) {
	p.Table = table
	p.Report(p.Progress)
}

// note notes a difference.
func (p *pass) note(d Difference) error {
	p.Differences = append(p.Differences, d)
	if p.wrong[d.Table] == nil {
		p.wrong[d.Table] = make(map[string]bool)
	}
	p.wrong[d.Table][d.Key] = true
	if len(p.Differences) >= p.MaxDifferences {
		return errEnough
	}
	return nil
}

// schemas reads what there is, and compares it: first now, and if it is not the same, at one
// position.
func (p *pass) schemas(ctx context.Context) ([]*schema, error) {
	answers, err := p.all(ctx, schemaCommand())
	if err != nil {
		return nil, err
	}
	all, err := readSchemas(answers)
	if err != nil {
		return nil, err
	}
	list := diffSchemas(all)
	for range confirmations {
		if len(list) == 0 {
			return all, nil
		}
		if answers, err = p.at(ctx, schemaCommand()); err != nil {
			return nil, err
		}
		if all, err = readSchemas(answers); err != nil {
			return nil, err
		}
		list = diffSchemas(all)
	}
	for _, d := range list {
		if len(p.Tables) > 0 && !slices.Contains(p.Tables, d.Table) {
			continue
		}
		if err := p.note(d); err != nil {
			return all, err
		}
	}
	return all, nil
}

func readSchemas(answers []groonga.Answer) (all []*schema, err error) {
	for i := range answers {
		s, err := readSchema(answers[i].Body)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// all asks all servers at the same time.
func (p *pass) all(ctx context.Context, c *groonga.Command) ([]groonga.Answer, error) {
	answers, errs := make([]groonga.Answer, p.n), make([]error, p.n)
	began := time.Now()
	var asked sync.WaitGroup
	for i := range p.n {
		asked.Go(func() {
			if answers[i], errs[i] = p.Servers.Ask(ctx, i, c); errs[i] == nil {
				errs[i] = refusal(c, &answers[i])
			}
		})
	}
	asked.Wait()
	p.slack += time.Duration(p.Rest) * time.Since(began)
	return answers, errors.Join(errs...)
}

// at asks all servers at one position.
func (p *pass) at(ctx context.Context, c *groonga.Command) ([]groonga.Answer, error) {
	answers, err := p.Servers.AskAt(ctx, c)
	if err != nil {
		return nil, err
	}
	for i := range answers {
		if err := refusal(c, &answers[i]); err != nil {
			return nil, err
		}
	}
	return answers, p.rest(ctx, positionCost)
}

// positionCost is as how many records a question at one position counts.
const positionCost = 50

func refusal(c *groonga.Command, a *groonga.Answer) error {
	if a.Code == 0 {
		return nil
	}
	return fmt.Errorf("a server answers %s %s with %d: %.200s", c.Name, c.Get("table"), a.Code, a.Body)
}

// rest leaves the servers alone for as long as so many records are to take.
func (p *pass) rest(ctx context.Context, records int) error {
	d := p.slack
	if p.Rate > 0 {
		d = max(d, time.Duration(records)*time.Second/time.Duration(p.Rate))
	}
	p.slack = 0
	if d <= 0 {
		return ctx.Err()
	}
	return p.Pause(ctx, d)
}
