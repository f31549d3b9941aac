package member

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/member/membertest"
)

// network carries requests between the members of a test.
type network struct {
	mu      sync.Mutex
	members map[string]*Member
	cut     map[string]bool // gateways that nobody reaches, and that reach nobody
	frozen  map[string]chan struct{}
	apart   map[string]bool // the two of a pair that do not reach each other
	streams map[string][]*membertest.Stream
}

// way is one gateway's.
type way struct {
	n    *network
	from string
}

func (w way) Ask(ctx context.Context, addr string, request []byte) ([]byte, bool, error) {
	w.n.mu.Lock()
	m, cut := w.n.members[addr], w.n.cut[addr] || w.n.cut[w.from] || w.n.apart[w.from] && w.n.apart[addr]
	frozen := w.n.frozen[addr]
	w.n.mu.Unlock()
	time.Sleep(200 * time.Microsecond)
	switch {
	case cut:
		<-ctx.Done()
		return nil, false, ctx.Err()
	case m == nil:
		return nil, true, errors.New("connection refused")
	case frozen != nil:
		select {
		case <-frozen:
		case <-ctx.Done():
			go func() { // what was sent is in its sockets
				<-frozen
				_, _ = m.Handle(context.Background(), request)
			}()
			return nil, false, ctx.Err()
		}
	}
	reply, err := m.Handle(ctx, request)
	return reply, false, err
}

func (w way) Stream(ctx context.Context, addr string) (Stream, bool, error) {
	w.n.mu.Lock()
	m, cut, frozen := w.n.members[addr], w.n.cut[addr] || w.n.cut[w.from] || w.n.apart[w.from] && w.n.apart[addr], w.n.frozen[addr]
	w.n.mu.Unlock()
	if m == nil && !cut {
		return nil, true, errors.New("connection refused")
	}
	if cut || frozen != nil {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	s := membertest.NewStream(func(ctx context.Context, request []byte) error {
		_, _, err := w.Ask(ctx, addr, request)
		return err
	})
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	w.n.streams[addr] = append(w.n.streams[addr], s)
	return s, false, nil
}

// group is three gateways with a server each.
type group struct {
	t     *testing.T
	net   *network
	dirs  map[string]string
	names []string
	data  map[string]*data
	begun time.Time
	most  int64 // bytes of the logs; 0: as many as usual
}

// data is what a server has.
type data struct {
	mu     sync.Mutex
	away   bool
	prefix uint64
	log    []string
}

func newGroup(t *testing.T, n int) *group {
	g := &group{
		t: t, begun: time.Now(), dirs: make(map[string]string), data: make(map[string]*data),
		net: &network{members: make(map[string]*Member), cut: make(map[string]bool), frozen: make(map[string]chan struct{}), apart: make(map[string]bool), streams: make(map[string][]*membertest.Stream)},
	}
	for i := range n {
		name := fmt.Sprint("gw", i)
		g.names = append(g.names, name)
		g.dirs[name] = t.TempDir()
		g.data[name] = new(data)
	}
	for _, name := range g.names {
		g.start(name)
	}
	return g
}

func server(name string) string { return "groonga-" + name }

func (g *group) start(name string) *Member {
	g.t.Helper()
	cfg := Config{
		Dir: g.dirs[name], Name: name, Transport: way{g.net, name}, Slices: [][]string{nil}, Appliers: make(map[string]string),
		Now: func() time.Duration { return time.Since(g.begun) + time.Hour }, MaxBytes: g.most,
	}
	for _, other := range g.names {
		if other != name {
			cfg.Peers = append(cfg.Peers, other)
		}
		cfg.Slices[0] = append(cfg.Slices[0], server(other))
		cfg.Appliers[server(other)] = other
	}
	var m *Member
	ready := make(chan struct{})
	cfg.Committed = func(upTo uint64, entries []writelog.Committed) {
		<-ready
		go m.apply(g.data[name], server(name), upTo, entries)
	}
	m, err := Open(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	close(ready)
	m.Progress(server(name), g.data[name].prefix, g.data[name].prefix, false)
	g.net.mu.Lock()
	g.net.members[name] = m
	g.net.mu.Unlock()
	return m
}

// apply is a server that takes what comes.
func (m *Member) apply(d *data, server string, upTo uint64, entries []writelog.Committed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return
	}
	for _, c := range entries {
		if c.Index <= d.prefix || c.Verdict != writelog.Execute {
			continue
		}
		for _, s := range c.Entry.Shares {
			if slices.Contains(s.Servers, server) {
				d.log = append(d.log, string(s.Command))
				m.Applied(server, c.Index, writelog.Answer{Body: []byte("true")})
			}
		}
	}
	d.prefix = max(d.prefix, upTo)
	m.Progress(server, d.prefix, d.prefix, false)
}

func (g *group) stop(name string) {
	g.net.mu.Lock()
	m := g.net.members[name]
	delete(g.net.members, name)
	for _, s := range g.net.streams[name] {
		s.Break()
	}
	delete(g.net.streams, name)
	g.net.mu.Unlock()
	if m != nil {
		if err := m.Close(); err != nil {
			g.t.Error(err)
		}
	}
}

func (g *group) stopAll() {
	g.net.mu.Lock()
	clear(g.net.cut)
	clear(g.net.apart)
	for _, c := range g.net.frozen {
		close(c)
	}
	clear(g.net.frozen)
	g.net.mu.Unlock()
	for _, name := range g.names {
		g.stop(name)
	}
}

func (g *group) member(name string) *Member { return g.net.members[name] }

// leader waits for one, and returns it as others than one see it.
func (g *group) leader(without string) string {
	g.t.Helper()
	for range 400 {
		for _, name := range g.names {
			if m := g.member(name); name != without && m != nil && m.View().Leader != "" && m.View().Leader != without {
				return m.View().Leader
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.t.Fatal("nobody leads")
	return ""
}

func (g *group) other(names ...string) string {
	for _, n := range g.names {
		if !slices.Contains(names, n) {
			return n
		}
	}
	return ""
}

func (g *group) write(through, text string) error {
	var all []string
	for _, n := range g.names {
		all = append(all, server(n))
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	_, err := g.member(through).Write(ctx, []writelog.Share{{Servers: all, Command: []byte(text)}}, 0, "")
	return err
}

func (g *group) must(through, text string) {
	g.t.Helper()
	if err := g.write(through, text); err != nil {
		g.t.Fatalf("write %s through %s: %v", text, through, err)
	}
}

// equal waits until all servers have the same, and returns it.
func (g *group) equal() []string {
	g.t.Helper()
	var last [][]string
	for range 1000 {
		last = nil
		for _, n := range g.names {
			d := g.data[n]
			d.mu.Lock()
			last = append(last, slices.Clone(d.log))
			d.mu.Unlock()
		}
		if !slices.ContainsFunc(last, func(l []string) bool { return !slices.Equal(l, last[0]) }) {
			return last[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.t.Fatalf("servers differ:\n%v", last)
	return nil
}

func TestWritesGoOnWithoutTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		leader := g.leader("")
		for i, n := range g.names {
			g.must(n, fmt.Sprint("w", i))
		}
		if got := g.equal(); !slices.Equal(got, []string{"w0", "w1", "w2"}) {
			t.Fatalf("the servers have %v", got)
		}
		g.stop(leader)
		begun := time.Now()
		a := g.other(leader)
		g.must(a, "after")
		if took := time.Since(begun); took > 400*time.Millisecond { // an election without evidence takes longer
			t.Errorf("a write took %v after the leader's end", took)
		}
		begun = time.Now()
		g.must(a, "again")
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("the next write took %v", took)
		}
		g.start(leader)
		if got := g.equal(); !slices.Equal(got, []string{"w0", "w1", "w2", "after", "again"}) {
			t.Errorf("the servers have %v", got)
		}
		for deadline := 0; len(g.member(a).View().Out) > 0; deadline++ {
			if time.Sleep(10 * time.Millisecond); deadline > 500 {
				t.Fatalf("%v stay out of the read set", g.member(a).View().Out)
			}
		}
	})
}

// A leader that was stopped and goes on does nothing that was given up meanwhile.
func TestAWriteThatWasGivenUpStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		leader := g.leader("")
		a, b := g.other(leader), g.other(leader, g.other(leader))
		g.must(a, "first")
		frozen := make(chan struct{})
		g.net.mu.Lock()
		g.net.frozen[leader] = frozen
		g.net.cut[leader+"-out"] = true
		g.net.mu.Unlock()
		// It hears nothing any more, though it still sends: what others send it waits.
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := g.member(a).Write(short, []writelog.Share{{Servers: []string{server(a), server(b), server(leader)}, Command: []byte("given up")}}, 0, "")
		cancel()
		if err == nil {
			t.Fatal("a frozen leader has answered")
		}
		for g.leader("") == leader {
			time.Sleep(20 * time.Millisecond)
		}
		g.must(a, "second")
		g.must(b, "third")
		g.net.mu.Lock()
		close(frozen)
		delete(g.net.frozen, leader)
		g.net.mu.Unlock()
		time.Sleep(3 * time.Second)
		g.must(a, "fourth")
		got := g.equal()
		if i := slices.Index(got, "given up"); i > slices.Index(got, "second") {
			t.Errorf("a write that was given up came after newer ones: %v", got)
		}
	})
}

func TestAMinorityRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		leader := g.leader("")
		for _, n := range g.names { // each has a session
			g.must(n, "before "+n)
		}
		g.net.mu.Lock()
		g.net.cut[leader] = true
		g.net.mu.Unlock()
		a := g.other(leader)
		g.must(a, "majority")
		time.Sleep(time.Second)
		begun := time.Now()
		if err := g.write(leader, "minority"); !errors.Is(err, ErrNoMajority) {
			t.Errorf("the cut off gateway says %v", err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it says so after %v", took)
		}
		if g.member(leader).Lease(t.Context()) || !g.member(a).Lease(t.Context()) {
			t.Error("the cut off gateway holds a lease, or the others do not")
		}
		g.net.mu.Lock()
		delete(g.net.cut, leader)
		g.net.mu.Unlock()
		time.Sleep(2 * time.Second)
		if got := g.equal(); slices.Contains(got, "minority") || !slices.Contains(got, "majority") {
			t.Errorf("the servers have %v", got)
		}
		g.must(leader, "back")
	})
}

// A gateway whose directory is empty has lost its vote; the others let it in again.
func TestALostDirectoryJoinsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		leader := g.leader("")
		lost := g.other(leader)
		for i := range 20 {
			g.must(leader, fmt.Sprint(i))
		}
		old := g.member(lost).View().Self
		g.stop(lost)
		if err := os.RemoveAll(g.dirs[lost]); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(g.dirs[lost], 0o755); err != nil {
			t.Fatal(err)
		}
		m := g.start(lost)
		for range 500 {
			if v := m.View(); v.Formed && v.Leader != "" && len(v.Members) == 3 && m.Serves() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if v := m.View(); !v.Formed || v.Self == old || v.Leader == "" {
			t.Fatalf("it is %+v, was member %d", v, old)
		}
		g.must(lost, "through it")
		time.Sleep(3 * time.Second) // it has a vote by then
		g.stop(g.other(leader, lost))
		g.must(lost, "two of three")
	})
}

// A gateway that reaches the leader through a third one only has its writes done.
func TestAWriteFindsItsWayRoundACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		leader := g.leader("")
		for _, n := range g.names {
			g.must(n, "before "+n)
		}
		a := g.other(leader)
		g.net.mu.Lock()
		g.net.apart[leader], g.net.apart[a] = true, true
		g.net.mu.Unlock()
		for i := range 5 {
			begun := time.Now()
			g.must(a, fmt.Sprint("round ", i))
			if took := time.Since(begun); took > time.Second {
				t.Errorf("write %d took %v", i, took)
			}
		}
		g.net.mu.Lock()
		clear(g.net.apart)
		g.net.mu.Unlock()
		g.must(a, "healed")
		if got := g.equal(); len(got) != 9 {
			t.Errorf("the servers have %v", got)
		}
	})
}

func TestOneGatewayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 1)
		defer g.stopAll()
		begun := time.Now()
		g.must("gw0", "a")
		if took := time.Since(begun); took > 500*time.Millisecond {
			t.Errorf("the first write took %v", took)
		}
		g.stop("gw0")
		g.start("gw0")
		g.must("gw0", "b")
		if got := g.equal(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("it has %v", got)
		}
	})
}

// A log that is full takes writes again when the server that it was kept for has caught up,
// also if a few large writes have filled it.
func TestAFullLogIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{
			t: t, begun: time.Now(), names: []string{"gw0"}, dirs: map[string]string{"gw0": t.TempDir()}, data: map[string]*data{"gw0": new(data)},
			net: &network{members: make(map[string]*Member), streams: make(map[string][]*membertest.Stream)}, most: 1 << 20,
		}
		m := g.start("gw0")
		defer g.stopAll()
		d := g.data["gw0"]
		for round := range 3 {
			g.must("gw0", "before")
			d.mu.Lock()
			d.away = true
			d.mu.Unlock()
			var err error
			writes := 0
			for ; err == nil && writes < 100; writes++ {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				_, err = m.Write(ctx, []writelog.Share{{Servers: []string{server("gw0")}, Command: make([]byte, 40<<10)}}, 0, "")
				cancel()
				if errors.Is(err, context.DeadlineExceeded) { // it is in the log
					err = nil
				}
			}
			if !errors.Is(err, ErrFull) {
				t.Fatalf("round %d: after %d writes: %v", round, writes, err)
			}
			d.mu.Lock()
			d.away = false
			d.mu.Unlock()
			m.apply(d, server("gw0"), m.Last(), nil)
			time.Sleep(time.Second)
		}
	})
}

// Logs that are full are no reason not to elect a leader: gateways that are all started anew then go on, and take writes
// when the server that the logs were kept for has caught up.
func TestFullLogsAreStartedWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		g.most = 1 << 20
		again := func() {
			for _, name := range g.names {
				g.stop(name)
			}
			for _, name := range g.names {
				g.start(name)
			}
			g.leader("")
		}
		again()
		g.must("gw0", "first")
		away := g.data["gw2"]
		away.mu.Lock()
		away.away = true
		away.mu.Unlock()
		var err error
		for n := 0; err == nil && n < 100; n++ {
			err = g.write("gw0", string(make([]byte, 40<<10)))
		}
		if !errors.Is(err, ErrFull) {
			t.Fatalf("a log that is full: %v", err)
		}
		for range 3 {
			again()
		}
		if err := g.write("gw1", "too much"); !errors.Is(err, ErrFull) {
			t.Errorf("it is still full: %v", err)
		}
		away.mu.Lock()
		away.away = false
		away.mu.Unlock()
		entries, _, err := g.member("gw2").Stored(away.prefix, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		var missed []writelog.Committed
		for _, e := range entries {
			missed = append(missed, writelog.Committed{Index: e.Index, Verdict: writelog.Execute, Entry: &writelog.Entry{Shares: e.Shares}})
		}
		g.member("gw2").apply(away, server("gw2"), g.member("gw2").Last(), missed)
		time.Sleep(3 * time.Second)
		g.must("gw1", "last")
		if got := g.equal(); got[0] != "first" || got[len(got)-1] != "last" {
			t.Errorf("the servers have %d writes, from %.10q to %.10q", len(got), got[0], got[len(got)-1])
		}
	})
}

// A write that no server can take, a full disk on all of them for one, is not acknowledged. It is done once when they
// can again, before what comes after it.
func TestAWriteThatNoServerTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		g.leader("")
		g.must("gw0", "first")
		full := func(is bool) {
			for _, d := range g.data { // order-free: each by itself
				d.mu.Lock()
				d.away = is
				d.mu.Unlock()
			}
		}
		full(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := g.member("gw1").Write(ctx, []writelog.Share{{Servers: []string{server("gw0"), server("gw1"), server("gw2")}, Command: []byte("waits")}}, 0, "")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no server has it: %v", err)
		}
		if out := g.member("gw0").View().Out; len(out) > 0 {
			t.Errorf("%v left the read set though none has more than another", out)
		}
		full(false)
		for _, name := range g.names {
			m, d := g.member(name), g.data[name]
			entries, _, err := m.Stored(d.prefix, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				m.apply(d, server(name), e.Index, []writelog.Committed{{Index: e.Index, Verdict: writelog.Execute, Entry: &writelog.Entry{Shares: e.Shares}}})
			}
		}
		g.must("gw2", "after")
		if got := g.equal(); !slices.Equal(got, []string{"first", "waits", "after"}) {
			t.Errorf("the servers have %v", got)
		}
	})
}

// A write that comes before the gateways have met is refused or done, and waits for nothing
// that nobody brings.
func TestAWriteBeforeThereIsALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{
			t: t, begun: time.Now(), names: []string{"gw0", "gw1", "gw2"}, dirs: make(map[string]string), data: make(map[string]*data),
			net: &network{members: make(map[string]*Member), cut: make(map[string]bool), frozen: make(map[string]chan struct{}), apart: make(map[string]bool), streams: make(map[string][]*membertest.Stream)},
		}
		for _, name := range g.names {
			g.dirs[name], g.data[name] = t.TempDir(), new(data)
		}
		defer g.stopAll()
		g.start("gw0")
		var writes sync.WaitGroup
		for i := range 50 { // at any moment of the attempts to form a group
			time.Sleep(17 * time.Millisecond)
			writes.Go(func() {
				begun := time.Now()
				err := g.write("gw0", fmt.Sprint(i))
				if took := time.Since(begun); took > 2*time.Second || err != nil && !errors.Is(err, ErrNoMajority) {
					t.Errorf("write %d: %v after %v", i, err, took)
				}
			})
			if i == 25 {
				g.start("gw1")
				g.start("gw2")
			}
		}
		writes.Wait()
		g.must("gw0", "last")
	})
}

// Streams break while writes are on them, or their outcomes: each write is done once all the same.
func TestWritesOutliveTheirStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		defer g.stopAll()
		leader := g.leader("")
		a := g.other(leader)
		g.must(a, "before")
		want := []string{"before"}
		for i := range 20 {
			done := make(chan struct{})
			go func() {
				defer close(done)
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				g.net.mu.Lock()
				defer g.net.mu.Unlock()
				for _, list := range g.net.streams { // order-free: all break
					for _, s := range list {
						s.Break()
					}
				}
			}()
			key := fmt.Sprintf("w%02d", i)
			g.must(a, key)
			want = append(want, key)
			<-done
		}
		if got := g.equal(); !slices.Equal(got, want) {
			t.Errorf("the servers have %v", got)
		}
	})
}

// What another member said of a write before, or says twice, is not what the one says that was asked.
func TestAnOutcomeIsOfTheMemberThatWasAsked(t *testing.T) {
	list := asking{list: make(map[writelog.WriteID]*asked)}
	id := writelog.WriteID{Member: 1, Boot: 2, Number: 3}
	a := &asked{member: 5, result: make(chan *outcome, 1)}
	list.begin(id, a)
	list.answered(4, &outcome{ID: id, Code: codeOf(writelog.ErrNotLeader)})
	list.answered(5, &outcome{ID: writelog.WriteID{Member: 1, Boot: 2, Number: 4}})
	if len(a.result) != 0 {
		t.Fatal("it was taken")
	}
	list.answered(5, &outcome{ID: id})
	list.answered(5, &outcome{ID: id, Code: 1})
	if o := <-a.result; o.Code != 0 || len(a.result) != 0 {
		t.Errorf("it is %+v", o)
	}
}
