package dispatch

import (
	"context"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// schemaAge is how long a schema is used. Columns that were made through this gateway are
// known at once, those made through another one after that time.
const schemaAge = time.Second

// schemaCache is what is known of a dataset's tables.
type schemaCache struct {
	turn   chan struct{} // holds one: somebody asks, or looks
	schema groonga.Schema
	asked  time.Time
}

func newSchemaCache() *schemaCache { return &schemaCache{turn: make(chan struct{}, 1)} }

// schema asks a server for a dataset's tables, unless that was done just now.
func (d *Dispatcher) schema(ctx context.Context, ds *dataset) (groonga.Schema, error) {
	s := ds.schema
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return groonga.Schema{}, ctx.Err()
	}
	defer func() { <-s.turn }()
	if !s.asked.IsZero() && time.Since(s.asked) < schemaAge {
		return s.schema, nil
	}
	asked := time.Now()
	answer, err := d.ask(ctx, ds.readable().all, groonga.SchemaCommand())
	if err != nil {
		return groonga.Schema{}, err
	}
	schema, err := groonga.ReadSchema(answer.Body)
	if err == nil {
		s.schema, s.asked = schema, asked
	}
	return schema, err
}

// forget has the schema asked for again.
func (s *schemaCache) forget() {
	s.turn <- struct{}{}
	s.asked = time.Time{}
	<-s.turn
}

// check refuses what several servers cannot do alike.
func (d *Dispatcher) check(ctx context.Context, ds *dataset, c *groonga.Command) error {
	if ds.sliced() {
		return d.checkCut(ctx, ds, c)
	}
	if len(ds.volumes) > 1 {
		byNumber, err := c.ByNumber()
		if byNumber && err == nil {
			err = groonga.ErrByNumber
		}
		return err
	}
	return nil
}

// checkCut refuses what servers that share the data cannot do rightly.
func (d *Dispatcher) checkCut(ctx context.Context, ds *dataset, c *groonga.Command) error {
	cut := groonga.Cut{Fact: ds.fact}
	if c.Name == "select" || c.Name == "delete" {
		var err error
		if cut.Schema, err = d.schema(ctx, ds); err != nil {
			return err
		}
	}
	return cut.Check(c)
}
