package fill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
)

const (
	// pieceBytes is about what one load has of a dump's records.
	pieceBytes = 2 << 20
	// maxLine bounds a line of a dump: a record, or a command.
	maxLine = 256 << 20
	// manyIDs is from how many ids on that follow each other they are deleted by a filter, which looks at the
	// whole table.
	manyIDs = 1000
)

// ErrDump says that a dump is of no form that Groonga gives one.
var ErrDump = errors.New("the dump is not complete, or of no known form")

// ErrNumbers says that a copy would not stay one: records are referred to by number, and a server gives the numbers of
// deleted records to later ones in an order that its dump does not say.
var ErrNumbers = errors.New("records are referred to by numbers that a dump does not keep: " +
	"stop both servers and copy the database's files, or make the table anew")

// step is one command for the server that is filled.
type step struct {
	command *groonga.Command
	rows    int // of a load
}

// Load does in a database that Empty has emptied what a dump of another server says. loaded hears of each piece of
// records. from is asked what the dump does not say: the values of settings.
func Load(ctx context.Context, from, to Server, dump io.Reader, loaded func(rows int)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	steps, ended := make(chan step, 1), make(chan error, 1)
	go func() {
		p := parser{in: NewLines(dump), from: from, keyless: make(map[string]bool), gaps: make(map[string]bool), byID: make(map[string]string)}
		p.emit = func(s step) error {
			select {
			case steps <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := p.run(ctx)
		close(steps)
		ended <- err
	}()
	for s := range steps {
		if err := s.do(ctx, to); err != nil {
			cancel()
			for range steps { // the parser ends, too
			}
			<-ended
			return err
		}
		if s.rows > 0 {
			loaded(s.rows)
		}
	}
	return <-ended
}

func (s *step) do(ctx context.Context, to Server) error {
	c := s.command
	body, err := ask(ctx, to, c)
	switch {
	case err != nil:
		return err
	case c.Name != "load" && string(body) != "true":
		return fmt.Errorf("the server answers %s %s%s with %.100s", c.Name, c.Get("table"), c.Get("name"), body)
	case c.Name == "load" && string(body) != strconv.Itoa(s.rows):
		return fmt.Errorf("of %d records for %s the server took %.20s", s.rows, c.Get("table"), body)
	}
	return nil
}

// parser takes a dump apart.
type parser struct {
	in   *Lines
	from Server
	emit func(step) error

	keyless map[string]bool   // tables without keys
	gaps    map[string]bool   // of these, those of which records were deleted
	byID    map[string]string // columns, with their tables, that refer to records of such a table, and which one

	table       string // of ids that are to be deleted
	first, last uint64 // those from first to last; 0: none
}

func (p *parser) run(ctx context.Context) error {
	for {
		line, err := p.in.Next()
		if errors.Is(err, io.EOF) {
			return p.end()
		} else if err != nil {
			return err
		}
		if err := p.take(ctx, string(line)); err != nil {
			return err
		}
	}
}

// take does a line that begins something.
func (p *parser) take(ctx context.Context, line string) error {
	if rest, ok := strings.CutPrefix(line, "config_set "); ok {
		return p.setting(ctx, line, rest)
	}
	if strings.TrimSpace(line) == "" {
		return nil
	}
	c, err := groonga.ParseLine(line)
	if err != nil {
		return fmt.Errorf("%w: %.80q: %w", ErrDump, line, err)
	}
	if c.Name == "delete" {
		return p.gap(c)
	}
	if err := p.flush(); err != nil {
		return err
	}
	switch c.Name {
	case "load":
		return p.load(c)
	case "table_create":
		p.keyless[c.Get("name")] = strings.Contains(c.Get("flags"), "TABLE_NO_KEY")
		return p.emit(step{command: c})
	case "column_create":
		if to := c.Get("type"); p.keyless[to] && !strings.Contains(c.Get("flags"), "COLUMN_INDEX") {
			p.byID[c.Get("table")+"."+c.Get("name")] = to
		}
		return p.emit(step{command: c})
	case "plugin_register":
		return p.emit(step{command: c})
	}
	return fmt.Errorf("%w: it says %.80q", ErrDump, line)
}

// setting does a line that sets a configuration key, in Groonga's form or in that of a backup.
func (p *parser) setting(ctx context.Context, line, rest string) error {
	if strings.HasPrefix(rest, applier.Prefix) {
		return nil
	}
	if strings.HasPrefix(rest, "--key ") {
		c, err := groonga.ParseLine(line)
		if err != nil || strings.HasPrefix(c.Get("key"), applier.Prefix) {
			return err
		}
		return p.emit(step{command: c})
	}
	key, value, err := Setting(ctx, p.from, rest)
	if err != nil {
		return err
	}
	return p.emit(step{command: command("config_set", "key", key, "value", value)})
}

// load makes pieces of the records of a table.
func (p *parser) load(c *groonga.Command) error {
	if line, err := p.in.Next(); err != nil || string(line) != "[" {
		return fmt.Errorf("%w: no records follow load %s", ErrDump, c.Get("table"))
	}
	head, err := p.in.Next()
	if err != nil {
		return fmt.Errorf("%w: within the records of %s", ErrDump, c.Get("table"))
	}
	columns := append([]byte("["), bytes.TrimSuffix(head, []byte(","))...)
	ids := p.ids(c.Get("table"), columns)
	piece, rows := bytes.Clone(columns), 0
	for {
		line, err := p.in.Next()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it ends within the records of %s", ErrDump, c.Get("table"))
		}
		if err != nil {
			return err
		}
		end := string(line) == "]"
		if !end {
			row := bytes.TrimSuffix(line, []byte(","))
			if len(ids) > 0 {
				row = withoutNone(row, ids)
			}
			piece = append(append(piece, ",\n"...), row...)
			rows++
		}
		if rows > 0 && (end || len(piece) >= pieceBytes) {
			load := c.Clone()
			load.Body = append(piece, ']')
			if err := p.emit(step{load, rows}); err != nil {
				return err
			}
			piece, rows = bytes.Clone(columns), 0
		}
		if end {
			return nil
		}
	}
}

// ids are the places of the columns that refer to records by their ids.
func (p *parser) ids(table string, columns []byte) (places []int) {
	var names []string
	if json.Unmarshal(columns[1:], &names) != nil {
		return nil // the server will say so
	}
	for i, name := range names {
		if p.byID[table+"."+name] != "" {
			places = append(places, i)
		}
	}
	return places
}

// withoutNone has a record refer to nothing where the dump says 0: a server dumps that, and refuses to load it.
func withoutNone(row []byte, places []int) []byte {
	var values []json.RawMessage
	if json.Unmarshal(row, &values) != nil {
		return row
	}
	changed := false
	for _, i := range places {
		if i < len(values) && string(values[i]) == "0" {
			values[i], changed = json.RawMessage("null"), true
		}
	}
	if !changed {
		return row
	}
	var b bytes.Buffer
	for i, v := range values {
		b.WriteByte("[,"[min(i, 1)])
		b.Write(v)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// gap takes a delete by id: the dump has records of nothing for the ids that a table without keys does not have.
func (p *parser) gap(c *groonga.Command) error {
	id, err := strconv.ParseUint(c.Get("id"), 10, 32)
	if err != nil || id == 0 {
		return fmt.Errorf("%w: a delete without an id", ErrDump)
	}
	if p.first > 0 && p.table == c.Get("table") && id == p.last+1 {
		p.last = id
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.table, p.first, p.last = c.Get("table"), id, id
	p.gaps[p.table] = true
	for _, column := range slices.Sorted(maps.Keys(p.byID)) {
		if p.byID[column] == p.table {
			return fmt.Errorf("%w: %s refers to records of %s, of which some were deleted", ErrNumbers, column, p.table)
		}
	}
	return nil
}

// end says of which tables the ids have no gaps.
func (p *parser) end() error {
	if err := p.flush(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.keyless)) {
		if !p.keyless[name] || p.gaps[name] || len(name) > applier.MaxDense {
			continue
		}
		if err := p.emit(step{command: command("config_set", "key", applier.KeyDense+name, "value", "1")}); err != nil {
			return err
		}
	}
	return nil
}

// flush deletes the ids of a gap.
func (p *parser) flush() error {
	first, last := p.first, p.last
	p.first, p.last = 0, 0
	switch {
	case first == 0:
		return nil
	case last-first+1 >= manyIDs:
		return p.emit(step{command: command("delete", "table", p.table, "filter", fmt.Sprintf("_id >= %d && _id <= %d", first, last))})
	}
	for id := first; id <= last; id++ {
		if err := p.emit(step{command: command("delete", "table", p.table, "id", fmt.Sprint(id))}); err != nil {
			return err
		}
	}
	return nil
}
