package sim

import (
	"testing"
	"time"
)

// TestScale: a cluster that starts from a base works as one that has joined: who
// crashes is found by all, events reach all, and the same seed gives the same.
func TestScale(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{true, false} {
		play := func() (crash, silent, event Spread, idle Traffic, steps int) {
			s, err := NewScale(ScaleOptions{Nodes: 40, Seed: 7, Plain: plain})
			if err != nil {
				t.Fatal(err)
			}
			do := func(f func() error) {
				if err := f(); err != nil {
					t.Fatal(err)
				}
			}
			do(func() error { return s.Advance(2 * time.Second) })
			do(func() error { idle, err = s.Idle(5 * time.Second); return err })
			do(func() error { event, err = s.Event(3, time.Minute); return err })
			do(func() error { crash, err = s.Crash(5, false, time.Minute); return err })
			do(func() error { silent, err = s.Crash(9, true, time.Minute); return err })
			return crash, silent, event, idle, s.Steps()
		}
		crash, silent, event, idle, steps := play()
		for what, s := range map[string]Spread{"crash": crash, "silent": silent, "event": event} { // order-free: each by itself
			if s.Missed > 0 || s.First <= 0 || s.First > s.Half || s.Half > s.Last {
				t.Errorf("plain %v: %s %+v", plain, what, s)
			}
		}
		if event.Copies < 1 || idle.Datagrams < 1 || idle.DatagramBytes < 50 {
			t.Errorf("plain %v: %v copies of an event, %+v", plain, event.Copies, idle)
		}
		c2, s2, e2, i2, steps2 := play()
		if crash != c2 || silent != s2 || event != e2 || idle != i2 || steps != steps2 {
			t.Errorf("plain %v: the same seed gives %d steps, then %d", plain, steps, steps2)
		}
	}
}

// TestKnownAgree: nodes that share a base list the same, and after a crash too.
func TestKnownAgree(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Seed: 3, Unchecked: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddKnown(12, scaleTags); err != nil {
		t.Fatal(err)
	}
	c.Advance(3 * time.Second)
	if why := c.Disagreement(); why != "" {
		t.Error(why)
	}
	c.nodes[4].Crash(true)
	c.Advance(time.Minute)
	if why := c.Disagreement(); why != "" {
		t.Error(why)
	}
	for _, n := range c.nodes {
		if m, _ := c.nodes[0].machine.Member(n.name); n.index != 4 && m.Name != n.name {
			t.Errorf("%s is not listed", n.name)
		}
	}
}

// TestAnomaly: nothing false is reported of or by nodes that are stopped for a
// short while, and who crashes meanwhile is found.
func TestAnomaly(t *testing.T) {
	t.Parallel()
	for _, kind := range []Anomaly{Blocked, Stopped, Deaf} {
		for _, plain := range []bool{true, false} {
			cell := Cell{Nodes: 16, Sick: 3, For: 300 * time.Millisecond, Gap: time.Second, Length: 20 * time.Second,
				Anomaly: kind, Plain: plain, Seed: 5}
			r, err := cell.Run()
			if err != nil {
				t.Fatal(err)
			}
			if r.False != 0 || r.FalseHealthy != 0 {
				t.Errorf("anomaly %d, plain %v: %d false reports, %d at healthy nodes", kind, plain, r.False, r.FalseHealthy)
			}
			if r.Crash.Missed > 0 || r.Silent.Missed > 0 {
				t.Errorf("anomaly %d, plain %v: the crash is missed by %d, the silent host by %d", kind, plain, r.Crash.Missed, r.Silent.Missed)
			}
			if again, _ := cell.Run(); again != r {
				t.Errorf("anomaly %d, plain %v: the same seed gives %+v, then %+v", kind, plain, r, again)
			}
		}
	}
}
