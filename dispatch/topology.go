package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/sock"
)

// topology is what follows from the catalog that holds. It is not changed: another catalog makes
// another one, with the same servers where they stay.
type topology struct {
	since    map[string]uint64
	at       uint64 // the entry of the log that has the catalog; 0: the file has it
	volumes  []*volume
	byAddr   map[string]*volume
	datasets []*dataset
	peers    []Peer                     // the other gateways
	appliers map[*volume]*volumeApplier // of the servers that this gateway applies the log to
}

// now is what holds now.
func (d *Dispatcher) now() *topology { return d.topology.Load() }

// build makes the servers and datasets of a catalog. Servers and what is known of schemas are
// those of before where there are any. since has the entries by which servers were added: one that was
// added after the catalog of before is another one, also if it had been in that one too.
func (d *Dispatcher) build(c *catalog.Catalog, before *topology, since map[string]uint64) (*topology, error) {
	t := &topology{since: since, byAddr: make(map[string]*volume), appliers: make(map[*volume]*volumeApplier)}
	for _, from := range c.Datasets {
		ds := &dataset{name: from.Name, fact: from.Fact, schema: newSchemaCache()}
		for _, old := range before.datasets {
			if old.name == ds.name {
				ds.schema = old.schema
			}
		}
		for _, cut := range from.Layouts {
			l := &layout{cut: cut}
			for _, p := range cut.Parts {
				l.parts = append(l.parts, t.part(d, p, before))
			}
			if err := l.check(); err != nil {
				return nil, fmt.Errorf("dataset %s: %w", from.Name, err)
			}
			ds.layouts = append(ds.layouts, l)
			for _, v := range l.all {
				if !slices.Contains(ds.volumes, v) {
					ds.volumes = append(ds.volumes, v)
				}
			}
		}
		t.datasets = append(t.datasets, ds)
	}
	return t, nil
}

func (t *topology) part(d *Dispatcher, from catalog.Part, before *topology) *part {
	p := &part{label: from.Label}
	for _, a := range from.Addresses {
		v := t.volume(d, a, before)
		if !slices.Contains(p.volumes, v) {
			p.volumes = append(p.volumes, v)
		}
	}
	return p
}

// volume returns the server of an address, made if need be. Addresses that differ
// in what is behind host:port only are one server: a Groonga server has one database.
func (t *topology) volume(d *Dispatcher, a catalog.Address, before *topology) *volume {
	addr := a.HostPort()
	v := t.byAddr[addr]
	if v != nil {
		return v
	}
	if v = before.byAddr[addr]; v == nil || v.address != a || t.since[addr] > before.at {
		v = d.newVolume(a)
	}
	t.byAddr[addr] = v
	t.volumes = append(t.volumes, v)
	return v
}

func (d *Dispatcher) newVolume(a catalog.Address) *volume {
	addr := a.HostPort()
	v := &volume{
		addr: addr, address: a, maxAnswer: d.cfg.MaxAnswer,
		pool: pool{addr: addr, timeout: d.cfg.DialTimeout, open: d.cfg.dial, waits: sock.Waits(addr)},
		wake: make(chan struct{}, 1), inspecting: make(chan struct{}, 1),
		since: time.Now(),
	}
	v.ctx, v.cancel = context.WithCancel(d.ctx)
	v.listed.Store(true)
	return v
}

// adopt has what follows from a catalog hold from now on.
func (d *Dispatcher) adopt(t *topology) {
	before := d.topology.Swap(t)
	for _, v := range t.volumes {
		if !slices.Contains(before.volumes, v) {
			d.start(func() { d.prober(v) })
		}
	}
	for _, v := range before.volumes {
		if !slices.Contains(t.volumes, v) {
			v.cancel()
			v.pool.drop() // what is under way goes on
		}
	}
}
