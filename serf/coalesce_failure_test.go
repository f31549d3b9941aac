package serf

import (
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// failingAtOnce is a machine as the agent has it: windows for some, in spite of which
// failures are told at once.
func failingAtOnce(t testing.TB) *node {
	n := alone(t, func(c *Config) {
		c.CoalescePeriod, c.QuiescentPeriod = 3*time.Second, time.Second
		c.FailureEdge = 100 * time.Millisecond
		c.Swim.ProbeInterval = time.Hour
		c.ReconnectInterval = 1000 * time.Hour
	})
	n.take()
	return n
}

// P236: the first failure comes at once, those soon after it together, and what else is
// held back keeps its window.
func TestP236_FailuresAtOnce(t *testing.T) {
	n := failingAtOnce(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		n.alive(name, 1)
	}
	n.wait(time.Second)
	n.wantEvents("member-join a b c d")
	n.alive("new", 1)
	n.dead("a", 1, "x")
	n.wantEvents("member-failed a")
	n.wait(30 * time.Millisecond)
	n.dead("c", 1, "x")
	n.dead("b", 1, "x")
	n.wait(69 * time.Millisecond)
	n.wantEvents()
	n.wait(time.Millisecond)
	n.wantEvents("member-failed b c")
	n.wait(99 * time.Millisecond)
	n.dead("d", 1, "x") // within 100 ms of what was told last
	n.wantEvents()
	n.wait(time.Millisecond)
	n.wantEvents("member-failed d")
	n.wait(799 * time.Millisecond)
	n.wantEvents()
	n.wait(time.Millisecond)
	n.wantEvents("member-join new") // a second after it came
	n.wantFold()
}

// P236: what is held back of a member comes before its failure, and a return after it
// has a window of its own.
func TestP236_WhatCameBefore(t *testing.T) {
	n := failingAtOnce(t)
	n.alive("b", 1)
	n.dead("b", 1, "x")
	n.wantEvents("member-join b", "member-failed b")
	n.wait(2 * time.Second)
	n.alive("c", 1)
	n.wait(time.Second)
	n.take()
	// It leaves, comes back and fails within a window.
	n.gets(&wire.Leave{LTime: 5, Node: "c"})
	n.dead("c", 1, "c")
	n.alive("c", 2)
	n.alive("other", 1)
	n.dead("c", 2, "x")
	n.wantEvents("member-leave c", "member-join c", "member-failed c")
	n.alive("c", 3)
	n.wantEvents()
	n.wait(time.Second)
	n.wantEvents("member-join c other")
	// Down and back before the failure is told: it was down all the same.
	n.wait(time.Second)
	n.dead("other", 1, "x")
	n.wantEvents("member-failed other")
	n.dead("c", 3, "x")
	n.alive("c", 4)
	n.wait(100 * time.Millisecond)
	n.wantEvents("member-failed c")
	n.wait(900 * time.Millisecond)
	n.wantEvents("member-join c")
	// A failure that somebody has made a leave of before it was told.
	n.alive("c", 5)
	n.wait(2 * time.Second)
	n.take()
	n.dead("c", 5, "x")
	n.take()
	n.alive("d", 1)
	n.dead("d", 1, "x")
	n.gets(&wire.Leave{LTime: 9, Node: "d"})
	n.wait(2 * time.Second)
	n.wantEvents("member-join d", "member-leave d")
	n.wantFold()
}

// Where both are configured, each audience has its own: the prompt one is told on the
// leading edge, the other one in windows; what is never held back goes to both at once.
func TestAudiences(t *testing.T) {
	n := alone(t, func(c *Config) {
		c.CoalescePeriod, c.QuiescentPeriod = 3*time.Second, time.Second
		c.UserCoalescePeriod, c.UserQuiescentPeriod = 3*time.Second, time.Second
		c.LeadingEdge = 10 * time.Millisecond
		c.Swim.ProbeInterval = time.Hour
	})
	told := func() (prompt, windowed []string) {
		for _, e := range n.events {
			if e.To&Prompt != 0 {
				prompt = append(prompt, eventLine(e))
			}
			if e.To&Windowed != 0 {
				windowed = append(windowed, eventLine(e))
			}
		}
		n.events = nil
		return prompt, windowed
	}
	check := func(wantPrompt, wantWindowed string) {
		t.Helper()
		prompt, windowed := told()
		if got := strings.Join(prompt, "; "); got != wantPrompt {
			t.Errorf("prompt: %s, want %s", got, wantPrompt)
		}
		if got := strings.Join(windowed, "; "); got != wantWindowed {
			t.Errorf("windowed: %s, want %s", got, wantWindowed)
		}
	}
	check("member-join self", "member-join self")
	n.wait(10 * time.Millisecond)
	n.alive("b", 1)
	n.gets(&wire.UserEvent{LTime: 5, Name: "e", Payload: []byte("1"), Coalesce: true})
	n.gets(&wire.UserEvent{LTime: 6, Name: "now"})
	check("member-join b; user e=1; user now=", "user now=")
	n.wait(500 * time.Millisecond)
	n.alive("c", 1)
	n.gets(&wire.UserEvent{LTime: 7, Name: "e", Payload: []byte("2"), Coalesce: true})
	check("member-join c; user e=2", "")
	n.wait(time.Second)
	check("", "member-join b c; user e=2")
	n.alive("d", 1)
	n.leaves()
	n.wait(20 * time.Second)
	if prompt, windowed := told(); len(prompt) != 2 || len(windowed) != 2 {
		t.Errorf("at the end: %q and %q", prompt, windowed)
	}
}
