package catalog

import (
	"slices"
	"time"
)

// version1 reads a catalog of version 1: farms (the nodes), and for each dataset a
// ring, whose entries are the slices and have their replicas as partitions. What
// it has beyond that (zones, ranges of dates) was never put to use.
func (r *reading) version1(c *Catalog, root *value) {
	if date := r.want(root, "effective_date", isString); date != nil {
		c.Effective = date.text
		if !isDate(date.text) {
			r.faults.at(date, "has to be a date like 2013-09-01T00:00:00Z, but is %s", date.shown())
		}
	}
	farms := r.farms(root)
	if zones := r.want(root, "zones", isArray); zones != nil {
		r.zones(zones, farms)
	}
	datasets := r.want(root, "datasets", isObject)
	if datasets == nil {
		return
	}
	for _, v := range datasets.fields {
		if r.is(v, isObject) != nil {
			c.Datasets = append(c.Datasets, r.dataset1(v, farms))
		}
	}
}

// isDate takes the usual ways to write a day, with or without a time.
func isDate(s string) bool {
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// farms reads the nodes. nil: there are none to compare others with.
func (r *reading) farms(root *value) *value {
	farms := r.want(root, "farms", isObject)
	if farms == nil {
		return nil
	}
	for _, f := range farms.fields {
		if r.is(f, isObject) != nil {
			r.want(f, "device", isString)
		}
	}
	return farms
}

// zones holds the zones and the farms against each other.
func (r *reading) zones(zones, farms *value) {
	var named []*value
	var collect func(v *value)
	collect = func(v *value) {
		for _, item := range v.items {
			switch item.kind {
			case isString:
				named = append(named, item)
			case isArray:
				collect(item)
			default:
				r.faults.at(item, "has to be a string or an array, but is %s", item.shown())
			}
		}
	}
	collect(zones)
	if farms == nil {
		return
	}
	in := make(map[string]bool, len(named))
	for _, n := range named {
		in[n.text] = true
		if farms.field(n.text) == nil {
			r.faults.at(n, "there is no farm %s", n.shown())
		}
	}
	for _, f := range farms.fields {
		if !in[f.name] {
			r.faults.at(f, "the farm is in no zone")
		}
	}
}

func (r *reading) dataset1(v, farms *value) *Dataset {
	d := &Dataset{
		Name:    v.name,
		Plugins: r.words(v, "plugins"),
		Volume:  &Volume{Path: v.path()},
	}
	if n := r.want(v, "workers", isNumber); n != nil {
		d.Workers = r.workers(n)
	}
	partitions := 0
	if n := r.want(v, "number_of_partitions", isNumber); n != nil {
		partitions = r.integer(n, 1, maxSlices)
	}
	if n := r.want(v, "number_of_replicas", isNumber); n != nil {
		r.integer(n, 1, maxVolumes)
	}
	r.only(v, "date_range", "infinity")
	r.only(v, "partition_key", "_key")
	if ring := r.want(v, "ring", isObject); ring != nil {
		r.ring(ring, farms, d, partitions)
	}
	r.once(d)
	return d
}

// only reads a field that may have one value only.
func (r *reading) only(parent *value, name, value string) {
	if v := r.want(parent, name, isString); v != nil && v.text != value {
		r.faults.at(v, "has to be %q, but is %s", value, v.shown())
	}
}

// ring reads the slices. Only with two partitions or more did the original place
// records by their keys, and by that number, whatever the ring has.
func (r *reading) ring(ring, farms *value, d *Dataset, partitions int) {
	d.Volume.Dimension, d.Volume.Slicer = "_key", slicerHash
	switch {
	case len(ring.fields) == 0:
		r.faults.at(ring, "has to have at least one entry")
		return
	case len(ring.fields) > maxSlices:
		r.faults.at(ring, "has %d entries; at most %d are possible", len(ring.fields), maxSlices)
		return
	case partitions > 0 && partitions != len(ring.fields):
		r.faults.at(ring, "has %d entries, but number_of_partitions is %d", len(ring.fields), partitions)
	}
	before := len(r.faults.list) + r.faults.more
	for _, v := range ring.fields {
		if s := r.entry(v, farms); s != nil {
			d.Volume.Slices = append(d.Volume.Slices, s)
		}
	}
	if len(r.faults.list)+r.faults.more == before {
		r.placing(ring, d.Volume, TiesRuby22)
	}
}

// entry reads one entry of the ring.
func (r *reading) entry(v, farms *value) *Slice {
	if r.is(v, isObject) == nil {
		return nil
	}
	// Here the points are the entry's own; they are named after it.
	s := &Slice{Label: v.name, Labelled: true, seed: v.name}
	if w := r.want(v, "weight", isNumber); w != nil {
		s.Weight = r.integer(w, 0, maxWeight)
	}
	partitions := r.want(v, "partitions", isObject)
	if partitions == nil {
		return nil
	}
	if n := len(partitions.fields); n != 1 {
		r.faults.at(partitions, "has to have one date, but has %d: with an infinite date_range each record would be in all of them", n)
		return nil
	}
	list := partitions.fields[0]
	if r.is(list, isArray) == nil {
		return nil
	}
	s.Volume = &Volume{Path: list.path()}
	if len(list.items) == 0 {
		r.faults.at(list, "has to have at least one replica")
	}
	for _, item := range list.items {
		if !r.counted(item) {
			return nil
		}
		replica := &Volume{Path: item.path(), Address: r.address(item)}
		r.farmed(item, replica.Address, farms)
		s.Volume.Replicas = append(s.Volume.Replicas, replica)
	}
	return s
}

// farmed notes an address whose node is no farm, or that names no database.
func (r *reading) farmed(v *value, a Address, farms *value) {
	switch {
	case a == (Address{}) || farms == nil:
	case !slices.ContainsFunc(farms.fields, func(f *value) bool { return f.name == a.Node() }):
		r.faults.at(v, "there is no farm %q", a.Node())
	case a.Local == "":
		r.faults.at(v, "%s names no database: it has to end in .name", v.shown())
	}
}
