package dispatch

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
)

func catalogOf(t testing.TB, slices, replicas int) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Parse([]byte(catalogText(slices, replicas)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// change has a gateway change the cluster.
func (r *logRig) change(through int, q ChangeRequest) *ClusterChange {
	r.t.Helper()
	c, err := r.gateway(through).Change(r.t.Context(), &q)
	if err != nil {
		r.t.Fatalf("%+v: %v", q, err)
	}
	return c
}

// readFrom waits until a server is read from by what a gateway says.
func (r *logRig) readFrom(through int, server string) {
	r.t.Helper()
	r.until(server+" that is read from", func() bool {
		for _, v := range r.gateway(through).Status().Volumes {
			if v.Address == server {
				return v.State == "active"
			}
		}
		return false
	})
}

// barred waits until a gateway answers nothing, and checks that it says why.
func (r *logRig) barred(i int, why string) {
	r.t.Helper()
	for begun := time.Now(); !strings.Contains(r.gateway(i).Status().Log.Barred, why); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > patience {
			r.t.Fatalf("gateway %d does not say %q: %+v", i, why, r.gateway(i).Status().Log)
		}
	}
	for _, line := range []string{"select --table T --limit 0", load("never")} {
		if _, err := r.do(i, line); !errors.Is(err, ErrBarred) || !strings.Contains(err.Error(), why) {
			r.t.Errorf("%s through gateway %d: %v, want a refusal that says %q", line, i, err, why)
		}
	}
}

// steady has a client write and read through a gateway until what it returns is called: nothing may fail, and every
// search sees what was acknowledged.
func (r *logRig) steady(through int) (end func()) {
	done := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			if a, err := r.do(through, load(fmt.Sprint("steady", n))); err != nil || a.Code != 0 {
				r.t.Errorf("write %d: %v: %s", n, err, a.Body)
			}
			a, err := r.do(through, `select --table T --filter '_key @^ "steady"' --limit 0`)
			if err != nil || a.Stale != 0 || !strings.Contains(string(a.Body), fmt.Sprintf("[%d]", n+1)) {
				r.t.Errorf("search after %d writes: %v, stale %v: %s", n+1, err, a.Stale, a.Body)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		waiting.Wait()
	})
}

// A replica is added, removed and taken in again while clients write and read. What comes back
// with what it had before is refused, and filled when it is taken in.
func TestReplicasComeAndGo(t *testing.T) {
	r := newLogRig(t)
	r.catalog = catalogOf(t, 1, 2)
	r.startAll()
	defer r.stopAll()
	r.must(0, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	r.until("catalog of the log", func() bool { return r.gateway(0).Status().Log.CatalogAt != 0 })
	end := r.steady(2)
	defer end()
	add := ChangeRequest{Do: ChangeAdd, Nodes: []string{"node2"}}
	dry := add
	dry.Dry = true
	if c := r.change(0, dry); len(c.Added) != 1 || len(r.gateway(0).Status().Volumes) != 2 {
		t.Errorf("what would be added: %+v", c)
	}
	if c := r.change(0, add); c.Added[0] != "node2:10041" || c.Entry < 2 {
		t.Errorf("added: %+v", c)
	}
	for i := range 3 {
		r.readFrom(i, "node2:10041")
	}
	if c := r.change(1, add); !c.Empty() {
		t.Errorf("added twice: %+v", c)
	}
	r.change(1, ChangeRequest{Do: ChangeRemove, Nodes: []string{"node0"}})
	r.barred(0, "was removed")
	end()
	r.must(1, load("later"))
	r.stop(0)
	r.start(0) // with the log and the catalog that it had
	r.barred(0, "was removed")

	r.stop(0)
	r.dirs[0] = t.TempDir()
	r.start(0) // before the catalog has it
	r.barred(0, "no gateway of the catalog")
	r.change(2, ChangeRequest{Do: ChangeReplace, Nodes: []string{"node1"}, With: "node0"})
	r.readFrom(2, "node0:10041")
	r.readFrom(0, "node0:10041")
	r.barred(1, "was removed")
	if body := r.must(0, "select --table T --filter '_key == \"later\"' --limit 0"); !strings.Contains(body, "[1]") {
		t.Errorf("a server that came back was not filled: %s", body)
	}
	if a, b := r.count(0), r.count(2); a != b {
		time.Sleep(2 * time.Second)
		t.Errorf("servers have %s and %s records, 2 s later %s and %s: %+v", a, b, r.count(0), r.count(2), r.gateway(2).Status().Volumes)
	}
}

// A server is drained, stopped, and put back, while a client writes and reads.
func TestAServerIsDrained(t *testing.T) {
	r := newLogRig(t)
	r.catalog = catalogOf(t, 1, 2)
	r.startAll()
	defer r.stopAll()
	r.must(0, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	r.until("catalog of the log", func() bool { return r.gateway(0).Status().Log.CatalogAt != 0 })
	end := r.steady(2)
	defer end()
	if list, err := r.gateway(0).Drain(t.Context(), "node1", false); err != nil || len(list) != 1 {
		t.Fatalf("drained %v: %v", list, err)
	}
	if _, err := r.gateway(0).Drain(t.Context(), "node0", false); err == nil || !strings.Contains(err.Error(), "no other one is read from") {
		t.Errorf("the last one is drained: %v", err)
	}
	r.until("server that is not read from", func() bool {
		v := r.gateway(2).Status().Volumes[1]
		return v.State == "inactive" && v.Drained
	})
	r.mu.Lock()
	r.broken["node1:10041"] = true
	r.mu.Unlock()
	r.must(0, load("a", "b"))
	r.mu.Lock()
	r.broken["node1:10041"] = false
	r.mu.Unlock()
	if _, err := r.gateway(2).Drain(t.Context(), "node1:10041", true); err != nil {
		t.Fatal(err)
	}
	r.readFrom(2, "node1:10041")
	end()
	r.until("equal servers", func() bool { return r.count(0) == r.count(1) })
}

// A gateway that is given another catalog than the cluster has answers nothing; an earlier one, or
// the right one by a signal, does.
func TestOtherCatalogsAreRefused(t *testing.T) {
	r := newLogRig(t)
	r.startAll()
	defer r.stopAll()
	r.must(0, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	r.must(0, load("a"))
	right := r.catalog
	r.stop(0)
	r.catalog = catalogOf(t, 3, 1) // full copies that are declared to be slices
	r.start(0)
	r.barred(0, "is not the catalog of the cluster")
	if err := r.gateway(0).Reload(r.catalog); err == nil || !strings.Contains(err.Error(), "ibuki cluster apply") {
		t.Errorf("another catalog by a signal: %v", err)
	}
	if _, err := r.gateway(1).Change(t.Context(), &ChangeRequest{Do: ChangeApply, Catalog: r.catalog}); !errors.Is(err, catalog.ErrCut) {
		t.Errorf("another cut for the cluster: %v", err)
	}
	if err := r.gateway(0).Reload(right); err != nil {
		t.Errorf("the right catalog by a signal: %v", err)
	}
	r.must(0, load("b"))
	r.catalog = catalogOf(t, 1, 2)
	r.change(1, ChangeRequest{Do: ChangeApply, Catalog: r.catalog})
	r.stop(0)
	r.catalog = right
	r.start(0) // with an earlier one
	r.until("catalog of the log", func() bool { return len(r.gateway(0).Status().Volumes) == 2 })
	r.must(0, load("c"))
	r.until("server with all records", func() bool { return r.count(0) == "3" })
}

// Gateways with different catalogs begin no log together.
func TestNoLogBeginsWithTwoCatalogs(t *testing.T) {
	r := newLogRig(t)
	r.start(0)
	r.start(1)
	r.catalog = catalogOf(t, 3, 1)
	r.start(2)
	defer r.stopAll()
	r.until("fault that names the catalog", func() bool {
		return strings.Contains(fmt.Sprint(r.gateway(2).Status().Log.Fault, r.gateway(0).Status().Log.Fault), "another catalog")
	})
	if s := r.gateway(0).Status().Log; s.Formed {
		t.Errorf("a log has begun: %+v", s)
	}
}
