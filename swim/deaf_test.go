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
