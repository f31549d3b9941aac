package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Catalog is a catalog.json that was read and found right. It is not changed
// afterwards, and anybody may read it.
type Catalog struct {
	Version   int    // 1 or 2
	Effective string // the effective date as written; "" if there is none
	Datasets  []*Dataset
	// Warnings are what is allowed but hardly meant; in the order of the document.
	Warnings []Fault

	canonical []byte
}

// Dataset is one body of data and where it is kept.
type Dataset struct {
	Name    string
	Workers int             // the original's worker processes; not used here
	Plugins []string        // the original's plugins; not used here
	Schema  json.RawMessage // the object as written; nil if there is none
	Fact    string          // the table that the slices are made by
	Volume  *Volume         // the root of the tree: the replicas (version 1: the ring)
	// Layouts are the ways in which the data is cut into parts: one, unless there
	// are replicas that are cut differently. Never empty.
	Layouts []*Layout
}

// Volume is one node of a dataset's tree: a single volume if it has neither
// Replicas nor Slices, and else one of these.
type Volume struct {
	Path     string  // where in the document
	Address  Address // of a single volume
	Replicas []*Volume
	Slices   []*Slice
	// Of slices: what a record is placed by (a column's name, "_key"), and how
	// ("hash"; all else puts every record into the first slice).
	Dimension, Slicer string

	continuum *continuum // of slices with the slicer "hash"
}

// Slice is one of a volume's slices.
type Slice struct {
	Label    string
	Labelled bool // false: it has no label
	Weight   int
	Boundary json.RawMessage // as written; the original never used it, nor do we
	Volume   *Volume

	seed string // what the points of the continuum are computed from
}

// Parse reads a catalog of version 1 or 2. If there is anything wrong with it the
// error is of type *InvalidError and has all of it; only where the document is no
// JSON it is one fault that says the line.
func Parse(data []byte) (*Catalog, error) {
	r := &reading{continua: make(map[string]*continuum)}
	root, err := readJSON(data, &r.faults)
	if err != nil {
		return nil, &InvalidError{Faults: []Fault{{Message: err.Error()}}}
	}
	c := r.catalog(root)
	if err := r.faults.err(); err != nil {
		return nil, err
	}
	for _, d := range c.Datasets {
		d.Layouts, err = layoutsOf(d)
		if err != nil {
			return nil, &InvalidError{Faults: []Fault{{Path: d.Volume.Path, Message: err.Error()}}}
		}
	}
	if c.canonical, err = canonical(data); err != nil {
		return nil, &InvalidError{Faults: []Fault{{Message: err.Error()}}}
	}
	c.Warnings = append(c.Warnings, warnings(c)...)
	return c, nil
}

// Dataset returns the dataset of that name, nil if there is none.
func (c *Catalog) Dataset(name string) *Dataset {
	for _, d := range c.Datasets {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Addresses are those of all volumes of all datasets, each once, sorted.
func (c *Catalog) Addresses() []Address {
	var all []Address
	for _, d := range c.Datasets {
		all = append(all, d.Volume.addresses()...)
	}
	slices.SortFunc(all, compareAddress)
	return slices.Compact(all)
}

// Names are the Serf names (M14) of all nodes, each once, sorted.
func (c *Catalog) Names() []string {
	return c.each(Address.Name)
}

// Nodes are the full names "host:port/tag" of all nodes, each once, sorted.
func (c *Catalog) Nodes() []string {
	return c.each(Address.Node)
}

func (c *Catalog) each(name func(Address) string) []string {
	var names []string
	for _, a := range c.Addresses() {
		names = append(names, name(a))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Addresses are those of all volumes of the dataset, each once, in the order of
// the catalog.
func (d *Dataset) Addresses() []Address {
	seen := make(map[Address]bool)
	return slices.DeleteFunc(d.Volume.addresses(), func(a Address) bool {
		again := seen[a]
		seen[a] = true
		return again
	})
}

// addresses are those below v, in order.
func (v *Volume) addresses() (all []Address) {
	switch {
	case len(v.Replicas) > 0:
		for _, r := range v.Replicas {
			all = append(all, r.addresses()...)
		}
	case len(v.Slices) > 0:
		for _, s := range v.Slices {
			all = append(all, s.Volume.addresses()...)
		}
	default:
		all = []Address{v.Address}
	}
	return all
}

// warnings are what no reader refuses and yet hardly anybody means.
func warnings(c *Catalog) (list []Fault) {
	warn := func(path, format string, args ...any) {
		if len(list) < maxFaults {
			list = append(list, Fault{path, fmt.Sprintf(format, args...)})
		}
	}
	for _, d := range c.Datasets {
		d.Volume.walk(func(v *Volume) {
			if len(v.Slices) > 1 && v.Slicer != slicerHash {
				warn(v.Path, "the slicer %q is none that places records: all go to the first slice, as with the original", v.Slicer)
			}
			seen := make(map[string]int)
			for i, s := range v.Slices {
				first, twice := seen[s.Label]
				if s.Labelled && twice {
					warn(v.Path, "slices %d and %d have the same label %q", first, i, s.Label)
				} else {
					seen[s.Label] = i
				}
			}
			if v.continuum != nil && len(v.Slices) > 1 {
				for i, n := range v.continuum.shares(len(v.Slices)) {
					if n == 0 {
						warn(v.Path, "slice %d gets no records: its share is less than one point of the continuum", i)
					}
				}
			}
		})
		if len(d.Layouts) > 1 {
			warn(d.Volume.Path, "there are replicas that are cut into slices differently: a search can be answered by %d groups of replicas, each by itself", len(d.Layouts))
		}
	}
	servers := make(map[string]int)
	for _, a := range c.Addresses() {
		servers[a.HostPort()]++
	}
	for _, a := range c.Addresses() {
		if n := servers[a.HostPort()]; n > 1 {
			warn("", "%s is the address of %d volumes: droonga-engine has a database for each, but a Groonga server, as the gateway asks, only one", a.HostPort(), n)
			servers[a.HostPort()] = 0
		}
	}
	return list
}

// walk calls f with v and all volumes below, the upper ones first.
func (v *Volume) walk(f func(*Volume)) {
	f(v)
	for _, r := range v.Replicas {
		r.walk(f)
	}
	for _, s := range v.Slices {
		s.Volume.walk(f)
	}
}

// joinAddresses lists addresses for a message.
func joinAddresses(list []Address) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
