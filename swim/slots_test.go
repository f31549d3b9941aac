package swim

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// watchersPlay has n watchers ask for slots for a minute, while this node pings others at
// the given moments of each round. It returns how often they pinged in the last 50 s, and
// the longest time in which neither they nor this node did.
func watchersPlay(n int, every time.Duration, own ...time.Duration) (pings int, longest time.Duration) {
	var s slots
	next := make([]time.Duration, n)
	for i := range next {
		next[i] = time.Duration(i*i) * 7 * time.Millisecond
	}
	for range 20 { // who asks again and again, as after a pause, gets no more
		s.next(0, every, addrOf(0), nil)
	}
	round := time.Duration(n) * every
	var signs, dues []time.Duration
	for now := time.Duration(0); now < time.Minute; {
		first := 0
		for i := range next {
			if next[i] < next[first] {
				first = i
			}
		}
		if now = next[first]; now > 10*time.Second {
			signs = append(signs, now)
			pings++
		}
		dues = dues[:0]
		for _, at := range own {
			dues = append(dues, now+((at-now)%round+round)%round)
		}
		next[first] = now + time.Duration(s.next(now, every, addrOf(first), dues))*wire.WaitUnit
	}
	for _, at := range own {
		for at += 10 * time.Second / round * round; at < time.Minute+round; at += round {
			signs = append(signs, at)
		}
	}
	slices.Sort(signs)
	for i := 1; i < len(signs) && signs[i] < time.Minute; i++ {
		if signs[i-1] > 12*time.Second {
			longest = max(longest, signs[i]-signs[i-1])
		}
	}
	return pings, longest
}

// P193: whoever watches a node and however it begins, the pings come evenly soon.
func TestP193_Slots(t *testing.T) {
	const every = 500 * time.Millisecond
	for n := 1; n <= 5; n++ {
		pings, longest := watchersPlay(n, every)
		// More than there should be are given no more room.
		if longest > every+3*wire.WaitUnit || pings > 105 && n <= watchersEach+1 {
			t.Errorf("%d watchers: %d pings in 50 s, up to %v apart", n, pings, longest)
		}
	}
}

// P193: the slots are where this node does not ping itself, wherever that is.
func TestP193_SlotsBetweenOwnPings(t *testing.T) {
	const every = 500 * time.Millisecond
	for n := 1; n <= 3; n++ {
		for a := time.Duration(0); a < 3; a++ {
			for b := a; b < 3; b++ {
				own := []time.Duration{10 * time.Millisecond, a*every + every/5, b*every + every/3}[:n]
				pings, longest := watchersPlay(n, every, own...)
				if longest > every*4/5 || pings > 105 {
					t.Errorf("%d watchers, own pings at %v: %d in 50 s, up to %v without a sign", n, own, pings, longest)
				}
			}
		}
	}
}

// P234: a ping that does not come when it was to is missed once, and later if those of that
// watcher are late at times.
func TestP234_MissedSlots(t *testing.T) {
	const every, least = 500 * time.Millisecond, 25 * time.Millisecond
	var s slots
	now := time.Duration(0)
	missed := func() (who []netip.AddrPort) {
		s.missed(now, least, func(from netip.AddrPort) { who = append(who, from) })
		return who
	}
	wait := time.Duration(s.next(now, every, addrOf(1), nil)) * wire.WaitUnit
	now += wait + least - 1
	if who := missed(); who != nil {
		t.Errorf("%v are missed too soon", who)
	}
	now++
	if who := missed(); len(who) != 1 || who[0] != addrOf(1) {
		t.Errorf("%v are missed", who)
	}
	if who := missed(); who != nil {
		t.Errorf("%v are missed again", who)
	}
	for i := range 40 { // its pings are late by 0 to 60 ms
		now += time.Duration(s.next(now, every, addrOf(1), nil)) * wire.WaitUnit
		now += time.Duration(i%3) * 30 * time.Millisecond
	}
	now += time.Duration(s.next(now, every, addrOf(1), nil))*wire.WaitUnit + 70*time.Millisecond
	if who := missed(); who != nil {
		t.Errorf("%v are missed, but may be late", who)
	}
	now += every
	if who := missed(); len(who) != 1 {
		t.Errorf("%v are missed at last", who)
	}
	s.next(now, every, addrOf(1), nil)
	s.void()
	now += time.Hour
	if who := missed(); who != nil {
		t.Errorf("%v are missed after a sleep", who)
	}
}
