package dispatch

import (
	"fmt"
	"slices"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
)

// share is the part of a write that some of the servers get.
type share struct {
	command *groonga.Command
	volumes []*volume
	rows    []int // of a load: which of its records these are; nil: all
}

// shares splits a write: records go to the servers of their slice, all else to all
// servers.
func (ds *dataset) shares(c *groonga.Command) ([]share, error) {
	if !ds.sliced() {
		return []share{{c, ds.layouts[0].parts[0].volumes, nil}}, nil
	}
	if ds.fact != "" && c.Get("table") != ds.fact {
		return ds.everywhere(c), nil // only the fact table is cut into slices
	}
	switch c.Name {
	case "load":
		return ds.loadShares(c)
	case "delete":
		if key, ok := c.Lookup("key"); ok {
			text, err := c.Keys.Place(key)
			if err != nil {
				return nil, err
			}
			volumes, err := ds.holders(catalog.Key(text))
			return []share{{c, volumes, nil}}, err
		}
		if _, ok := c.Lookup("id"); ok {
			return nil, fmt.Errorf("delete by id: %w: each slice numbers its records by itself", groonga.ErrNotSupported)
		}
	}
	return ds.everywhere(c), nil
}

// everywhere makes a share for each part, so that each is taken by a live replica.
func (ds *dataset) everywhere(c *groonga.Command) []share {
	var list []share
	var seen []*volume
	for _, l := range ds.layouts {
		for _, p := range l.parts {
			fresh := slices.DeleteFunc(slices.Clone(p.volumes), func(v *volume) bool { return slices.Contains(seen, v) })
			seen = append(seen, fresh...)
			if len(fresh) > 0 {
				list = append(list, share{c, fresh, nil})
			}
		}
	}
	return list
}
