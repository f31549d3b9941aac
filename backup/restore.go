package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

// parallel is how many loads are under way at a time.
const parallel = 4

// ErrByNumber refuses a backup in which records refer to others by their numbers, which cannot be kept.
var ErrByNumber = errors.New("records refer to a table without keys by number")

// Restore does in an empty cluster what the backup says, by commands to a gateway. loaded hears of each piece of
// records. cut reports whether the cluster cuts a table into slices.
func (f *Folder) Restore(ctx context.Context, gateway fill.Server, cut func(table string) bool, loaded func(rows int)) error {
	gaps, err := f.gaps(cut)
	if err != nil {
		return err
	}
	var all []io.Reader
	for i := range f.Files {
		in, err := f.open(&f.Files[i])
		if err != nil {
			return err
		}
		defer in.Close()
		all = append(all, in)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &restorer{Server: gateway, ctx: ctx, cancel: cancel, keyless: make(map[string]bool), refers: make(map[string]string), gaps: gaps, free: make(chan struct{}, parallel)}
	err = fill.Load(ctx, r, r, io.MultiReader(all...), loaded)
	r.wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause // what broke the rest off
	}
	if err != nil {
		return err
	}
	for _, c := range r.indexes {
		if a, err := gateway.Do(ctx, c); err != nil || a.Code != 0 {
			return errors.Join(err, failure(c, &a))
		}
	}
	return nil
}

// restorer is between a dump and the gateway: records get new numbers, and indexes are made last, of all records at
// once.
type restorer struct {
	fill.Server
	ctx    context.Context // of all loads: that of a call ends with the last piece
	cancel context.CancelCauseFunc

	keyless map[string]bool
	refers  map[string]string // columns, with their tables, that refer to a table without keys, and which one
	gaps    map[string]ids
	indexes []*groonga.Command

	free  chan struct{} // holds one for each load under way
	loads sync.WaitGroup
}

// done is what is said of a command that is not done now, or not at all.
func done(body string) groonga.Answer {
	return groonga.Answer{Status: 200, ContentType: groonga.JSONType, Body: []byte("[[0,0.0,0.0]," + body + "]")}
}

// failure is what a server says against a command.
func failure(c *groonga.Command, a *groonga.Answer) error {
	if a.Code == 0 {
		return nil
	}
	return fmt.Errorf("%s %s%s is answered with %d: %.200s", c.Name, c.Get("table"), c.Get("name"), a.Code, a.Body)
}

// wait waits until no load is under way.
func (r *restorer) wait() { r.loads.Wait() }

// Do does one command.
func (r *restorer) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	if applier.Reserved(c) { // the gateways see to it themselves
		return done("true"), nil
	}
	switch c.Name {
	case "load":
		return r.load(ctx, c)
	case "delete": // what stood in the place of a free id was not loaded
		return done("true"), nil
	case "table_create":
		r.keyless[c.Get("name")] = isKeyless(c)
	case "column_create":
		if strings.Contains(c.Get("flags"), "COLUMN_INDEX") {
			r.indexes = append(r.indexes, c)
			return done("true"), nil
		}
		if to := c.Get("type"); r.keyless[to] {
			r.refers[c.Get("table")+"."+c.Get("name")] = to
		}
	}
	r.wait()
	return r.Server.Do(ctx, c)
}

func isKeyless(c *groonga.Command) bool { return strings.Contains(c.Get("flags"), "TABLE_NO_KEY") }

// load has records loaded. Those of a table with keys need not be waited for: a fault ends the rest.
func (r *restorer) load(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	list, err := groonga.Records(c)
	if err != nil {
		return groonga.Answer{}, err
	}
	all, table := len(list.Rows), c.Get("table")
	next, kept, err := r.renumber(c, list)
	if err != nil || kept == 0 {
		return done(strconv.Itoa(all)), err
	}
	if r.keyless[table] { // in order: they are numbered as they come
		r.wait()
		if err := r.send(ctx, next, kept); err != nil {
			return groonga.Answer{}, err
		}
		return done(strconv.Itoa(all)), nil
	}
	select {
	case r.free <- struct{}{}:
	case <-ctx.Done():
		return groonga.Answer{}, context.Cause(ctx)
	}
	r.loads.Go(func() {
		defer func() { <-r.free }()
		if err := r.send(r.ctx, next, kept); err != nil {
			r.cancel(err)
		}
	})
	return done(strconv.Itoa(all)), nil
}

// send has a load done, and all of it.
func (r *restorer) send(ctx context.Context, c *groonga.Command, rows int) error {
	a, err := r.Server.Do(ctx, c)
	if err == nil {
		err = failure(c, &a)
	}
	if err != nil {
		return err
	}
	body, err := groonga.Result(a.Body)
	if err == nil && string(body) != strconv.Itoa(rows) {
		err = fmt.Errorf("of %d records for %s the cluster took %.20s", rows, c.Get("table"), body)
	}
	return err
}

// ids are numbers of records, ascending.
type ids []uint64

// renumbered is the number that a record gets that had another one: those before it that are free are gone.
func (free ids) renumbered(id uint64) uint64 {
	n, _ := slices.BinarySearch(free, id)
	return id - uint64(n)
}

// gaps finds the free ids of tables without keys to which records refer.
func (f *Folder) gaps(cut func(table string) bool) (map[string]ids, error) {
	s := scan{keyless: make(map[string]bool), referred: make(map[string]string), gaps: make(map[string]ids), in: make(map[string]int)}
	for i := range f.Files {
		if i > 0 && len(s.referred) == 0 {
			break
		}
		if err := s.file(f, &f.Files[i]); err != nil {
			return nil, err
		}
	}
	for table, column := range s.referred { // order-free: any one is a reason
		if s.in[table] > 1 || cut(table) {
			return nil, fmt.Errorf("%w: %s to %s, whose records are on several slices", ErrByNumber, column, table)
		}
	}
	return s.gaps, nil
}

// scan looks through the files of a backup.
type scan struct {
	keyless  map[string]bool
	referred map[string]string // tables without keys, and a column that refers to them
	gaps     map[string]ids
	in       map[string]int // how many files have records of them
}

func (s *scan) file(f *Folder, file *File) error {
	in, err := f.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := fill.NewLines(in)
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		word, _, _ := strings.Cut(string(line[:min(len(line), 32)]), " ")
		switch word {
		case "table_create", "column_create", "load":
		default:
			continue
		}
		c, err := groonga.ParseLine(string(line))
		if err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
		switch {
		case word == "table_create":
			s.keyless[c.Get("name")] = isKeyless(c)
		case word == "column_create" && s.keyless[c.Get("type")]:
			s.referred[c.Get("type")] = c.Get("table") + "." + c.Get("name")
		case word == "load" && len(s.referred) == 0:
			return nil // the schema comes first
		case word == "load":
			if err := s.records(lines, c.Get("table")); err != nil {
				return fmt.Errorf("%s: %w", file.Name, err)
			}
		}
	}
}

// records looks through the records of a table.
func (s *scan) records(lines *fill.Lines, table string) error {
	_, referred := s.referred[table]
	s.in[table]++
	for n := -2; ; n++ { // "[" and the columns come first
		line, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: it ends within the records of %s", fill.ErrDump, table)
		case err != nil:
			return err
		case string(line) == "]":
			return nil
		case referred && n >= 0 && (string(line) == "[]," || string(line) == "[]"):
			s.gaps[table] = append(s.gaps[table], uint64(n)+1)
		}
	}
}

// Exists reports whether there is something with a name that a backup may have, so that a new one does not go there.
func Exists(dir string) (bool, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(list, func(e os.DirEntry) bool { return e.Name() == ManifestName }), nil
}
