package swim

import (
	"testing"
	"time"
)

func TestProbeVerdict(t *testing.T) {
	for _, c := range []struct {
		name    string
		asked   int // relays that will nack
		mute    int // relays that will not
		nacks   int
		contact bool
		failed  bool
		health  int
	}{
		{name: "nobody to ask", failed: true, health: 1},
		{name: "relays of old versions", mute: 3, failed: true, health: 1},
		{name: "all nacks came", asked: 3, nacks: 3, failed: true, health: 0},
		{name: "one nack is missing", asked: 3, nacks: 2, failed: true, health: 1},
		{name: "all nacks are missing", asked: 3, failed: true, health: 3},
		{name: "more nacks than asked for", asked: 2, nacks: 9, failed: true, health: 0},
		{name: "answered over a stream", asked: 3, contact: true, failed: false, health: -1},
	} {
		var p probe
		p.begin(7, &member{Face: &Face{name: "x"}, incarnation: 3}, time.Second, 0)
		if !p.awaits(7) || p.awaits(8) {
			t.Errorf("%s: waits for the wrong number", c.name)
		}
		for range c.asked {
			p.relayed(true)
		}
		for range c.mute {
			p.relayed(false)
		}
		for range c.nacks {
			p.nack()
		}
		p.contact = c.contact
		if failed, health := p.finish(); failed != c.failed || health != c.health {
			t.Errorf("%s: %v %d, want %v %d", c.name, failed, health, c.failed, c.health)
		}
		if p.running() || p.awaits(7) {
			t.Errorf("%s: still runs", c.name)
		}
	}
}

func TestProbeRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name     string
		indirect bool
		took     time.Duration
		slept    time.Duration
		timely   bool
	}{
		{"direct", false, 3, 0, true},
		{"at the limit", false, 10, 0, true},
		{"late", false, 11, 0, false},
		{"after others were asked", true, 3, 0, false},
		{"slept meanwhile", false, 3, 2, false},
	} {
		var p probe
		p.begin(1, &member{Face: &Face{}}, 100, 5)
		if c.indirect {
			p.phase = probeIndirect
		}
		rtt, timely := p.ack(100+c.took, 5+c.slept, 10)
		if rtt != c.took || timely != c.timely {
			t.Errorf("%s: %v %v", c.name, rtt, timely)
		}
	}
}
