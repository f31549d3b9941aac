package dispatch

import (
	"fmt"
	"slices"

	"github.com/ibuki-dev/ibuki/catalog"
)

// dataset is one of the catalog's, with the servers of its volumes.
type dataset struct {
	name    string
	fact    string // the table that is cut into slices; "": all are
	layouts []*layout
	volumes []*volume // all of them
	schema  *schemaCache
	at      uint64 // the entry of the log that has the catalog; 0: the file has it
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
	for _, ds := range d.now().datasets {
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
