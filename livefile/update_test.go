package livefile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
	"github.com/ibuki-dev/ibuki/live"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// node is an entry as an RPC client has it: without a time.
func node(name string, s live.Status) live.Entry {
	return live.Entry{Name: name, Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Status: s}
}

// says is an agent that always says the same.
func says(entries ...live.Entry) func(context.Context) (Cluster, error) {
	return func(context.Context) (Cluster, error) { return Cluster{Entries: entries}, nil }
}

// target is a file of that format in a directory of its own.
func target(t testing.TB, format string) *Target {
	return &Target{Path: filepath.Join(t.TempDir(), "live.json"), Rendering: live.Rendering{Format: format}}
}

func (t *Target) mustUpdate(tb testing.TB, o Order, ask func(context.Context) (Cluster, error)) Result {
	tb.Helper()
	r, err := t.Update(tb.Context(), o, ask)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// content is name=status of the nodes in the file.
func content(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	entries, err := live.Parse(text)
	if err != nil {
		tb.Fatalf("%v: %s", err, text)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name+"="+e.Status.String())
	}
	return strings.Join(all, " ")
}

func TestUpdateWritesOnlyChanges(t *testing.T) {
	f := target(t, live.FormatAllNodes)
	both := says(node("a", live.Alive), node("b", live.Alive))
	if r := f.mustUpdate(t, Order{}, both); !r.Changed || r.View.NumAlive() != 2 {
		t.Errorf("first: %+v", r)
	}
	was := f.inFile()
	before, err := os.Stat(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if r := f.mustUpdate(t, Order{}, both); r.Changed {
		t.Error("the same list was written again")
	}
	if after, err := os.Stat(f.Path); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("the file was touched")
	}
	f.mustUpdate(t, Order{}, says(node("a", live.Alive), node("b", live.Failed)))
	if got := content(t, f.Path); got != "a=alive b=failed" {
		t.Error(got)
	}
	now := f.inFile()
	if !now["a"].Since.Equal(was["a"].Since) || !now["b"].Since.After(was["b"].Since) {
		t.Errorf("since: %v became %v", was, now)
	}
	left, _ := filepath.Glob(filepath.Dir(f.Path) + "/.*")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUpdateKeepsLinkAndMode(t *testing.T) {
	f := target(t, "")
	real := filepath.Join(t.TempDir(), "real.json")
	if err := os.WriteFile(real, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, f.Path); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	f.mustUpdate(t, Order{}, says(node("a", live.Alive)))
	if got := content(t, real); got != "a=alive" {
		t.Error(got)
	}
	if info, _ := os.Lstat(f.Path); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link became a file")
	}
	if info, _ := os.Stat(real); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestUpdateSaysWhatIsWrong(t *testing.T) {
	f := target(t, "")
	down := errors.New("connection refused")
	if _, err := f.Update(t.Context(), Order{}, func(context.Context) (Cluster, error) { return Cluster{}, down }); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(f.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made of nothing")
	}
	if err := os.Mkdir(f.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Update(t.Context(), Order{}, says(node("a", live.Alive))); !errors.Is(err, atomicfile.ErrNotRegular) {
		t.Errorf("a directory: %v", err)
	}
	nowhere := &Target{Path: filepath.Join(t.TempDir(), "gone", "live.json")}
	if _, err := nowhere.Update(t.Context(), Order{}, says()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), f.Path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.Update(ctx, Order{}, says()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), ".lock") {
		t.Errorf("locked: %v", err)
	}
	unlock()
}

func TestOrders(t *testing.T) {
	f := target(t, live.FormatAllNodes)
	clocks := Clocks{Event: 100, Query: 100}
	ask := func(context.Context) (Cluster, error) {
		return Cluster{Clocks: clocks, Entries: []live.Entry{node("a", live.Alive), node("b", live.Alive), node("c", live.Failed)}}, nil
	}
	for _, step := range []struct {
		name   string
		order  Order
		clocks Clocks
		want   string
	}{
		{"none", Order{}, clocks, "a=alive b=alive c=failed"},
		{"exclude", Order{Exclude: []string{"b"}, Clock: EventClock, LTime: 5}, clocks, "a=alive b=excluded c=failed"},
		{"remembered", Order{}, clocks, "a=alive b=excluded c=failed"},
		{"older include", Order{Include: []string{"b"}, Clock: EventClock, LTime: 4}, clocks, "a=alive b=excluded c=failed"},
		{"include by query", Order{Include: []string{"b"}, Clock: QueryClock, LTime: 1}, clocks, "a=alive b=alive c=failed"},
		{"exclude again, told again", Order{Exclude: []string{"b"}, Clock: EventClock, LTime: 5}, clocks, "a=alive b=alive c=failed"},
		{"newer", Order{Exclude: []string{"b", "c"}, Clock: EventClock, LTime: 6}, clocks, "a=alive b=excluded c=excluded"},
		{"clocks began anew", Order{Include: []string{"b"}, Clock: EventClock, LTime: 2}, Clocks{Event: 3, Query: 1}, "a=alive b=alive c=excluded"},
		{"and count from there", Order{Exclude: []string{"b"}, Clock: EventClock, LTime: 1}, Clocks{Event: 3, Query: 1}, "a=alive b=alive c=excluded"},
		{"all who live: that counts for nothing", Order{Exclude: []string{"a", "b"}}, clocks, "a=alive b=alive c=failed"},
		{"but is remembered", Order{Include: []string{"a"}}, clocks, "a=alive b=excluded c=excluded"},
		{"of nobody known", Order{Exclude: []string{"x"}, Include: []string{"b", "c"}}, clocks, "a=alive b=alive c=failed"},
	} {
		clocks = step.clocks
		f.mustUpdate(t, step.order, ask)
		if got := content(t, f.Path); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if r := f.mustUpdate(t, Order{}, ask); fmt.Sprint(r.Excluded) != "[x]" {
		t.Errorf("excluded %v", r.Excluded)
	}
}

// TestBrokenExclusions: the list goes on, the order fails, and the file stays for whoever
// broke it.
func TestBrokenExclusions(t *testing.T) {
	f := target(t, "")
	broken := excludedPath(f.Path)
	if err := os.WriteFile(broken, []byte(`{"a":`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := f.Update(t.Context(), Order{Exclude: []string{"a"}}, says(node("a", live.Alive), node("b", live.Alive)))
	if err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("%v", err)
	}
	if got := content(t, f.Path); got != "a=alive b=alive" {
		t.Error(got)
	}
	if text, _ := os.ReadFile(broken); string(text) != `{"a":` {
		t.Errorf("the broken file became %s", text)
	}
}

func TestExclusionsAreBounded(t *testing.T) {
	x := make(exclusions)
	for i := range maxExclusions + 10 {
		x.apply(t0.Add(time.Duration(i)), &Order{Include: []string{fmt.Sprint("in", i)}}, Clocks{})
	}
	x.apply(t0.Add(time.Hour), &Order{Exclude: []string{"out"}}, Clocks{})
	if len(x) != maxExclusions || x["out"] == nil || x["in0"] != nil || x[fmt.Sprint("in", maxExclusions+9)] == nil {
		t.Errorf("%d are remembered", len(x))
	}
}

func TestParseOrder(t *testing.T) {
	for _, test := range []struct{ name, payload, want string }{
		{"deploy", "x", "not ours"},
		{"live-nodes:nonsense", "x", "not ours"},
		{"live-nodes:refresh", "", "[] []"},
		{"live-nodes:exclude", "a\n", "[a] []"},
		{"live-nodes:include", " a  b\n", "[] [a b]"},
		{"live-nodes:include", "\n", "live-nodes:include has to name a node"},
		{"live-nodes:exclude", strings.Repeat("a ", 1001), "live-nodes:exclude names more than 1000 nodes"},
	} {
		o, ok, err := ParseOrder(test.name, []byte(test.payload))
		got := fmt.Sprint(o.Exclude, o.Include)
		if err != nil {
			got = err.Error()
		}
		if !ok {
			got = "not ours"
		}
		if got != test.want {
			t.Errorf("%s %.20q: %s, want %s", test.name, test.payload, got, test.want)
		}
	}
}

func TestAnswerFits(t *testing.T) {
	var entries []live.Entry
	for i := range 1000 {
		entries = append(entries, node(fmt.Sprintf("node%03d", i), live.Alive))
	}
	var l live.List
	r := Result{View: l.Load(t0, entries[:2]), Excluded: []string{}}
	if got, want := string(r.Answer(AnswerMax)), `{"nodes":2,"num_alive":2,"alive":["node000","node001"],"excluded":[]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r = Result{View: l.Load(t0, entries), Excluded: strings.Fields(strings.Repeat("another ", 300))}
	for _, limit := range []int{AnswerMax, 3000, 60} {
		text := r.Answer(limit)
		var a answer
		if err := json.Unmarshal(text, &a); err != nil || len(text) > max(limit, 70) || !a.Cut || a.NumAlive != 1000 {
			t.Errorf("limit %d: %d bytes, %v: %.80s", limit, len(text), err, text)
		}
	}
	if text := (&Result{}).Answer(AnswerMax); !json.Valid(text) {
		t.Errorf("of nothing: %s", text)
	}
}

// TestManyWritersAtOnce: each knows what the agent said when it had the lock, so that the
// last to write knows the newest, and a reader never sees anything but a whole list.
func TestManyWritersAtOnce(t *testing.T) {
	f := target(t, "")
	var said atomic.Int64 // how often the agent was asked
	ask := func(context.Context) (Cluster, error) {
		return Cluster{Entries: []live.Entry{node("self", live.Alive), node(fmt.Sprint("n", said.Add(1)), live.Alive)}}, nil
	}
	f.mustUpdate(t, Order{}, ask)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			text, err := os.ReadFile(f.Path)
			if err == nil {
				_, err = live.Parse(text)
			}
			if err != nil {
				t.Errorf("a reader saw: %v", err)
				return
			}
		}
	})
	for i := range 8 {
		writers.Go(func() {
			for j := range 5 {
				o := Order{Exclude: []string{fmt.Sprint("x", i, ".", j)}}
				if _, err := f.Update(t.Context(), o, ask); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if got, want := content(t, f.Path), fmt.Sprintf("n%d=alive self=alive", said.Load()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if x, err := readExclusions(f.Path); err != nil || len(x.names()) != 40 {
		t.Errorf("%v: %d exclusions", err, len(x))
	}
}

// killedWriter is set for the process that TestKilledHalfWay kills.
const killedWriter = "IBUKI_TEST_KILLED_WRITER"

// writeForEver is that process: it writes lists of several sizes until it is killed.
func writeForEver(path string) {
	f := &Target{Path: path}
	for i := 0; ; i++ {
		entries := []live.Entry{node("self", live.Alive)}
		for j := range i % 50 * 20 {
			entries = append(entries, node(fmt.Sprintf("node%d-%d", i, j), live.Alive))
		}
		o := Order{Exclude: []string{fmt.Sprint("x", i)}, Include: []string{fmt.Sprint("x", i-1)}}
		if _, err := f.Update(context.Background(), o, says(entries...)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// TestKilledHalfWay: whenever a writer is killed, there is a whole list, the lock is
// free, and the next writer leaves nothing of it behind.
func TestKilledHalfWay(t *testing.T) {
	f := target(t, "")
	f.mustUpdate(t, Order{}, says(node("self", live.Alive)))
	kills := 25
	if testing.Short() {
		kills = 5
	}
	for i := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedWriter+"="+f.Path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Wait for its first write, so that it is in the midst of them.
		before, _ := os.Stat(f.Path)
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			if now, err := os.Stat(f.Path); err == nil && !os.SameFile(before, now) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(i) * 137 * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if got := content(t, f.Path); !strings.Contains(got, "self=alive") {
			t.Fatalf("after kill %d: %s", i, got)
		}
		if _, err := readExclusions(f.Path); err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
	}
	f.mustUpdate(t, Order{}, says(node("self", live.Alive)))
	if got := content(t, f.Path); got != "self=alive" {
		t.Error(got)
	}
	left, _ := filepath.Glob(filepath.Dir(f.Path) + "/.*")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
