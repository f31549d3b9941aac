package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/member"
)

// LogCatalog is the catalog that the log has.
type LogCatalog struct {
	Entry    uint64          `json:"entry"` // of the log, since which it holds
	Name     string          `json:"name"`  // equal ones have equal names
	Gateways []string        `json:"gateways"`
	Catalog  json.RawMessage `json:"catalog"`
}

// What a ChangeRequest does.
const (
	ChangeAdd     = "add"     // a replica on Nodes, with a gateway on each; or the gateways Votes
	ChangeRemove  = "remove"  // the replicas on Nodes, with their gateways; or the gateways Votes
	ChangeReplace = "replace" // the one of Nodes by With
	ChangeApply   = "apply"   // what differs in Catalog
)

// ChangeRequest is what somebody wants of the cluster.
type ChangeRequest struct {
	Do      string
	Nodes   []string
	With    string
	Votes   []string // HOST:PORT of gateways without a server
	Alone   bool     // of add: no gateways, the servers are those of the first one
	Catalog *catalog.Catalog
	Dry     bool // it is only told what would be done
}

// ClusterChange is what becomes of it.
type ClusterChange struct {
	catalog.Change
	GatewaysAdded   []string `json:"gateways_added,omitempty"`
	GatewaysRemoved []string `json:"gateways_removed,omitempty"`
	Dry             bool     `json:"dry,omitempty"`
	Entry           uint64   `json:"entry"` // of the log, since which the catalog holds
	Name            string   `json:"name"`  // of that catalog
}

// Empty reports whether there is nothing to change.
func (c *ClusterChange) Empty() bool {
	return len(c.Added)+len(c.Removed)+len(c.GatewaysAdded)+len(c.GatewaysRemoved) == 0
}

var (
	errNoLogCatalog = errors.New("the log has no catalog yet: it gets one when all gateways run this version, and one leads")
	errNameless     = errors.New("this gateway has no name that others could reach it by: start it with -node=NAME, or -http=HOST:PORT")
)

// Catalog is the catalog of the log.
func (d *Dispatcher) Catalog() (*LogCatalog, error) {
	if d.logged == nil {
		return nil, ErrNoLog
	}
	view := d.logged.member.View()
	if view.CatalogAt == 0 {
		return nil, errNoLogCatalog
	}
	return &LogCatalog{view.CatalogAt, view.Catalog.Sum, view.Catalog.Gateways, view.Catalog.Text}, nil
}

// Change changes which servers and gateways the cluster has: it returns when all gateways of a majority
// go by the new catalog. Servers that are added are filled from then on. What holds already is no change.
func (d *Dispatcher) Change(ctx context.Context, q *ChangeRequest) (*ClusterChange, error) {
	if d.logged == nil {
		return nil, ErrNoLog
	}
	l := d.logged
	if err := l.barred(ctx); err != nil {
		return nil, err
	}
	view := l.member.View()
	switch {
	case view.CatalogAt == 0:
		return nil, errNoLogCatalog
	case d.cfg.Self == "":
		return nil, errNameless
	}
	before, err := catalog.Parse(view.Catalog.Text)
	if err != nil {
		return nil, err
	}
	after, gateways, err := q.plan(before, view.Catalog.Gateways)
	if err != nil {
		return nil, err
	}
	change := &ClusterChange{Dry: q.Dry, Entry: view.CatalogAt, Name: view.Catalog.Sum}
	if change.Change, err = before.ChangeTo(after); err != nil {
		return nil, err
	}
	change.GatewaysAdded, change.GatewaysRemoved = without(gateways, view.Catalog.Gateways), without(view.Catalog.Gateways, gateways)
	next := logCatalog(after, gateways, view.Catalog)
	if next.Sum == view.Catalog.Sum && change.Empty() {
		return change, nil
	}
	if err := l.mayChange(view, next); err != nil || q.Dry {
		return change, err
	}
	if err := member.Change(ctx, l.member, view.CatalogAt, next); err != nil {
		return nil, fmt.Errorf("the catalog was not taken over: %w", err)
	}
	now := l.member.View()
	change.Entry, change.Name = now.CatalogAt, now.Catalog.Sum
	return change, nil
}

// Drain has the servers of a node, or the one of an address, not be read from, so that they can be stopped without anybody noticing; end
// has them read from again when they have everything. Writes reach them as long as they are there, and nobody waits for them. It returns
// the servers when the log says so.
func (d *Dispatcher) Drain(ctx context.Context, node string, end bool) (list []string, err error) {
	if d.logged == nil {
		return nil, ErrNoLog
	}
	l := d.logged
	if err := l.barred(ctx); err != nil {
		return nil, err
	}
	view := l.member.View()
	if view.CatalogAt == 0 {
		return nil, errNoLogCatalog
	}
	for _, v := range d.now().volumes {
		if v.addr == node || v.address.Host == node || v.address.Node() == node {
			list = append(list, v.addr)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the catalog has no server %q", node)
	}
	for _, slice := range view.Catalog.Slices {
		stays := func(server string) bool { return !slices.Contains(list, server) && view.Out[server] == 0 }
		if !end && slices.ContainsFunc(slice, func(server string) bool { return slices.Contains(list, server) }) && !slices.ContainsFunc(slice, stays) {
			return nil, fmt.Errorf("of %s no other one is read from now: wait until one is (ibuki cluster status)", strings.Join(slice, ", "))
		}
	}
	for _, server := range list {
		if err := member.Drain(ctx, l.member, server, !end); err != nil {
			return nil, fmt.Errorf("%s: %w", server, err)
		}
	}
	return list, nil
}

// without are those of a list that another one lacks.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// plan is the catalog that is wanted, and its gateways.
func (q *ChangeRequest) plan(before *catalog.Catalog, gateways []string) (*catalog.Catalog, []string, error) {
	after, err := q.planCatalog(before)
	if err != nil {
		return nil, nil, err
	}
	_, port, err := net.SplitHostPort(gateways[0])
	if err != nil {
		return nil, nil, errNameless
	}
	var list []string
	gone := without(before.Names(), after.Names())
	for _, name := range gateways {
		removed := q.Do == ChangeRemove && slices.Contains(q.Votes, name)
		if !removed && !slices.ContainsFunc(gone, func(host string) bool { return strings.Trim(host, "[]") == hostOf(name) }) {
			list = append(list, name)
		}
	}
	for _, host := range without(after.Names(), before.Names()) {
		if !q.Alone {
			list = append(list, net.JoinHostPort(strings.Trim(host, "[]"), port))
		}
	}
	if q.Do == ChangeAdd {
		list = append(list, q.Votes...)
	}
	for _, name := range list {
		if host, _, err := net.SplitHostPort(name); err != nil || host == "" {
			return nil, nil, fmt.Errorf("%q is no HOST:PORT of a gateway", name)
		}
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) == 0 {
		return nil, nil, errors.New("no gateway would be left")
	}
	return after, list, nil
}

// planCatalog is the catalog that is wanted. What was done before is not done again.
func (q *ChangeRequest) planCatalog(c *catalog.Catalog) (*catalog.Catalog, error) {
	has := func(node string) bool { return slices.Contains(c.Names(), node) }
	switch {
	case q.Do == ChangeApply && q.Catalog != nil:
		return q.Catalog, nil
	case q.Do == ChangeAdd && len(q.Nodes) > 0:
		if !slices.ContainsFunc(q.Nodes, func(node string) bool { return !has(node) }) {
			return c, nil
		}
		return c.With(q.Nodes)
	case q.Do == ChangeRemove && len(q.Nodes) > 0:
		for _, node := range q.Nodes {
			if !has(node) {
				continue
			}
			var err error
			if c, err = c.Without(node); err != nil {
				return nil, err
			}
		}
		return c, nil
	case q.Do == ChangeReplace && len(q.Nodes) == 1 && q.With != "":
		if !has(q.Nodes[0]) && has(q.With) {
			return c, nil
		}
		return c.Replacing(q.Nodes[0], q.With)
	case (q.Do == ChangeAdd || q.Do == ChangeRemove) && len(q.Votes) > 0:
		return c, nil
	}
	return nil, errors.New("say what to do, and with which node")
}

// mayChange refuses what would lose data or the majority.
func (l *logged) mayChange(view *member.View, next *writelog.Catalog) error {
	for _, slice := range next.Slices {
		complete := func(server string) bool { return view.Catalog.Applier(server) != "" && view.Out[server] == 0 }
		if !slices.ContainsFunc(slice, complete) {
			return fmt.Errorf("of %s none is a complete server now, so nothing could be filled from: "+
				"add servers first, wait until they are read from (ibuki cluster status), and remove the others then", strings.Join(slice, ", "))
		}
	}
	for _, s := range next.Appliers {
		if !slices.Contains(next.Gateways, s.Gateway) {
			return fmt.Errorf("%s applies the log to %s, and would be gone: replace or remove the node of that server as well", s.Gateway, s.Server)
		}
	}
	stay, reached := 0, 0
	for _, name := range view.Members {
		if !slices.Contains(next.Gateways, name) {
			continue
		}
		stay++
		if name == l.name || l.member.Reaches(name) {
			reached++
		}
	}
	if reached < stay/2+1 {
		return fmt.Errorf("of the %d gateways that would stay %d answer, so no write could be done: remove those that are gone", stay, reached)
	}
	return nil
}
