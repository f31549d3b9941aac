package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

// Home reports whether a record of a table belongs to the slice that is written. row is a JSON array of the columns'
// values.
type Home func(ctx context.Context, table string, columns []string, row []byte) (bool, error)

// Slice says what of a server's records belongs to its slice.
type Slice struct {
	Cut  func(table string) bool // whether the records of a table are on several slices
	Home Home
}

// Write copies a server's dump to out, as a file of a backup: without what is the gateways' own, with settings in a
// form that can be read again, without empty records that belong to another slice, and without the numbers that records of
// another slice have as well. It fills in what file says of it. from is asked for the values of settings; slice may be
// nil: there is one.
func Write(ctx context.Context, from fill.Server, dump io.Reader, out io.Writer, file *File, slice *Slice) error {
	h := sha256.New()
	buffer := bufio.NewWriterSize(io.MultiWriter(out, h), 1<<18)
	w := &writer{in: fill.NewLines(dump), out: buffer, from: from, file: file, slice: slice}
	file.Records = make(map[string]int64)
	if err := w.run(ctx); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	file.Bytes, file.SHA256 = w.bytes, sum(h)
	return nil
}

// writer makes a file of a backup.
type writer struct {
	in    *fill.Lines
	out   io.Writer
	from  fill.Server
	file  *File
	slice *Slice
	bytes int64
}

// say writes the parts of a line, or of its end.
func (w *writer) say(parts ...[]byte) error {
	for _, p := range parts {
		n, err := w.out.Write(p)
		if w.bytes += int64(n); err != nil {
			return err
		}
	}
	return nil
}

var newLine = []byte("\n")

func (w *writer) run(ctx context.Context) error {
	for {
		line, err := w.in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch rest, setting := strings.CutPrefix(string(line[:min(len(line), len("config_set ")+4096)]), "config_set "); {
		case setting && strings.HasPrefix(rest, applier.Prefix):
			continue
		case setting:
			if line, err = w.setting(ctx, rest); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte("delete ")):
			if c, err := groonga.ParseLine(string(line)); err == nil && w.cut(c.Get("table")) {
				continue // a free id
			}
		case bytes.HasPrefix(line, []byte("load ")):
			if err := w.load(ctx, string(line)); err != nil {
				return err
			}
			continue
		}
		if err := w.say(line, newLine); err != nil {
			return err
		}
	}
}

// setting writes a line that sets a configuration key so that it can be read again.
func (w *writer) setting(ctx context.Context, rest string) ([]byte, error) {
	key, value, err := fill.Setting(ctx, w.from, rest)
	if err != nil {
		return nil, err
	}
	return []byte("config_set --key " + quote(key) + " --value " + quote(value)), nil
}

// quote writes an argument of a command line.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// load copies the records of a table.
func (w *writer) load(ctx context.Context, line string) error {
	c, err := groonga.ParseLine(line)
	if err != nil {
		return fmt.Errorf("%w: %.80q: %w", fill.ErrDump, line, err)
	}
	table := c.Get("table")
	broken := fmt.Errorf("%w: it ends within the records of %s", fill.ErrDump, table)
	if begin, err := w.in.Next(); err != nil || string(begin) != "[" {
		return broken
	}
	head, err := w.in.Next()
	if err != nil {
		return broken
	}
	head = bytes.TrimSuffix(head, []byte(","))
	var columns []string
	if err := json.Unmarshal(head, &columns); err != nil {
		return fmt.Errorf("%w: the columns of %s: %w", fill.ErrDump, table, err)
	}
	number := -1 // the place of numbers that are left out
	if w.cut(table) {
		number = slices.Index(columns, "_id")
	}
	if err := w.say([]byte(line+"\n[\n"), without(head, number)); err != nil {
		return err
	}
	for {
		row, err := w.in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return broken
		case err != nil:
			return err
		case string(row) == "]":
			return w.say([]byte("\n]\n"))
		}
		row = bytes.TrimSuffix(row, []byte(","))
		if number >= 0 && string(row) == "[]" { // in the place of an id that is free
			continue
		}
		if err := w.row(ctx, table, columns, without(row, number)); err != nil {
			return err
		}
	}
}

func (w *writer) row(ctx context.Context, table string, columns []string, row []byte) error {
	if w.slice != nil && empty(columns, row) {
		own, err := w.slice.Home(ctx, table, columns, row)
		if err != nil {
			return err
		}
		if !own {
			w.file.LeftOut++
			return nil
		}
	}
	if string(row) != "[]" { // in the place of an id that is free
		w.file.Records[table]++
	}
	return w.say([]byte(",\n"), row)
}

func (w *writer) cut(table string) bool { return w.slice != nil && w.slice.Cut(table) }

// without is an array without the value at a place; below 0: as it is.
func without(row []byte, place int) []byte {
	var values []json.RawMessage
	if place < 0 || json.Unmarshal(row, &values) != nil {
		return row
	}
	var b bytes.Buffer
	writeRow(&b, values, place)
	return b.Bytes()
}

// none are the values that a record has of which only the key is known.
var none = map[string]bool{`""`: true, "0": true, "0.0": true, "false": true, "[]": true, "{}": true, "null": true, `"0x0"`: true}

// empty reports whether a record with a key has no values.
func empty(columns []string, row []byte) bool {
	var values []json.RawMessage
	if json.Unmarshal(row, &values) != nil || len(values) != len(columns) {
		return false
	}
	keyed := false
	for i, v := range values {
		if columns[i] == "_key" {
			keyed = true
		} else if !none[string(v)] {
			return false
		}
	}
	return keyed
}
