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
	keys   map[string]tableKeys
	asked  time.Time
}

// tableKeys is how the table with that number makes its keys.
type tableKeys struct {
	id   int
	keys groonga.Keys
}

func newSchemaCache() *schemaCache {
	return &schemaCache{turn: make(chan struct{}, 1), keys: make(map[string]tableKeys)}
}

// schema asks a server for a dataset's tables, unless that was done just now.
func (d *Dispatcher) schema(ctx context.Context, ds *dataset) (groonga.Schema, error) {
	if err := ds.schema.take(ctx); err != nil {
		return groonga.Schema{}, err
	}
	defer ds.schema.give()
	return d.schemaHeld(ctx, ds)
}

// schemaHeld is schema for whoever has the turn.
func (d *Dispatcher) schemaHeld(ctx context.Context, ds *dataset) (groonga.Schema, error) {
	s := ds.schema
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

// take takes the turn.
func (s *schemaCache) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *schemaCache) give() { <-s.turn }

// forget has the schema asked for again.
func (s *schemaCache) forget() {
	s.turn <- struct{}{}
	s.asked = time.Time{}
	s.give()
}

// keys asks how a table makes its keys, unless that is known.
func (d *Dispatcher) keys(ctx context.Context, ds *dataset, table string) (groonga.Keys, error) {
	s := ds.schema
	if err := s.take(ctx); err != nil {
		return groonga.Keys{}, err
	}
	defer s.give()
	schema, err := d.schemaHeld(ctx, ds)
	if err != nil {
		return groonga.Keys{}, err
	}
	id := schema.ID(table)
	if known, ok := s.keys[table]; ok && known.id == id || id == 0 {
		return known.keys, nil
	}
	answer, err := d.ask(ctx, ds.readable().all, groonga.KeysCommand(table))
	if err != nil {
		return groonga.Keys{}, err
	}
	keys := groonga.ReadKeys(answer.Body, table)
	s.keys[table] = tableKeys{id, keys}
	return keys, nil
}
