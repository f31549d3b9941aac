package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Errors of With, Without and Replacing.
var (
	ErrNoNode    = errors.New("the catalog has no such node")
	ErrNodeThere = errors.New("the catalog has the node already")
	ErrByHand    = errors.New("change the catalog by hand, and have the cluster take it over (ibuki cluster apply FILE)")
)

// With is the catalog with one more replica of everything, spread over hosts. It is made as the last
// replica is; on each host its servers begin at the lowest port of that one.
func (c *Catalog) With(hosts []string) (*Catalog, error) {
	for _, host := range hosts {
		if slices.Contains(c.Names(), host) {
			return nil, fmt.Errorf("%s: %w", host, ErrNodeThere)
		}
	}
	if len(hosts) == 0 {
		return nil, ErrNoHosts
	}
	used := make(map[string]int)
	return c.edit(func(name string, replicas []any) ([]any, error) {
		var made any
		text, err := json.Marshal(replicas[len(replicas)-1])
		if err == nil {
			err = json.Unmarshal(text, &made)
		}
		if err != nil {
			return nil, err
		}
		old := addressesIn(made)
		if len(hosts) > len(old) {
			return nil, fmt.Errorf("dataset %s: a replica is of %d servers, and there are %d hosts for it", name, len(old), len(hosts))
		}
		port := old[0].Port
		for _, a := range old {
			port = min(port, a.Port)
		}
		n := 0
		made = mapAddresses(made, func(a Address) Address {
			a.Host = hosts[n%len(hosts)]
			a.Port = port + uint16(used[a.Host])
			used[a.Host]++
			n++
			return a
		})
		return append(replicas, made), nil
	})
}

// Without is the catalog without the replicas whose servers are all on a node.
func (c *Catalog) Without(node string) (*Catalog, error) {
	if !slices.Contains(c.Names(), node) {
		return nil, fmt.Errorf("%s: %w", node, ErrNoNode)
	}
	return c.edit(func(name string, replicas []any) ([]any, error) {
		var kept []any
		for _, r := range replicas {
			of := addressesIn(r)
			there := func(a Address) bool { return a.Host == node }
			switch {
			case !slices.ContainsFunc(of, there):
				kept = append(kept, r)
			case !slices.ContainsFunc(of, func(a Address) bool { return !there(a) }):
			default:
				return nil, fmt.Errorf("dataset %s: %s has a part of a replica, the rest of which is elsewhere; replace the node, or %w", name, node, ErrByHand)
			}
		}
		if len(kept) == 0 {
			return nil, fmt.Errorf("dataset %s: %s has the only replica", name, node)
		}
		return kept, nil
	})
}

// Replacing is the catalog with another node in the place of one, at the same ports.
func (c *Catalog) Replacing(node, by string) (*Catalog, error) {
	switch names := c.Names(); {
	case !slices.Contains(names, node):
		return nil, fmt.Errorf("%s: %w", node, ErrNoNode)
	case slices.Contains(names, by):
		return nil, fmt.Errorf("%s: %w", by, ErrNodeThere)
	}
	return c.edit(func(_ string, replicas []any) ([]any, error) {
		for i := range replicas {
			replicas[i] = mapAddresses(replicas[i], func(a Address) Address {
				if a.Host == node {
					a.Host = by
				}
				return a
			})
		}
		return replicas, nil
	})
}

// edit makes a catalog by changing the replicas of each dataset.
func (c *Catalog) edit(change func(dataset string, replicas []any) ([]any, error)) (*Catalog, error) {
	var document map[string]any
	if err := json.Unmarshal(c.canonical, &document); err != nil {
		return nil, err
	}
	datasets, ok := document["datasets"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a catalog of version %d: %w", c.Version, ErrByHand)
	}
	for _, d := range c.Datasets {
		of, _ := datasets[d.Name].(map[string]any)
		replicas, _ := of["replicas"].([]any)
		if len(replicas) == 0 {
			return nil, fmt.Errorf("dataset %s has no list of replicas: %w", d.Name, ErrByHand)
		}
		changed, err := change(d.Name, replicas)
		if err != nil {
			return nil, err
		}
		of["replicas"] = changed
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// addressesIn are those within a part of a document, in the order of its lists.
func addressesIn(v any) (list []Address) {
	mapAddresses(v, func(a Address) Address {
		list = append(list, a)
		return a
	})
	return list
}

// mapAddresses replaces the addresses within a part of a document.
func mapAddresses(v any, f func(Address) Address) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = mapAddresses(v[i], f)
		}
	case map[string]any:
		for _, name := range []string{"replicas", "slices", "volume"} {
			if below, ok := v[name]; ok {
				v[name] = mapAddresses(below, f)
			}
		}
		if text, ok := v["address"].(string); ok {
			if a, err := ParseAddress(text); err == nil {
				v["address"] = f(a).String()
			}
		}
	}
	return v
}
