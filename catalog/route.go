package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Type is how a message is spread over the slices.
type Type string

// Choice is which of several replicas, or slices, get a message.
type Choice string

// The types and choices, as droonga-engine's messages have them.
const (
	Broadcast Type = "broadcast" // to slices by choice
	Scatter   Type = "scatter"   // to the slice of its record; without one, as Broadcast

	Top    Choice = "top"    // the first live replica
	Random Choice = "random" // one live replica, or one slice
	All    Choice = "all"    // each live replica, or each slice
)

// Message is what a route is asked for.
type Message struct {
	Type    Type
	Replica Choice
	Slice   Choice // All or Random; "" is All
	Record  Record // of Scatter; nil: none
}

// ErrNoReplica is a volume none of whose replicas is complete: each has a node
// that is not alive.
var ErrNoReplica = errors.New("no complete replica is alive")

// Route computes where a message goes, by droonga-engine's rules: a replica counts
// only if every node in it is alive, however it is cut. Where the original silently
// sends nothing there is an error here: ErrNoReplica, with the place and the dead.
// random is used for Random only.
func (d *Dataset) Route(m Message, live Live, random *rand.Rand) ([]Address, error) {
	if m.Slice == "" {
		m.Slice = All
	}
	switch {
	case m.Type != Broadcast && m.Type != Scatter:
		return nil, fmt.Errorf("the type %q of a message is none of %s and %s", m.Type, Broadcast, Scatter)
	case m.Replica != Top && m.Replica != Random && m.Replica != All:
		return nil, fmt.Errorf("the choice %q of replicas is none of %s, %s and %s", m.Replica, Top, Random, All)
	case m.Slice != Random && m.Slice != All:
		return nil, fmt.Errorf("the choice %q of slices is none of %s and %s", m.Slice, Random, All)
	}
	if m.Type == Broadcast {
		m.Record = nil
	}
	routes, err := (&router{m, live, random}).route(d.Volume)
	if err != nil {
		return nil, fmt.Errorf("dataset %s: %w", d.Name, err)
	}
	return routes, nil
}

// router walks the tree for one message.
type router struct {
	message Message
	live    Live
	random  *rand.Rand
}

func (r *router) route(v *Volume) (routes []Address, err error) {
	var below []*Volume
	switch {
	case len(v.Replicas) > 0:
		below, err = r.replicas(v)
	case len(v.Slices) > 0:
		below, err = r.slices(v)
	default:
		return []Address{v.Address}, nil
	}
	for _, b := range below {
		more, err := r.route(b)
		if err != nil {
			return nil, err
		}
		routes = append(routes, more...)
	}
	return routes, err
}

// replicas are those of v that the message goes to.
func (r *router) replicas(v *Volume) ([]*Volume, error) {
	var complete []*Volume
	for _, replica := range v.Replicas {
		if len(dead(replica.addresses(), r.live)) == 0 {
			complete = append(complete, replica)
		}
	}
	switch {
	case len(complete) == 0:
		return nil, noReplica(v.Path, v.addresses(), r.live)
	case r.message.Replica == Top:
		return complete[:1], nil
	case r.message.Replica == Random:
		return []*Volume{complete[r.random.IntN(len(complete))]}, nil
	}
	return complete, nil
}

// slices are those of v that the message goes to, in the order of their labels.
func (r *router) slices(v *Volume) ([]*Volume, error) {
	if r.message.Record != nil {
		i := 0
		if v.continuum != nil && len(v.Slices) > 1 {
			hash, err := r.message.Record.hash(v.Dimension)
			if err != nil {
				return nil, err
			}
			i = v.continuum.place(hash)
		}
		return []*Volume{v.Slices[i].Volume}, nil
	}
	ordered := slices.Clone(v.Slices)
	slices.SortStableFunc(ordered, func(a, b *Slice) int { return strings.Compare(a.Label, b.Label) })
	if r.message.Slice == Random {
		return []*Volume{ordered[r.random.IntN(len(ordered))].Volume}, nil
	}
	below := make([]*Volume, len(ordered))
	for i, s := range ordered {
		below[i] = s.Volume
	}
	return below, nil
}

// Choices is what a reader may ask: for each part of a layout, which addresses of
// it are alive, at least one.
type Choices struct {
	Layout *Layout
	Live   [][]Address // by part, in the catalog's order
}

// Read computes the choices for a read of the whole dataset, in the first layout
// that has a live address for each of its parts. Other than with Route, replicas
// that lack a node serve the parts that they have. ErrNoReplica, with the part and
// the dead, if no layout is complete.
func (d *Dataset) Read(live Live) (Choices, error) {
	var first error
	for _, l := range d.Layouts {
		c := Choices{Layout: l}
		var err error
		for _, p := range l.Parts {
			alive := slices.DeleteFunc(slices.Clone(p.Addresses), func(a Address) bool { return !live.is(a) })
			if len(alive) == 0 {
				err = noReplica(partName(p), p.Addresses, live)
				break
			}
			c.Live = append(c.Live, alive)
		}
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = fmt.Errorf("dataset %s: %w", d.Name, err)
		}
	}
	return Choices{}, first
}

// Holders are all addresses that have to hold a record, alive or not: where a write
// goes.
func (d *Dataset) Holders(r Record) ([]Address, error) {
	var all []Address
	for _, l := range d.Layouts {
		i, err := l.Find(r)
		if err != nil {
			return nil, fmt.Errorf("dataset %s: %w", d.Name, err)
		}
		for _, a := range l.Parts[i].Addresses {
			if len(d.Layouts) == 1 || !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all, nil
}

// Sliced reports whether the data is cut into more than one part anywhere.
func (d *Dataset) Sliced() bool {
	return slices.ContainsFunc(d.Layouts, func(l *Layout) bool { return len(l.Parts) > 1 })
}

// dead are those of list that are not alive.
func dead(list []Address, live Live) (gone []Address) {
	for _, a := range list {
		if !live.is(a) {
			gone = append(gone, a)
		}
	}
	return gone
}

func noReplica(where string, list []Address, live Live) error {
	return fmt.Errorf("%s: %w; not alive: %s", where, ErrNoReplica, joinAddresses(dead(list, live)))
}

func partName(p Part) string {
	if p.Label == "" {
		return "the data"
	}
	return "slice " + p.Label
}
