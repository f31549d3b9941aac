package catalog

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func generated(t *testing.T, p Plan) *Catalog {
	t.Helper()
	text, err := Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a running cluster may be given in the place of its catalog: other replicas, and nothing by which a server would hold
// another part of the data than it does.
func TestAChangeIsOfReplicasOnly(t *testing.T) {
	hosts := []string{"n1", "n2", "n3", "n4"}
	base := generated(t, Plan{Hosts: hosts[:2]})
	two := generated(t, Plan{Hosts: hosts, Slices: 2})
	text := func(c *Catalog, old, changed string) *Catalog {
		other, err := Parse([]byte(strings.ReplaceAll(string(c.Canonical()), old, changed)))
		if err != nil {
			t.Fatal(err)
		}
		return other
	}
	for name, test := range map[string]struct {
		from, to       *Catalog
		added, removed []string
		fault          string
	}{
		"the same":                  {base, generated(t, Plan{Hosts: hosts[:2], Effective: "2026-01-01T00:00:00Z"}), nil, nil, ""},
		"a replica more":            {base, generated(t, Plan{Hosts: hosts[:3]}), []string{"n3:10041"}, nil, ""},
		"a replica less":            {base, generated(t, Plan{Hosts: hosts[:1]}), nil, []string{"n2:10041"}, ""},
		"another one":               {base, generated(t, Plan{Hosts: []string{"n1", "n3"}}), []string{"n3:10041"}, []string{"n2:10041"}, ""},
		"copies declared as slices": {base, generated(t, Plan{Hosts: hosts[:2], Slices: 2}), nil, nil, "cut differently"},
		"slices exchanged":          {two, generated(t, Plan{Hosts: []string{"n3", "n4", "n1", "n2"}, Slices: 2}), nil, nil, "is to hold"},
		"another fact table":        {two, generated(t, Plan{Hosts: hosts, Slices: 2, Fact: "T"}), nil, nil, "cut differently"},
		"another dataset":           {base, generated(t, Plan{Hosts: hosts[:2], Dataset: "Other"}), nil, nil, "has no server any more"},
		"another weight":            {two, text(two, `"weight":1`, `"weight":2`), nil, nil, ""},
		"another label":             {two, text(two, `"slice0"`, `"slice9"`), nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := test.from.ChangeTo(test.to)
			switch {
			case test.fault == "" && err != nil, test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("error %v, want %q", err, test.fault)
			case err == nil && (!slices.Equal(c.Added, test.added) || !slices.Equal(c.Removed, test.removed)):
				t.Errorf("%+v, want %v and %v", c, test.added, test.removed)
			}
		})
	}
}

// A document says the same however it is written.
func TestCanonical(t *testing.T) {
	base := generated(t, Plan{Hosts: []string{"n1", "n2"}, Effective: "2026-01-01T00:00:00Z"})
	again, err := Parse(base.Canonical())
	if err != nil || again.Sum() != base.Sum() {
		t.Errorf("%v: written by itself it has another name", err)
	}
	if generated(t, Plan{Hosts: []string{"n1", "n3"}}).Sum() == base.Sum() {
		t.Error("two catalogs have one name")
	}
}

func TestNodesComeAndGo(t *testing.T) {
	hosts := []string{"n1", "n2", "n3", "n4"}
	one, two := generated(t, Plan{Hosts: hosts[:2]}), generated(t, Plan{Hosts: hosts, Slices: 2})
	whole := generated(t, Plan{Hosts: hosts[:2], Slices: 2, Replicas: 2}) // each host has both slices
	with := func(c *Catalog, hosts ...string) func() (*Catalog, error) {
		return func() (*Catalog, error) { return c.With(hosts) }
	}
	for name, test := range map[string]struct {
		from   *Catalog
		do     func() (*Catalog, error)
		change Change
		err    error
	}{
		"a replica on one host":    {one, with(one, "n3"), Change{Added: []string{"n3:10041"}}, nil},
		"slices on one host":       {two, with(two, "n5"), Change{Added: []string{"n5:10041", "n5:10042"}}, nil},
		"slices on two hosts":      {two, with(two, "n5", "n6"), Change{Added: []string{"n5:10041", "n6:10041"}}, nil},
		"a host that is there":     {one, with(one, "n2"), Change{}, ErrNodeThere},
		"no host":                  {one, with(one), Change{}, ErrNoHosts},
		"a host goes":              {one, func() (*Catalog, error) { return one.Without("n1") }, Change{Removed: []string{"n1:10041"}}, nil},
		"a host with a part of it": {two, func() (*Catalog, error) { return two.Without("n1") }, Change{}, ErrByHand},
		"an unknown host goes":     {one, func() (*Catalog, error) { return one.Without("n9") }, Change{}, ErrNoNode},
		"a host for another": {whole, func() (*Catalog, error) { return whole.Replacing("n1", "n7") },
			Change{Added: []string{"n7:10041", "n7:10042"}, Removed: []string{"n1:10041", "n1:10042"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			to, err := test.do()
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			c, err := test.from.ChangeTo(to)
			if err != nil || !slices.Equal(c.Added, test.change.Added) || !slices.Equal(c.Removed, test.change.Removed) {
				t.Errorf("%+v, %v, want %+v", c, err, test.change)
			}
		})
	}
	if _, err := generated(t, Plan{Hosts: hosts[:1]}).Without("n1"); err == nil {
		t.Error("the only replica may go")
	}
}
