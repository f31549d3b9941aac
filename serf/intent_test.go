package serf

import (
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

func TestP70_ClockWitness(t *testing.T) {
	for _, tc := range []struct{ from, see, want wire.LTime }{
		{1, 0, 1}, {1, 1, 2}, {5, 4, 5}, {5, 5, 6}, {5, 100, 101},
	} {
		c := clock{next: tc.from}
		c.witness(tc.see)
		if c.time() != tc.want {
			t.Errorf("%d witnesses %d: %d, want %d", tc.from, tc.see, c.time(), tc.want)
		}
	}
	c := newClock(0)
	if c.time() != 1 || c.tick() != 1 || c.tick() != 2 {
		t.Error("a clock starts at 1 and ticks")
	}
}

func TestP71_OnlyNewerIntentsCount(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.gets(&wire.Join{LTime: 5, Node: "b"})
	n.want("b", StatusAlive, 5)
	if got := len(n.queued(&n.queues.intent)); got != 1 {
		t.Errorf("%d queued, want 1", got)
	}
	for _, old := range []wire.LTime{4, 5} {
		n.queues.intent = broadcast.Queue{}
		n.gets(&wire.Leave{LTime: old, Node: "b"})
		n.gets(&wire.Join{LTime: old, Node: "b"})
		n.want("b", StatusAlive, 5)
		if got := n.queues.intent.Len(); got != 0 {
			t.Errorf("an old intent was passed on")
		}
	}
}

func TestP72_IntentBeforeTheMember(t *testing.T) {
	n := alone(t, nil)
	n.gets(&wire.Join{LTime: 5, Node: "j"})
	n.gets(&wire.Leave{LTime: 6, Node: "l"})
	n.gets(&wire.Leave{LTime: 3, Node: "j"}) // older: forgotten
	if got := n.queues.intent.Len(); got != 2 {
		t.Errorf("%d passed on, want 2", got)
	}
	n.alive("j", 1)
	n.alive("l", 1)
	n.want("j", StatusAlive, 5)
	n.want("l", StatusLeaving, 6)

	n.gets(&wire.Leave{LTime: 9, Node: "late"})
	n.wait(n.cfg.RecentIntentTimeout + 2*n.cfg.ReapInterval)
	n.alive("late", 1)
	n.want("late", StatusAlive, 0)
}

func TestP72_IntentsAreBounded(t *testing.T) {
	n := alone(t, nil)
	for i := range 3 * maxIntents {
		n.rememberIntent(string(rune(i))+"x", 1, true)
	}
	if got := len(n.intents); got > maxIntents+4 {
		t.Errorf("%d intents are kept", got)
	}
}

func TestP73_RefutesAStaleLeave(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.gets(&wire.Leave{LTime: 40, Node: "self"})
	n.want("self", StatusAlive, 41)
	out := n.queued(&n.queues.intent)
	if len(out) != 1 {
		t.Fatalf("%d messages, want the join intent alone", len(out))
	}
	var j wire.Join
	if err := j.Decode(out[0][2:], nil); err != nil || wire.SerfType(out[0][1]) != wire.SerfJoin || j.LTime != 41 || j.Node != "self" {
		t.Errorf("%v %+v", err, j)
	}
	if !n.logged("Refuting an older leave intent") {
		t.Error("not traced")
	}
}

func TestP73_RefutesALeaveInAState(t *testing.T) {
	n := alone(t, nil)
	n.hears(wire.SerfState{LTime: 50, Left: []string{"self"}, Status: []wire.StatusLTime{{Node: "self", LTime: 45}}})
	m := n.Local()
	if m.Status != StatusAlive || m.LTime < 47 {
		t.Errorf("%v at %d", m.Status, m.LTime)
	}
}

// TestP74_LeaveIntentByStatus and TestP75: what an intent makes of each status.
func TestP74_LeaveIntentByStatus(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before func(*node)
		want   Status
		events []string
	}{
		{"alive", func(n *node) {}, StatusLeaving, nil},
		{"leaving", func(n *node) { n.gets(&wire.Leave{LTime: 3, Node: "b"}) }, StatusLeaving, nil},
		{"failed", func(n *node) { n.dead("b", 1, "x") }, StatusLeft, []string{"member-leave b"}},
		{"left", func(n *node) { n.gets(&wire.Leave{LTime: 3, Node: "b"}); n.dead("b", 1, "b") }, StatusLeft, nil},
	} {
		n := alone(t, nil)
		n.alive("b", 1)
		tc.before(n)
		n.take()
		n.gets(&wire.Leave{LTime: 10, Node: "b"})
		n.want("b", tc.want, 10)
		n.wantEvents(tc.events...)
		if n.queues.intent.Len() != 1 {
			t.Errorf("%s: not passed on", tc.name)
		}
	}
}

func TestP75_JoinIntentByStatus(t *testing.T) {
	for _, tc := range []struct {
		before func(*node)
		want   Status
	}{
		{func(n *node) {}, StatusAlive},
		{func(n *node) { n.gets(&wire.Leave{LTime: 3, Node: "b"}) }, StatusAlive},
		{func(n *node) { n.dead("b", 1, "x") }, StatusFailed},
		{func(n *node) { n.gets(&wire.Leave{LTime: 3, Node: "b"}); n.dead("b", 1, "b") }, StatusLeft},
	} {
		n := alone(t, nil)
		n.alive("b", 1)
		tc.before(n)
		n.take()
		n.gets(&wire.Join{LTime: 10, Node: "b"})
		n.want("b", tc.want, 10)
		n.wantEvents()
	}
}

func TestP76_StateHoldsWhatIsKnown(t *testing.T) {
	n := alone(t, nil)
	n.alive("z", 1)
	n.alive("b", 1)
	n.gets(&wire.Leave{LTime: 7, Node: "z"})
	n.dead("z", 1, "z")
	n.gets(&wire.UserEvent{LTime: 11, Name: "e", Payload: []byte("p")})
	n.gets(&wire.Query{LTime: 21, ID: 1, Name: "q", Timeout: time.Second})
	var s wire.SerfState
	if err := s.Decode(n.appendState(nil)[1:], nil); err != nil {
		t.Fatal(err)
	}
	if s.LTime != 8 || s.EventLTime != 12 || s.QueryLTime != 22 {
		t.Errorf("clocks %d %d %d", s.LTime, s.EventLTime, s.QueryLTime)
	}
	if len(s.Status) != 3 || s.Status[0].Node != "b" || s.Status[1].Node != "self" || s.Status[2] != (wire.StatusLTime{Node: "z", LTime: 7}) {
		t.Errorf("%+v", s.Status)
	}
	if len(s.Left) != 1 || s.Left[0] != "z" {
		t.Errorf("%q", s.Left)
	}
	if len(s.Events) != 1 || s.Events[0].LTime != 11 || s.Events[0].Events[0].Name != "e" {
		t.Errorf("%+v", s.Events)
	}
}

func TestP77_MergeWitnessesAndOrders(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.alive("c", 1)
	n.gets(&wire.Join{LTime: 4, Node: "b"})
	n.hears(wire.SerfState{
		LTime: 30, EventLTime: 40, QueryLTime: 50,
		Left:   []string{"b", "unlisted"},
		Status: []wire.StatusLTime{{Node: "b", LTime: 4}, {Node: "c", LTime: 9}},
	})
	if s := n.Stats(); s.MemberTime != 30 || s.EventTime != 40 || s.QueryTime != 50 {
		t.Errorf("%+v", s)
	}
	n.want("b", StatusLeaving, 5)
	n.want("c", StatusAlive, 9)
	if in := n.intents["unlisted"]; !in.leave || in.ltime != 1 {
		t.Errorf("%+v", in)
	}
	if n.queues.intent.Len() != 1 { // the join intent of the first packet
		t.Error("what came in a push/pull was passed on")
	}
}

func TestP78_JoinIsTold(t *testing.T) {
	w := newWorld(t)
	a, b := w.add("a", nil), w.add("b", nil)
	b.join(a, true)
	w.run(time.Second)
	if len(b.joins) != 1 || b.joins[0].Err != nil {
		t.Fatalf("%+v", b.joins)
	}
	mb, _ := a.Member("b")
	ma, _ := a.Member("a")
	if mb.LTime == 0 || ma.LTime != 0 {
		t.Errorf("b at %d, a at %d", mb.LTime, ma.LTime)
	}
	// A join that fails says nothing.
	before := b.clock.time()
	b.Join(w.now, strangers, "", true)
	b.act()
	w.run(time.Second)
	if b.clock.time() != before || b.joins[1].Err == nil {
		t.Error("a failed join moved the clock")
	}
}

func TestP79_ClocksAreRestoredAndWitnessed(t *testing.T) {
	n := alone(t, func(c *Config) { c.Clock, c.EventClock, c.QueryClock = 10, 20, 30 })
	if s := n.Stats(); s.MemberTime != 11 || s.EventTime != 21 || s.QueryTime != 31 {
		t.Errorf("%+v", s)
	}
	n = alone(t, nil)
	n.gets(&wire.Join{LTime: 70, Node: "nobody"})
	n.gets(&wire.Join{LTime: 70, Node: "nobody"}) // dropped
	n.gets(&wire.UserEvent{LTime: 9, Name: "x"})
	if s := n.Stats(); s.MemberTime != 71 || s.EventTime != 10 {
		t.Errorf("%+v", s)
	}
}

func TestImpossibleTimesAreDropped(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	for _, m := range []appender{
		&wire.Join{LTime: ^wire.LTime(0), Node: "b"},
		&wire.Leave{LTime: ^wire.LTime(0), Node: "b"},
		&wire.UserEvent{LTime: ^wire.LTime(0), Name: "e"},
		&wire.Query{LTime: ^wire.LTime(0), Name: "q"},
	} {
		n.gets(m)
	}
	n.hears(wire.SerfState{LTime: ^wire.LTime(0)})
	n.hears(wire.SerfState{Left: []string{"b"}, Status: []wire.StatusLTime{{Node: "b", LTime: ^wire.LTime(0)}}})
	n.want("b", StatusAlive, 0)
	if s := n.Stats(); s.MemberTime != 1 || s.EventTime != 1 || s.QueryTime != 1 {
		t.Errorf("%+v", s)
	}
}
