package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// buffered gives the rig a buffer and, when the dispatcher is closed, has it closed too.
func (r *rig) buffered(cfg BufferConfig) {
	r.t.Helper()
	if r.cfg.Dir == "" {
		r.cfg.Dir = r.t.TempDir()
	}
	if cfg.Sync == SyncAlways {
		cfg.Sync = SyncNever // what is tested here is not the disk
	}
	b, err := OpenBuffer(r.cfg.Dir, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cfg.Buffer = b
}

// writing is a rig with a buffer and the table T on all servers.
func writing(t *testing.T, slices, replicas int) *rig {
	r := newRig(t, slices, replicas)
	r.buffered(BufferConfig{})
	r.start()
	r.must("table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	return r
}

func (r *rig) stopAll() {
	r.stop()
	if err := r.cfg.Buffer.Close(); err != nil {
		r.t.Error(err)
	}
}

func load(keys ...string) string {
	rows := make([]string, len(keys))
	for i, k := range keys {
		rows[i] = fmt.Sprintf(`{"_key":"%s"}`, k)
	}
	return "load --table T --values '[" + strings.Join(rows, ",") + "]'"
}

// state is how a volume stands.
func (r *rig) state(i int) string { return r.d.Status().Volumes[i].State }

func TestAWriteIsOnAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 3)
		defer r.stopAll()
		if got := r.must(load("a", "b")); !strings.HasSuffix(got, ",2]") {
			t.Errorf("answer %s", got)
		}
		r.must("delete --table T --key a")
		for i := range 3 {
			if got := r.fake(i).keys("T"); !slices.Equal(got, []string{"b"}) {
				t.Errorf("node%d has %v", i, got)
			}
			if n := r.d.Status().Volumes[i].Waiting; n != 0 {
				t.Errorf("%d writes wait for node%d", n, i)
			}
		}
	})
}

func TestAnAbsentReplicaGetsItsWritesBeforeItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 3)
		defer r.stopAll()
		r.fake(2).kill()
		for i := range 20 {
			r.must(load(fmt.Sprint("k", i)))
		}
		if s := r.d.Status().Volumes[2]; s.State != "inactive" || !s.Behind || s.Waiting != 20 {
			t.Fatalf("%+v", s)
		}
		r.fake(2).set(func() { r.fake(2).slow = 100 * time.Millisecond })
		r.fake(2).restart()
		time.Sleep(time.Second)
		for range 10 {
			if got := r.must("select --table T"); strings.Contains(got, "node2") {
				t.Fatalf("read from a server that lacks %d writes", 20-len(r.fake(2).keys("T")))
			}
		}
		time.Sleep(5 * time.Second)
		if got := len(r.fake(2).keys("T")); got != 20 || r.state(2) != "active" {
			t.Errorf("%d keys, %s", got, r.state(2))
		}
		if !slices.Equal(r.fake(2).got, r.fake(0).got) {
			t.Errorf("another order:\n%v\n%v", r.fake(2).got, r.fake(0).got)
		}
	})
}

func TestAFrozenReplicaDelaysAWriteOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 2)
		defer r.stopAll()
		r.fake(1).freeze()
		start := time.Now()
		r.must(load("a"))
		if took := time.Since(start); took > r.d.cfg.WriteWait+50*time.Millisecond {
			t.Errorf("the first write took %v", took)
		}
		start = time.Now()
		r.must(load("b"))
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("the next write took %v", took)
		}
		for range 10 {
			if got := r.must("select --table T"); strings.Contains(got, "node1") {
				t.Fatal("read from a server that lacks writes")
			}
		}
		r.fake(1).thaw()
		time.Sleep(3 * time.Second)
		if got := r.fake(1).keys("T"); !slices.Equal(got, []string{"a", "b"}) || r.state(1) != "active" {
			t.Errorf("%v, %s", got, r.state(1))
		}
	})
}

// A node that the list calls dead gets its writes when the list calls it alive.
func TestTheListDecidesOverWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 2)
		defer r.stopAll()
		r.alive(0)
		synctest.Wait()
		r.must(load("a"))
		if got := r.fake(1).keys("T"); len(got) != 0 {
			t.Errorf("a dead node got %v", got)
		}
		r.alive(0, 1)
		time.Sleep(time.Second)
		if got := r.fake(1).keys("T"); !slices.Equal(got, []string{"a"}) || r.state(1) != "active" {
			t.Errorf("%v, %s", got, r.state(1))
		}
		r.alive()
		synctest.Wait()
		_, err := r.do(load("b"))
		wantErr(t, err, ErrNoReplica)
	})
}

// A list without a replica is given a moment: it may be of an agent that has not joined yet.
func TestAWriteOutlastsAMomentWithoutReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 2)
		defer r.stopAll()
		r.alive()
		synctest.Wait()
		time.AfterFunc(50*time.Millisecond, func() { r.alive(0, 1) })
		start := time.Now()
		r.must(load("a"))
		if took := time.Since(start); took < 50*time.Millisecond || took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestALoadIsSplitBySlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 2, 2)
		defer r.stopAll()
		var keys []string
		for i := range 50 {
			keys = append(keys, fmt.Sprintf("key%02d", i))
		}
		if got := r.must(load(keys...)); !strings.HasSuffix(got, ",50]") {
			t.Errorf("answer %s", got)
		}
		a, b := r.fake(0).keys("T"), r.fake(2).keys("T")
		if len(a) < 10 || len(b) < 10 {
			t.Errorf("%d and %d keys", len(a), len(b))
		}
		if both := slices.Sorted(slices.Values(append(slices.Clone(a), b...))); !slices.Equal(both, keys) {
			t.Errorf("together %v", both)
		}
		if r.fake(0).dump() != r.fake(1).dump() || r.fake(2).dump() != r.fake(3).dump() {
			t.Error("replicas differ")
		}
		r.must("delete --table T --key key07")
		if n := len(r.fake(0).keys("T")) + len(r.fake(2).keys("T")); n != 49 {
			t.Errorf("%d keys after a delete", n)
		}
		_, err := r.do("delete --table T --id 1")
		wantErr(t, err, groonga.ErrNotSupported)
		_, err = r.do("load --table T --values '{]'")
		wantErr(t, err, groonga.ErrBadCommand)
	})
}

// Records that are arrays keep their columns in every share.
func TestSharesOfArrays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 1)
		d := r.start()
		defer r.stop()
		for _, line := range []string{
			`load --table T --values '[["_key","x"],["p",1],["q",2],["r",3],["s",4],["t",5]]'`,
			`load --table T --columns _key,x --values '[["p",1],["q",2],["r",3],["s",4],["t",5]]'`,
		} {
			c, err := groonga.ParseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			shares, err := d.datasets[0].shares(c)
			if err != nil || len(shares) != 2 {
				t.Fatalf("%d shares, %v", len(shares), err)
			}
			rows := 0
			for _, s := range shares {
				list, err := groonga.Records(s.command)
				if err != nil || !slices.Equal(list.Columns, []string{"_key", "x"}) || s.command.Get("values") != "" {
					t.Errorf("%s: columns %v, %v", s.command.Body, list.Columns, err)
				}
				rows += len(list.Rows)
			}
			if rows != 5 {
				t.Errorf("%d records", rows)
			}
		}
	})
}

func TestAFullBufferRefusesWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 2)
		r.buffered(BufferConfig{MaxBytes: 64 << 10})
		r.start()
		defer r.stopAll()
		r.must("table_create --name T")
		r.fake(1).kill()
		acked := 0
		var err error
		for i := range 1000 {
			if _, err = r.do(load(fmt.Sprintf("%0100d", i))); err != nil {
				break
			}
			acked++
		}
		wantErr(t, err, ErrBufferFull)
		if got := len(r.fake(0).keys("T")); got != acked {
			t.Errorf("%d records on the live replica, %d acknowledged", got, acked)
		}
		r.must("select --table T")
		r.fake(1).restart()
		time.Sleep(5 * time.Second)
		if got := len(r.fake(1).keys("T")); got != acked {
			t.Errorf("%d records on the replica that was away, %d acknowledged", got, acked)
		}
		r.must(load("more"))
	})
}

func TestReturnCodesAreAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 2)
		defer r.stopAll()
		a, err := r.do("load --table None --values []")
		if err != nil || a.Code != -22 {
			t.Fatalf("code %d, %v", a.Code, err)
		}
		r.fake(1).set(func() { r.fake(1).code = -22 })
		r.must(load("a"))
		s := r.d.Status()
		if s.Volumes[0].Mismatches+s.Volumes[1].Mismatches != 1 {
			t.Errorf("a different answer was not noticed: %+v", s.Volumes)
		}
		// No space left: a fault of the machine, so the write is kept for it.
		r.fake(1).set(func() { r.fake(1).code = -27 })
		r.must(load("b"))
		if s := r.d.Status().Volumes[1]; !s.Behind || s.Waiting != 1 {
			t.Errorf("%+v", s)
		}
		r.fake(1).set(func() { r.fake(1).code = 0 })
		time.Sleep(5 * time.Second)
		if got := r.fake(1).keys("T"); !slices.Equal(got, []string{"b"}) || r.state(1) != "active" {
			t.Errorf("%v, %s", got, r.state(1))
		}
		// On all replicas alike it is the answer.
		r.fake(0).set(func() { r.fake(0).code = -27 })
		r.fake(1).set(func() { r.fake(1).code = -27 })
		if a, err := r.do(load("c")); err != nil || a.Code != -27 {
			t.Errorf("code %d, %v", a.Code, err)
		}
	})
}

// Whichever replica has the fault and whichever answers first, an acknowledged write
// reaches the one that could not take it.
func TestAFaultOfOneHostLosesNothing(t *testing.T) {
	for _, faulty := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			r := writing(t, 1, 2)
			defer r.stopAll()
			r.must(load("a"))
			r.fake(faulty).set(func() { r.fake(faulty).code = -27 })
			r.fake(1 - faulty).set(func() { r.fake(1 - faulty).slow = time.Millisecond })
			r.must(load("b"))
			if s := r.d.Status().Volumes[faulty]; !s.Behind {
				t.Errorf("a replica without an acknowledged write is read from: %+v", s)
			}
			r.fake(faulty).set(func() { r.fake(faulty).code = 0 })
			time.Sleep(10 * time.Second)
			if got := r.fake(faulty).keys("T"); !slices.Equal(got, []string{"a", "b"}) || r.state(faulty) != "active" {
				t.Errorf("node%d has %v, %s", faulty, got, r.state(faulty))
			}
		})
	}
}

// What no replica could take and the client was told so is done by none of them later.
func TestAFaultOfAllHostsIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 3)
		defer r.stopAll()
		for i := range 3 {
			r.fake(i).set(func() { r.fake(i).code, r.fake(i).slow = -27, time.Duration(i)*time.Millisecond })
		}
		if a, err := r.do(load("a")); err != nil || a.Code != -27 {
			t.Fatalf("code %d, %v", a.Code, err)
		}
		for i := range 3 {
			r.fake(i).set(func() { r.fake(i).code = 0 })
		}
		time.Sleep(10 * time.Second)
		for i := range 3 {
			if got := r.fake(i).keys("T"); len(got) != 0 || r.state(i) != "active" {
				t.Errorf("node%d has %v, %s", i, got, r.state(i))
			}
		}
	})
}

// A gateway that is killed with writes on disk delivers them: those that were
// acknowledged to the replica that lacks them, the others to all alike.
func TestAKilledGatewayDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := writing(t, 1, 3)
		r.fake(2).kill()
		r.must(load("acked"))
		r.fake(0).freeze()
		r.fake(1).freeze()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			c, _ := groonga.ParseLine(load("doubtful"))
			if _, err := r.d.Do(ctx, c); err == nil {
				t.Error("a write was acknowledged that no replica has")
			}
		}()
		time.Sleep(100 * time.Millisecond)
		cancel()
		synctest.Wait()
		r.d.Close()
		if err := r.cfg.Buffer.Close(); err != nil {
			t.Fatal(err)
		}
		r.fake(0).thaw()
		r.fake(1).thaw()
		r.fake(2).restart()
		time.Sleep(time.Second)
		r.buffered(BufferConfig{})
		r.start()
		defer r.stopAll()
		time.Sleep(5 * time.Second)
		want := []string{"acked", "doubtful"}
		for i := range 3 {
			if got := r.fake(i).keys("T"); !slices.Equal(got, want) || r.state(i) != "active" {
				t.Errorf("node%d: %v, %s", i, got, r.state(i))
			}
		}
	})
}

func TestOnlyTheFactTableIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 1)
		r.cfg.Catalog.Datasets[0].Fact = "T"
		r.buffered(BufferConfig{})
		r.start()
		defer r.stopAll()
		r.must("table_create --name T")
		r.must("table_create --name Words")
		r.must(load("a", "b", "c", "d", "e", "f"))
		r.must(`load --table Words --values '[{"_key":"x"},{"_key":"y"}]'`)
		for i := range 2 {
			if got := r.fake(i).keys("Words"); len(got) != 2 {
				t.Errorf("node%d has %v of a table that is not cut", i, got)
			}
			if got := r.fake(i).keys("T"); len(got) == 6 || len(got) == 0 {
				t.Errorf("node%d has %v of a table that is cut", i, got)
			}
		}
	})
}
