package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/member"
)

// logCatalog is what the log has to know of a catalog. Servers that were there before keep their
// appliers.
func logCatalog(c *catalog.Catalog, gateways []string, before *writelog.Catalog) *writelog.Catalog {
	next := &writelog.Catalog{Text: c.Canonical(), Sum: c.Sum(), Gateways: slices.Sorted(slices.Values(gateways))}
	seen := make(map[string]bool)
	for _, ds := range c.Datasets {
		for _, layout := range ds.Layouts {
			for _, p := range layout.Parts {
				var slice []string
				for _, a := range p.Addresses {
					server := a.HostPort()
					if !slices.Contains(slice, server) {
						slice = append(slice, server)
					}
					if seen[server] {
						continue
					}
					seen[server] = true
					applier := applierOf(a.Host, next.Gateways)
					if before != nil {
						applier = cmp.Or(before.Applier(server), applier)
					}
					next.Appliers = append(next.Appliers, writelog.Served{Server: server, Gateway: applier})
				}
				next.Slices = append(next.Slices, slice)
			}
		}
	}
	slices.SortFunc(next.Appliers, func(a, b writelog.Served) int { return cmp.Compare(a.Server, b.Server) })
	return next
}

// applierOf is the gateway that applies to a server: the one on its node, else the first.
func applierOf(host string, gateways []string) string {
	for _, name := range gateways {
		if hostOf(name) == strings.Trim(host, "[]") {
			return name
		}
	}
	return slices.Min(gateways)
}

// hostOf is the host of a gateway's address.
func hostOf(addr string) string {
	return strings.Trim(addr[:max(0, strings.LastIndex(addr, ":"))], "[]")
}

// follow goes by the catalog of the log, from the entry on that has it. It is the member's loop.
func (l *logged) follow(view *member.View) {
	before := l.d.now()
	if view.CatalogAt == before.at {
		return
	}
	c, err := catalog.Parse(view.Catalog.Text)
	var t *topology
	if err == nil {
		t, err = l.d.build(c, before, view.Since)
	}
	if err != nil { // it was looked at before it was proposed
		l.d.log.Error("catalog of the log", "error", err)
		return
	}
	t.at = view.CatalogAt
	for _, ds := range t.datasets {
		ds.at = t.at
	}
	for _, name := range view.Catalog.Gateways {
		if name != l.name {
			t.peers = append(t.peers, Peer{Name: hostOf(name), Addr: name})
		}
	}
	var made []*volumeApplier
	for _, v := range t.volumes {
		v.out.Store(view.Out[v.addr])
		if view.Catalog.Applier(v.addr) != l.name {
			continue
		}
		if t.appliers[v] = before.appliers[v]; t.appliers[v] == nil {
			t.appliers[v] = l.newApplier(v)
			made = append(made, t.appliers[v])
		}
	}
	l.d.log.Info("catalog", "entry", t.at, "name", view.Catalog.Sum, "servers", len(t.volumes), "gateways", len(view.Catalog.Gateways))
	l.d.adopt(t)
	for _, a := range made {
		l.d.start(a.run)
	}
	l.d.follow(l.d.cfg.List.Current())
	l.judgeFile(view)
}

// judgeFile looks whether the catalog that the gateway was given is that of the log.
func (l *logged) judgeFile(view *member.View) {
	sum := l.file.Load().Sum()
	switch {
	case view.CatalogAt == 0 || sum == view.Catalog.Sum:
		l.fault.Store(nil)
	case slices.Contains(view.Earlier, sum):
		l.fault.Store(nil)
		l.d.log.Warn("the catalog file is an earlier one; the gateway goes by that of the log: ibuki cluster catalog > FILE",
			"file", sum, "log", view.Catalog.Sum)
	default:
		why := fmt.Sprintf("its catalog file (%s) is not the catalog of the cluster (%s): put the file right (ibuki cluster catalog > FILE) "+
			"and send the gateway a SIGHUP, or have the cluster take it over (ibuki cluster apply FILE)", sum, view.Catalog.Sum)
		l.fault.Store(&why)
		l.d.log.Error("gateway answers nothing", "error", why)
	}
}

// metFor is how long a command waits until the other gateways were asked who they are.
const metFor = 2 * time.Second

// barred tells why nothing may be answered: this gateway is none of the cluster, or was given
// another catalog than the cluster has.
func (l *logged) barred(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, metFor)
	defer cancel()
	why := member.Barred(ctx, l.member)
	if fault := l.fault.Load(); why == "" && fault != nil {
		why = *fault
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrBarred, why)
}

// switched waits until this gateway goes by another catalog than that of a dataset, and returns
// the same dataset of that one.
func (l *logged) switched(ctx context.Context, ds *dataset) (*dataset, error) {
	for l.d.now().at == ds.at {
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return l.d.dataset(ds.name)
}

// Reload takes a catalog that the gateway was given anew. It has to be that of the log: what differs
// is proposed to the cluster, not to one of its gateways.
func (d *Dispatcher) Reload(c *catalog.Catalog) error {
	if d.logged == nil {
		if d.cfg.Catalog.Sum() != c.Sum() {
			return fmt.Errorf("it differs, and without -log a gateway takes a catalog at its start only: start it again")
		}
		return nil
	}
	l := d.logged
	view := l.member.View()
	if view.CatalogAt != 0 && c.Sum() != view.Catalog.Sum {
		return fmt.Errorf("it is not the catalog of the cluster, by which the gateway goes on: have the cluster take it over (ibuki cluster apply FILE), " +
			"or put the file right (ibuki cluster catalog > FILE)")
	}
	l.file.Store(c)
	l.judgeFile(view)
	return nil
}

// newApplier makes what applies the log to a server.
func (l *logged) newApplier(v *volume) *volumeApplier {
	return &volumeApplier{l: l, v: v, filler: filler{wake: make(chan struct{}, 1)}, silences: silences{log: l.d.log, server: v.addr}}
}
