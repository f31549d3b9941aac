package serf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
	"pgregory.net/rapid"
)

// coalescing starts a machine that holds events back as the agent does.
func coalescing(t testing.TB) *node {
	n := alone(t, func(c *Config) {
		c.CoalescePeriod, c.QuiescentPeriod = 3*time.Second, time.Second
		c.UserCoalescePeriod, c.UserQuiescentPeriod = 3*time.Second, time.Second
		c.Swim.ProbeInterval = time.Hour // nobody is there to be probed
		c.ReconnectInterval = 1000 * time.Hour
	})
	n.take()
	return n
}

func TestFirstEventIsNotHeldBack(t *testing.T) {
	n := alone(t, func(c *Config) { c.CoalescePeriod, c.QuiescentPeriod = 3*time.Second, time.Second })
	n.wantEvents("member-join self")
}

func TestP110_Windows(t *testing.T) {
	n := coalescing(t)
	n.alive("b", 1)
	n.wait(999 * time.Millisecond)
	n.wantEvents()
	n.wait(time.Millisecond)
	n.wantEvents("member-join b") // quiet for a second

	start := n.w.now
	for i := 0; len(n.events) == 0; i++ {
		n.alive(fmt.Sprintf("m%02d", i), 1)
		n.wait(500 * time.Millisecond)
	}
	if took := n.w.now.Sub(start); took != 3*time.Second {
		t.Errorf("held back for %v", took)
	}

	off := alone(t, func(c *Config) { c.CoalescePeriod = time.Second })
	off.take()
	off.alive("b", 1)
	off.wantEvents("member-join b")
}

func TestP111_SharedEventsInOrder(t *testing.T) {
	n := coalescing(t)
	for _, name := range []string{"x", "c", "a", "b"} {
		n.alive(name, 1)
	}
	n.wait(time.Second)
	n.wantEvents("member-join a b c x")
	n.alive("z", 1)
	n.alive("y", 1)
	n.dead("c", 1, "k")
	n.dead("a", 1, "k")
	n.gets(&wire.Leave{LTime: 3, Node: "b"})
	n.dead("b", 1, "b")
	n.alive("x", 2, "k", "v")
	n.wait(time.Second)
	n.wantEvents("member-failed a c", "member-leave b", "member-join y z", "member-update x[{k v}]")
}

// TestP112_Chains: what is told of one member, by what happened in one window.
func TestP112_Chains(t *testing.T) {
	const (
		join, join2, update, update2, back = "join", "join2", "update", "update2", "back"
		fail, leave, force, prune          = "fail", "leave", "force", "prune"
	)
	for _, tc := range []struct {
		known bool // was alive before the window
		steps []string
		want  []string
	}{
		// Bug A of the real one: a join that an update follows is lost.
		{false, []string{join, update}, []string{"member-join b[{k 1}]"}},
		{false, []string{join, update, update2}, []string{"member-join b[{k 2}]"}},
		{true, []string{update, update2}, []string{"member-update b[{k 2}]"}},
		{true, []string{update, back}, nil}, // as it was
		{true, []string{fail, join2}, []string{"member-failed b", "member-join b"}},
		{true, []string{update, fail}, []string{"member-failed b"}},
		{true, []string{fail, join2, update2}, []string{"member-failed b", "member-join b[{k 2}]"}},
		{false, []string{join, fail}, []string{"member-join b", "member-failed b"}},
		{false, []string{join, fail, join2}, []string{"member-join b"}},
		{true, []string{fail, join2, fail}, []string{"member-failed b"}},
		{true, []string{fail, join2, fail, join2}, []string{"member-failed b", "member-join b"}},
		{true, []string{fail, force}, []string{"member-leave b"}},
		{true, []string{leave, prune}, []string{"member-leave b", "member-reap b"}},
		{true, []string{fail, prune, join2}, []string{"member-leave b", "member-reap b", "member-join b"}},
		{true, []string{fail, prune, join2, fail, prune}, []string{"member-leave b", "member-reap b"}},
	} {
		n := coalescing(t)
		inc, lt := uint32(1), wire.LTime(1)
		if tc.known {
			n.alive("b", inc)
			n.wait(time.Second)
			n.take()
		}
		for _, s := range tc.steps {
			inc++
			lt++
			switch s {
			case join, join2, back:
				n.alive("b", inc)
			case update:
				n.alive("b", inc, "k", "1")
			case update2:
				n.alive("b", inc, "k", "2")
			case fail:
				n.dead("b", inc, "x")
			case leave:
				n.gets(&wire.Leave{LTime: lt, Node: "b"})
				n.dead("b", inc, "b")
			case force:
				n.gets(&wire.Leave{LTime: lt, Node: "b"})
			case prune:
				n.gets(&wire.Leave{LTime: lt, Node: "b", Prune: true})
			}
		}
		n.wait(2 * time.Second)
		if got := n.take(); !slices.Equal(got, tc.want) {
			t.Errorf("known=%v %v: %q, want %q", tc.known, tc.steps, got, tc.want)
		}
		n.wantFold()
		// Bug A: what was told is not told again at the next flush.
		n.alive("other", 1)
		n.wait(2 * time.Second)
		n.wantEvents("member-join other")
	}
}

// TestReturnOfOneThatWasForcedOut: a member that was told to have failed is
// force-left, comes back and fails again within one window. That it was
// back has to be told, or it fails twice in a row.
func TestReturnOfOneThatWasForcedOut(t *testing.T) {
	n := coalescing(t)
	n.alive("b", 1)
	n.wait(2 * time.Second)
	n.dead("b", 1, "x")
	n.wait(2 * time.Second)
	n.wantEvents("member-join b", "member-failed b")
	n.gets(&wire.Leave{LTime: 5, Node: "b"})
	n.alive("b", 2)
	n.dead("b", 2, "x")
	n.wait(2 * time.Second)
	n.wantEvents("member-join b", "member-failed b")
	n.wantFold()
}

func TestHeldMembersForgetEverything(t *testing.T) {
	n := coalescing(t)
	for i := range 100 {
		n.alive(fmt.Sprint("ephemeral", i), 1)
	}
	n.wait(2 * time.Second)
	if len(n.coalescer.members[0].byName) != 0 {
		t.Errorf("%d names are kept", len(n.coalescer.members[0].byName))
	}
}

// TestP114_FoldEqualsMembers: whatever happens, in whatever windows, who applies
// the events has the members, and no update is told that changed nothing.
func TestP114_FoldEqualsMembers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := coalescing(t)
		if rapid.Bool().Draw(rt, "failures at once") {
			n.coalescer.members[0].urgent = 100 * time.Millisecond
		}
		inc, lt := uint32(1), wire.LTime(1)
		told := map[string]string{} // the tags as told
		last := map[string]EventType{}
		names := []string{"a", "b", "c"}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			inc++
			lt++
			name := rapid.SampledFrom(names).Draw(rt, "name")
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				n.alive(name, inc, "k", rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "tag"))
			case 2:
				n.dead(name, inc, "x")
			case 3:
				n.gets(&wire.Leave{LTime: lt, Node: name, Prune: rapid.Bool().Draw(rt, "prune")})
			case 4:
				n.dead(name, inc, name)
			case 5:
				n.gets(&wire.Join{LTime: lt, Node: name})
			case 6:
				n.wait(time.Duration(rapid.IntRange(1, 2500).Draw(rt, "ms")) * time.Millisecond)
			}
			for _, e := range n.events {
				for _, m := range e.Members {
					if before, ok := last[m.Name]; ok && before == e.Type && e.Type != EventMemberUpdate {
						rt.Fatalf("%v of %s twice in a row", e.Type, m.Name)
					}
					last[m.Name] = e.Type
					face := fmt.Sprint(m.Tags)
					if e.Type == EventMemberUpdate && told[m.Name] == face {
						rt.Fatalf("update of %s without a change: %s", m.Name, face)
					}
					if e.Type.up() {
						told[m.Name] = face
					}
				}
				if !slices.IsSortedFunc(e.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) }) {
					rt.Fatalf("not sorted: %v", e.Members)
				}
			}
			n.events = nil
		}
		n.wantFold()
		if t.Failed() {
			rt.Fatal("the fold is wrong")
		}
		for _, m := range n.Members() {
			if face := fmt.Sprint(m.Tags); m.Name != "self" && m.Status == StatusAlive && lastTold(n, told, m.Name) != face {
				rt.Fatalf("%s has %s, told was %s", m.Name, face, told[m.Name])
			}
		}
	})
}

// lastTold is the tags told last, events of the last flush included.
func lastTold(n *node, told map[string]string, name string) string {
	face := told[name]
	for _, e := range n.events {
		for _, m := range e.Members {
			if m.Name == name && e.Type.up() {
				face = fmt.Sprint(m.Tags)
			}
		}
	}
	return face
}

func TestP113_UserEvents(t *testing.T) {
	n := coalescing(t)
	ev := func(t wire.LTime, name, payload string, cc bool) {
		n.gets(&wire.UserEvent{LTime: t, Name: name, Payload: []byte(payload), Coalesce: cc})
	}
	ev(10, "z", "old", true)
	ev(12, "z", "new", true)
	ev(11, "z", "older", true)
	ev(12, "z", "new2", true)
	ev(12, "a", "1", true)
	ev(9, "y", "1", true)
	ev(13, "plain", "1", false)
	n.wantEvents("user plain=1")
	n.wait(time.Second)
	n.wantEvents("user y=1", "user z=new", "user z=new2", "user a=1")
	n.wait(time.Minute)
	n.wantEvents()

	// A flood ends the window.
	for i := range maxHeldUsers {
		ev(wire.LTime(100+i/1000), fmt.Sprint("n", i%2), fmt.Sprint(i), true)
	}
	if len(n.events) == 0 {
		t.Error("nothing bounds the window")
	}
}

func TestHeldEventsAreToldAtTheEnd(t *testing.T) {
	n := coalescing(t)
	n.alive("b", 1)
	n.gets(&wire.UserEvent{LTime: 5, Name: "e", Coalesce: true})
	n.gets(&wire.Leave{LTime: 5, Node: "b"})
	n.dead("b", 1, "b")
	n.coalescer.members[0].period, n.coalescer.members[0].quiet = time.Hour, time.Hour
	n.coalescer.members[0].until = n.w.now.Add(time.Hour)
	n.leaves()
	n.wait(20 * time.Second)
	if n.State() != Left {
		t.Fatal("not left")
	}
	if got := n.take(); !slices.Contains(got, "user e=") || !slices.Equal(got[1:], []string{"member-leave self", "member-join b", "member-leave b"}) {
		t.Errorf("%q", got)
	}
}
