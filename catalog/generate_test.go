package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	for _, c := range []struct {
		plan Plan
		want string // by slice: the addresses of its replicas
	}{
		{Plan{Hosts: []string{"a", "b", "c"}}, "slice0: a:10041/droonga.000, b:10041/droonga.000, c:10041/droonga.000"},
		{Plan{Hosts: []string{"a", "b", "c", "d"}, Slices: 2},
			"slice0: a:10041/droonga.000, b:10041/droonga.000; slice1: c:10041/droonga.001, d:10041/droonga.001"},
		{Plan{Hosts: []string{"a", "b", "c"}, Slices: 3, Replicas: 2, Tag: "x"},
			"slice0: a:10041/x.000, b:10041/x.000; slice1: c:10041/x.001, a:10042/x.001; slice2: b:10042/x.002, c:10042/x.002"},
		{Plan{Hosts: []string{"a:80", "[fe80::1]:90", "fe80::2"}, Port: 7}, "slice0: a:80/droonga.000, [fe80::1]:90/droonga.000, fe80::2:7/droonga.000"},
	} {
		text, err := Generate(c.plan)
		if err != nil {
			t.Errorf("%+v: %v", c.plan, err)
			continue
		}
		read := parse(t, string(text))
		var parts []string
		for _, p := range read.Dataset("Default").Layouts[0].Parts {
			parts = append(parts, p.Label+": "+joinAddresses(p.Addresses))
		}
		if got := strings.Join(parts, "; "); got != c.want || len(read.Datasets[0].Layouts) != 1 || len(read.Warnings) > 0 {
			t.Errorf("%+v:\n got %s %v\nwant %s", c.plan, got, read.Warnings, c.want)
		}
	}
}

func TestGenerateNamesTheFactTable(t *testing.T) {
	text, err := Generate(Plan{Hosts: []string{"a", "b"}, Slices: 2, Fact: "Items"})
	if err != nil || parse(t, string(text)).Datasets[0].Fact != "Items" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []struct {
		plan Plan
		want error
		text string
	}{
		{Plan{}, ErrNoHosts, "no hosts"},
		{Plan{Hosts: []string{"a"}, Replicas: 2}, ErrTooFewHosts, "2 replicas need as many hosts, there are 1"},
		{Plan{Hosts: []string{"a", "b", "c"}, Replicas: 2}, ErrIdleHosts, "2 volumes, for 3 hosts"},
		{Plan{Hosts: []string{"a", "b", "a"}}, nil, "the host a is given twice"},
		{Plan{Hosts: []string{"a:x"}}, nil, "the port has to be a number"},
		{Plan{Hosts: []string{"a:65535"}, Slices: 2}, nil, "from 1 to 65535"},
		{Plan{Hosts: []string{""}}, nil, "is not of the form"},
		{Plan{Hosts: []string{"a"}, Slices: 5000}, nil, "at most"},
		{Plan{Hosts: []string{"a"}, Replicas: -1}, nil, "at most"},
	} {
		_, err := Generate(c.plan)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%+v: %v", c.plan, err)
		}
	}
}
