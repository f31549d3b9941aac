package swim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// introduced is a rig that gets to know so many members at once, and what it pinged for that.
func introduced(t *testing.T, n int, acks func(netip.AddrPort) bool) (r *rig, pings func() int) {
	r = newNativeRig(t, quiet, func(c *Config) { c.Introduce, c.ProbeInterval = true, time.Hour })
	r.acks = acks
	for i := 1; i <= n; i++ {
		r.in(nativeAlive(nameOf(i), i, 1, 1))
	}
	r.forgetSent()
	return r, func() (sum int) {
		for _, s := range r.of(wire.TypePing) {
			if decodePing(t, s.msg).SourceNode == "self" { // those of watchers are shorter
				sum++
			}
		}
		return sum
	}
}

// P204: each is pinged once, at most about 30 in a second, and the layer gets the answers.
func TestP204_Introductions(t *testing.T) {
	r, pings := introduced(t, 90, everybody)
	r.run(time.Second)
	if n := pings(); n < 15 || n > 45 {
		t.Errorf("%d pings in a second", n)
	}
	r.run(5 * time.Second)
	if n, told := pings(), len(r.layer.pings); n != 90 || told != 90 {
		t.Errorf("%d pings, %d answers", n, told)
	}
	r.run(time.Minute)
	if n := pings(); n != 90 {
		t.Errorf("%d pings later", n)
	}
	// One that comes later is pinged by this node at a random time, so that it is not
	// pinged by all at once; in a small cluster soon.
	r.in(nativeAlive("late", 200, 1, 1))
	r.run(3100 * time.Millisecond) // 92 of them, 30 a second
	if n := pings(); n != 91 {
		t.Errorf("%d pings after one more has joined", n)
	}
}

// P204: one that does not answer is pinged three times, one that has gone not at all.
func TestP204_NoAnswer(t *testing.T) {
	r, pings := introduced(t, 2, func(to netip.AddrPort) bool { return false })
	r.in((&wire.Dead{Incarnation: 1, Node: nameOf(2), From: nameOf(2)}).AppendTo(nil))
	toFirst := 0
	for range 100 {
		r.run(100 * time.Millisecond)
	}
	for _, s := range r.of(wire.TypePing) {
		if s.to == addrOf(2) {
			t.Error("who has left is pinged")
		}
		if p := decodePing(t, s.msg); s.to == addrOf(1) && p.SourceNode == "self" {
			toFirst++
		}
	}
	if toFirst != 3 || pings() != 3 {
		t.Errorf("%d pings", toFirst)
	}
	if len(r.introductions.wait)+len(r.introductions.asked) != 0 || r.introductions.timer.pos != 0 {
		t.Errorf("it goes on: %+v", r.introductions)
	}
}
