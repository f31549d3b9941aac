package catalog

// version2 reads a catalog of version 2: datasets, and below each of them replicas
// in slices in replicas, as deep as one likes, down to single volumes.
func (r *reading) version2(c *Catalog, root *value) {
	c.Effective = r.text(root, "effectiveDate")
	datasets := r.want(root, "datasets", isObject)
	if datasets == nil {
		return
	}
	for _, v := range datasets.fields {
		if r.is(v, isObject) != nil {
			c.Datasets = append(c.Datasets, r.dataset2(v))
		}
	}
}

func (r *reading) dataset2(v *value) *Dataset {
	d := &Dataset{
		Name:    v.name,
		Plugins: r.words(v, "plugins"),
		Fact:    r.text(v, "fact"),
		Volume:  &Volume{Path: v.path()},
	}
	if n := r.may(v, "nWorkers", isNumber); n != nil {
		d.Workers = r.workers(n)
	}
	if schema := r.may(v, "schema", isObject); schema != nil {
		d.Schema = schema.raw
	}
	if replicas := r.want(v, "replicas", isArray); replicas != nil {
		d.Volume.Replicas = r.replicas(replicas, d, 1)
	}
	r.once(d)
	return d
}

// replicas reads an array of volumes.
func (r *reading) replicas(v *value, d *Dataset, depth int) (list []*Volume) {
	if len(v.items) == 0 {
		r.faults.at(v, "has to have at least one replica")
	}
	for _, item := range v.items {
		if volume := r.volume(item, d, depth); volume != nil {
			list = append(list, volume)
		}
	}
	return list
}

// volume reads a volume: one of "address", "slices" and "replicas". The original
// takes the first of them and says nothing of the others; here that is a fault.
func (r *reading) volume(v *value, d *Dataset, depth int) *Volume {
	if !r.counted(v) || r.is(v, isObject) == nil {
		return nil
	}
	if depth > maxNesting {
		r.faults.at(v, "volumes are nested deeper than %d levels", maxNesting)
		return nil
	}
	var kinds []*value
	for _, name := range []string{"address", "slices", "replicas"} {
		if f := v.field(name); f != nil {
			kinds = append(kinds, f)
		}
	}
	volume := &Volume{Path: v.path()}
	if len(kinds) == 0 {
		r.faults.at(v, `a volume has to have one of "address", "slices" and "replicas"`)
		return volume
	}
	for _, more := range kinds[1:] {
		r.faults.at(more, "the volume has %q already; it may have only one of the two", kinds[0].name)
	}
	switch of := kinds[0]; of.name {
	case "address":
		volume.Address = r.address(of)
	case "slices":
		if r.is(of, isArray) != nil {
			r.sliced(v, of, volume, d, depth)
		}
	case "replicas":
		if r.is(of, isArray) != nil {
			volume.Replicas = r.replicas(of, d, depth+1)
		}
	}
	return volume
}

// sliced reads a volume of slices. v is the volume, list its "slices".
func (r *reading) sliced(v, list *value, volume *Volume, d *Dataset, depth int) {
	volume.Dimension, volume.Slicer = "_key", slicerHash
	if s := r.may(v, "dimension", isString); s != nil {
		volume.Dimension = s.text
	}
	if s := r.may(v, "slicer", isString); s != nil {
		volume.Slicer = s.text
	}
	switch {
	case len(list.items) == 0:
		r.faults.at(list, "has to have at least one slice")
		return
	case len(list.items) > maxSlices:
		r.faults.at(list, "has %d slices; at most %d are possible", len(list.items), maxSlices)
		return
	}
	before := len(r.faults.list) + r.faults.more
	for _, item := range list.items {
		if s := r.slice(item, d, depth); s != nil {
			volume.Slices = append(volume.Slices, s)
		}
	}
	r.labels(list, volume.Slices)
	ties := r.ties(v)
	if volume.Slicer == slicerHash && len(r.faults.list)+r.faults.more == before {
		r.placing(list, volume, ties)
	}
}

func (r *reading) slice(v *value, d *Dataset, depth int) *Slice {
	if r.is(v, isObject) == nil {
		return nil
	}
	// All slices of a dataset have the dataset's name as seed: see Ties.
	s := &Slice{Weight: 1, seed: d.Name}
	if label := r.may(v, "label", isString); label != nil {
		s.Label, s.Labelled = label.text, true
	}
	if w := r.may(v, "weight", isNumber); w != nil {
		s.Weight = r.integer(w, 0, maxWeight)
	}
	if b := v.field("boundary"); b != nil && b.raw != nil {
		s.Boundary = b.raw
	}
	below := r.want(v, "volume", isObject)
	if below == nil {
		return nil
	}
	s.Volume = r.volume(below, d, depth+1)
	if s.Volume == nil {
		return nil
	}
	return s
}

// labels notes slices of which only some have a label: the original orders them by
// it, and fails.
func (r *reading) labels(list *value, slices []*Slice) {
	n := 0
	for _, s := range slices {
		if s.Labelled {
			n++
		}
	}
	if n > 0 && n < len(slices) {
		r.faults.at(list, "%d of %d slices have a label; either all have one or none", n, len(slices))
	}
}

// ties reads what is ibuki's own: how equal points of the continuum are ordered.
func (r *reading) ties(v *value) Ties {
	t := r.may(v, "ties", isString)
	if t == nil {
		return TiesRuby22
	}
	switch ties := Ties(t.text); ties {
	case TiesRuby22, TiesStable:
		return ties
	}
	r.faults.at(t, "has to be %q or %q, but is %s", TiesRuby22, TiesStable, t.shown())
	return TiesRuby22
}
