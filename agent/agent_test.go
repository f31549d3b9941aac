package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
)

// The library that rotates log files keeps a goroutine for each file, without an end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

// memNode starts a node called name at 10.0.0.n on a network in memory.
func memNode(t *testing.T, net *transporttest.MemNet, name string, n byte, mod func(*Config)) *Agent {
	t.Helper()
	cfg := Config{
		Name: name, Bind: addr4(n),
		Listen: net.Listen, Seed: uint64(n),
	}
	if mod != nil {
		mod(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// statuses are the members as "name status" in order.
func statuses(a *Agent) string {
	var out []string
	for _, m := range a.Members() {
		out = append(out, m.Name+" "+m.Status.String())
	}
	return strings.Join(out, ", ")
}

// wantStatuses waits up to d for the members to be as said.
func wantStatuses(t *testing.T, a *Agent, d time.Duration, want string) {
	t.Helper()
	end := time.Now().Add(d)
	for time.Now().Before(end) && statuses(a) != want {
		time.Sleep(10 * time.Millisecond)
	}
	if got := statuses(a); got != want {
		t.Fatalf("%s sees %q after %v, want %q", a.cfg.Name, got, d, want)
	}
}

// collect subscribes and returns what came as "type name,name".
func collect(t *testing.T, a *Agent) func() []string {
	events, _, cancel := a.Backend().Subscribe(true)
	t.Cleanup(cancel)
	return func() []string {
		var out []string
		for {
			select {
			case e, ok := <-events:
				if !ok {
					return out
				}
				names := []string{e.Name}
				if e.Members != nil {
					names = nil
					for _, m := range e.Members {
						names = append(names, m.Name)
					}
				}
				out = append(out, e.Type+" "+strings.Join(names, ","))
			default:
				return out
			}
		}
	}
}

func TestJoinFailReturnLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a, b, c := memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, nil), memNode(t, net, "c", 3, nil)
		defer a.Stop()
		defer c.Stop()
		events := collect(t, a)
		for _, n := range []*Agent{b, c} {
			if got, err := n.Join(t.Context(), []string{"10.0.0.1"}, false); got != 1 || err != nil {
				t.Fatalf("join: %d, %v", got, err)
			}
		}
		wantStatuses(t, a, time.Second, "a alive, b alive, c alive")
		wantStatuses(t, b, time.Second, "a alive, b alive, c alive")
		time.Sleep(2 * time.Second)
		if got := events(); !slices.Equal(got, []string{"member-join b,c"}) {
			t.Errorf("events of a: %q, want one join of b and c together", got)
		}

		b.Stop() // no leave: it fails
		wantStatuses(t, a, 15*time.Second, "a alive, b failed, c alive")
		time.Sleep(2 * time.Second)
		if got := events(); !slices.Equal(got, []string{"member-failed b"}) {
			t.Errorf("events of a: %q", got)
		}

		b = memNode(t, net, "b", 2, nil) // M8: with nothing else done
		defer b.Stop()
		wantStatuses(t, a, 2*time.Minute, "a alive, b alive, c alive")
		wantStatuses(t, b, 2*time.Second, "a alive, b alive, c alive")
		time.Sleep(2 * time.Second)
		if got := events(); !slices.Equal(got, []string{"member-join b"}) {
			t.Errorf("events of a: %q", got)
		}

		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStatuses(t, a, time.Second, "a alive, b alive, c left")
		if n := a.Live().Current().NumAlive(); n != 2 {
			t.Errorf("the live list has %d alive, want 2", n)
		}
		if s := a.Live().Current().Get("c").Status; s != live.Left {
			t.Errorf("the live list has c as %v", s)
		}
	})
}

func TestLeaveAloneAndTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := memNode(t, transporttest.NewMemNet(), "a", 1, nil)
		defer a.Stop()
		begun := time.Now()
		if err := a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("leaving alone took %v", took)
		}
		if err := a.Leave(t.Context()); err != nil {
			t.Errorf("a second leave: %v", err)
		}
		_, err := a.Join(t.Context(), []string{"10.0.0.2"}, false)
		if err == nil || err.Error() != "Serf can't Join after Leave or Shutdown" {
			t.Errorf("join after leave: %v", err)
		}
	})
}

func TestRetryJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a := memNode(t, net, "a", 1, func(c *Config) {
			c.RetryJoin = []string{"10.0.0.2"}
			c.RetryInterval = 5 * time.Second
		})
		defer a.Stop()
		time.Sleep(12 * time.Second)
		b := memNode(t, net, "b", 2, nil)
		defer b.Stop()
		wantStatuses(t, a, 6*time.Second, "a alive, b alive")
	})
}

func TestRetryJoinGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := memNode(t, transporttest.NewMemNet(), "a", 1, func(c *Config) {
			c.RetryJoin = []string{"10.0.0.2"}
			c.RetryInterval = 5 * time.Second
			c.RetryMax = 2
		})
		begun := time.Now()
		<-a.Done()
		if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("gave up after %v, want three attempts in 10 s", took)
		}
		if !errors.Is(a.Err(), ErrRetryJoin) {
			t.Errorf("ended with %v", a.Err())
		}
	})
}

func TestStartFailsIfJoinFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{
			Name: "a", Bind: netip.MustParseAddrPort("10.0.0.1:7946"), Listen: transporttest.NewMemNet().Listen,
			Join: []string{"10.0.0.2", "10.0.0.3:1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Start(t.Context())
		want := "2 errors occurred:\n" +
			"\t* failed to join 10.0.0.2:7946: dial tcp 10.0.0.2:7946: connection refused\n" +
			"\t* failed to join 10.0.0.3:1: dial tcp 10.0.0.3:1: connection refused\n\n"
		if err == nil || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		<-a.Done() // everything has ended
	})
}

// names is a Resolver.
type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("lookup %s: no such host", host)
}

func TestJoinByNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a := memNode(t, net, "a", 1, func(c *Config) {
			c.Resolve = names{"both": {netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.9")}}
		})
		b, c := memNode(t, net, "10.0.0.2:10031/b", 2, nil), memNode(t, net, "c", 3, nil)
		for _, n := range []*Agent{a, b, c} {
			defer n.Stop()
		}
		// Two of three addresses work, and one name does not exist: no error.
		if n, err := a.Join(t.Context(), []string{"both", "nosuch"}, false); n != 2 || err != nil {
			t.Errorf("join: %d, %v; want 2", n, err)
		}
		if n, err := c.Join(t.Context(), []string{"10.0.0.2:10031/b/10.0.0.2:7946"}, false); n != 1 || err != nil {
			t.Errorf("join by a name with slashes and colons: %d, %v", n, err)
		}
		_, err := a.Join(t.Context(), []string{"nosuch"}, false)
		if want := "1 error occurred:\n\t* failed to resolve nosuch: lookup nosuch: no such host\n\n"; err == nil || err.Error() != want {
			t.Errorf("unknown host: %q", err)
		}
	})
}

func TestSplitTarget(t *testing.T) {
	for _, c := range []struct {
		in, name, host string
		port           uint16
		bad            bool
	}{
		{in: "host", host: "host", port: 7946},
		{in: "host:1", host: "host", port: 1},
		{in: "10.0.0.1", host: "10.0.0.1", port: 7946},
		{in: "[::1]:5", host: "::1", port: 5},
		{in: "::1", host: "::1", port: 7946},
		{in: "[::1]", host: "::1", port: 7946},
		{in: "n/10.0.0.1:5", name: "n", host: "10.0.0.1", port: 5},
		{in: "1.2.3.4:10031/droonga/1.2.3.4:7946", name: "1.2.3.4:10031/droonga", host: "1.2.3.4", port: 7946},
		{in: "/10.0.0.1", bad: true},
		{in: "host:70000", bad: true},
		{in: "host:x", bad: true},
		{in: "a:b:c", bad: true},
		{in: "[::1", bad: true},
	} {
		name, host, port, err := SplitTarget(c.in, 7946)
		if c.bad != (err != nil) {
			t.Errorf("%q: error %v", c.in, err)
		} else if err == nil && (name != c.name || host != c.host || port != c.port) {
			t.Errorf("%q: %q %q %d", c.in, name, host, port)
		}
	}
}

// P161
func TestTagsEventsQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a, b := memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, nil)
		defer a.Stop()
		defer b.Stop()
		if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		if err := a.SetTags(map[string]string{"k:/": "v=1"}, []string{"gone", "k:/"}); err != nil {
			t.Fatal(err)
		}
		if since := a.Backend().Members()[1].Since; since != time.Now().UnixNano() {
			t.Errorf("b is there since %v, not since now", time.Unix(0, since))
		}
		if tags := a.Backend().Members()[0].Tags; len(tags) != 1 || tags["k:/"] != "v=1" {
			t.Errorf("tags right after SetTags: %v", tags)
		}
		if err := a.SetTags(map[string]string{"big": strings.Repeat("x", 600)}, nil); !errors.Is(err, serf.ErrTagsTooLong) {
			t.Errorf("too long tags: %v", err)
		}
		time.Sleep(3 * time.Second)
		if v, _ := b.Live().Current().Get("a").Tag("k:/"); v != "v=1" {
			t.Errorf("b has the tag as %q", v)
		}

		events := collect(t, b)
		if err := a.UserEvent("deploy", []byte("1"), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := events(); !slices.Equal(got, []string{"user deploy"}) {
			t.Errorf("b got %q", got)
		}
		testQuery(t, a, b)
	})
}

// testQuery lets a ask and b answer by RPC.
func testQuery(t *testing.T, a, b *Agent) {
	t.Helper()
	asked, _, cancel := b.Backend().Subscribe(true)
	defer cancel()
	var mu sync.Mutex
	var got []string
	err := a.Backend().Query(rpc.QueryRequest{Name: "q", FilterNodes: []string{"b"}, RequestAck: true, Timeout: time.Second},
		func(r rpc.QueryRecord) {
			mu.Lock()
			got = append(got, r.Type+" "+r.From+" "+string(r.Payload))
			mu.Unlock()
		})
	if err != nil {
		t.Fatal(err)
	}
	e := <-asked
	if err := b.Backend().Respond(e.ID, []byte("yes")); err != nil {
		t.Fatal(err)
	}
	if err := b.Backend().Respond(e.ID, []byte("again")); err == nil {
		t.Error("a second answer was taken")
	}
	if err := b.Backend().Respond(e.ID+1, nil); !errors.Is(err, rpc.ErrInvalidQueryID) {
		t.Errorf("an answer to nothing: %v", err)
	}
	time.Sleep(2 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"ack b ", "response b yes", "done  "}; !slices.Equal(got, want) {
		t.Errorf("a got %q, want %q", got, want)
	}
	for _, name := range []string{"_serf_x", "_serf_conflict"} {
		if err := a.Backend().Query(rpc.QueryRequest{Name: name}, nil); err == nil {
			t.Errorf("a query named %s was accepted", name)
		}
	}
}

func TestUpdateAfterChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a := memNode(t, net, "a", 1, func(c *Config) { c.UpdateAfterChange = true })
		b := memNode(t, net, "b", 2, nil)
		defer a.Stop()
		events := collect(t, a)
		if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Stop()
		time.Sleep(2 * time.Second)
		want := []string{"member-join b", "member-update b", "member-leave b", "member-update b"}
		if got := events(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The loop was asleep for a minute, but packets wait that say the others are
// well: it must read them before it judges.
func TestSleeperReadsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a, b := memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, nil)
		defer a.Stop()
		defer b.Stop()
		if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		events := collect(t, a)
		// Shorter than b takes to declare a dead.
		if err := a.do(t.Context(), func(time.Time) { time.Sleep(3 * time.Second) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		wantStatuses(t, a, time.Second, "a alive, b alive")
		if got := events(); len(got) != 0 {
			t.Errorf("events after the sleep: %q", got)
		}
	})
}

func TestStopBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := memNode(t, transporttest.NewMemNet(), "a", 1, nil)
		started := make(chan struct{})
		a.handlers.Run = func(_ *handler.Handler, _ *handler.Job, kill <-chan struct{}) (handler.Output, error) {
			close(started)
			<-kill
			return handler.Output{}, nil
		}
		if err := a.handlers.Use([]string{"hang"}); err != nil {
			t.Fatal(err)
		}
		if err := a.UserEvent("x", nil, false); err != nil {
			t.Fatal(err)
		}
		<-started
		begun := time.Now()
		a.Stop()
		a.Stop()
		if took := time.Since(begun); took > handler.Grace+time.Second {
			t.Errorf("Stop took %v", took)
		}
		if err := a.UserEvent("x", nil, false); !errors.Is(err, ErrStopped) {
			t.Errorf("after Stop: %v", err)
		}
		if err := a.Start(t.Context()); !errors.Is(err, ErrStarted) {
			t.Errorf("Start after Stop: %v", err)
		}
	})
}

// A handler that never ends loses events, counted; others and the loop go on.
// P154
func TestHungHandlerHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		a := memNode(t, transporttest.NewMemNet(), "a", 1, func(c *Config) { c.LogOutput = &out })
		a.Log().Open()
		var mu sync.Mutex
		ran := 0
		a.handlers.Run = func(h *handler.Handler, _ *handler.Job, kill <-chan struct{}) (handler.Output, error) {
			if h.Command == "hang" {
				<-kill
				return handler.Output{}, nil
			}
			mu.Lock()
			ran++
			mu.Unlock()
			return handler.Output{}, nil
		}
		user := []rpc.EventFilter{{Type: "user"}}
		if err := a.handlers.Use(nil, handler.Handler{Filters: user, Command: "hang"}, handler.Handler{Filters: user, Command: "work"}); err != nil {
			t.Fatal(err)
		}
		const events = 2000
		for range events {
			if err := a.UserEvent("x", nil, false); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		a.Stop()
		mu.Lock()
		defer mu.Unlock()
		if ran != events {
			t.Errorf("the other handler ran %d times, want %d", ran, events)
		}
		if n := strings.Count(out.String(), "does not keep up"); n != 1 {
			t.Errorf("%d lines about lost events, want 1", n)
		}
	})
}

func TestSlowSubscriber(t *testing.T) {
	var s subscribers
	events, lost, cancel := s.add(false, serf.Prompt)
	for i := range streamLag + 3 {
		s.send(&serf.Event{Type: serf.EventUser, Name: fmt.Sprint(i)}, 0)
	}
	n := 0
	for range events {
		n++
	}
	if n != streamLag || lost() != 3 {
		t.Errorf("got %d events and %d lost", n, lost())
	}
	cancel()
	cancel()
	s.closeAll()
	if _, ok := <-func() <-chan rpc.Event { ch, _, _ := s.add(false, serf.Prompt); return ch }(); ok {
		t.Error("a stream after the end")
	}
}

func TestConflictEndsTheLoser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a, b, c := memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, nil), memNode(t, net, "c", 3, nil)
		for _, n := range []*Agent{a, b, c} {
			defer n.Stop()
		}
		for _, n := range []*Agent{b, c} {
			if _, err := n.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		twin := memNode(t, net, "b", 4, nil)
		defer twin.Stop()
		if _, err := twin.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
			t.Fatal(err)
		}
		select {
		case <-twin.Done():
			if !errors.Is(twin.Err(), ErrConflictLost) {
				t.Errorf("ended with %v", twin.Err())
			}
		case <-time.After(2 * time.Minute):
			t.Error("the second b still runs")
		}
		wantStatuses(t, a, time.Second, "a alive, b alive, c alive")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addr4(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), DefaultPort)
}
