package livefile

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

// manyNodes is a list of n nodes with three tags each.
func manyNodes(n int) []live.Entry {
	entries := make([]live.Entry, n)
	for i := range entries {
		entries[i] = live.Entry{
			Name: fmt.Sprintf("node%05d.example.net", i), Status: live.Alive, Since: t0,
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7946),
			Tags: []live.Tag{{Key: "dc", Value: "east"}, {Key: "role", Value: "search"}, {Key: "version", Value: "1.2.3"}},
		}
	}
	return entries
}

// rewrite writes a list of n nodes, as a handler does, which knows nothing of the one
// before, and reads it back, as who watches it does: the one node alive and failed
// in turn, and returns how long each of the rounds took.
func rewrite(tb testing.TB, n, rounds int) []time.Duration {
	tb.Helper()
	f := target(tb, live.FormatAllNodes)
	entries := manyNodes(n)
	var list live.List
	var reader live.Reader
	var took []time.Duration
	for i := range rounds {
		entries[n/2].Status = live.Alive + live.Status(i%2)*3
		begun := time.Now()
		f.mustUpdate(tb, Order{}, says(entries...))
		text, _, err := read(f.Path, nil)
		if err != nil {
			tb.Fatal(err)
		}
		back, _, err := reader.Read(text)
		if err != nil {
			tb.Fatal(err)
		}
		if back.Whole {
			list.Load(t0, back.Entries)
		} else {
			list.Amend(t0, back.Gone, back.Entries)
		}
		if v := list.Current(); v.Len() != n || v.NumAlive() != n-i%2 {
			tb.Fatalf("%d nodes, %d alive", v.Len(), v.NumAlive())
		}
		took = append(took, time.Since(begun))
	}
	return took
}

func BenchmarkRewrite10k(b *testing.B) {
	took := rewrite(b, 10_000, max(b.N, 5))
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[0].Microseconds())/1000, "best-ms")
}

// toMemory measures from a member event in an agent's list to the new list in the
// memory of whoever watches the file.
func toMemory(tb testing.TB, nodes, rounds int) []time.Duration {
	tb.Helper()
	var list live.List
	f := target(tb, live.FormatAllNodes)
	list.Load(t0, manyNodes(nodes))
	keep(tb, KeeperConfig{List: &list, Targets: []Target{*f}})
	eventually(tb, "the first list is there", holds(f.Path, "}\n}\n"))
	w, err := Watch(tb.Context(), f.Path, Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { <-w.Done() })
	views := w.Watch(tb.Context())
	<-views
	one := live.Entry{Name: "node00000.example.net", Addr: netip.MustParseAddrPort("10.0.0.0:7946")}
	var took []time.Duration
	for i := range rounds {
		begun := time.Now()
		kind := live.Fail
		if i%2 == 1 {
			kind = live.Join
		}
		list.Apply(t0.Add(time.Duration(i+1)*time.Second), live.Change{Kind: kind, Entries: []live.Entry{one}})
		for want := live.Failed - live.Status(i%2)*3; (<-views).Get(one.Name).Status != want; {
		}
		took = append(took, time.Since(begun))
	}
	return took
}

func BenchmarkEventToMemory(b *testing.B) {
	for _, nodes := range []int{3, 1000, 10_000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			took := toMemory(b, nodes, max(b.N, 20))
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
