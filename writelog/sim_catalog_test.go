package writelog

import (
	"fmt"
	"slices"
)

// lists reports whether the catalog has a server, as far as the node knows.
func (n *node) lists(server string) bool {
	s := n.m.State()
	return s.CatalogAt == 0 || s.Catalog.Applier(server) != ""
}

// listed reports whether the newest catalog that anybody knows has the node's server.
func (n *node) listed() bool {
	newest := n
	for _, o := range n.w.nodes {
		if o.m != nil && (newest.m == nil || o.m.State().CatalogAt > newest.m.State().CatalogAt) {
			newest = o
		}
	}
	return newest.m == nil || newest.lists(n.server)
}

// complete sees to it that a server that was added is a copy of another one, taken after it was
// added, before anything is applied to it.
func (n *node) complete() bool {
	s := n.m.State()
	if !n.lists(n.server) {
		n.applying = nil
		return false
	}
	since := s.Since[n.server]
	if n.db.prefix >= since && n.filled >= since {
		return true
	}
	n.m.Progress(n.server, 0, min(n.db.prefix, since), true)
	for _, o := range n.w.nodes {
		if _, out := s.Out[o.server]; o == n || o.slice != n.slice || out || !n.lists(o.server) || o.db.prefix < since || o.m == nil {
			continue
		}
		n.db = database{prefix: o.db.prefix, values: make(map[string]uint64), log: slices.Clone(o.db.log)}
		for key, at := range o.db.values { // order-free: into another map
			n.db.values[key] = at
		}
		n.filled = since
		n.applying = slices.DeleteFunc(n.applying, func(c Committed) bool { return c.Index <= n.db.prefix })
		n.m.Exchanged(n.server)
		return true
	}
	return false
}

// switchCatalog has whoever leads take a server out of the catalog, or put it back.
func (w *world) switchCatalog(of *node) {
	for _, n := range w.nodes {
		if n.m == nil || !n.m.Leads() || n.m.State().CatalogAt == 0 || w.now < n.paused {
			continue
		}
		s := n.m.State()
		next := &Catalog{Sum: fmt.Sprint(s.CatalogAt), Gateways: s.Catalog.Gateways, Slices: make([][]string, len(s.Catalog.Slices))}
		for _, o := range w.nodes {
			if n.lists(o.server) != (o == of) {
				next.Slices[o.slice] = append(next.Slices[o.slice], o.server)
				next.Appliers = append(next.Appliers, Served{o.server, o.name})
			}
		}
		_ = n.m.Propose(n.clock(), &Entry{Op: OpCatalog, Catalog: s.CatalogAt, Next: next})
		return
	}
}

// drain has whoever leads take a server out of the read set until it is put back.
func (w *world) drain(of *node, out bool) {
	for _, n := range w.nodes {
		if n.m == nil || !n.m.Leads() || w.now < n.paused || !n.lists(of.server) || (n.m.State().Drained[of.server] != 0) == out {
			continue
		}
		s := n.m.State()
		_ = n.m.Propose(n.clock(), &Entry{Op: OpDrain, Catalog: s.CatalogAt, Server: of.server, Out: out})
		return
	}
}
