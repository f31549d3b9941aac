package dispatch

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/backup"
	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

// backUp takes a backup through a gateway.
func (r *logRig) backUp(g int, dir string) *backup.Manifest {
	r.t.Helper()
	m, err := r.gateway(g).Backup(r.t.Context(), "", func(name string) (io.Writer, error) {
		out, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			r.t.Cleanup(func() { out.Close() })
		}
		return out, err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, backup.ManifestName), text, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// front is a gateway of a rig as clients have it.
type front struct{ d *Dispatcher }

// Do has a command done once, also if a busy machine takes its time.
func (f front) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	named := *c
	named.ID = rand.Text()
	for {
		a, err := f.d.Do(ctx, &named)
		if !errors.Is(err, ErrUnconfirmed) && !errors.Is(err, ErrNoMajority) {
			return a, err
		}
	}
}

// restore brings a backup into the cluster.
func (r *logRig) restore(dir string) {
	r.t.Helper()
	folder, err := backup.Open(r.t.Context(), dir, func(int64) {})
	if err != nil {
		r.t.Fatal(err)
	}
	d := r.gateway(0)
	info, err := d.BackupInfo("")
	if err == nil {
		err = folder.Restore(r.t.Context(), front{d}, info.Cuts, func(int) {})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// shape has the rig's servers be slices and replicas of them.
func (r *logRig) shape(slices, replicas int, fact string) {
	r.t.Helper()
	c, err := catalog.Parse([]byte(strings.Replace(catalogText(slices, replicas), `"schema":{},`, `"schema":{},"fact":"`+fact+`",`, 1)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.catalog = c
}

// slowDumps is a connection on which the dump for a backup is asked for late.
type slowDumps struct {
	net.Conn
	wait time.Duration
}

func (s slowDumps) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("/d/dump HTTP")) || bytes.Contains(b, []byte("/d/dump?dump_plugins=no&dump_schema=no")) {
		time.Sleep(s.wait)
	}
	return s.Conn.Write(b)
}

var steps = regexp.MustCompile(`(?m)^\["step(\d)",(\d+)\]`)

// A backup has all that was written before one place of the log, of all slices, and nothing that came later, also if
// the dumps do not begin together: a client that counts in nine records, one after the other, is at no two places.
func TestABackupIsOfOnePlaceOfTheLog(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.shape(3, 1, "")
	r.startAll()
	r.t.Cleanup(r.stopAll)
	for _, table := range []string{"A", "B"} {
		r.must(0, fmt.Sprintf("table_create --name %s --flags TABLE_HASH_KEY --key_type ShortText", table))
		r.must(0, fmt.Sprintf("column_create --table %s --name v --flags COLUMN_SCALAR --type Int32", table))
		rows := make([]string, 3000)
		for i := range rows {
			rows[i] = fmt.Sprintf(`{"_key":"old%d","v":1}`, i)
		}
		r.must(0, fmt.Sprintf("load --table %s --values '[%s]'", table, strings.Join(rows, ",")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	var rounds atomic.Int64
	writer.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			rounds.Store(int64(i))
			for n := range 9 {
				line := fmt.Sprintf(`load --table %c --values '[{"_key":"step%d","v":%d}]'`, "AB"[n%2], n, i)
				if a, err := r.do(1, line); err != nil || a.Code != 0 {
					t.Errorf("a write while a backup is taken: %v %s", err, a.Body)
					return
				}
			}
		}
	})
	defer writer.Wait()
	defer cancel()
	last := uint64(0)
	r.mu.Lock()
	r.slow = true // so that the dumps do not begin together
	r.mu.Unlock()
	for range 2 {
		begun := rounds.Load()
		r.until("round of the client", func() bool { return rounds.Load() > begun+1 })
		dir := t.TempDir()
		m := r.backUp(0, dir)
		var at [9]int
		for i := range m.Files {
			text, err := os.ReadFile(filepath.Join(dir, m.Files[i].Name))
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range steps.FindAllStringSubmatch(string(text), -1) {
				n, _ := strconv.Atoi(found[1])
				at[n], _ = strconv.Atoi(found[2])
			}
		}
		down := func(a, b int) int { return b - a }
		if !slices.IsSortedFunc(at[:], down) || at[0]-at[8] > 1 || at[8] == 0 || m.Index <= last {
			t.Errorf("entry %d, after %d: the client is at %v", m.Index, last, at)
		}
		last = m.Index
	}
	cancel()
	writer.Wait()
}

// A backup comes back into another number of slices: all records once, with what they refer to.
func TestABackupIsRestoredIntoOtherSlices(t *testing.T) {
	t.Parallel()
	begin := func(slices, replicas int) *logRig {
		r := newLogRig(t)
		r.shape(slices, replicas, "T")
		r.startAll()
		r.t.Cleanup(r.stopAll)
		return r
	}
	one, three := begin(1, 3), begin(3, 1)
	for _, line := range []string{
		"table_create --name R --flags TABLE_PAT_KEY --key_type ShortText --normalizer NormalizerAuto",
		"column_create --table R --name label --flags COLUMN_SCALAR --type ShortText",
		"table_create --name T --flags TABLE_HASH_KEY --key_type ShortText",
		"column_create --table T --name v --flags COLUMN_SCALAR --type Int32",
		"column_create --table T --name ref --flags COLUMN_SCALAR --type R",
		"column_create --table R --name idx --flags COLUMN_INDEX --type T --source ref",
		"table_create --name N --flags TABLE_HASH_KEY --key_type UInt32",
		"column_create --table N --name t --flags COLUMN_SCALAR --type Text",
		"table_create --name K --flags TABLE_NO_KEY",
		"column_create --table K --name m --flags COLUMN_SCALAR --type ShortText",
		`config_set --key "a key" --value "some \"value\""`,
		`load --table K --values '[{"m":"1"},{"m":"2"},{"m":"3"},{"m":"4"}]'`,
		`delete --table K --filter 'm == "2"'`,
		`load --table N --values '[{"_key":7,"t":"a \\"b\\" ],"},{"_key":8,"t":""},{"_key":9}]'`,
	} {
		one.must(0, line)
	}
	rows := make([]string, 40)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"_key":"k%d","v":%d,"ref":"R%d"}`, i, i, i%7)
	}
	one.must(0, "load --table T --values '["+strings.Join(rows, ",")+"]'")
	one.must(0, `load --table R --values '[{"_key":"r0","label":"null"},{"_key":"R3","label":"drei"},{"_key":"r99","label":"alone"}]'`)
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	if m := one.backUp(1, first); len(m.Files) != 1 || m.Total() != 3+3+40+8 || m.Groonga == "" || m.Tables() != 4 {
		t.Errorf("%+v", m)
	}
	three.restore(first)
	m := three.backUp(2, second)
	if len(m.Files) != 3 || m.Total() != 3+3+40+8 {
		t.Errorf("of three slices: %+v", m)
	}
	if err := fill.Empty(t.Context(), front{one.gateway(0)}); err != nil {
		t.Fatal(err)
	}
	one.restore(second)
	one.backUp(0, third)
	if a, b := sortedBackup(t, first), sortedBackup(t, third); a != b {
		t.Errorf("there\n%s\nand back\n%s", a, b)
	}
	if a := one.must(0, "select --table T --query ref:@r3 --limit 0"); !strings.Contains(a, "[[[6]") {
		t.Errorf("a search through an index: %s", a)
	}
	one.equal()
}

var byNumber = regexp.MustCompile(`(?m)^\[\d+,("\d"\],?)$`)

// sortedBackup is what a backup of one slice says, in an order that does not depend on that in which records came.
func sortedBackup(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, backup.FileName(0)))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(byNumber.ReplaceAllString(string(text), "[n,$1")) {
		if line = strings.TrimRight(line, ",\n"); line != "[]" && !strings.HasPrefix(line, "delete ") {
			kept = append(kept, line)
		}
	}
	slices.Sort(kept)
	return strings.Join(kept, "\n")
}
