package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// genVolume draws a volume of a random tree. next numbers the addresses.
func genVolume(t *rapid.T, depth int, next *int) string {
	kind := "address"
	if depth < 3 {
		kind = rapid.SampledFrom([]string{"address", "address", "replicas", "slices"}).Draw(t, "kind")
	}
	*next++
	switch kind {
	case "replicas":
		return `{"replicas": [` + genVolumes(t, depth, next) + `]}`
	case "slices":
		var slices []string
		for range rapid.IntRange(1, 4).Draw(t, "slices") {
			slices = append(slices, fmt.Sprintf(`{"weight": %d, "volume": %s}`, rapid.IntRange(1, 9).Draw(t, "weight"), genVolume(t, depth+1, next)))
		}
		return `{"slices": [` + strings.Join(slices, ",") + `]}`
	}
	return fmt.Sprintf(`{"address": "node%d:10041/t.%d"}`, *next%5, *next)
}

func genVolumes(t *rapid.T, depth int, next *int) string {
	var list []string
	for range rapid.IntRange(1, 3).Draw(t, "replicas") {
		list = append(list, genVolume(t, depth+1, next))
	}
	return strings.Join(list, ",")
}

func genCatalog(t *rapid.T) (*Catalog, string) {
	next := 0
	text := fmt.Sprintf(`{"version": 2, "datasets": {%q: {"replicas": [%s]}}}`, rapid.SampledFrom([]string{"Default", "D", "日本"}).Draw(t, "name"), genVolumes(t, 0, &next))
	c, err := Parse([]byte(text))
	if err != nil {
		if strings.Contains(err.Error(), "different ways") {
			t.Skip("too many layouts")
		}
		t.Fatalf("%v in %s", err, text)
	}
	return c, text
}

// TestPlacementIsStable: a record's place follows from its key and the catalog, and
// from nothing else.
func TestPlacementIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, text := genCatalog(t)
		again, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d := c.Datasets[0]
		for range 20 {
			r := Key(rapid.OneOf(rapid.String().AsAny(), rapid.Int64().AsAny()).Draw(t, "key"))
			holders, err := d.Holders(r)
			if err != nil {
				t.Fatal(err)
			}
			same, err := again.Datasets[0].Holders(r)
			if err != nil || !slices.Equal(holders, same) {
				t.Fatalf("%v: %v and %v", r, holders, same)
			}
			// The original's walk through the tree and our layouts say the same.
			routes, err := d.Route(Message{Type: Scatter, Replica: All, Record: r}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(routes, compareAddress)
			slices.SortFunc(holders, compareAddress)
			if !slices.Equal(routes, holders) {
				t.Fatalf("%v: routes %v, holders %v in %s", r, routes, holders, text)
			}
		}
	})
}

// TestEachRecordIsInOnePartOfEachLayout: the parts of a layout share the data, and
// each address is in exactly one part of each layout that has it.
func TestEachRecordIsInOnePartOfEachLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, text := genCatalog(t)
		d := c.Datasets[0]
		var covered []Address
		for _, l := range d.Layouts {
			seen := map[Address]bool{}
			share := 0.0
			for _, p := range l.Parts {
				share += p.Share
				if len(p.Addresses) == 0 {
					t.Fatalf("an empty part in %s", text)
				}
				for _, a := range p.Addresses {
					if seen[a] {
						t.Fatalf("%s is in two parts of %s", a, text)
					}
					seen[a] = true
					covered = append(covered, a)
				}
			}
			if share < 1-1e-9 || share > 1+1e-9 {
				t.Fatalf("the shares come to %v in %s", share, text)
			}
		}
		slices.SortFunc(covered, compareAddress)
		if !slices.Equal(slices.Compact(covered), c.Addresses()) {
			t.Fatalf("the layouts have %v, the catalog %v", covered, c.Addresses())
		}
	})
}

// TestSharesFollowTheWeights: the parts' shares are near what the weights say, but
// only near: all slices have the same points.
func TestSharesFollowTheWeights(t *testing.T) {
	for _, c := range []struct {
		weights []int
		low     float64 // the least that a slice gets of its due
	}{{[]int{50, 50}, 0.7}, {[]int{25, 25, 25, 25}, 0.7}, {[]int{1, 2, 3}, 0.6}} {
		seeds := slices.Repeat([]string{"Default"}, len(c.weights))
		shares := newContinuum(c.weights, seeds, TiesRuby22).shares(len(c.weights))
		total, sum := 0, int64(0)
		for i, w := range c.weights {
			total += w
			sum += shares[i]
		}
		if sum != 1<<32 {
			t.Errorf("%v: shares of %d hashes", c.weights, sum)
		}
		for i, w := range c.weights {
			due := float64(w) / float64(total) * (1 << 32)
			if float64(shares[i]) < c.low*due || float64(shares[i]) > due/c.low {
				t.Errorf("%v: slice %d has %.2f of its due", c.weights, i, float64(shares[i])/due)
			}
		}
	}
}

// FuzzParse: no document makes Parse panic, and a catalog that it takes can be asked
// for everything.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{replicated3, sliced2x2, nested, "", "{}", `{"version": 1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			if len(err.Error()) > 1<<20 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, d := range c.Datasets {
			if _, err := d.Read(nil); err != nil {
				t.Error(err)
			}
			holders, err := d.Holders(Record{"_key": "a", "city": 1})
			if err == nil && len(holders) == 0 {
				t.Error("a record has no holder")
			}
			if _, err := d.Route(Message{Type: Broadcast, Replica: All}, nil, nil); err != nil {
				t.Error(err)
			}
		}
	})
}
