package swim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// P201: who hears nobody accuses nobody; once somebody is heard, those who are
// still silent are accused.
func TestP201_Deaf(t *testing.T) {
	r := watched(t, 8)
	r.acks = func(netip.AddrPort) bool { return false }
	r.run(10 * time.Second)
	for i := 1; i <= 8; i++ {
		r.wantState(i, wire.StateAlive)
	}
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(1) && to != addrOf(2) && to != addrOf(3) }
	r.in(nativeAlive(nameOf(4), 4, 1, 1))
	r.run(2 * time.Second)
	for i := 4; i <= 8; i++ {
		r.wantState(i, wire.StateAlive)
	}
	accused := 0
	for i := 1; i <= 3; i++ {
		if r.state(i) != wire.StateAlive {
			accused++
		}
	}
	if watched := len(r.watches.list); accused == 0 && watched > 0 {
		t.Errorf("none of %d watched is accused, though others are heard", watched)
	}

	// In the end all others may really be gone.
	r = watched(t, 8, func(c *Config) { c.ProbeInterval = time.Second })
	r.acks = func(netip.AddrPort) bool { return false }
	r.run(30 * time.Second)
	if n := r.NumAlive(); n != 9 {
		t.Errorf("%d are held dead after half a minute of hearing nobody", 9-n)
	}
	r.run(3 * time.Minute)
	if n := r.NumAlive(); n != 1 {
		t.Errorf("%d are held alive of whom nothing was heard for minutes", n-1)
	}
}

// P201: who hears somebody for a moment between long silences accuses nobody by what it
// asked before.
func TestP201_DeafAgainAndAgain(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 1000 * time.Hour} {
		r := watched(t, 8, func(c *Config) { c.ProbeInterval = every })
		r.acks = nil
		for range 300 {
			r.run(2*time.Second + time.Duration(r.rng.IntN(1000))*time.Millisecond)
			r.in(nativeAlive(nameOf(4), 4, 1, 1))
		}
		r.wantLog() // nobody was even doubted
		if n := len(r.traced(TraceDeaf)); n < 250 {
			t.Errorf("probes every %v: of 300 silences %d were noticed", every, n)
		}
	}
}

// P201: a suspicion does not end while this node hears nobody, and begins again after that.
func TestP201_DeafWhileSuspecting(t *testing.T) {
	r := watched(t, 8)
	x := r.watched(t)
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(x) }
	for r.state(x) == wire.StateAlive {
		r.run(10 * time.Millisecond)
	}
	s := r.suspicionOf(x)
	s.began += 2*r.timing.every - s.limit() // it would end when the silence has lasted long enough
	r.respan(s.timer.who)
	r.acks = nil
	r.run(5 * time.Second)
	r.wantState(x, wire.StateSuspect)
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(x) }
	r.run(harkEvery) // it has asked, and is answered now
	if d := r.clock.awake() - r.suspicionOf(x).began; d > harkEvery {
		t.Errorf("the suspicion began %v ago", d)
	}
	r.run(2 * time.Second)
	r.wantState(x, wire.StateDead)
}

// watched is one of those that self watches.
func (r *rig) watched(t testing.TB) int {
	for i := range 100 {
		if e := r.members.get(nameOf(i)); e != nil && r.watches.of(e) != nil {
			return i
		}
	}
	t.Fatal("nobody is watched")
	return 0
}

// P201: who has heard nobody since an inquiry began asks somebody whether it is cut off.
func TestP201_Hark(t *testing.T) {
	r := watched(t, 8)
	x := r.watched(t)
	asked := map[netip.AddrPort]bool{}
	r.acks = func(to netip.AddrPort) bool {
		if r.phaseOf(x) == watchInquiry {
			asked[to] = true
		}
		return to != addrOf(x)
	}
	began := r.now
	for r.state(x) == wire.StateAlive && r.now.Sub(began) < time.Minute {
		r.run(10 * time.Millisecond)
	}
	r.wantState(x, wire.StateSuspect)
	delete(asked, addrOf(x))
	if len(asked) < 2 {
		t.Errorf("only %v were asked", asked)
	}
	if n := r.Drops()[DropStrayAck]; n > 1 { // two answer with the same number
		t.Errorf("%d answers were not expected", n)
	}
}
