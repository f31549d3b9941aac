package dispatch

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
)

// holders are the servers of a record, in all layouts.
func (ds *dataset) holders(r catalog.Record) ([]*volume, error) {
	parts, err := ds.place(r)
	if err != nil {
		return nil, err
	}
	return ds.union(parts), nil
}

// place finds a record's part in each layout.
func (ds *dataset) place(r catalog.Record) ([]int, error) {
	parts := make([]int, len(ds.layouts))
	for i, l := range ds.layouts {
		var err error
		if parts[i], err = l.cut.Find(r); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// union are the servers of a part of each layout.
func (ds *dataset) union(parts []int) []*volume {
	var all []*volume
	for i, l := range ds.layouts {
		for _, v := range l.parts[parts[i]].volumes {
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all
}

// spread is where the records of one table without a key go: by their content, so
// that all replicas agree.
func (ds *dataset) spread(record []byte) []int {
	sum := crc32.ChecksumIEEE(record)
	parts := make([]int, len(ds.layouts))
	for i, l := range ds.layouts {
		parts[i] = int(sum % uint32(len(l.parts)))
	}
	return parts
}

// loadShares splits the records of a load by their slices.
func (ds *dataset) loadShares(c *groonga.Command) ([]share, error) {
	if t := c.Get("input_type"); t != "" && t != "json" {
		return nil, fmt.Errorf("load of input_type %s: %w", t, groonga.ErrNotSupported)
	}
	records, err := groonga.Records(c)
	if err != nil {
		return nil, err
	}
	groups := make(map[string]*group)
	var order []*group
	for i, r := range records.Rows {
		parts, err := ds.partsOf(records, c.Keys, r)
		if err != nil {
			return nil, err
		}
		key := fmt.Sprint(parts)
		g := groups[key]
		if g == nil {
			g = &group{parts: parts}
			groups[key] = g
			order = append(order, g)
		}
		g.rows, g.at = append(g.rows, r), append(g.at, i)
	}
	list := make([]share, 0, len(order))
	for _, g := range order {
		list = append(list, share{records.Command(c, g.rows), ds.union(g.parts), g.at})
	}
	return list, nil
}

// group are the records of a load that go to the same servers.
type group struct {
	parts []int
	rows  []json.RawMessage
	at    []int // which of the load's records they are
}

// partsOf finds the part of a record in each layout.
func (ds *dataset) partsOf(list *groonga.RecordList, keys groonga.Keys, row json.RawMessage) ([]int, error) {
	record := list.Record(row)
	key, keyed := record["_key"]
	if !keyed {
		return ds.spread(row), nil
	}
	text, err := keys.Place(key)
	if err != nil {
		return nil, err
	}
	record["_key"] = text
	return ds.place(record)
}

// combineWrites makes one answer of those to the shares of a write. Of a load whose
// records were shared out it is that to the whole load; else the first that is a failure,
// or the first.
func combineWrites(c *groonga.Command, shares []share, answers []groonga.Answer) groonga.Answer {
	if len(answers) == 1 {
		return answers[0]
	}
	if c.Name == "load" && shares[0].rows != nil {
		rows, parts := make([][]int, len(shares)), make([]*groonga.Command, len(shares))
		for i, s := range shares {
			rows[i], parts[i] = s.rows, s.command
		}
		if whole, err := groonga.CombineLoads(c, parts, answers, rows); err == nil {
			return whole
		}
	}
	for _, a := range answers {
		if a.Code != 0 {
			return a
		}
	}
	return answers[0]
}
