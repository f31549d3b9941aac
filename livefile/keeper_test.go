package livefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

// keep keeps a list in targets until the test ends; faults gets what is reported.
func keep(t testing.TB, cfg KeeperConfig) (faults chan error) {
	faults = make(chan error, 100)
	cfg.Report = func(_ *Target, err error) { faults <- err }
	start(t, cfg)
	return faults
}

func start(t testing.TB, cfg KeeperConfig) *Keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := Keep(ctx, cfg)
	t.Cleanup(func() { cancel(); k.Wait() })
	return k
}

func join(names ...string) live.Change {
	c := live.Change{Kind: live.Join}
	for _, n := range names {
		c.Entries = append(c.Entries, node(n, live.Alive))
	}
	return c
}

// eventually waits for what a goroutine is to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func holds(path, want string) func() bool {
	return func() bool { text, _ := os.ReadFile(path); return strings.Contains(string(text), want) }
}

func TestKeeperFollowsTheList(t *testing.T) {
	var list live.List
	json, state := target(t, ""), target(t, live.FormatClusterState)
	keep(t, KeeperConfig{List: &list, Targets: []Target{*json, *state}})
	if _, err := os.Stat(json.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a list that nobody published was written")
	}
	list.Apply(t0, join("a", "b"))
	eventually(t, "a and b are in both files", func() bool { return holds(json.Path, `"b"`)() && holds(state.Path, `"b"`)() })
	list.Apply(t0.Add(time.Second), live.Change{Kind: live.Fail, Entries: []live.Entry{node("b", live.Alive)}})
	eventually(t, "b has failed", holds(state.Path, `"live":false`))
	eventually(t, "b is out of the list", func() bool { return !holds(json.Path, `"b"`)() })
	if since := json.inFile()["a"].Since; !since.Equal(t0) {
		t.Errorf("since %v", since)
	}
}

// TestKeeperMendsAndConfirms: a file that somebody else broke is written again, one
// that is right gets a new time.
func TestKeeperMendsAndConfirms(t *testing.T) {
	var list live.List
	f := target(t, "")
	list.Apply(t0, join("a"))
	keep(t, KeeperConfig{List: &list, Targets: []Target{*f}, Confirm: 5 * time.Millisecond})
	eventually(t, "it is there", holds(f.Path, `"a"`))
	for _, harm := range []func() error{
		func() error { return os.Remove(f.Path) },
		func() error { return os.Truncate(f.Path, 3) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is whole again", holds(f.Path, "}\n}\n"))
	}
	w, err := Watch(t.Context(), f.Path, Config{Poll: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-w.Done() })
	eventually(t, "it is confirmed", func() bool { return w.Health().Kept })
	h := w.Health()
	if h.Stale || !h.Confirmed.After(h.Written) {
		t.Errorf("health %+v", h)
	}
}

// TestListGrowsStale: who watches learns that nobody keeps the list any more.
func TestListGrowsStale(t *testing.T) {
	var list live.List
	f := target(t, "")
	list.Apply(t0, join("a"))
	ctx, cancel := context.WithCancel(context.Background())
	k := Keep(ctx, KeeperConfig{List: &list, Targets: []Target{*f}, Confirm: 5 * time.Millisecond})
	w, err := Watch(t.Context(), f.Path, Config{Poll: 5 * time.Millisecond, StaleAfter: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-w.Done() })
	eventually(t, "it is confirmed", func() bool { return w.Health().Kept })
	cancel()
	k.Wait()
	eventually(t, "it is stale", func() bool { return w.Health().Stale })
	if w.Current().Len() != 1 {
		t.Error("and empty")
	}
}

// TestKeeperReportsOnce: a disk that does not take the list is told of once, and the
// list is there as soon as it can be.
func TestKeeperReportsOnce(t *testing.T) {
	var list live.List
	dir := filepath.Join(t.TempDir(), "later")
	f := &Target{Path: filepath.Join(dir, "live.json")}
	list.Apply(t0, join("a"))
	faults := keep(t, KeeperConfig{List: &list, Targets: []Target{*f}, Confirm: 5 * time.Millisecond})
	if err := <-faults; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reported %v", err)
	}
	for i := range 5 {
		list.Apply(t0, join(fmt.Sprint("b", i)))
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := <-faults; err != nil {
		t.Errorf("reported again: %v", err)
	}
	eventually(t, "the list is there", holds(f.Path, `"b4"`))
}

// TestKeeperHoldsUpNobody: while the file cannot be written at all, lists are
// published and orders given without a wait; what there is no room for is counted.
func TestKeeperHoldsUpNobody(t *testing.T) {
	var list live.List
	f := target(t, "")
	unlock, err := lock(t.Context(), f.Path)
	if err != nil {
		t.Fatal(err)
	}
	k := start(t, KeeperConfig{List: &list, Targets: []Target{*f}})
	begun := time.Now()
	answered := make(chan Result, 1)
	k.Order(Order{Exclude: []string{"n7"}}, nil)
	for i := range 1000 {
		list.Apply(t0, join(fmt.Sprint("n", i)))
		k.Order(Order{}, func(r Result, _ error) {
			select {
			case answered <- r:
			default:
			}
		})
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := k.Dropped(); n < 1000-2*ordersWaiting || n > 1000 {
		t.Errorf("%d orders were dropped", n)
	}
	unlock()
	if r := <-answered; r.View.Len() != 1000 {
		t.Errorf("the answer knows %d nodes", r.View.Len())
	}
	eventually(t, "n7 is out", func() bool { return holds(f.Path, `"n8"`)() && !holds(f.Path, `"n7"`)() })
}

// An order that comes before the first list is followed with it.
func TestKeeperOrdersWaitForTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list live.List
		f := target(t, "")
		k := start(t, KeeperConfig{List: &list, Targets: []Target{*f}})
		var got []Result
		k.Order(Order{Exclude: []string{"a"}}, func(r Result, _ error) { got = append(got, r) })
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("it was followed without a list")
		}
		list.Apply(t0, join("a", "b"))
		synctest.Wait()
		if len(got) != 1 || !slices.Equal(got[0].Excluded, []string{"a"}) {
			t.Errorf("it came to %+v", got)
		}
		if !holds(f.Path, `"b"`)() || holds(f.Path, `"a"`)() {
			t.Error("a is not out")
		}
	})
}

func TestKeeperRunsTheCommand(t *testing.T) {
	var list live.List
	f := target(t, "")
	out := filepath.Join(filepath.Dir(f.Path), "out")
	f.Run = "grep -c alive $IBUKI_LIST >> " + out + "; test $(wc -l < " + out + ") != 2"
	list.Apply(t0, join("a"))
	f.mustUpdate(t, Order{}, says(live.Entry{Name: "a", Addr: node("a", 0).Addr, Status: live.Alive, Since: t0}))
	faults := keep(t, KeeperConfig{List: &list, Targets: []Target{*f}})
	eventually(t, "it ran for a file that is as it was", holds(out, "1\n"))
	list.Apply(t0, join("b"))
	if err := <-faults; err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("reported %v", err)
	}
	list.Apply(t0, join("c"))
	eventually(t, "it ran for the third list", holds(out, "1\n2\n3\n"))
	if err := <-faults; err != nil {
		t.Errorf("reported %v", err)
	}
}

// A node that is left out is told once, until why changes, and counted while it is.
func TestKeeperTellsWhoIsLeftOut(t *testing.T) {
	f := target(t, live.FormatNginx)
	f.PortTag = "http"
	var list live.List
	told := make(chan live.Remark, 10)
	k := start(t, KeeperConfig{List: &list, Targets: []Target{*f}, Confirm: 10 * time.Millisecond,
		Remark: func(_ *Target, r live.Remark) { told <- r }})
	for i, c := range []struct {
		tag  string
		want string
		left int
	}{
		{"x", `is left out: its tag "http" is "x", which is no port (1 to 65535)`, 1},
		{"y", `is left out: its tag "http" is "y", which is no port (1 to 65535)`, 1},
		{"80", "", 0},
		{"x", `is left out: its tag "http" is "x", which is no port (1 to 65535)`, 1},
	} {
		n := node("n", live.Alive)
		n.Tags = []live.Tag{{Key: "http", Value: c.tag}}
		list.Load(t0.Add(time.Duration(i)*time.Second), []live.Entry{n})
		if c.want != "" {
			if r := <-told; r.Node != "n" || r.Text != c.want || !r.LeftOut {
				t.Errorf("told %+v", r)
			}
		}
		eventually(t, "the count is right", func() bool { return k.LeftOut() == c.left })
		time.Sleep(30 * time.Millisecond) // the file is looked at again
	}
	if len(told) > 0 {
		t.Errorf("told again: %+v", <-told)
	}
}
