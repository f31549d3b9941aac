package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/writelog/member"
	"github.com/ibuki-dev/ibuki/writelog/member/membertest"
)

// logRig is three gateways that share a log of writes, each with a real Groonga server.
type logRig struct {
	t       testing.TB
	servers []*groongatest.Server
	catalog *catalog.Catalog
	dirs    []string

	mu        sync.Mutex
	gateways  map[string]*Dispatcher
	cut       map[string]bool
	frozen    map[string]chan struct{}
	broken    map[string]bool // servers that refuse connections
	pause     time.Duration   // between two comparisons; 0: the default
	fillPause time.Duration   // 0: the default
	logBytes  int64           // of each log; 0: the default
	slow      bool            // dumps of node1's server begin late, those of node2's later still
}

func newLogRig(t testing.TB) *logRig {
	t.Helper()
	r := &logRig{
		t: t, gateways: make(map[string]*Dispatcher), cut: make(map[string]bool),
		frozen: make(map[string]chan struct{}), broken: make(map[string]bool),
	}
	c, err := catalog.Parse([]byte(catalogText(1, 3)))
	if err != nil {
		t.Fatal(err)
	}
	r.catalog = c
	for range 3 {
		r.servers = append(r.servers, groongatest.Start(t))
		r.dirs = append(r.dirs, t.TempDir())
	}
	return r
}

func gatewayName(i int) string { return fmt.Sprintf("node%d:10040", i) }

func (r *logRig) start(i int) {
	r.t.Helper()
	cfg := Config{
		Catalog: r.catalog, List: new(live.List), Self: gatewayName(i), PeerClient: logWay{r, gatewayName(i)},
		WriteLog: &LogConfig{Dir: r.dirs[i], Transport: logWay{r, gatewayName(i)}, Boot: "this one", ComparePause: r.pause, FillPause: r.fillPause, MaxBytes: r.logBytes, CompareRest: -1, CompareRate: 1 << 20},
		dial:     r.dial,
	}
	for o := range 3 {
		if o != i {
			cfg.Peers = append(cfg.Peers, Peer{Name: fmt.Sprint("node", o), Addr: gatewayName(o)})
		}
	}
	d, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.gateways[gatewayName(i)] = d
	r.mu.Unlock()
}

// startAll starts the gateways and waits until writes are done.
func (r *logRig) startAll() {
	r.t.Helper()
	for i := range 3 {
		r.start(i)
	}
	r.until("a leader", func() bool {
		s := r.gateway(0).Status().Log
		return s.Leader != "" && s.Leased
	})
}

func (r *logRig) stop(i int) {
	r.mu.Lock()
	d := r.gateways[gatewayName(i)]
	delete(r.gateways, gatewayName(i))
	r.mu.Unlock()
	if d != nil {
		d.Close()
	}
}

func (r *logRig) stopAll() {
	for i := range 3 {
		r.stop(i)
	}
}

func (r *logRig) gateway(i int) *Dispatcher {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gateways[gatewayName(i)]
}

func (r *logRig) dial(addr string, timeout time.Duration) (net.Conn, error) {
	var i int
	if _, err := fmt.Sscanf(addr, "node%d:10041", &i); err != nil {
		return nil, err
	}
	r.mu.Lock()
	broken, server, slow := r.broken[addr], r.servers[i], r.slow
	r.mu.Unlock()
	if slow {
		conn, err := net.DialTimeout("tcp", server.Addr, timeout)
		return slowDumps{conn, time.Duration(i) * 300 * time.Millisecond}, err
	}
	if broken {
		return nil, errors.New("connection refused")
	}
	return net.DialTimeout("tcp", server.Addr, timeout)
}

// logWay is one gateway's to the others.
type logWay struct {
	r    *logRig
	from string
}

// to returns a gateway when it can be reached.
func (w logWay) to(ctx context.Context, addr string) (d *Dispatcher, refused bool, err error) {
	w.r.mu.Lock()
	cut, frozen := w.r.cut[addr] || w.r.cut[w.from], w.r.frozen[addr]
	w.r.mu.Unlock()
	if cut {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	if frozen != nil {
		<-frozen // whatever was sent is in its sockets, and it reads it when it goes on
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if d = w.r.gateways[addr]; d == nil {
		return nil, true, errors.New("connection refused")
	}
	return d, false, nil
}

func (w logWay) Ask(ctx context.Context, addr string, request []byte) ([]byte, bool, error) {
	type result struct {
		reply   []byte
		refused bool
		err     error
	}
	done := make(chan result, 1)
	go func() {
		d, refused, err := w.to(ctx, addr)
		if err != nil {
			done <- result{nil, refused, err}
			return
		}
		reply, err := d.LogRequest()(context.Background(), request)
		done <- result{reply, false, err}
	}()
	select {
	case o := <-done:
		return o.reply, o.refused, o.err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

func (w logWay) Stream(ctx context.Context, addr string) (member.Stream, bool, error) {
	if _, refused, err := w.to(ctx, addr); err != nil {
		return nil, refused, err
	}
	return membertest.NewStream(func(ctx context.Context, request []byte) error {
		_, _, err := w.Ask(ctx, addr, request)
		return err
	}), false, nil
}

func (w logWay) Forward(ctx context.Context, addr string, c *groonga.Command) (groonga.Answer, error) {
	d, _, err := w.to(ctx, addr)
	if err != nil {
		return groonga.Answer{}, err
	}
	passed := *c
	passed.Forwarded = true
	return d.Do(ctx, &passed)
}

func (r *logRig) do(i int, line string) (groonga.Answer, error) {
	r.t.Helper()
	c, err := groonga.ParseLine(line)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	return r.gateway(i).Do(ctx, c)
}

func (r *logRig) must(i int, line string) string {
	r.t.Helper()
	a, err := r.do(i, line)
	if err != nil || a.Code != 0 {
		r.t.Fatalf("%s through gateway %d: code %d, %v: %s", line, i, a.Code, err, a.Body)
	}
	return string(a.Body)
}

// count asks one server itself how many records T has.
func (r *logRig) count(i int) string {
	c, err := groonga.ParseLine("select --table T --limit 0")
	if err != nil {
		r.t.Fatal(err)
	}
	_, body := r.servers[i].Ask(c, nil)
	_, rest, _ := strings.Cut(string(body), "],[[[")
	n, _, _ := strings.Cut(rest, "]")
	return n
}

// patience is how long something is waited for that comes sooner on a machine that is not busy:
// a filling that is given up begins anew at longer and longer intervals.
const patience = 2 * time.Minute

func (r *logRig) until(what string, is func() bool) {
	r.t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	r.t.Fatalf("no %s in %v: %+v", what, patience, r.gateway(0).Status())
}

func (r *logRig) leader() int {
	r.t.Helper()
	leads := -1
	r.until("leader", func() bool {
		for i := range 3 {
			if d := r.gateway(i); d != nil && d.Status().Log.Leader == gatewayName(i) {
				leads = i
			}
		}
		return leads >= 0
	})
	return leads
}

// Writes through any gateway are on all servers, in one order; a server that was away gets
// what it missed before it is read from; gateways that are started anew go on.
func TestLogWritesReachAllServers(t *testing.T) {
	r := newLogRig(t)
	r.startAll()
	defer r.stopAll()
	r.must(0, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	for i := range 3 {
		r.must(i, load(fmt.Sprint("a", i)))
		if body := r.must((i+1)%3, "select --table T --limit 0"); !strings.Contains(body, fmt.Sprintf("[%d]", i+1)) {
			t.Errorf("a search does not see an acknowledged write: %s", body)
		}
	}
	r.mu.Lock()
	r.broken["node2:10041"] = true
	r.mu.Unlock()
	for i := range 10 {
		r.must(i%3, load(fmt.Sprint("b", i)))
	}
	if s := r.gateway(0).Status().Volumes[2]; s.State == "active" || !s.Behind {
		t.Errorf("a server that lacks writes is read from: %+v", s)
	}
	for range 10 {
		if body := r.must(2, "select --table T --limit 0"); !strings.Contains(body, "[13]") {
			t.Errorf("a search does not see acknowledged writes: %s", body)
		}
	}
	r.mu.Lock()
	r.broken["node2:10041"] = false
	r.mu.Unlock()
	r.until("complete server", func() bool { return r.gateway(0).Status().Volumes[2].State == "active" })
	for i := range 3 {
		if n := r.count(i); n != "13" {
			t.Errorf("server %d has %s records, want 13", i, n)
		}
	}
	r.stopAll()
	r.startAll()
	r.must(1, load("c"))
	for i := range 3 {
		r.until("write after the start", func() bool { return r.count(i) == "14" })
	}
}

// A leader that was stopped and goes on does not do over again what was given up or done
// without it: neither a truncation nor an older value comes back.
func TestLogAStoppedLeaderBringsNothingBack(t *testing.T) {
	r := newLogRig(t)
	r.startAll()
	defer r.stopAll()
	leader := r.leader()
	other := (leader + 1) % 3
	r.must(other, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	r.must(other, load("old1", "old2"))
	frozen := make(chan struct{})
	r.mu.Lock()
	r.frozen[gatewayName(leader)] = frozen
	r.cut[gatewayName(leader)] = false
	r.mu.Unlock()
	r.gateway(leader).logged.member.Freeze(frozen)
	r.must(other, "truncate --target_name T")
	r.must(other, load("new1", "new2", "new3"))
	close(frozen)
	r.mu.Lock()
	delete(r.frozen, gatewayName(leader))
	r.mu.Unlock()
	r.until("complete server", func() bool { return r.gateway(other).Status().Volumes[leader].State == "active" })
	time.Sleep(300 * time.Millisecond) // what is in the sockets of the one that was stopped is read
	for i := range 3 {
		if n := r.count(i); n != "3" {
			t.Errorf("server %d has %s records, want 3", i, n)
		}
	}
}

// Who is cut off refuses writes at once, as certainly not done, and marks its searches.
func TestLogAMinorityRefusesWritesAndMarksSearches(t *testing.T) {
	r := newLogRig(t)
	r.startAll()
	defer r.stopAll()
	r.must(0, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	for i := range 3 {
		r.must(i, load(fmt.Sprint("k", i)))
	}
	r.mu.Lock()
	r.cut[gatewayName(0)] = true
	r.mu.Unlock()
	r.until("minority", func() bool { return r.gateway(0).Status().Log.Leader == "" })
	// One that was sent to a gateway not yet known to be out of reach is unconfirmed.
	r.until("refusal as certainly not done", func() bool {
		_, err := r.do(0, load("lost"))
		if err == nil {
			t.Error("a write in the minority is done")
		}
		return err == nil || errors.Is(err, ErrNoMajority)
	})
	begun := time.Now()
	if _, err := r.do(0, load("lost")); !errors.Is(err, ErrNoMajority) {
		t.Errorf("a write in the minority: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second { // 0.8 s where nothing else runs
		t.Errorf("it was refused after %v", took)
	}
	r.must(1, load("kept"))
	r.mu.Lock()
	r.broken["node1:10041"], r.broken["node2:10041"] = true, true // it has its own server only
	r.mu.Unlock()
	a, err := r.do(0, "select --table T --limit 0")
	if err != nil || a.Stale == 0 {
		t.Errorf("a search in the minority: stale %v, %v", a.Stale, err)
	}
	r.mu.Lock()
	clear(r.cut)
	clear(r.broken)
	r.mu.Unlock()
	r.until("healed cluster", func() bool {
		for _, v := range r.gateway(0).Status().Volumes {
			if v.State != "active" {
				return false
			}
		}
		return r.gateway(0).Status().Log.Leased
	})
	for i := range 3 {
		if n := r.count(i); n != "4" {
			t.Errorf("server %d has %s records, want 4", i, n)
		}
	}
}

// A database that was there before the log is where it begins. One that was emptied or
// exchanged later is filled.
func TestLogKnowsItsDatabases(t *testing.T) {
	r := newLogRig(t)
	for i := range 3 {
		for _, line := range []string{"table_create --name T --flags TABLE_HASH_KEY --key_type ShortText", load("before")} {
			c, err := groonga.ParseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			r.servers[i].Ask(c, nil)
		}
	}
	r.startAll()
	defer r.stopAll()
	r.must(0, load("after"))
	for i := range 3 {
		r.until("both records", func() bool { return r.count(i) == "2" })
	}
	r.stop(2)
	r.exchange(2) // another one, with nothing
	r.start(2)
	r.filled(2, 1)
	if n := r.count(2); n != "2" {
		t.Errorf("an emptied server has %s records when it is read from again, want 2", n)
	}
	if body := r.must(0, "dump"); strings.Contains(body, "ibuki.") {
		t.Errorf("a dump shows the gateway's own keys: %s", body)
	}
	if _, err := r.do(0, "config_set --key ibuki.position --value 1"); !errors.Is(err, ErrForbidden) {
		t.Errorf("a client changes the gateway's own keys: %v", err)
	}
}
