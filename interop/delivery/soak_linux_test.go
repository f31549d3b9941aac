package delivery

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	soakFor = flag.Duration("soak", 16*time.Second, "how long things are broken in turn, all in all")
	calmFor = flag.Duration("calm", 6*time.Second, "how long the gateway is measured beside HAProxy while nothing is broken")
	clients = flag.Int("clients", 8, "how many clients search at a time")
)

// slowest is what no answer may take.
const slowest = time.Second

// program finds an installed program; "" if there is none.
func program(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		path := filepath.Join(dir, name)
		if _, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	return ""
}

func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if program(name) == "" {
			t.Skipf("needs %s: Debian's package of that name", name)
		}
	}
}

var built struct {
	sync.Once
	path string
	err  error
}

// ibuki is our program, built once; IBUKI_PROGRAM names another one.
func ibuki() string { return built.path }

func build(t *testing.T) {
	t.Helper()
	built.Do(func() {
		if built.path = os.Getenv("IBUKI_PROGRAM"); built.path != "" {
			return
		}
		dir, err := os.MkdirTemp("", "ibuki-delivery-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "ibuki")
		cmd := exec.Command("go", "build", "-o", built.path, "./cmd/ibuki")
		cmd.Dir = "../.."
		if text, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w: %s", err, text)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.path != "" && os.Getenv("IBUKI_PROGRAM") == "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

func TestSoakThreeReplicas(t *testing.T) {
	need(t, "groonga", "haproxy")
	build(t)
	w := newWorld(t, placing{{0}, {1}, {2}})
	w.fill()
	proxy := w.haproxy()
	w.calm(proxy)
	w.soak(*soakFor / 2)
}

func TestSoakTwoSlicesOfTwoReplicas(t *testing.T) {
	need(t, "groonga")
	build(t)
	w := newWorld(t, placing{{0, 1}, {2, 2}})
	w.fill()
	w.soak(*soakFor / 2)
}

// costliest is how many times HAProxy's processor time a search may cost the gateway: what
// a slip would exceed on the busiest machine. What it does cost is in docs/performance.md. (That
// is steadier than rates on a busy machine, and what decides them.)
const costliest = 1.5

// calmTurn is how long one of the three is measured before it is the next one's turn, so that
// what else goes on is the same for all.
const calmTurn = 300 * time.Millisecond

// calm measures the gateway, HAProxy and the servers themselves in turns; who comes first
// changes too.
func (w *world) calm(proxy *process) {
	rounds := max(int(*calmFor/(3*calmTurn)), 4)
	var direct, through, beside result
	var cpuThrough, cpuBeside float64
	var rates, medians []float64 // the gateway's beside HAProxy's, of each round
	for round := range rounds {
		var ours, theirs *result
		turns := []func(){
			func() { direct.add(w.turn(calmTurn, w.volumes...)) },
			func() {
				before := w.gateways[0].cpu()
				ours = w.turn(calmTurn, w.front(0))
				cpuThrough += w.gateways[0].cpu() - before
			},
			func() {
				before := proxy.cpu()
				theirs = w.turn(calmTurn, w.proxy)
				cpuBeside += proxy.cpu() - before
			},
		}
		for i := range turns {
			turns[(round+i)%len(turns)]()
		}
		rates = append(rates, ours.rate()/theirs.rate())
		medians = append(medians, float64(ours.quantile(0.5))/float64(theirs.quantile(0.5)))
		through.add(ours)
		beside.add(theirs)
	}
	slices.Sort(rates)
	slices.Sort(medians)
	cpuThrough /= float64(len(through.took))
	cpuBeside /= float64(len(beside.took))
	w.t.Logf("calm, direct:  %v", &direct)
	w.t.Logf("calm, gateway: %v; CPU %.0f µs a request", &through, 1e6*cpuThrough)
	w.t.Logf("calm, HAProxy: %v; CPU %.0f µs a request", &beside, 1e6*cpuBeside)
	if cpuThrough > costliest*cpuBeside {
		w.t.Errorf("a search costs the gateway %.2f times HAProxy's processor time", cpuThrough/cpuBeside)
	}
	w.t.Logf("calm: of the direct rate the gateway has %.2f and HAProxy %.2f; gateway beside HAProxy, median of %d rounds: rate %.3f, median %.3f",
		through.rate()/direct.rate(), beside.rate()/direct.rate(), rounds, rates[rounds/2], medians[rounds/2])
	for name, r := range map[string]*result{"direct": &direct, "gateway": &through, "HAProxy": &beside} {
		if r.failed > 0 {
			w.t.Errorf("%s: %v", name, r)
		}
	}
}

func (w *world) turn(d time.Duration, addrs ...string) *result {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return search(ctx, *clients, addrs...)
}

// fault is one way to break a process and to mend it.
type fault struct {
	name  string
	hold  time.Duration // how long it stays broken
	wreck func()
	mend  func()
}

// faults are all of them, in the order in which they are tried.
func (w *world) faults() (list []fault) {
	kill := func(p *process, hold time.Duration) {
		list = append(list, fault{"killed " + p.name, hold, p.kill, p.start})
	}
	freeze := func(p *process, hold time.Duration) {
		list = append(list, fault{"froze " + p.name, hold, p.freeze, p.thaw})
	}
	for i := range max(len(w.servers), len(w.agents)) {
		server, agent := w.servers[i%len(w.servers)], w.agents[i%len(w.agents)]
		kill(server, time.Second)
		freeze(agent, 3*time.Second) // long enough to be found out
		freeze(server, time.Second)
		kill(agent, time.Second)
	}
	return list
}

// soak breaks things in turn while clients search and write, and looks at the end for
// what was acknowledged.
func (w *world) soak(d time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var searched, beside *result
	var notes *written
	wg.Go(func() { searched = search(ctx, *clients, w.front(0)) })
	wg.Go(func() { notes = write(ctx, "note", 5*time.Millisecond, w.front(0), w.front(1), w.front(2)) })
	if w.proxy != "" {
		wg.Go(func() { beside = search(ctx, *clients, w.proxy) })
	}
	steps := 0
	faults := w.faults()
	for start := time.Now(); time.Since(start) < d; steps++ {
		f := faults[steps%len(faults)]
		f.wreck()
		time.Sleep(f.hold)
		f.mend()
		took := w.settle()
		w.t.Logf("%s for %v; all was whole %v after it was mended", f.name, f.hold, took.Round(time.Millisecond))
	}
	cancel()
	wg.Wait()
	w.t.Logf("faults: %d; gateway searches: %v", steps, searched)
	w.t.Logf("faults: gateway writes: %v", notes)
	if beside != nil {
		w.t.Logf("faults: HAProxy searches: %v", beside)
	}
	if searched.failed > 0 {
		w.t.Errorf("%d searches failed: %s", searched.failed, searched.first)
	}
	if notes.failed > 0 {
		w.t.Errorf("%d writes failed: %s", notes.failed, notes.first)
	}
	if got := max(searched.quantile(1), notes.quantile(1)); got >= slowest {
		w.t.Errorf("the worst answer took %v", got)
	}
	w.settle()
	w.compare(notes.keys)
}

// compare looks on every server for what was acknowledged.
func (w *world) compare(keys []string) {
	perSlice := make([]map[string]string, len(w.volumes))
	for i, v := range w.volumes {
		perSlice[i] = w.notes(v)
	}
	slices := 1
	if len(w.volumes) == 4 {
		slices = 2
	}
	for _, key := range keys {
		holders := 0
		for _, have := range perSlice {
			if have[key] != "" {
				holders++
			}
		}
		if want := len(w.volumes) / slices; holders != want {
			w.t.Errorf("%s was acknowledged and is on %d of %d replicas", key, holders, want)
		}
	}
	for i := slices; i < len(w.volumes); i++ {
		a, b := perSlice[i%slices], perSlice[i]
		same := len(a) == len(b)
		for k, v := range a {
			same = same && b[k] == v
		}
		if !same {
			w.t.Errorf("replicas %s and %s differ: %d and %d notes", w.volumes[i%slices], w.volumes[i], len(a), len(b))
		}
	}
	w.t.Logf("%d acknowledged writes are on every replica of their slice", len(keys))
}

// notes are all notes of one server.
func (w *world) notes(addr string) map[string]string {
	w.t.Helper()
	text, err := get(addr, command("select", "table", "Notes", "limit", "-1", "output_columns", "_key,text"))
	if err != nil {
		w.t.Fatal(err)
	}
	text = text[strings.Index(text, "],")+2 : len(text)-1]
	var doc [][]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		w.t.Fatalf("%v: %.200s", err, text)
	}
	have := make(map[string]string)
	for _, raw := range doc[0][2:] {
		var row [2]string
		if err := json.Unmarshal(raw, &row); err != nil {
			w.t.Fatal(err)
		}
		have[row[0]] = row[1]
	}
	return have
}
