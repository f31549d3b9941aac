package serf

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

func (n *node) fire(name, payload string) {
	n.w.t.Helper()
	if err := n.UserEvent(n.w.now, name, []byte(payload), false); err != nil {
		n.w.t.Fatal(err)
	}
	n.act()
}

func TestP80_LocalEventsHaveTimesOfTheirOwn(t *testing.T) {
	n := alone(t, nil)
	n.take()
	for range 3 {
		n.fire("deploy", "same") // equal in all but the time
	}
	var times []wire.LTime
	for _, e := range n.events {
		times = append(times, e.LTime)
	}
	if !slices.Equal(times, []wire.LTime{1, 2, 3}) {
		t.Errorf("times %v", times)
	}
	n.wantEvents("user deploy=same", "user deploy=same", "user deploy=same")
	if n.queues.event.Len() != 3 {
		t.Error("not all are broadcast")
	}
}

func TestP80_EventReachesEverybodyOnce(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c", "d")
	for _, n := range ns {
		n.take()
	}
	ns[1].fire("my-event", "my-data")
	w.run(2 * time.Minute) // long enough for push/pulls to bring it again
	for _, n := range ns {
		n.wantEvents("user my-event=my-data")
	}
}

func TestP81_SameEventOnce(t *testing.T) {
	n := alone(t, nil)
	n.take()
	for range 2 {
		n.gets(&wire.UserEvent{LTime: 5, Name: "a", Payload: []byte("1")})
		n.gets(&wire.UserEvent{LTime: 5, Name: "a", Payload: []byte("2")})
		n.gets(&wire.UserEvent{LTime: 5, Name: "b", Payload: []byte("1")})
		n.gets(&wire.UserEvent{LTime: 6, Name: "a", Payload: []byte("1")})
	}
	n.wantEvents("user a=1", "user a=2", "user b=1", "user a=1")
	if n.queues.event.Len() != 4 {
		t.Errorf("%d passed on", n.queues.event.Len())
	}
}

func TestP82_OldEventsAreDropped(t *testing.T) {
	n := alone(t, func(c *Config) { c.EventBuffer = 8 })
	n.take()
	n.gets(&wire.UserEvent{LTime: 99, Name: "new"}) // the clock is 100
	n.gets(&wire.UserEvent{LTime: 92, Name: "just"})
	n.gets(&wire.UserEvent{LTime: 91, Name: "old"})
	n.wantEvents("user new=", "user just=")
	if !n.logged("received old event old from time 91 (current: 100)") {
		t.Error(n.log)
	}
}

func TestP83_EventsOfAFormerLife(t *testing.T) {
	n := alone(t, func(c *Config) { c.EventClock = 20 })
	n.take()
	log := len(n.log)
	n.gets(&wire.UserEvent{LTime: 20, Name: "had"})
	n.gets(&wire.UserEvent{LTime: 21, Name: "missed"})
	n.wantEvents("user missed=")
	for _, l := range n.log[log:] {
		if !strings.Contains(l, "messageUserEventType") {
			t.Errorf("not in silence: %s", l)
		}
	}
}

func TestP84_PassedOnAsItCame(t *testing.T) {
	n := alone(t, nil)
	// Keys in another order, and one that nobody knows.
	msg := []byte("\x08\x03\x84\xa4Name\xa1e\xa5LTime\x05\xa7Payload\xa1p\xa7Unknown\xc3")
	n.packet(msg)
	out := n.queued(&n.queues.event)
	if len(out) != 1 || !bytes.Equal(out[0], msg) {
		t.Errorf("%q", out)
	}
}

func TestP85_SizeLimits(t *testing.T) {
	n := alone(t, nil)
	for _, tc := range []struct {
		size int
		want string
	}{
		{400, ""},
		{513, "user event exceeds configured limit of 512 bytes before encoding"},
		{512, "encoded user event exceeds configured limit of 512 bytes after encoding"},
	} {
		err := n.UserEvent(n.w.now, "x", make([]byte, tc.size-1), false)
		if got := fmt.Sprint(err); tc.want == "" && err != nil || tc.want != "" && got != tc.want {
			t.Errorf("%d: %v", tc.size, err)
		}
	}
	cfg := n.cfg
	cfg.UserEventSizeLimit = 9*1024 + 1
	if _, err := New(cfg, n.rng, n.w.now); err == nil || err.Error() != "user event size limit exceeds limit of 9216 bytes" {
		t.Error(err)
	}
}

// TestBugF: an event that no packet has room for must not be taken and then
// wait in the queue for ever.
func TestBugF_EventLargerThanAPacket(t *testing.T) {
	n := alone(t, func(c *Config) { c.UserEventSizeLimit = 9 * 1024 })
	err := n.UserEvent(n.w.now, "big", make([]byte, 1400), false)
	if err == nil || !strings.Contains(err.Error(), "packet limit") {
		t.Error(err)
	}
	if n.queues.event.Len() != 0 || n.eventClock.time() != 1 {
		t.Error("it left traces")
	}
	// The largest that is taken does get out.
	for size := 1400; ; size-- {
		if n.UserEvent(n.w.now, "big", make([]byte, size), false) == nil {
			break
		}
	}
	n.alive("b", 1)
	w := n.w
	sent := false
	w.drop = func(_, _ *node, data []byte) bool { return false }
	b := w.add("b2", nil)
	b.addr = peerAddr("b")
	w.drop = func(_, to *node, data []byte) bool {
		sent = sent || to == b && bytes.Contains(data, []byte("big"))
		return true
	}
	w.run(2 * time.Second)
	if !sent {
		t.Error("the largest event never left")
	}
}

func TestP86_StateEventsAreNotCoalescable(t *testing.T) {
	n := alone(t, func(c *Config) { c.UserCoalescePeriod, c.UserQuiescentPeriod, c.Clock = time.Hour, time.Hour, 1 })
	n.take()
	n.hears(wire.SerfState{Events: []wire.EventsAt{{LTime: 3, Events: []wire.StateEvent{{Name: "e"}}}}})
	n.wantEvents("user e=")
}

// TestBugE: the events of a push/pull come in the order of the other's buffer,
// which is not that of time.
func TestBugE_StateEventsAreSorted(t *testing.T) {
	n := alone(t, func(c *Config) { c.Clock = 1 })
	n.take()
	at := func(t wire.LTime, names ...string) wire.EventsAt {
		e := wire.EventsAt{LTime: t}
		for _, name := range names {
			e.Events = append(e.Events, wire.StateEvent{Name: name})
		}
		return e
	}
	n.hears(wire.SerfState{EventLTime: 514, Events: []wire.EventsAt{at(512, "x512"), at(513, "x513"), at(510, "x510", "y510"), at(511, "x511")}})
	n.wantEvents("user x510=", "user y510=", "user x511=", "user x512=", "user x513=")
	if n.queues.event.Len() != 0 {
		t.Error("events of a push/pull were passed on")
	}
}

func TestP87_JoinIgnoresOldEvents(t *testing.T) {
	for _, replay := range []bool{false, true} {
		w := newWorld(t)
		a := w.add("a", nil)
		a.fire("old", "1")
		b := w.add("b", nil)
		b.take()
		b.join(a, !replay)
		w.run(5 * time.Second)
		a.fire("new", "2")
		w.run(5 * time.Second)
		got := slices.DeleteFunc(b.take(), func(s string) bool { return strings.HasPrefix(s, "member") })
		want := []string{"user new=2"}
		if replay {
			want = []string{"user old=1", "user new=2"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("replay %v: %q, want %q", replay, got, want)
		}
	}
}

// After a crash and a restart without a snapshot, the others find the node
// again. It did not ask for old events.
func TestRestartedNodeIsNotToldOldEvents(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	ns[0].fire("deploy", "v1")
	w.run(10 * time.Second)
	ns[2].down = true
	w.run(30 * time.Second)
	ns[0].wantStatus(ns[2], StatusFailed)

	again := w.add("c", nil)
	again.addr = ns[2].addr
	again.Machine, _ = New(ns[2].cfg, again.rng, w.now)
	again.events = nil
	again.act()
	w.run(3 * time.Minute)
	ns[0].wantStatus(again, StatusAlive)
	again.wantStatus(ns[0], StatusAlive)
	for _, l := range again.take() {
		if strings.HasPrefix(l, "user") {
			t.Errorf("an old event: %s", l)
		}
	}
	ns[0].fire("deploy", "v2")
	w.run(2 * time.Second)
	again.wantEvents("user deploy=v2")
}

func TestP88_SlotsByTime(t *testing.T) {
	var b eventBuffer
	b.init(4, 0)
	for _, tc := range []struct {
		now, at wire.LTime
		name    string
		want    eventVerdict
	}{
		{2, 1, "a", eventNew}, {2, 1, "a", eventSeen}, {6, 5, "a", eventNew},
		{6, 1, "b", eventOld}, {6, 2, "b", eventNew}, {6, 5, "a", eventSeen},
	} {
		if got := b.add(tc.now, tc.at, tc.name, nil); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func TestEventBufferIsBounded(t *testing.T) {
	var b eventBuffer
	b.init(512, 0)
	payload := make([]byte, 8*1024)
	for i := range 3000 {
		payload[0], payload[1] = byte(i), byte(i>>8)
		b.add(500, wire.LTime(1+i%400), "e", payload)
		if b.bytes > maxEventBytes {
			t.Fatalf("%d bytes", b.bytes)
		}
	}
	if b.min == 0 {
		t.Error("what was forgotten may come again")
	}
	full := 0
	for i := range maxEventsPerTime + 5 {
		if b.add(500, 450, fmt.Sprint(i), nil) == eventFull {
			full++
		}
	}
	if full != 5 {
		t.Errorf("%d refused", full)
	}
}

func TestP89_NoEventTwiceAcrossARestart(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b")
	a, b := ns[0], ns[1]
	a.fire("one", "")
	w.run(3 * time.Second)
	b.down = true
	seen := b.take()
	stats := b.Stats()
	a.fire("two", "") // while b is away
	w.run(20 * time.Second)

	again := w.add("b", func(c *Config) {
		*c = b.cfg
		c.Clock, c.EventClock, c.QueryClock = stats.MemberTime-1, stats.EventTime-1, stats.QueryTime-1
	})
	again.addr = b.addr
	again.join(a, false)
	w.run(time.Minute)
	count := 0
	for _, l := range append(seen, again.take()...) {
		if l == "user one=" {
			count++
		}
	}
	if count != 1 {
		t.Errorf("event one was told %d times", count)
	}
}

func TestOversizedEventsFromOutside(t *testing.T) {
	n := alone(t, func(c *Config) { c.Clock = 1 })
	n.take()
	big := make([]byte, 10*1024)
	n.HandleStream(n.w.now, strangers, wire.AppendUserStream(nil, (&wire.UserEvent{LTime: 3, Name: "e", Payload: big}).AppendTo(nil)))
	n.act()
	n.hears(wire.SerfState{Events: []wire.EventsAt{{LTime: 4, Events: []wire.StateEvent{{Name: "e", Payload: big}}}}})
	// One that is legal but larger than a packet is told, and not queued.
	n.HandleStream(n.w.now, strangers, wire.AppendUserStream(nil, (&wire.UserEvent{LTime: 5, Name: "ok", Payload: big[:5000]}).AppendTo(nil)))
	n.act()
	if got := n.take(); len(got) != 1 || !strings.HasPrefix(got[0], "user ok=") {
		t.Errorf("%.40q", got)
	}
	if n.queues.event.Len() != 0 {
		t.Error("it waits for a packet that cannot be")
	}
}
