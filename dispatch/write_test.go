package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

func load(keys ...string) string {
	rows := make([]string, len(keys))
	for i, k := range keys {
		rows[i] = fmt.Sprintf(`{"_key":"%s"}`, k)
	}
	return "load --table T --values '[" + strings.Join(rows, ",") + "]'"
}

// of splits a command among the servers.
func (r *rig) of(line string) []share {
	r.t.Helper()
	c, err := groonga.ParseLine(line)
	if err != nil {
		r.t.Fatal(err)
	}
	shares, err := r.d.now().datasets[0].shares(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return shares
}

// keysOf are the keys of a share's records.
func keysOf(t *testing.T, s share) (keys []string) {
	t.Helper()
	list, err := groonga.Records(s.command)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range list.Rows {
		keys = append(keys, fmt.Sprint(list.Record(row)["_key"]))
	}
	return keys
}

func TestALoadIsSplitBySlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2)
		r.start()
		defer r.stop()
		var keys []string
		for i := range 50 {
			keys = append(keys, fmt.Sprintf("key%02d", i))
		}
		shares := r.of(load(keys...))
		if len(shares) != 2 || len(shares[0].volumes) != 2 || len(shares[1].volumes) != 2 || shares[0].volumes[0] == shares[1].volumes[0] {
			t.Fatalf("%+v", shares)
		}
		a, b := keysOf(t, shares[0]), keysOf(t, shares[1])
		if len(a) < 10 || len(b) < 10 {
			t.Errorf("%d and %d keys", len(a), len(b))
		}
		if both := slices.Sorted(slices.Values(append(slices.Clone(a), b...))); !slices.Equal(both, keys) {
			t.Errorf("together %v", both)
		}
		for _, s := range shares { // a record is deleted where it was loaded
			for _, key := range keysOf(t, s) {
				if of := r.of("delete --table T --key " + key); len(of) != 1 || !slices.Equal(of[0].volumes, s.volumes) {
					t.Errorf("%s: %+v", key, of)
				}
			}
		}
		if of := r.of("table_create --name U"); len(of) != 2 {
			t.Errorf("what is for all slices: %+v", of)
		}
		for line, want := range map[string]error{"delete --table T --id 1": groonga.ErrNotSupported, "load --table T --values '{]'": groonga.ErrBadCommand} {
			c, err := groonga.ParseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.d.now().datasets[0].shares(c)
			wantErr(t, err, want)
		}
	})
}

func TestOnlyTheFactTableIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 1)
		r.cfg.Catalog.Datasets[0].Fact = "T"
		r.start()
		defer r.stop()
		for _, s := range r.of(strings.ReplaceAll(load("a", "b", "c", "d", "e", "f"), "T ", "Words ")) {
			if n := len(keysOf(t, s)); n != 6 {
				t.Errorf("%d records of a table that is not cut", n)
			}
		}
		for _, s := range r.of(load("a", "b", "c", "d", "e", "f")) {
			if n := len(keysOf(t, s)); n == 6 || n == 0 {
				t.Errorf("%d records of a table that is cut", n)
			}
		}
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
			shares, err := d.now().datasets[0].shares(c)
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

// A write of which a slice has nobody to answer it is refused before it is proposed; a list
// without replicas is given a moment, since it may be of an agent that has not joined yet.
func TestAWriteOutlastsAMomentWithoutReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2)
		d := r.start()
		defer r.stop()
		shares := r.of("table_create --name T")
		r.alive(0, 1) // nobody of the second slice
		synctest.Wait()
		begun := time.Now()
		wantErr(t, d.awaitReplicas(t.Context(), shares), ErrNoReplica)
		if took := time.Since(begun); took < d.cfg.WriteWait || took > d.cfg.WriteWait+50*time.Millisecond {
			t.Errorf("it was refused after %v", took)
		}
		time.AfterFunc(50*time.Millisecond, func() { r.alive(0, 3) })
		begun = time.Now()
		if err := d.awaitReplicas(t.Context(), shares); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took < 50*time.Millisecond || took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}
