package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
)

// prepare refuses what several servers cannot do alike, and finds out what is needed to do the
// rest rightly.
func (d *Dispatcher) prepare(ctx context.Context, ds *dataset, c *groonga.Command) (*groonga.Command, error) {
	if ds.sliced() {
		return d.prepareCut(ctx, ds, c)
	}
	if len(ds.volumes) > 1 {
		byNumber, err := c.ByNumber()
		if byNumber && err == nil {
			c, err = d.byKey(ctx, ds, c)
		}
		if err == nil {
			err = d.checkNumbers(ctx, ds, c)
		}
		return c, err
	}
	return c, nil
}

// byKey makes a delete by key of one by number, if all servers that are read from have the
// same record under that number. The others get it by its key, too.
func (d *Dispatcher) byKey(ctx context.Context, ds *dataset, c *groonga.Command) (*groonga.Command, error) {
	find, ok := c.FindByNumber()
	if !ok {
		return nil, groonga.ErrByNumber
	}
	key, asked := "", 0
	for _, v := range ds.volumes {
		if v.lacks() || !v.reachable() {
			continue
		}
		answer, err := d.ask(ctx, []*volume{v}, find)
		if err != nil {
			return nil, err
		}
		found, ok := groonga.KeyFound(answer.Body)
		if !ok || asked > 0 && found != key {
			return nil, groonga.ErrByNumber
		}
		key, asked = found, asked+1
	}
	if asked == 0 {
		return nil, ErrNoReplica
	}
	c = c.Clone()
	c.Del("id")
	c.Set("key", key)
	return c, nil
}

// checkNumbers keeps the numbers alike by which records refer to those of a table without keys. A server gives the
// number of a deleted record to a later one, and which one first is not the same on one that was filled: so nothing is
// deleted from such a table, and nothing refers to one from which something was.
func (d *Dispatcher) checkNumbers(ctx context.Context, ds *dataset, c *groonga.Command) error {
	to := ""
	switch c.Name {
	case "delete":
		if to = c.Get("table"); c.Get("key") != "" {
			return nil
		}
	case "column_create":
		if to = c.Get("type"); strings.Contains(c.Get("flags"), "COLUMN_INDEX") {
			return nil
		}
	default:
		return nil
	}
	if d.logged == nil {
		return nil // it is refused anyway
	}
	schema, err := d.schema(ctx, ds)
	if err != nil || !schema.IsKeyless(to) {
		return err
	}
	if c.Name == "delete" {
		if column := schema.Referring(to); column != "" {
			return fmt.Errorf("%w: %s refers to records of %s, so that none of them can be deleted; truncate empties the table", groonga.ErrByNumber, column, to)
		}
		return nil
	}
	for _, v := range ds.volumes {
		if v.rank() != good {
			continue
		}
		if dense, err := d.setting(v, applier.KeyDense+to); err != nil || dense == "" {
			return errors.Join(err, fmt.Errorf("%w: a column that refers to records of %s, of which some may have been deleted: make the table anew, or give it keys", groonga.ErrByNumber, to))
		}
	}
	return nil
}

// prepareCut refuses what servers that share the data cannot do rightly. It finds out how the
// keys are made by which the records of a write are placed, and has the records made to which
// those of a load refer.
func (d *Dispatcher) prepareCut(ctx context.Context, ds *dataset, c *groonga.Command) (*groonga.Command, error) {
	cut := groonga.Cut{Fact: ds.fact}
	if groonga.NeedsSchema(c.Name) {
		var err error
		if cut.Schema, err = d.schema(ctx, ds); err != nil {
			return nil, err
		}
	}
	if err := cut.Check(c); err != nil {
		return nil, err
	}
	if err := d.checkNumbers(ctx, ds, c); err != nil {
		return nil, err
	}
	if c.Name != "load" && c.Name != "delete" {
		return c, nil
	}
	table := c.Get("table")
	if ds.fact == "" || table == ds.fact {
		keys, err := d.keys(ctx, ds, table)
		if err == nil {
			err = d.normalize(ctx, ds, c, &keys)
		}
		if err != nil {
			return nil, err
		}
		c = c.Clone()
		c.Keys = keys
		if err := keys.Check(c); err != nil {
			return nil, err
		}
	}
	if c.Name == "load" && !c.Forwarded {
		return c, d.refer(ctx, ds, cut, c)
	}
	return c, nil
}

// normalize asks what the normalizer of a table makes of the keys of a write.
func (d *Dispatcher) normalize(ctx context.Context, ds *dataset, c *groonga.Command, keys *groonga.Keys) error {
	texts, err := keys.Unknown(c)
	if err != nil || len(texts) == 0 {
		return err
	}
	keys.Normalized = make(map[string]string, len(texts))
	for _, text := range texts {
		answer, err := d.ask(ctx, ds.readable().all, keys.NormalCommand(text))
		if err != nil {
			return err
		}
		if keys.Normalized[text], err = groonga.ReadNormal(answer.Body); err != nil {
			return fmt.Errorf("the key %q: %w", text, err)
		}
	}
	return nil
}

// refer has the records made, on all servers, to which the records of a load refer. A server
// makes those that are missing by itself, but only where the record is.
func (d *Dispatcher) refer(ctx context.Context, ds *dataset, cut groonga.Cut, c *groonga.Command) error {
	unknown, err := cut.UnknownColumns(c)
	if err != nil {
		return err
	}
	if unknown { // one may have been made through another gateway just now
		ds.schema.forget()
		if cut.Schema, err = d.schema(ctx, ds); err != nil {
			return err
		}
	}
	referred, err := cut.Referred(c)
	if err != nil {
		return err
	}
	for _, r := range referred {
		for _, part := range r.Parts() {
			answer, err := d.ask(ctx, ds.readable().all, part.Find())
			if err != nil {
				return err
			}
			if part.Found(answer.Body) {
				continue
			}
			load := part.Load()
			load.Dataset = c.Dataset
			// What is wrong with one of them, the load itself says.
			if _, err := d.Do(ctx, load); err != nil && !errors.Is(err, groonga.ErrNotSupported) {
				return fmt.Errorf("the records of %s that are referred to: %w", part.Table, err)
			}
		}
	}
	return nil
}
