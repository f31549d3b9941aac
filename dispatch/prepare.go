package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/ibuki-dev/ibuki/groonga"
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
			err = groonga.ErrByNumber
		}
		return c, err
	}
	return c, nil
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
