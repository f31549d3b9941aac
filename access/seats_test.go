package access

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// crowd has clients by name, and says who gave way.
type crowd struct {
	*Seats
	seats map[string]*Seat
	gone  []string
}

func newCrowd(most int) *crowd { return &crowd{Seats: NewSeats(most), seats: make(map[string]*Seat)} }

// come takes a seat for a client at an address. Each comes a second after the last.
func (c *crowd) come(name, addr string) *Seat {
	time.Sleep(time.Second)
	var from net.Addr = &net.UnixAddr{}
	if addr != "" {
		from = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1))
	}
	seat := c.Take(from, func() { c.gone = append(c.gone, name) })
	c.seats[name] = seat
	return seat
}

// ask has a client served.
func (c *crowd) ask(name string) {
	time.Sleep(time.Second)
	c.seats[name].Begin()
	c.seats[name].End()
}

func (c *crowd) want(t *testing.T, names ...string) {
	t.Helper()
	if !slices.Equal(c.gone, names) {
		t.Errorf("%v gave way, want %v", c.gone, names)
	}
	if int(c.Evicted()) != len(names) {
		t.Errorf("%d counted", c.Evicted())
	}
}

func TestWhoGivesWay(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(c *crowd)
		want    string
	}{ // order-free: each by itself
		"the silent before those that asked": {func(c *crowd) { c.ask("a"); c.ask("b") }, "c"},
		"the silent that came first":         {func(c *crowd) { c.ask("a") }, "b"},
		"the one that asked longest ago":     {func(c *crowd) { c.ask("c"); c.ask("a"); c.ask("b") }, "c"},
		"whoever is served stays": {func(c *crowd) {
			c.seats["a"].Begin()
			c.ask("c")
			c.ask("b")
		}, "c"},
		"whoever has a token stays": {func(c *crowd) {
			c.seats["a"].Know(true)
			c.seats["b"].Begin()
			c.seats["c"].Begin()
		}, "b"},
		"of those with a token the idle one": {func(c *crowd) {
			for _, seat := range c.seats { // order-free: all
				seat.Know(true)
			}
			c.ask("a")
			c.ask("b")
			c.ask("c")
		}, "a"},
		"a token that is taken away": {func(c *crowd) {
			c.seats["c"].Know(true)
			c.ask("a")
			c.ask("b")
			c.ask("c")
			c.seats["c"].Know(false)
			c.ask("a")
			c.ask("b")
		}, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crowd := newCrowd(3)
				for _, name := range []string{"a", "b", "c"} {
					crowd.come(name, "")
				}
				c.prepare(crowd)
				crowd.come("d", "")
				crowd.want(t, c.want)
			})
		})
	}
}

// The source with the most seats gives way first, whatever its clients do. Of IPv6 a
// source is a network.
func TestSourcesHaveAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(8)
		for i, addr := range []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"} {
			c.come(fmt.Sprint("honest", i), addr)
			c.ask(fmt.Sprint("honest", i))
		}
		for i := range 4 {
			name := fmt.Sprint("crowd", i)
			c.come(name, fmt.Sprintf("2001:db8:0:1::%d", i+1)).Begin()
		}
		for i := range 3 {
			c.come(fmt.Sprint("new", i), "192.0.2.9").Begin()
		}
		c.want(t, "crowd0", "crowd1", "honest0")
	})
}

// Whoever comes has the time to ask, though all others have asked; but silent clients
// have no more than an eighth of the seats for themselves if others need them.
func TestNewcomersCanAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(16)
		for i := range 15 {
			name := fmt.Sprint(i)
			c.come(name, "")
			c.ask(name)
		}
		c.come("x", "")
		c.come("y", "") // two silent ones: an eighth
		c.want(t, "0")
		c.come("z", "")
		c.want(t, "0", "1")
		c.come("w", "")
		c.want(t, "0", "1", "x")
		c.ask("y")
		c.come("v", "")
		c.want(t, "0", "1", "x", "2")
	})
}

func TestSeatsAreGivenBack(t *testing.T) {
	s := NewSeats(2)
	gone := 0
	a := s.Take(&net.UnixAddr{}, func() { gone++ })
	b := s.Take(&net.UnixAddr{}, func() { gone++ })
	a.Free()
	a.Free()
	s.Take(&net.UnixAddr{}, func() { gone++ })
	if gone != 0 || s.Len() != 2 {
		t.Errorf("%d gave way, %d seats", gone, s.Len())
	}
	b.Free()
	if s.Len() != 1 || len(s.sources) != 1 || s.silent.Load() != 1 {
		t.Errorf("%d seats, %d sources, %d silent", s.Len(), len(s.sources), s.silent.Load())
	}
	var nobody *Seat
	nobody.Begin()
	nobody.Know(true)
	nobody.End()
}

func BenchmarkTakeAmong10000(b *testing.B) {
	s := NewSeats(10000)
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	for range b.N + 10000 {
		s.Take(from, func() {}).Begin()
	}
}
