package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrCut says that a catalog gives servers another part of the data than they hold.
var ErrCut = errors.New("servers keep what they hold, so records would be found twice or not at all: " +
	"make another cluster with that catalog and load the data into it")

// Change is what a catalog adds to another one and takes away: servers by host:port, sorted.
type Change struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// ChangeTo compares with a catalog that is to take c's place while the cluster runs. That may add and
// remove replicas, and nothing else: a server that stays has to hold the same part of the data, in
// datasets that are cut in the same way.
func (c *Catalog) ChangeTo(next *Catalog) (Change, error) {
	before, after := c.holdings(), next.holdings()
	for place, servers := range before.servers { // order-free: one fault is as good as another, and all are of one kind
		if len(servers) > 0 && len(after.servers[place]) == 0 {
			return Change{}, fmt.Errorf("%s has no server any more", place)
		}
	}
	if before.form != after.form {
		return Change{}, fmt.Errorf("the data is cut differently: %w", ErrCut)
	}
	var change Change
	for server, places := range after.places { // order-free: sorted below
		old, stays := before.places[server]
		switch {
		case !stays:
			change.Added = append(change.Added, server)
		case !slices.Equal(old, places):
			return Change{}, fmt.Errorf("%s held %s and is to hold %s: %w", server, strings.Join(old, ", "), strings.Join(places, ", "), ErrCut)
		}
	}
	for server := range before.places { // order-free: sorted below
		if _, stays := after.places[server]; !stays {
			change.Removed = append(change.Removed, server)
		}
	}
	slices.Sort(change.Added)
	slices.Sort(change.Removed)
	return change, nil
}

// holdings is which server holds what.
type holdings struct {
	form    string              // equal for catalogs that cut alike
	places  map[string][]string // by server, sorted: the parts that it holds
	servers map[string][]string // by part
}

func (c *Catalog) holdings() holdings {
	h := holdings{places: make(map[string][]string), servers: make(map[string][]string)}
	var forms []string
	for _, d := range c.Datasets {
		for i, l := range d.Layouts {
			forms = append(forms, fmt.Sprintf("%q %q %s", d.Name, d.Fact, l.cut.sign()))
			for j, p := range l.Parts {
				place := fmt.Sprintf("dataset %s, part %d", d.Name, j)
				if len(d.Layouts) > 1 {
					place = fmt.Sprintf("%s of layout %d", place, i)
				}
				for _, a := range p.Addresses {
					server := a.HostPort()
					if !slices.Contains(h.places[server], place) {
						h.places[server] = append(h.places[server], place)
						h.servers[place] = append(h.servers[place], server)
					}
				}
			}
		}
	}
	slices.Sort(forms)
	h.form = strings.Join(forms, "\n")
	for server := range h.places { // order-free: each by itself
		slices.Sort(h.places[server])
	}
	return h
}
