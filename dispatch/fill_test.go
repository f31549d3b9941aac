package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
	"github.com/ibuki-dev/ibuki/writelog/applier"
)

// exchange gives a node another server, with an empty database.
func (r *logRig) exchange(i int) {
	r.servers[i].Kill()
	s := groongatest.Start(r.t)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[i] = s
}

// target is how a server stands, as any gateway says.
func (r *logRig) target(i int) *FillTarget {
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	for g := range 3 {
		if d := r.gateway(g); d != nil {
			if list, err := d.Fillings(ctx, fmt.Sprintf("node%d", i)); err == nil {
				return list[0]
			}
		}
	}
	return &FillTarget{Position: &Position{}}
}

// filled waits until a server was filled so many times and is read from again.
func (r *logRig) filled(i, times int) {
	r.t.Helper()
	var s *FillTarget
	defer func() {
		if r.t.Failed() {
			text, _ := json.Marshal(s)
			r.t.Logf("%s", text)
		}
	}()
	r.until("filled server", func() bool {
		s = r.target(i)
		return s.Filled >= times && s.Position.State == "up" && r.gateway((i + 1) % 3).Status().Volumes[i].State == "active"
	})
}

// ask asks one server itself.
func (r *logRig) ask(i int, line string) string {
	r.t.Helper()
	c, err := groonga.ParseLine(line)
	if err != nil {
		r.t.Fatal(err)
	}
	_, body := r.servers[i].Ask(c, nil)
	return string(body)
}

// equal compares what the servers have, when nobody writes any more.
func (r *logRig) equal() {
	r.t.Helper()
	dump := func(i int) string {
		return string(applier.StripDump([]byte(r.ask(i, "dump --sort_hash_table yes"))))
	}
	r.until("equal servers", func() bool { return dump(0) == dump(1) && dump(1) == dump(2) })
}

// clients are clients that write and read as long as a test has them do so.
type clients struct {
	r       *logRig
	stop    func()
	wg      sync.WaitGroup
	acked   atomic.Int64
	logged  atomic.Int64 // records in the table without keys
	refused atomic.Int64
}

// load has some clients: each loads records with keys of its own, changes and deletes some, appends to a table without
// keys if appends is set, and looks whether it finds what it was told to be done.
func (r *logRig) load(appends bool) *clients {
	c := &clients{r: r}
	ctx, cancel := context.WithCancel(r.t.Context())
	c.stop = func() { cancel(); c.wg.Wait() }
	r.t.Cleanup(c.stop)
	for n := range 2 {
		c.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c.turn(n, i, appends)
			}
		})
	}
	return c
}

func (c *clients) turn(n, i int, appends bool) {
	g := n // each through a gateway of its own
	key := fmt.Sprintf("c%d-%d", n, i)
	line := fmt.Sprintf("load --table T --values '[{\"_key\":%q,\"v\":%d,\"ref\":\"r%d\"},{\"_key\":\"shared\",\"v\":%d}]'", key, i, i%7, i)
	switch {
	case i%5 == 4:
		line = fmt.Sprintf("delete --table T --key c%d-%d", n, i-1)
	case appends && i%5 == 3:
		line = fmt.Sprintf("load --table K --values '[{\"m\":%q}]'", key)
	}
	if a, err := c.r.do(g, line); err != nil || a.Code != 0 {
		c.refused.Add(1)
		c.r.t.Logf("%s: %v %s", line, err, a.Body)
		return
	}
	c.acked.Add(1)
	switch {
	case strings.HasPrefix(line, "load --table K"):
		c.logged.Add(1)
	case strings.HasPrefix(line, "load"):
		a, err := c.r.do(g, fmt.Sprintf("select --table T --query '_key:%s' --output_columns v --limit 1", key))
		if want := fmt.Sprintf("[[[1],[[\"v\",\"Int32\"]],[%d]]]", i); err != nil || !strings.Contains(string(a.Body), want) {
			c.r.t.Errorf("a search does not find %s, which was acknowledged: %v %s", key, err, a.Body)
		}
	}
}

// end ends them, and compares what the servers have.
func (c *clients) end() {
	c.r.t.Helper()
	c.stop()
	if n := c.refused.Load(); n > 0 {
		c.r.t.Errorf("%d writes failed of %d", n, n+c.acked.Load())
	}
	c.r.equal()
	if a := c.r.must(0, "select --table K --limit 0"); !strings.Contains(a, fmt.Sprintf("[[[%d]", c.logged.Load())) {
		c.r.t.Errorf("%d records were acknowledged for the table without keys, there are %s", c.logged.Load(), a)
	}
}

// begin starts gateways before servers that have tables of each kind with some records: what they had before the log
// began is not in it, so that an emptied one has to be filled.
func (r *logRig) begin() {
	r.t.Helper()
	lines := []string{
		"table_create --name R --flags TABLE_PAT_KEY --key_type ShortText",
		"table_create --name T --flags TABLE_HASH_KEY --key_type ShortText",
		"column_create --table T --name v --flags COLUMN_SCALAR --type Int32",
		"column_create --table T --name ref --flags COLUMN_SCALAR --type R",
		"column_create --table R --name idx --flags COLUMN_INDEX --type T --source ref",
		"table_create --name K --flags TABLE_NO_KEY",
		"column_create --table K --name m --flags COLUMN_SCALAR --type ShortText",
		"config_set --key a --value b",
	}
	var rows strings.Builder
	for i := range 20000 { // what a copy takes a while for
		fmt.Fprintf(&rows, ",{\"_key\":\"old%d\",\"v\":%d}", i, i)
	}
	for i := range 3 {
		for _, line := range lines {
			r.ask(i, line)
		}
		r.servers[i].Ask(&groonga.Command{Name: "load", Args: []groonga.Arg{{Name: "table", Value: "T"}}, Body: []byte("[]")}, []byte("["+rows.String()[1:]+"]"))
	}
	r.startAll()
	r.t.Cleanup(r.stopAll)
	r.until("gateways that know all servers", func() bool {
		known := true
		for i := range 3 {
			known = known && r.target(i).Position.State == "up"
			for _, v := range r.gateway(i).now().volumes {
				_, named := r.gateway(i).logged.named.Load(v)
				known = known && named
			}
		}
		return known
	})
}

// An emptied server is filled while clients write and read, and nobody sees anything of it.
func TestAnEmptiedServerIsFilledUnderLoad(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.begin()
	c := r.load(true)
	r.exchange(2)
	r.filled(2, 1)
	c.end()
}

// A server that says itself that it cannot be trusted is filled, though what it has is of this cluster and not empty.
func TestASuspectServerIsFilledUnderLoad(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.begin()
	c := r.load(false)
	r.ask(1, "config_set --key ibuki.suspect --value 'for this test'")
	r.ask(1, "table_create --name Torn --flags TABLE_NO_KEY")
	r.gateway(1).now().appliers[r.gateway(1).now().byAddr["node1:10041"]].Begin("for this test")
	r.filled(1, 1)
	c.end()
}

// source is the server that another one is filled from.
func (r *logRig) source(of int) int {
	return int(r.target(of).Position.Filling.From[len("node")] - '0')
}

// Whoever ends while a server is filled: it begins anew, and nothing half filled is read from.
func TestAFillingIsBrokenOff(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(r *logRig){ // order-free: each by itself
		"target": func(r *logRig) { r.servers[2].Kill(); r.servers[2].Restart() },
		"source": func(r *logRig) {
			i := r.source(2)
			r.servers[i].Kill()
			r.servers[i].Restart()
		},
		"both": func(r *logRig) {
			i := r.source(2)
			r.servers[i].Kill()
			r.servers[2].Kill()
			r.servers[i].Restart()
			r.servers[2].Restart()
		},
		"gateway": func(r *logRig) { r.stop(2); r.start(2) },
		"gateway and source": func(r *logRig) {
			i := r.source(2)
			r.stop(2)
			r.servers[i].Kill()
			r.servers[i].Restart()
			r.start(2)
		},
		"leader": func(r *logRig) {
			old := r.leader()
			r.stop(old)
			r.until("another leader", func() bool { return r.leader() != old })
			r.start(old)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newLogRig(t)
			r.begin()
			c := r.load(true)
			r.exchange(2)
			r.until("filling", func() bool {
				f := r.target(2).Position.Filling
				return f != nil && f.Rows > 0
			})
			if v := r.gateway(0).Status().Volumes[2]; v.State == "active" {
				t.Errorf("a server that is being filled is %s", v.State)
			}
			strike(r)
			r.filled(2, 1)
			if name == "gateway" {
				if s := r.target(2); s.Fault != "" {
					t.Error(s.Fault)
				}
			}
			c.end()
		})
	}
}

// A server with data that is not this cluster's is not emptied, unless that is what is asked for; a complete one is
// filled when it is asked for.
func TestAServerIsFilledThatSomebodyNames(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.begin()
	r.exchange(2)
	r.ask(2, "table_create --name Precious --flags TABLE_NO_KEY")
	r.until("refusal", func() bool { return strings.Contains(r.target(2).Fault, applier.ErrForeign.Error()) })
	if !strings.Contains(r.ask(2, "dump"), "Precious") {
		t.Fatal("data that is not the cluster's was removed")
	}
	for i, discard := range map[string]bool{"node2": true, "node1:10041": false} { // order-free: each by itself
		list, err := r.gateway(0).Fill(t.Context(), i, discard)
		if err != nil || len(list) != 1 {
			t.Fatal(err, list)
		}
		r.filled(int(i[len("node")]-'0'), 1)
	}
	r.equal()
	if _, err := r.gateway(0).Fill(t.Context(), "node9", false); err == nil {
		t.Error("a server is filled that is not in the catalog")
	}
}

// A gateway that is cut off does not know that a server has left the read set. It does not read from one that is being
// filled all the same.
func TestAGatewayThatIsCutOffReadsNothingHalfFilled(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.begin()
	r.mu.Lock()
	r.cut[gatewayName(0)] = true
	r.mu.Unlock()
	r.until("minority", func() bool { return r.gateway(0).Status().Log.Leader == "" })
	r.until("filling that begins", func() bool { _, err := r.gateway(1).Fill(t.Context(), "node1", false); return err == nil })
	r.until("filled server", func() bool {
		a, err := r.do(0, "select --table T --limit 0")
		if err != nil || a.Stale == 0 || !strings.Contains(string(a.Body), "[[[20000]") {
			t.Errorf("a search through a gateway that is cut off: %v %v %s", a.Stale, err, a.Body)
			return true
		}
		list, err := r.gateway(1).Fillings(t.Context(), "node1")
		return err == nil && list[0].Filled == 1
	})
}

// Writes that may not be done twice wait for a copy no longer than they may, if nobody else can take them.
func TestAFillingGivesWayToWrites(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.fillPause = time.Millisecond
	r.begin()
	r.mu.Lock()
	r.broken["node1:10041"] = true // the source is the only complete one
	r.mu.Unlock()
	c := r.load(true)
	r.exchange(2)
	r.until("filling that is given up", func() bool { return strings.Contains(r.target(2).Fault, errHoldWaits.Error()) })
	r.mu.Lock()
	r.broken["node1:10041"] = false
	r.mu.Unlock()
	c.stop()
	r.filled(2, 1)
	c.end()
}

// A filling for which the log would have to be kept beyond its bound is given up, so that writes go on.
func TestAFillingGivesWayToTheLog(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.logBytes = 1 << 20
	r.begin()
	r.stop(1) // its log needs what it misses
	long := strings.Repeat("x", 60000)
	for i := 0; ; i++ {
		size, most := r.gateway(2).logged.member.Size()
		if size > most/10*9 {
			break
		}
		if a, err := r.do(0, fmt.Sprintf("load --table T --values '[{\"_key\":\"long%d\",\"v\":1,\"note\":\"%s\"}]'", i, long)); err != nil {
			t.Fatalf("%v %s", err, a.Body)
		}
	}
	r.exchange(2)
	r.until("filling that is given up", func() bool { return strings.Contains(r.target(2).Fault, errLogBound.Error()) })
	r.start(1)
	r.filled(2, 1)
	r.equal()
}

// Records that are referred to by number have the same numbers everywhere, also on a server that was filled: none of
// them is deleted, and nothing refers to a table of which some were.
func TestNumbersThatAreReferredTo(t *testing.T) {
	t.Parallel()
	r := newLogRig(t)
	r.startAll()
	r.t.Cleanup(r.stopAll)
	for _, line := range []string{
		"table_create --name K --flags TABLE_NO_KEY",
		"column_create --table K --name m --flags COLUMN_SCALAR --type ShortText",
		"table_create --name G --flags TABLE_NO_KEY",
		"column_create --table G --name m --flags COLUMN_SCALAR --type ShortText",
		"table_create --name T --flags TABLE_HASH_KEY --key_type ShortText",
		"column_create --table T --name k --flags COLUMN_SCALAR --type K",
		`load --table K --values '[{"m":"1"},{"m":"2"},{"m":"3"}]'`,
		`load --table G --values '[{"m":"1"},{"m":"2"},{"m":"3"}]'`,
		`delete --table G --filter 'm == "2"'`,
		`load --table T --values '[{"_key":"a","k":3},{"_key":"b"}]'`,
	} {
		r.must(0, line)
	}
	for _, line := range []string{`delete --table K --filter 'm == "2"'`, "column_create --table T --name g --flags COLUMN_VECTOR --type G"} {
		if a, err := r.do(1, line); !errors.Is(err, groonga.ErrByNumber) {
			t.Errorf("%s: %v %s", line, err, a.Body)
		}
	}
	r.must(1, "delete --table T --id 2") // by its key, since all servers have the same one there
	if got := r.must(0, "select --table T --output_columns _key"); !strings.Contains(got, `["a"]`) || strings.Contains(got, `"b"`) {
		t.Error(got)
	}
	if _, err := r.gateway(0).Fill(t.Context(), "node1", false); err != nil {
		t.Fatal(err)
	}
	r.filled(1, 1)
	r.must(2, `load --table K --values '[{"m":"4"}]'`)
	r.must(2, `load --table T --values '[{"_key":"c","k":4},{"_key":"d","k":2}]'`)
	r.equal()
}
