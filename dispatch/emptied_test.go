package dispatch

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
	"github.com/ibuki-dev/ibuki/live"
)

// mortal is a real Groonga server that can be killed and started again, on its address.
type mortal struct {
	*groongatest.Server
	dir string
	cmd *exec.Cmd
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	groongatest.Program(t)
	m := &mortal{Server: &groongatest.Server{Addr: fmt.Sprintf("127.0.0.1:%d", groongatest.FreePort(t)), TB: t}, dir: t.TempDir()}
	m.start()
	t.Cleanup(m.kill)
	return m
}

// must has commands done that have to succeed.
func (m *mortal) must(lines ...string) {
	m.TB.Helper()
	for _, line := range lines {
		c, err := groonga.ParseLine(line)
		if err != nil {
			m.TB.Fatal(err)
		}
		if _, answer := m.Ask(c, c.Body); groonga.ReturnCode(0, answer) != 0 {
			m.TB.Fatalf("%s: %s", line, answer)
		}
	}
}

func (m *mortal) db() string { return filepath.Join(m.dir, "db") }

// start starts it, with an empty database if it has none.
func (m *mortal) start() {
	m.TB.Helper()
	_, port, _ := strings.Cut(m.Addr, ":")
	args := []string{"-s", "--protocol", "http", "--bind-address", "127.0.0.1", "-p", port, "--log-path", filepath.Join(m.dir, "log"), "--query-log-path", ""}
	if _, err := os.Stat(m.db()); err != nil {
		args = append(args, "-n")
	}
	m.cmd = exec.Command("groonga", append(args, m.db())...)
	if err := m.cmd.Start(); err != nil {
		m.TB.Fatal(err)
	}
	if !m.Answers(nil) {
		m.TB.Fatal("Groonga does not answer")
	}
}

func (m *mortal) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

// empty removes the database.
func (m *mortal) empty() {
	m.TB.Helper()
	files, _ := filepath.Glob(m.db() + "*")
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			m.TB.Fatal(err)
		}
	}
}

// TestEmptiedDatabase: without a log, a server that comes back without its tables is not
// read from until it is started with the data of another.
func TestEmptiedDatabase(t *testing.T) {
	a, b := newMortal(t), newMortal(t)
	for _, m := range []*mortal{a, b} {
		m.must("table_create Items TABLE_HASH_KEY ShortText", `load --table Items --values '[{"_key":"one"}]'`)
	}
	d := oneSlice(t, a.Addr, b.Addr)
	second := func(state, fault string) {
		t.Helper()
		var v VolumeStatus
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
			if v = d.Status().Volumes[1]; v.State == state && strings.Contains(v.Fault, fault) {
				return
			}
		}
		t.Fatalf("%+v", v)
	}
	search := func() {
		t.Helper()
		c, err := groonga.ParseLine("select Items --limit 0 --output_columns _key")
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			answer, err := d.Do(t.Context(), c)
			if err != nil || !strings.Contains(string(answer.Body), "[[[1],") {
				t.Fatalf("%s, %v", answer.Body, err)
			}
		}
	}
	search()
	second("active", "")

	b.kill()
	search() // it is noticed: the server says only in which second it was started
	b.empty()
	b.start()
	second("inactive", "none of the tables")
	search()

	// What it gets while it runs is not taken for all that it had.
	b.must("table_create Items TABLE_HASH_KEY ShortText", `load --table Items --values '[{"_key":"one"}]'`)
	time.Sleep(2 * probeLimit)
	second("inactive", "none of the tables")

	b.kill()
	for now := time.Now().Unix(); time.Now().Unix() == now; { // it says only in which second it was started
		time.Sleep(10 * time.Millisecond)
	}
	b.start()
	second("active", "")
	a.kill() // so that the other one is asked
	search()
}

// TestAskingForTablesHoldsUpNobody: several gateways ask a server for its tables at the
// same time, as they do when it was started anew. (Of table_list, two are enough to hold
// each other up for seconds.)
func TestAskingForTablesHoldsUpNobody(t *testing.T) {
	g := newMortal(t)
	g.must("table_create Items TABLE_HASH_KEY ShortText")
	g.must("table_create Terms TABLE_PAT_KEY ShortText")
	g.must("column_create Items title COLUMN_SCALAR ShortText")
	var gateways sync.WaitGroup
	for range 3 {
		d := oneSlice(t, g.Addr)
		gateways.Go(func() {
			for range 1000 {
				names, err := d.tables(d.now().volumes[0])
				if err != nil || !maps.Equal(names, map[string]bool{"Items": true, "Terms": true}) {
					t.Errorf("%v, %v", names, err)
					return
				}
			}
		})
	}
	gateways.Wait()
}

// oneSlice is a dispatcher with a catalog of one slice, of which each of the servers is a replica.
func oneSlice(t *testing.T, addrs ...string) *Dispatcher {
	t.Helper()
	replicas := make([]string, len(addrs))
	for i, addr := range addrs {
		replicas[i] = fmt.Sprintf(`{"dimension":"_key","slicer":"hash","slices":[{"label":"s","weight":100,"volume":{"address":"%s/d"}}]}`, addr)
	}
	c, err := catalog.Parse(fmt.Appendf(nil, `{"version":2,"effectiveDate":"2026-01-01T00:00:00Z","datasets":{"Default":{"nWorkers":1,"plugins":[],"schema":{},"replicas":[%s]}}}`,
		strings.Join(replicas, ",")))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Catalog: c, List: &live.List{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}
