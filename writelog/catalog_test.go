package writelog

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func catalogOfServers(sum string, servers ...string) *Catalog {
	c := &Catalog{Sum: sum, Gateways: []string{"gw"}, Slices: [][]string{servers}}
	for _, s := range servers {
		c.Appliers = append(c.Appliers, Served{s, "gw"})
	}
	return c
}

// A catalog is taken over if it is made for the one that holds and the cluster can go on under it.
func TestCatalogsReplaceEachOther(t *testing.T) {
	s := NewState(7, map[uint64]Member{1: {"gw"}})
	take := func(index, at uint64, c *Catalog) Verdict {
		v, _ := s.apply(index, &Entry{Op: OpCatalog, Catalog: at, Next: c})
		return v
	}
	moved := catalogOfServers("moved", "s1", "s2")
	moved.Appliers[0].Gateway = "other"
	for i, step := range []struct {
		index, at uint64
		c         *Catalog
		want      Verdict
		out       []string
	}{
		{2, 0, catalogOfServers("a", "s1", "s2"), Execute, nil},
		{3, 0, catalogOfServers("b", "s1"), Outdated, nil}, // another one was faster
		{4, 2, catalogOfServers("c", "s3"), Outdated, nil}, // nothing that s3 could be filled from
		{5, 2, moved, Outdated, nil},                       // two gateways would apply to s1
		{6, 2, catalogOfServers("d", "s1", "s2", "s3"), Execute, []string{"s3"}},
		{7, 6, catalogOfServers("e", "s3"), Outdated, []string{"s3"}}, // it is not complete yet
		{8, 6, catalogOfServers("f", "s1", "s3"), Execute, []string{"s3"}},
		{9, 8, catalogOfServers("g", "s1"), Execute, nil},
		{10, 9, catalogOfServers("a", "s1", "s2"), Execute, []string{"s2"}}, // it may have what it had
	} {
		if got := take(step.index, step.at, step.c); got != step.want || !slices.Equal(sortedKeys(s.Out), step.out) {
			t.Errorf("step %d: verdict %v, out %v, want %v and %v", i, got, s.Out, step.want, step.out)
		}
	}
	if !slices.Equal(s.Earlier, []string{"d", "f", "g"}) || s.Since["s2"] != 10 || s.Since["s1"] != 0 {
		t.Errorf("earlier catalogs %v, servers since %v", s.Earlier, s.Since)
	}
	decoded, err := DecodeState(s.Encode())
	if err != nil || !bytes.Equal(decoded.Encode(), s.Encode()) {
		t.Errorf("encoded and decoded it is another state: %v", err)
	}
}

// What was made for another catalog is not executed: it would miss the servers that came, or be about
// what a server had when it was in it before.
func TestEntriesForAnotherCatalogAreNotExecuted(t *testing.T) {
	s := NewState(7, map[uint64]Member{1: {"gw"}})
	s.apply(2, &Entry{Op: OpOpen, ID: WriteID{Member: 1, Boot: 1}})
	s.apply(3, &Entry{Op: OpCatalog, Next: catalogOfServers("a", "s1", "s2")})
	for i, step := range []struct {
		e    Entry
		want Verdict
	}{
		{Entry{Op: OpWrite, ID: WriteID{1, 1, 1}, Request: "r"}, Outdated},
		{Entry{Op: OpWrite, ID: WriteID{1, 1, 2}, Catalog: 3, Request: "r"}, Execute},
		{Entry{Op: OpWrite, ID: WriteID{1, 1, 2}, Catalog: 2}, Duplicate}, // what was done stays done
		{Entry{Op: OpReadSet, Server: "s1", Out: true}, Outdated},
		{Entry{Op: OpReadSet, Server: "s1", Out: true, Catalog: 3}, 0},
		{Entry{Op: OpReadSet, Server: "s1", Catalog: 2}, Outdated},
	} {
		if got, _ := s.apply(uint64(4+i), &step.e); got != step.want {
			t.Errorf("step %d: verdict %v, want %v", i, got, step.want)
		}
	}
	if s.Out["s1"] == 0 {
		t.Error("a server has entered the read set by an entry for another catalog")
	}
}

// A server that is drained stays out of the read set until it is put back, and the last of a slice is not drained.
func TestDrainedServersStayOut(t *testing.T) {
	s := NewState(7, map[uint64]Member{1: {"gw"}})
	s.apply(2, &Entry{Op: OpCatalog, Next: catalogOfServers("a", "s1", "s2")})
	for i, step := range []struct {
		e    Entry
		want Verdict
		out  []string
	}{
		{Entry{Op: OpDrain, Server: "s1", Out: true}, Outdated, nil},
		{Entry{Op: OpDrain, Server: "s9", Out: true, Catalog: 2}, Outdated, nil},
		{Entry{Op: OpDrain, Server: "s1", Out: true, Catalog: 2}, Execute, []string{"s1"}},
		{Entry{Op: OpDrain, Server: "s2", Out: true, Catalog: 2}, Outdated, []string{"s1"}},
		{Entry{Op: OpReadSet, Server: "s2", Out: true, Catalog: 2}, Outdated, []string{"s1"}},
		{Entry{Op: OpReadSet, Server: "s1", Catalog: 2}, Outdated, []string{"s1"}},
		{Entry{Op: OpDrain, Server: "s1", Catalog: 2}, Execute, []string{"s1"}}, // until it has everything
		{Entry{Op: OpReadSet, Server: "s1", Catalog: 2}, 0, nil},
	} {
		if got, _ := s.apply(uint64(3+i), &step.e); got != step.want || !slices.Equal(sortedKeys(s.Out), step.out) {
			t.Errorf("step %d: verdict %v, out %v, want %v and %v", i, got, s.Out, step.want, step.out)
		}
	}
}

// The names of earlier catalogs are bounded.
func TestEarlierCatalogsAreBounded(t *testing.T) {
	s := NewState(7, nil)
	for i := range uint64(2 * maxEarlier) {
		s.apply(i+1, &Entry{Op: OpCatalog, Catalog: s.CatalogAt, Next: catalogOfServers(fmt.Sprint(i), "s1")})
	}
	if n := len(s.Earlier); n != maxEarlier || s.Earlier[n-1] != fmt.Sprint(2*maxEarlier-2) {
		t.Errorf("%d names, the last is %s", n, s.Earlier[n-1])
	}
}
