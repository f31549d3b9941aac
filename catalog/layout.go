package catalog

import (
	"fmt"
	"strings"
)

// maxLayouts is how many groups of replicas that are cut differently a dataset may
// have. More than one is rare.
const maxLayouts = 64

// Layout is one way in which all of a dataset's data is cut into parts. Each record
// is in exactly one of the parts, and every address of that part has it.
type Layout struct {
	Parts []Part

	cut cutter
}

// Part is one part of the data: what a slice holds, or all of it where there are
// no slices.
type Part struct {
	// Label is the labels of the slices, from the outer to the inner, with a slash
	// between; where they have none, their numbers.
	Label string
	// Addresses are the volumes that hold all of the part: its replicas.
	Addresses []Address
	// Share is how much of all records belongs to the part, if their hashes are
	// spread evenly; the shares of a layout's parts come to 1.
	Share float64
}

// Find is the index of the part that a record belongs to.
func (l *Layout) Find(r Record) (int, error) { return l.cut.find(r) }

// cutter finds a record's part.
type cutter interface {
	find(Record) (int, error)
	// sign is equal for cutters that cut alike.
	sign() string
}

// whole is not cut.
type whole struct{}

func (whole) find(Record) (int, error) { return 0, nil }
func (whole) sign() string             { return "." }

// slicing is cut into slices, and these may be cut further.
type slicing struct {
	volume *Volume
	below  []cutter
	first  []int // the index of each slice's first part
	text   string
}

func newSlicing(v *Volume, below []*Layout) *slicing {
	s := &slicing{volume: v}
	var text strings.Builder
	fmt.Fprintf(&text, "%q %q", v.Dimension, v.Slicer)
	n := 0
	for i, l := range below {
		s.below = append(s.below, l.cut)
		s.first = append(s.first, n)
		n += len(l.Parts)
		fmt.Fprintf(&text, " (%q %s)", v.Slices[i].seed, l.cut.sign())
	}
	if v.continuum != nil {
		// With the seeds these say all; weights that come to the same are the same.
		fmt.Fprintf(&text, " %v %s", v.continuum.counts, v.continuum.ties)
	}
	s.text = text.String()
	return s
}

func (s *slicing) sign() string { return s.text }

func (s *slicing) find(r Record) (int, error) {
	i := 0 // without a slicer that places, the first has all
	if s.volume.continuum != nil && len(s.below) > 1 {
		hash, err := r.hash(s.volume.Dimension)
		if err != nil {
			return 0, err
		}
		i = s.volume.continuum.place(hash)
	}
	part, err := s.below[i].find(r)
	return s.first[i] + part, err
}

// layoutsOf computes the layouts of a dataset.
func layoutsOf(d *Dataset) ([]*Layout, error) {
	list, ok := layouts(d.Volume)
	if !ok {
		return nil, fmt.Errorf("the replicas are cut into slices in more than %d different ways", maxLayouts)
	}
	return list, nil
}

// layouts computes those of v. ok is false if there are too many.
func layouts(v *Volume) (list []*Layout, ok bool) {
	switch {
	case len(v.Replicas) > 0:
		return replicated(v)
	case len(v.Slices) > 0:
		return sliced(v)
	}
	return []*Layout{{Parts: []Part{{Addresses: []Address{v.Address}, Share: 1}}, cut: whole{}}}, true
}

// replicated joins the replicas that are cut alike.
func replicated(v *Volume) (list []*Layout, ok bool) {
	bySign := make(map[string]*Layout)
	for _, replica := range v.Replicas {
		below, ok := layouts(replica)
		if !ok {
			return nil, false
		}
		for _, l := range below {
			same := bySign[l.cut.sign()]
			if same == nil {
				bySign[l.cut.sign()] = l
				list = append(list, l)
				continue
			}
			for i := range same.Parts {
				same.Parts[i].Addresses = append(same.Parts[i].Addresses, l.Parts[i].Addresses...)
			}
		}
	}
	return list, len(list) <= maxLayouts
}

// sliced puts the slices together: one layout for each combination of theirs.
func sliced(v *Volume) (list []*Layout, ok bool) {
	combinations := [][]*Layout{nil}
	for _, s := range v.Slices {
		below, ok := layouts(s.Volume)
		if !ok {
			return nil, false
		}
		var longer [][]*Layout
		for _, c := range combinations {
			for _, l := range below {
				longer = append(longer, append(c[:len(c):len(c)], l))
			}
		}
		if combinations = longer; len(combinations) > maxLayouts {
			return nil, false
		}
	}
	shares := sliceShares(v)
	for _, c := range combinations {
		l := &Layout{cut: newSlicing(v, c)}
		for i, below := range c {
			for _, p := range below.Parts {
				l.Parts = append(l.Parts, Part{
					Label:     joinLabels(sliceLabel(v, i), p.Label),
					Addresses: append([]Address(nil), p.Addresses...),
					Share:     p.Share * shares[i],
				})
			}
		}
		list = append(list, l)
	}
	return list, true
}

// sliceShares is how much of v's records each slice gets.
func sliceShares(v *Volume) []float64 {
	shares := make([]float64, len(v.Slices))
	if v.continuum == nil {
		shares[0] = 1
		return shares
	}
	for i, n := range v.continuum.shares(len(v.Slices)) {
		shares[i] = float64(n) / (1 << 32)
	}
	return shares
}

// sliceLabel is a slice's label, or its number.
func sliceLabel(v *Volume, i int) string {
	if v.Slices[i].Labelled {
		return v.Slices[i].Label
	}
	return fmt.Sprint(i)
}

func joinLabels(outer, inner string) string {
	if inner == "" {
		return outer
	}
	return outer + "/" + inner
}
