package access

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Seats bounds how many clients are connected at once. A client that comes when all
// seats are taken is not refused: the one that matters least gives way, so that
// neither silent nor slow nor many clients lock anybody out. The order is
//
//  1. clients that have asked for nothing yet, if they have more than an eighth of the
//     seats; then those without a token; then those with one;
//  2. among these, clients of the source that has the most seats;
//  3. among these, those that are not being served now;
//  4. among these, the one that was served last the longest ago.
type Seats struct {
	most    int
	evicted atomic.Uint64
	silent  atomic.Int64 // clients that have asked for nothing yet

	mu      sync.Mutex
	taken   []*Seat
	sources map[netip.Prefix]*source
}

// source counts the seats of the clients that come from one place.
type source struct {
	prefix netip.Prefix
	seats  int
}

// Seat is one client's. Its methods may be called by any goroutine.
type Seat struct {
	all    *Seats
	from   *source
	leave  func()
	asked  atomic.Bool
	known  atomic.Bool
	serves atomic.Int32
	last   atomic.Int64 // when it came, or was served last, in Unix nanoseconds

	at int // its place in taken, -1: it has none any more; under all.mu
}

// NewSeats makes so many seats.
func NewSeats(most int) *Seats {
	return &Seats{most: most, sources: make(map[netip.Prefix]*source)}
}

// Take gives a client a seat. leave, which ends the client, is called at most once, by
// a Take that needs the seat; it must not wait, and the client need not call Free then.
func (s *Seats) Take(from net.Addr, leave func()) *Seat {
	seat := &Seat{all: s, leave: leave}
	seat.last.Store(time.Now().UnixNano())
	s.mu.Lock()
	var gone *Seat
	if len(s.taken) >= s.most {
		gone = s.least()
		s.remove(gone)
	}
	seat.from = s.sourceOf(from)
	seat.from.seats++
	seat.at = len(s.taken)
	s.taken = append(s.taken, seat)
	s.silent.Add(1)
	s.mu.Unlock()
	if gone != nil {
		s.evicted.Add(1)
		gone.leave()
	}
	return seat
}

// Len is how many seats are taken.
func (s *Seats) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}

// Evicted is how many clients had to give way so far.
func (s *Seats) Evicted() uint64 { return s.evicted.Load() }

// least is the client that gives way. There is one; mu is held.
func (s *Seats) least() *Seat {
	least := s.taken[0]
	for _, seat := range s.taken[1:] {
		if seat.before(least) {
			least = seat
		}
	}
	return least
}

// before reports whether a client gives way before another one.
func (c *Seat) before(other *Seat) bool {
	if a, b := c.rank(), other.rank(); a != b {
		return a < b
	}
	if c.from != other.from {
		if a, b := c.from.seats, other.from.seats; a != b {
			return a > b
		}
	}
	if a, b := c.serves.Load() > 0, other.serves.Load() > 0; a != b {
		return b
	}
	return c.last.Load() < other.last.Load()
}

func (c *Seat) rank() int {
	switch {
	case c.known.Load():
		return 2
	case c.asked.Load() || c.all.silent.Load() <= int64(c.all.most/8):
		return 1 // who has just come must have the time to ask, whatever the others do
	}
	return 0
}

// speaks notes that a client is silent no more.
func (c *Seat) speaks() {
	if !c.asked.Swap(true) {
		c.all.silent.Add(-1)
	}
}

// sourceOf is where a client comes from: an IPv4 address, the 64 bits of an IPv6
// network, which one host can have all of, or this machine by a Unix socket.
func (s *Seats) sourceOf(from net.Addr) *source {
	var p netip.Prefix
	if tcp, ok := from.(*net.TCPAddr); ok {
		addr := tcp.AddrPort().Addr().Unmap().WithZone("")
		p, _ = addr.Prefix(min(addr.BitLen(), 64))
	}
	src := s.sources[p]
	if src == nil {
		src = &source{prefix: p}
		s.sources[p] = src
	}
	return src
}

// remove takes a seat away from a client; mu is held.
func (s *Seats) remove(c *Seat) {
	last := s.taken[len(s.taken)-1]
	s.taken[c.at], last.at = last, c.at
	s.taken[len(s.taken)-1] = nil
	s.taken = s.taken[:len(s.taken)-1]
	c.at = -1
	c.speaks()
	if c.from.seats--; c.from.seats == 0 {
		delete(s.sources, c.from.prefix)
	}
}

// Free gives the seat back. It may be called more than once.
func (c *Seat) Free() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.at >= 0 {
		c.all.remove(c)
	}
}

// Begin says that the client is being served from now on; each Begin has its End. A nil
// Seat is nobody's.
func (c *Seat) Begin() {
	if c == nil {
		return
	}
	c.speaks()
	c.serves.Add(1)
	c.last.Store(time.Now().UnixNano())
}

// End says that the client has been served.
func (c *Seat) End() {
	if c == nil {
		return
	}
	c.serves.Add(-1)
	c.last.Store(time.Now().UnixNano())
}

// Know says whether the client has presented a token.
func (c *Seat) Know(known bool) {
	if c != nil {
		c.known.Store(known)
	}
}

// Listen makes each connection that l takes a client with a seat.
func (s *Seats) Listen(l net.Listener) net.Listener { return &seated{Listener: l, seats: s} }

type seated struct {
	net.Listener
	seats *Seats
}

// Accept implements net.Listener.
func (l *seated) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &seatedConn{Conn: conn}
	c.seat = l.seats.Take(conn.RemoteAddr(), func() { _ = conn.Close() })
	return c, nil
}

// seatedConn gives its seat back when it is closed.
type seatedConn struct {
	net.Conn
	seat *Seat
}

// Close implements net.Conn.
func (c *seatedConn) Close() error {
	c.seat.Free()
	return c.Conn.Close()
}

// SeatOf is the seat of a connection that a listener of Listen has taken, with or without
// TLS on it; nil of any other.
func SeatOf(conn net.Conn) *Seat {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if c, ok := conn.(*seatedConn); ok {
		return c.seat
	}
	return nil
}
