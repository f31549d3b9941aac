package dispatch

import (
	"fmt"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/sock"
)

// dataset is one of the catalog's, with the servers of its volumes.
type dataset struct {
	name    string
	fact    string // the table that is cut into slices; "": all are
	layouts []*layout
	volumes []*volume // all of them
	schema  *schemaCache
}

// layout is one way in which the data is cut.
type layout struct {
	parts []*part
	cut   *catalog.Layout
	all   []*volume
}

// part is what the replicas of one slice hold.
type part struct {
	label   string
	volumes []*volume
}

// sliced reports whether there is more than one part.
func (ds *dataset) sliced() bool { return len(ds.layouts) > 1 || len(ds.layouts[0].parts) > 1 }

// build makes the servers and datasets of a catalog.
func (d *Dispatcher) build() error {
	d.byAddr = make(map[string]*volume)
	for _, from := range d.cfg.Catalog.Datasets {
		ds := &dataset{name: from.Name, fact: from.Fact, schema: newSchemaCache()}
		for _, cut := range from.Layouts {
			l := &layout{cut: cut}
			for _, p := range cut.Parts {
				l.parts = append(l.parts, d.part(p))
			}
			if err := l.check(); err != nil {
				return fmt.Errorf("dataset %s: %w", from.Name, err)
			}
			ds.layouts = append(ds.layouts, l)
			for _, v := range l.all {
				if !slices.Contains(ds.volumes, v) {
					ds.volumes = append(ds.volumes, v)
				}
			}
		}
		d.datasets = append(d.datasets, ds)
	}
	return nil
}

func (d *Dispatcher) part(from catalog.Part) *part {
	p := &part{label: from.Label}
	for _, a := range from.Addresses {
		v := d.volume(a)
		if !slices.Contains(p.volumes, v) {
			p.volumes = append(p.volumes, v)
		}
	}
	return p
}

// volume returns the server of an address, made if need be. Addresses that differ
// in what is behind host:port only are one server: a Groonga server has one database.
func (d *Dispatcher) volume(a catalog.Address) *volume {
	addr := a.HostPort()
	if v := d.byAddr[addr]; v != nil {
		return v
	}
	v := &volume{
		addr: addr, address: a, maxAnswer: d.cfg.MaxAnswer,
		pool: pool{addr: addr, timeout: d.cfg.DialTimeout, open: d.cfg.dial, waits: sock.Waits(addr)},
		wake: make(chan struct{}, 1), inspecting: make(chan struct{}, 1),
		since: time.Now(),
	}
	v.listed.Store(true)
	d.byAddr[addr] = v
	d.volumes = append(d.volumes, v)
	return v
}

// check refuses a server in two parts: it would answer for both with all it has.
func (l *layout) check() error {
	for _, p := range l.parts {
		for _, v := range p.volumes {
			if slices.Contains(l.all, v) {
				return fmt.Errorf("server %s is in two slices: a Groonga server has one database, so each slice needs one of its own", v.addr)
			}
		}
		l.all = append(l.all, p.volumes...)
	}
	return nil
}

// dataset returns the one that a command is about.
func (d *Dispatcher) dataset(name string) (*dataset, error) {
	if name == "" {
		name = d.cfg.Dataset
	}
	for _, ds := range d.datasets {
		if ds.name == name {
			return ds, nil
		}
	}
	return nil, fmt.Errorf("%w %q", ErrUnknownDataset, name)
}

// readable is the layout that a read is best done in: of its worst part the best
// replica decides, and then the order of the catalog.
func (ds *dataset) readable() *layout {
	best, bestRank := ds.layouts[0], noRank
	if len(ds.layouts) == 1 {
		return best
	}
	for _, l := range ds.layouts {
		worst := good
		for _, p := range l.parts {
			of := noRank
			for _, v := range p.volumes {
				of = min(of, v.rank())
			}
			worst = max(worst, of)
		}
		if worst < bestRank {
			best, bestRank = l, worst
		}
	}
	return best
}
