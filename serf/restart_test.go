package serf

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// announcing is one of three natives, which has announced a restart within 10 s.
func announcing(t *testing.T) (w *world, a, c *node) {
	w, ns := natives(t, "a", "b", "c")
	w.run(time.Second)
	if err := ns[2].AnnounceRestart(w.now, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	ns[2].act()
	w.run(100 * time.Millisecond)
	if m, _ := ns[0].Member("c"); findTag(m.Tags, RestartTag) != "10s" {
		t.Fatalf("the tags are %v", m.Tags)
	}
	ns[0].take()
	return w, ns[0], ns[2]
}

func TestP240_TheTagIsTakenBack(t *testing.T) {
	w, a, c := announcing(t)
	if err := c.SetTags(w.now, tags("k", "v")); err != nil {
		t.Fatal(err)
	}
	c.act()
	w.run(time.Second)
	if m, _ := a.Member("c"); findTag(m.Tags, RestartTag) != "10s" || findTag(m.Tags, "k") != "v" {
		t.Errorf("after other tags were set: %v", m.Tags)
	}
	w.run(10 * time.Second)
	if m, _ := a.Member("c"); len(m.Tags) != 1 {
		t.Errorf("after the window: %v", m.Tags)
	}
	if err := c.AnnounceRestart(w.now, MaxRestartWindow+1); err != ErrRestartWindow {
		t.Errorf("a window too long: %v", err)
	}
	if err := c.AnnounceRestart(w.now, -1); err != ErrRestartWindow {
		t.Errorf("a negative window: %v", err)
	}
	if err := c.SetTags(w.now, tags("k", strings.Repeat("v", wire.MetaMax-10))); err != nil {
		t.Fatal(err)
	}
	if err := c.AnnounceRestart(w.now, time.Second); !errors.Is(err, ErrTagsTooLong) {
		t.Errorf("no room for the tag: %v", err)
	}
}

func TestP241_TheFailureIsHeldBack(t *testing.T) {
	w, a, c := announcing(t)
	c.down = true
	w.run(2 * time.Second)
	m, _ := a.Member("c")
	if m.Status != StatusFailed || !m.Restarting {
		t.Errorf("in the window the list says %v, restarting %v", m.Status, m.Restarting)
	}
	if got := a.take(); len(got) > 0 {
		t.Errorf("in the window is told %q", got)
	}
	w.run(7800 * time.Millisecond)
	if got := a.take(); len(got) > 0 {
		t.Errorf("before its end is told %q", got)
	}
	w.run(200 * time.Millisecond)
	if got := a.take(); !slices.Equal(got, []string{"member-failed c"}) {
		t.Errorf("at its end is told %q", got)
	}
	if m, _ := a.Member("c"); m.Restarting {
		t.Error("after its end it is still restarting")
	}
}

func TestP242_BackWithinTheWindow(t *testing.T) {
	w, a, c := announcing(t)
	c.down = true
	w.run(2 * time.Second)
	c.down = false
	w.run(2 * time.Second)
	a.wantStatus(c, StatusAlive)
	w.run(20 * time.Second)
	a.wantFold()
	wantTypes(t, a, "member-update c") // when the tag is taken back
}

// wantTypes is wantEvents for events of others without their tags.
func wantTypes(t *testing.T, n *node, want ...string) {
	t.Helper()
	var got []string
	for _, e := range n.take() {
		if e, _, _ = strings.Cut(e, "["); e != "member-join self" {
			got = append(got, e)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("told is %q, want %q", got, want)
	}
}

// P243, P244, and that a plain node holds nothing back, by messages of a made-up peer. It answers no
// ping, so that all has to be over within half a second.
func TestP243_Windows(t *testing.T) {
	start := func(plain bool) *node {
		n := alone(t, func(c *Config) { c.Swim.Plain = plain })
		n.alive("b", 1)
		n.alive("b", 2, RestartTag, "100ms")
		n.wait(60 * time.Millisecond)
		return n
	}
	n := start(true)
	n.dead("b", 2, "c")
	wantTypes(t, n, "member-join b", "member-update b", "member-failed b")

	n = start(false)
	n.alive("b", 3, RestartTag, "100ms", "k", "v") // another tag, the same window
	n.dead("b", 3, "c")
	wantTypes(t, n, "member-join b", "member-update b", "member-update b")
	n.wait(50 * time.Millisecond)
	wantTypes(t, n, "member-failed b")

	n = start(false)
	n.alive("b", 3, RestartTag, "200ms") // another window
	n.dead("b", 3, "c")
	n.wait(50 * time.Millisecond)
	wantTypes(t, n, "member-join b", "member-update b", "member-update b")
	n.alive("b", 4, RestartTag, "200ms") // back, with what is left of its window
	n.wait(100 * time.Millisecond)
	n.dead("b", 4, "c")
	n.wait(40 * time.Millisecond)
	wantTypes(t, n)
	n.wait(20 * time.Millisecond)
	wantTypes(t, n, "member-failed b")
	n.alive("b", 5, RestartTag, "200ms") // joins with it: one more window
	n.dead("b", 5, "c")
	wantTypes(t, n, "member-join b")

	for _, value := range []string{"", "soon", "-3s", "0s"} {
		n = alone(t, func(c *Config) { c.Swim.Plain = false })
		n.alive("b", 1, RestartTag, value)
		n.dead("b", 1, "c")
		wantTypes(t, n, "member-join b", "member-failed b")
	}

	n = start(false)
	n.dead("b", 2, "c")
	if err := n.ForceLeave(n.w.now, "b", false); err != nil {
		t.Fatal(err)
	}
	n.act()
	n.wait(200 * time.Millisecond)
	wantTypes(t, n, "member-join b", "member-update b", "member-leave b") // P244
}

// P245: the name is a tag, which nothing that sets tags takes away.
func TestP245_TheNameIsATag(t *testing.T) {
	n := alone(t, func(c *Config) { c.Swim.Cluster, c.Tags = "east", tags(ClusterTag, "west", "k", "v") })
	if got := findTag(n.Local().Tags, ClusterTag); got != "east" {
		t.Errorf("the name is %q", got)
	}
	if err := n.SetTags(n.w.now, nil); err != nil {
		t.Fatal(err)
	}
	if got := n.Local().Tags; len(got) != 1 || got[0].Value != "east" {
		t.Errorf("the tags are %v", got)
	}
	n.alive("b", 1, ClusterTag, "west")
	n.alive("c", 1, ClusterTag, "east")
	n.alive("d", 1)
	if _, known := n.Member("b"); known || len(n.Members()) != 3 {
		t.Errorf("members are %v", n.Members())
	}
	if _, err := New(Config{Swim: n.cfg.Swim, Protocol: 2}, n.w.rng, n.w.now); err == nil {
		t.Error("a name without tags was accepted")
	}
}

// A restart tag means no more than an hour, whatever it says, and nothing if it says nothing.
func TestRestartTagAtItsEdges(t *testing.T) {
	n := alone(t, nil)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "-1s": 0, "1ns": 1, "59m59.999999999s": time.Hour - 1, "1h": time.Hour, "1h0m0.000000001s": time.Hour,
		"2562047h47m16.854775807s": time.Hour, "2562047h47m16.854775808s": 0, "99999999999999999999h": 0, "NaN": 0, "1": 0,
	} { // order-free: each by itself
		if got := n.windowOf(wire.AppendTags(nil, []wire.Tag{{Key: RestartTag, Value: value}})); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
