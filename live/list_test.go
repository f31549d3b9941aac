package live

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// second is t0 plus n seconds.
func second(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }

func node(name string, tags ...Tag) Entry {
	return Entry{Name: name, Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Tags: tags}
}

func change(kind Kind, entries ...Entry) Change { return Change{Kind: kind, Entries: entries} }

// show renders a view: name=status@seconds, and the tags if there are any.
func show(v *View) string {
	var b strings.Builder
	for e := range v.All() {
		fmt.Fprintf(&b, "%s=%s@%.0f", e.Name, e.Status, e.Since.Sub(t0).Seconds())
		for _, tag := range e.Tags {
			fmt.Fprintf(&b, ",%s:%s", tag.Key, tag.Value)
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func TestP160_Fold(t *testing.T) {
	leaving := node("a")
	leaving.Status = Leaving
	moved := node("a")
	moved.Addr = netip.MustParseAddrPort("10.0.0.9:7946")
	steps := []struct {
		name    string
		changes []Change
		want    string
		version uint64
	}{
		{"join", []Change{change(Join, node("b"), node("a"))}, "a=alive@0 b=alive@0", 1},
		{"the same join", []Change{change(Join, node("a"))}, "a=alive@0 b=alive@0", 1},
		{"nothing", nil, "a=alive@0 b=alive@0", 1},
		{"fail", []Change{change(Fail, node("b"))}, "a=alive@0 b=failed@3", 2},
		{"leave", []Change{change(Leave, node("a"))}, "a=left@4 b=failed@3", 3},
		{"two in one", []Change{change(Join, node("b")), change(Reap, node("a"))}, "b=alive@5", 4},
		{"update sorts tags", []Change{change(Update, node("b", Tag{"z", "1"}, Tag{"c", "2"}))}, "b=alive@5,c:2,z:1", 5},
		{"update of tags back", []Change{change(Update, node("b"))}, "b=alive@5", 6},
		{"update of nobody known", []Change{change(Update, node("a"))}, "a=alive@8 b=alive@5", 7},
		{"update with a status", []Change{change(Update, leaving)}, "a=leaving@9 b=alive@5", 8},
		{"update keeps the status", []Change{change(Update, moved)}, "a=leaving@9 b=alive@5", 9},
		{"reap of nobody known", []Change{change(Reap, node("x"))}, "a=leaving@9 b=alive@5", 9},
		{"there and back", []Change{change(Join, node("x")), change(Reap, node("x"))}, "a=leaving@9 b=alive@5", 10},
	}
	var l List
	var views []*View
	for i, s := range steps {
		v := l.Apply(second(i), s.changes...)
		if got := show(v); got != s.want || v.Version() != s.version || v != l.Current() {
			t.Fatalf("%s: %q version %d, want %q version %d", s.name, got, v.Version(), s.want, s.version)
		}
		views = append(views, v)
	}
	for i, s := range steps {
		if got := show(views[i]); got != s.want {
			t.Errorf("the view of step %q became %q", s.name, got)
		}
	}
}

func TestPublish(t *testing.T) {
	with := func(name string, s Status) Entry { e := node(name); e.Status = s; return e }
	var l List
	l.Apply(second(0), change(Join, node("a"), node("b"), node("c")))
	same := l.Publish(second(1), []Entry{with("c", Alive), with("a", Alive), with("b", Alive)})
	if same.Version() != 1 {
		t.Errorf("the same list made version %d", same.Version())
	}
	v := l.Publish(second(2), []Entry{with("d", Alive), with("a", Alive), with("b", Failed), with("b", Left)})
	if got, want := show(v), "a=alive@0 b=left@2 d=alive@2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if v := l.Publish(second(3), nil); v.Len() != 0 || v.Version() != 3 {
		t.Errorf("emptied: %q version %d", show(v), v.Version())
	}
}

func TestViewQuestions(t *testing.T) {
	var l List
	if v := l.Current(); v.Len() != 0 || v.NumAlive() != 0 || v.Version() != 0 || v.Get("a") != nil {
		t.Errorf("the zero list: %q", show(v))
	}
	v := l.Apply(second(4), change(Join, node("c", Tag{"k", "v"}), node("a"), node("b")), change(Fail, node("b")))
	if v.Len() != 3 || v.NumAlive() != 2 || !v.Time().Equal(second(4)) {
		t.Errorf("len %d, alive %d, time %v", v.Len(), v.NumAlive(), v.Time())
	}
	var alive []string
	for e := range v.Alive() {
		alive = append(alive, e.Name)
	}
	if !slices.Equal(alive, []string{"a", "c"}) {
		t.Errorf("alive %v", alive)
	}
	for range v.Alive() {
		break // a reader may stop
	}
	if value, ok := v.Get("c").Tag("k"); value != "v" || !ok {
		t.Errorf("tag %q %v", value, ok)
	}
	if _, ok := v.Get("c").Tag("j"); ok {
		t.Error("a tag that is not there")
	}
	if v.Get("bb") != nil {
		t.Error("a node that is not there")
	}
}

func TestCallersMemoryIsNotKept(t *testing.T) {
	tags := []Tag{{"b", "1"}, {"a", "2"}}
	var l List
	v := l.Apply(t0, change(Join, node("x", tags...)))
	if tags[0].Key != "b" {
		t.Error("the caller's tags were sorted")
	}
	tags[0].Value, tags[1].Value = "spoilt", "spoilt"
	if got, want := show(v), "x=alive@0,a:2,b:1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStatusWords(t *testing.T) {
	for s, want := range []string{"none", "alive", "leaving", "left", "failed", "excluded", "none"} {
		if got := Status(s).String(); got != want {
			t.Errorf("%d is %q, want %q", s, got, want)
		}
		if got := ParseStatus(want); got != Status(s) && want != "none" || got.String() != want {
			t.Errorf("%q is read as %d", want, got)
		}
	}
}

func TestWatchHoldsTheNewest(t *testing.T) {
	var l List
	l.Apply(second(0), change(Join, node("a")))
	ctx, cancel := context.WithCancel(t.Context())
	w := l.Watch(ctx)
	if v := <-w; v.Version() != 1 {
		t.Errorf("at first version %d, want the current one", v.Version())
	}
	for i := range 5 {
		l.Apply(second(i), change(Join, node(fmt.Sprint("n", i))))
	}
	if v := <-w; v.Version() != 6 {
		t.Errorf("then version %d, want the newest", v.Version())
	}
	select {
	case v := <-w:
		t.Errorf("version %d came twice", v.Version())
	default:
	}
	cancel()
	if v, ok := <-w; ok {
		t.Errorf("after the end: version %d", v.Version())
	}
	l.Apply(second(9), change(Join, node("late"))) // must not send on the closed channel
}

func TestWatchOfAnEndedContext(t *testing.T) {
	var l List
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range l.Watch(ctx) {
	}
}

// TestReadersAndPublishers lets everybody work at once, for the race detector;
// each watcher must see versions that only grow, and the last one.
func TestReadersAndPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l List
		ctx, cancel := context.WithCancel(t.Context())
		var readers, publishers sync.WaitGroup
		last := make([]uint64, 8)
		for i := range last {
			w := l.Watch(ctx)
			readers.Go(func() {
				for v := range w {
					if v.Version() < last[i] {
						t.Errorf("reader %d: version %d after %d", i, v.Version(), last[i])
					}
					last[i] = v.Version()
					if v.Len() != 0 && l.Current().Version() < v.Version() {
						t.Errorf("reader %d: the current view is older than the watched one", i)
					}
				}
			})
		}
		for i := range 4 {
			publishers.Go(func() {
				for j := range 100 {
					l.Apply(second(j), change(Join, node(fmt.Sprintf("%d-%d", i, j))))
				}
			})
		}
		publishers.Wait()
		synctest.Wait() // until the readers have drained their channels
		cancel()
		readers.Wait()
		if got := l.Current(); got.Version() != 400 || got.Len() != 400 {
			t.Errorf("version %d with %d nodes, want 400 of each", got.Version(), got.Len())
		}
		for i, v := range last {
			if v != 400 {
				t.Errorf("reader %d ended at version %d", i, v)
			}
		}
	})
}

func BenchmarkApplyOneOf1000(b *testing.B) {
	var l List
	entries := make([]Entry, 1000)
	for i := range entries {
		entries[i] = node(fmt.Sprintf("node-%04d", i))
	}
	l.Publish(t0, entries)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		kind := Fail
		if i%2 == 1 {
			kind = Join
		}
		l.Apply(t0, change(kind, entries[500]))
	}
}
