package serf

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/coordinate"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

func TestNewRefusesNonsense(t *testing.T) {
	good := Config{Swim: swim.LAN()}
	good.Swim.Name, good.Swim.Addr = "a", strangers
	for name, change := range map[string]func(*Config){
		"no node name":          func(c *Config) { c.Swim.Name = "" },
		"too low":               func(c *Config) { c.Protocol = 1 },
		"too high":              func(c *Config) { c.Protocol = 6 },
		"EventBuffer":           func(c *Config) { c.EventBuffer = -1 },
		"Encoded length of tag": func(c *Config) { c.Tags = tags("x", strings.Repeat("y", 600)) },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg, rand.New(rand.NewPCG(1, 1)), time.Unix(0, 0))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := tags("b", "1", "a", "2")
	good.Tags = in
	if _, err := New(good, rand.New(rand.NewPCG(1, 1)), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if in[0].Key != "b" {
		t.Error("New wrote into its Config")
	}
}

func TestVersionsAreAnnounced(t *testing.T) {
	n := alone(t, func(c *Config) { c.Protocol = 4 })
	want := wire.Versions{PMin: 1, PMax: 5, PCur: 2, DMin: 2, DMax: 5, DCur: 4}
	if got := n.Local().Versions; got != want {
		t.Errorf("%+v", got)
	}
}

func TestP46_OrderOfBroadcasts(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.queues.intent, n.queues.event, n.queues.query = broadcast.Queue{}, broadcast.Queue{}, broadcast.Queue{}
	n.fire("ev", strings.Repeat("e", 300))
	n.asks("q", strings.Repeat("q", 300), QueryParam{})
	n.gets(&wire.Join{LTime: 9, Node: "b"})
	types := func(limit int) string {
		s := ""
		for _, msg := range n.takeBroadcasts(nil, 2, limit) {
			if msg[0] != byte(wire.TypeUser) {
				t.Errorf("not a user message: %q", msg)
			}
			s += fmt.Sprint(msg[1], " ")
		}
		return s
	}
	if got := types(1400); got != "1 4 3 " {
		t.Errorf("%q", got)
	}
	if got := types(600); got != "1 4 " { // the event does not fit behind the query
		t.Errorf("%q", got)
	}
	used := 0
	for _, msg := range n.takeBroadcasts(nil, 2, 500) {
		used += len(msg) + 2
	}
	if used > 500 {
		t.Errorf("%d of 500 bytes", used)
	}
}

func TestP48_QueuesAreBounded(t *testing.T) {
	n := alone(t, func(c *Config) { c.MaxQueueDepth, c.QueueDepthWarning = 64, 10 })
	for i := range 1000 {
		n.gets(&wire.UserEvent{LTime: wire.LTime(i), Name: "flood"})
		n.gets(&wire.Join{LTime: wire.LTime(i), Node: fmt.Sprint("n", i)})
		n.gets(&wire.Query{LTime: wire.LTime(i), Name: "q"})
		if s := n.Stats(); s.IntentQueue > 64 || s.EventQueue > 64 || s.QueryQueue > 64 {
			t.Fatalf("%+v", s)
		}
	}
	for _, q := range []string{"Intent", "Event", "Query"} {
		if !n.logged("serf: " + q + " queue depth (65) exceeds limit (64), dropping messages!") {
			t.Errorf("%s: not reported", q)
		}
	}
	n.wait(n.cfg.QueueCheckInterval)
	if !n.logged("serf: Event queue depth: ") {
		t.Error("depth not reported")
	}
}

// A newer intent about the same node takes the place of the older in the queue.
func TestIntentsSupersede(t *testing.T) {
	n := alone(t, nil)
	for i := range 10 {
		n.gets(&wire.Join{LTime: wire.LTime(2 * i), Node: "b"})
		n.gets(&wire.Leave{LTime: wire.LTime(2*i + 1), Node: "b"})
	}
	if got := n.queues.intent.Len(); got != 1 {
		t.Errorf("%d intents about one node", got)
	}
}

func TestP98_UnknownMessagesAreHarmless(t *testing.T) {
	n := alone(t, nil)
	n.take()
	for _, msg := range []string{"\x08", "\x08\x63abc", "\x08\x02\x80", "\x08\x06\x80", "\x08\x00", "\x08\x03\xc1", "\x08\x09\x81"} {
		n.packet([]byte(msg))
	}
	n.wantEvents()
	if !n.logged("serf: Received message of unknown type: 99") || !n.logged("serf: Error decoding leave message: ") {
		t.Errorf("%q", n.log)
	}
	n.layer().MergeState(n.w.now, strangers, nil, false)
	n.layer().MergeState(n.w.now, strangers, []byte{1, 2}, false)
	n.layer().MergeState(n.w.now, strangers, []byte{2, 0xc1}, true)
	n.act()
	if n.synced || !n.logged("serf: Failed to decode remote state: ") {
		t.Error("a state that could not be read counts as one")
	}
}

func (n *node) layer() *layer { return &layer{n.Machine} }

func TestP121_CoordinatesTravel(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	w.delay = 20 * time.Millisecond
	w.run(3 * time.Minute)
	a, _ := ns[0].Coordinate("a")
	b, ok := ns[0].Coordinate("b")
	if !ok {
		t.Fatal("no coordinate of b")
	}
	d := coordinate.Coordinate(a).DistanceTo(coordinate.Coordinate(b))
	if d < 25*time.Millisecond || d > 60*time.Millisecond {
		t.Errorf("distance %v, the round trip takes 40ms", d)
	}
	if _, ok := ns[0].Coordinate("nobody"); ok {
		t.Error("nobody has a coordinate")
	}
	a.Vec[0] = 99
	if again, _ := ns[0].Coordinate("a"); again.Vec[0] == 99 {
		t.Error("the coordinate is not a copy")
	}
}

func TestP121_OtherPayloadsAreIgnored(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	ok := wire.Coordinate{Vec: make([]float64, 8), Error: 1, Height: 1e-5}
	short := wire.Coordinate{Vec: make([]float64, 3), Error: 1, Height: 1e-5}
	l := n.layer()
	for _, p := range [][]byte{nil, {}, {2, 0x80}, {1}, {1, 0xc1}, short.AppendTo(nil)} {
		l.PingDone(n.w.now, "b", time.Millisecond, p)
	}
	l.PingDone(n.w.now, "nobody", time.Millisecond, ok.AppendTo(nil))
	l.PingDone(n.w.now, "b", time.Minute, ok.AppendTo(nil))
	n.act()
	if _, known := n.Coordinate("b"); known {
		t.Error("taken")
	}
	if !n.logged("serf: Rejected coordinate from b: ") || !n.logged("serf: Failed to decode coordinate from ping: ") {
		t.Error(n.log)
	}
	l.PingDone(n.w.now, "b", time.Millisecond, ok.AppendTo(nil))
	if _, known := n.Coordinate("b"); !known {
		t.Error("not taken")
	}
	off := alone(t, func(c *Config) { c.NoCoordinates = true })
	if got := off.layer().AppendAckPayload(nil); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if _, known := off.Coordinate("self"); known {
		t.Error("a coordinate although they are off")
	}
}

func TestP129_ReapedMembersCoordinateIsForgotten(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	ok := wire.Coordinate{Vec: make([]float64, 8), Error: 1, Height: 1e-5}
	n.layer().PingDone(n.w.now, "b", time.Millisecond, ok.AppendTo(nil))
	n.dead("b", 1, "x")
	n.forces("b", true)
	if _, known := n.Coordinate("b"); known {
		t.Error("still there")
	}
}

// busy plays a cluster's life and returns all that can be seen of it.
func busy(t *testing.T, seed uint64) string {
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	var ns []*node
	for i := range 6 {
		ns = append(ns, w.add(fmt.Sprint("n", i), func(c *Config) {
			c.CoalescePeriod, c.QuiescentPeriod = 2*time.Second, time.Second
			c.Tags = tags("i", fmt.Sprint(i), "z", "1")
		}))
	}
	for _, n := range ns[1:] {
		n.join(ns[0], true)
	}
	w.drop = func(_, _ *node, _ []byte) bool { return rng.IntN(10) == 0 }
	var out strings.Builder
	for step := range 60 {
		n := ns[rng.IntN(5)]
		switch step % 6 {
		case 0:
			n.fire("e", fmt.Sprint(step))
		case 1:
			n.asks("q", "", QueryParam{Ack: true, RelayFactor: 1})
		case 2:
			n.SetTags(w.now, tags("s", fmt.Sprint(step)))
			n.act()
		case 3:
			ns[5].down = step%12 == 3
		case 4:
			n.ForceLeave(w.now, "n5", step%8 == 4)
			n.act()
		}
		w.run(time.Duration(rng.IntN(5000)) * time.Millisecond)
	}
	for _, n := range ns {
		fmt.Fprintf(&out, "%s %v %v %v\n", n.name(), n.log, n.updates, n.Members())
		for _, e := range n.events {
			fmt.Fprintln(&out, eventLine(e))
		}
		if !n.down {
			n.wantFold() // P160
		}
	}
	return out.String()
}

func TestP150_SameInputsSameOutputs(t *testing.T) {
	a, b := busy(t, 3), busy(t, 3)
	if a != b {
		for i, l := range strings.Split(a, "\n") {
			if o := strings.Split(b, "\n"); i >= len(o) || o[i] != l {
				t.Fatalf("line %d differs", i)
			}
		}
	}
	if len(a) < 10000 {
		t.Error("nothing happened")
	}
}

func TestP160_FoldEqualsMembersInACluster(t *testing.T) {
	for seed := range uint64(8) {
		busy(t, 10+seed)
	}
}

func TestP151_TimeoutsMayComeAtAnyTime(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.asks("q", "", QueryParam{Ack: true})
	n.gets(&wire.Leave{LTime: 5, Node: "b", Prune: true})
	events, updates := len(n.events), len(n.updates)
	for range 10 { // early and repeated: nothing happens
		n.HandleTimeout(n.w.now)
		n.act()
	}
	if len(n.events) != events || len(n.updates) != updates {
		t.Error("early calls did something")
	}
	for _, d := range []time.Duration{time.Minute, time.Hour, 100 * 24 * time.Hour, 0} {
		n.w.now = n.w.now.Add(d)
		n.HandleTimeout(n.w.now)
		n.act()
		if at := n.Deadline(); at.Before(n.w.now) {
			t.Errorf("the deadline is %v ago", n.w.now.Sub(at))
		}
	}
	done := 0
	for _, u := range n.updates {
		if u.Kind == QueryDone {
			done++
		}
	}
	if done != 1 {
		t.Errorf("the query ended %d times", done)
	}
}

// swim replaces metadata and never writes into them: this package keeps them
// without a copy.
func TestSwimReplacesMetadata(t *testing.T) {
	n := alone(t, func(c *Config) { c.Tags = tags("k", "old") })
	n.alive("b", 1, "k", "old")
	var kept [][]byte
	for _, name := range []string{"self", "b"} {
		kept = append(kept, n.members.get(name).Meta())
	}
	copies := [][]byte{bytes.Clone(kept[0]), bytes.Clone(kept[1])}
	n.alive("b", 2, "k", "new")
	if err := n.SetTags(n.w.now, tags("k", "new")); err != nil {
		t.Fatal(err)
	}
	n.dead("b", 3, "x")
	n.alive("b", 4, "k", "xxx")
	for i := range kept {
		if !bytes.Equal(kept[i], copies[i]) {
			t.Errorf("%q was %q", kept[i], copies[i])
		}
	}
}

// TestRender: each kind has words of its own, and none panics on an empty record.
func TestRender(t *testing.T) {
	seen := map[string]swim.TraceKind{}
	for k := swim.TraceKind(0); k < swim.TraceLayer; k++ {
		if !strings.HasPrefix(Render(swim.Trace{Kind: k}), "memberlist: ") {
			t.Errorf("%v: %q", k, Render(swim.Trace{Kind: k}))
		}
	}
	for k := swim.TraceLayer; k <= TraceCoordinateRejected; k++ {
		tr := swim.Trace{Kind: k, Node: "NODE", From: "FROM", N: 2, Of: 3, LTime: 4, Err: errors.New("why"),
			Addr: netip.MustParseAddrPort("10.0.0.1:7946")}
		s := Render(tr)
		Render(swim.Trace{Kind: k})
		if !strings.HasPrefix(s, "serf: ") || strings.Contains(s, "trace ") {
			t.Errorf("%d: %q", k, s)
		}
		if old, dup := seen[s]; dup {
			t.Errorf("%d and %d are both %q", old, k, s)
		}
		seen[s] = k
	}
	for _, tc := range []struct {
		tr   swim.Trace
		want string
	}{
		{swim.Trace{Kind: TraceMemberJoin, Node: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7946")}, "serf: EventMemberJoin: a 10.0.0.1"},
		{swim.Trace{Kind: TraceMemberUpdate, Node: "a"}, "serf: EventMemberUpdate: a"},
		{swim.Trace{Kind: TraceReconnect, Node: "a/b:1", Addr: netip.MustParseAddrPort("[fe80::1]:7946")}, "serf: attempting reconnect to a/b:1 [fe80::1]:7946"},
		{swim.Trace{Kind: swim.TraceSuspect, Node: "x"}, "memberlist: Suspect x has failed, no acks received"},
		{swim.Trace{Kind: swim.TraceFailed, Node: "x", N: 2}, "memberlist: Marking x as failed, suspect timeout reached (2 peer confirmations)"},
		{swim.Trace{Kind: swim.TraceRefuteSuspect, From: "x"}, "memberlist: Refuting a suspect message (from: x)"},
		{swim.Trace{Kind: swim.TraceStream, Addr: strangers}, "memberlist: Stream connection from=10.9.9.9:7946"},
	} {
		if got := Render(tc.tr); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
