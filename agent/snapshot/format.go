package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// The snapshot file is Serf's: one fact a line, later lines take precedence.
// What Serf has no line for is in comments, which it ignores (ADR 4):
//
//	alive: NAME ADDR
//	not-alive: NAME
//	clock: N
//	event-clock: N
//	query-clock: N
//	coordinate: …       read by nobody
//	leave
//	#ibuki incarnation: N
//	#ibuki failed: "NAME" ADDR
//	#ibuki gone: "NAME"
//	#ibuki alive: "NAME" ADDR     of a name that has no room on a line of Serf's
//	#ibuki not-alive: "NAME"
//	#ibuki seeds: "ADDR" "ADDR"…
const ownLine = "#ibuki "

const (
	maxLine  = 64 << 10 // bytes; longer lines are passed over
	MaxSeeds = 64       // addresses that are kept
	MaxSeed  = 255      // bytes; a longer one is used but not kept
)

// Peer is another node as it is remembered: listed alive, or lost.
type Peer struct {
	Name string
	Addr netip.AddrPort
	Lost bool
}

// Memory is what a snapshot file keeps.
type Memory struct {
	Peers               []Peer // sorted by name
	Clock, Event, Query wire.LTime
	Incarnation         uint32 // no life has had one above it
	Seeds               []string
}

// FindPeer returns the place of a name in the sorted list.
func FindPeer(peers []Peer, name string) (int, bool) {
	return slices.BinarySearchFunc(peers, name, func(p Peer, name string) int { return strings.Compare(p.Name, name) })
}

// Reader folds the lines of a file.
type Reader struct {
	rejoin bool // a leave changes nothing
	alive  map[string]netip.AddrPort
	failed map[string]netip.AddrPort
	Memory
	Bad     int   // lines that could not be read
	Left    int   // lines "leave"
	whole   int64 // bytes up to the end of the last whole line
	partial bool  // something follows it
}

// readFrom reads a file. It takes whatever bytes there are; only reading
// itself can fail. A last line without an end was being written when its
// writer died, and does not count.
func readFrom(r io.Reader, rejoin bool) (*Reader, error) {
	s := &Reader{rejoin: rejoin, alive: map[string]netip.AddrPort{}, failed: map[string]netip.AddrPort{}}
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadSlice('\n')
		n := int64(len(line))
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = br.ReadSlice('\n')
			n += int64(len(line))
		}
		if err != nil {
			s.partial = n > 0
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.finish()
			return s, err
		}
		s.whole += n
		if long || !s.line(string(bytes.TrimSuffix(line, []byte("\n")))) {
			s.Bad++
		}
	}
}

// finish makes the sorted list. Who is noted as alive and as failed was
// about to be noted as no longer alive.
func (s *Reader) finish() {
	s.Peers = make([]Peer, 0, len(s.alive)+len(s.failed))
	for name, addr := range s.alive { // order-free: sorted below
		s.Peers = append(s.Peers, Peer{Name: name, Addr: addr})
	}
	for name, addr := range s.failed { // order-free: sorted below
		if _, ok := s.alive[name]; !ok {
			s.Peers = append(s.Peers, Peer{Name: name, Addr: addr, Lost: true})
		}
	}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
}

// line takes one line and reports whether it could be read.
func (s *Reader) line(l string) bool {
	if l == "leave" {
		s.leave()
		return true
	}
	if own, ok := strings.CutPrefix(l, ownLine); ok {
		key, value, ok := strings.Cut(own, ": ")
		return ok && s.ownFact(key, value)
	}
	if l == "" || l[0] == '#' {
		return true
	}
	key, value, ok := strings.Cut(l, ": ")
	return ok && s.fact(key, value)
}

func (s *Reader) fact(key, value string) bool {
	switch key {
	case "alive":
		i := strings.LastIndexByte(value, ' ')
		return i >= 0 && s.setAlive(value[:i], value[i+1:])
	case "not-alive":
		delete(s.alive, value)
		return true
	case "clock":
		return readClock(&s.Clock, value)
	case "event-clock":
		return readClock(&s.Event, value)
	case "query-clock":
		return readClock(&s.Query, value)
	case "coordinate":
		return true
	}
	return false
}

// ownFact reads one of our lines. Those of a later version are no fault.
func (s *Reader) ownFact(key, value string) bool {
	switch key {
	case "incarnation":
		n, err := strconv.ParseUint(value, 10, 32)
		if err == nil {
			s.Incarnation = max(s.Incarnation, uint32(n))
		}
		return err == nil
	case "seeds":
		seeds, ok := readQuoted(value)
		if ok {
			s.Seeds = seeds
		}
		return ok
	case "alive", "failed", "not-alive", "gone":
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil {
			return false
		}
		name, _ := strconv.Unquote(quoted)
		return s.ownPeer(key, name, strings.TrimPrefix(value[len(quoted):], " "))
	}
	return true
}

func (s *Reader) ownPeer(key, name, addr string) bool {
	switch key {
	case "alive":
		return s.setAlive(name, addr)
	case "not-alive":
		delete(s.alive, name)
	case "gone":
		delete(s.failed, name)
	case "failed":
		a, ok := s.peerAddr(name, addr)
		if ok {
			s.failed[name] = a
		}
		return ok
	}
	return true
}

func (s *Reader) setAlive(name, addr string) bool {
	a, ok := s.peerAddr(name, addr)
	if ok {
		s.alive[name] = a
		delete(s.failed, name)
	}
	return ok
}

func (s *Reader) peerAddr(name, addr string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || name == "" || len(name) > swim.MaxName || a.Port() == 0 || len(s.alive)+len(s.failed) >= 2*swim.MaxMembers {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
}

// leave ends a life. What belongs to the cluster is over with it; that this
// node may not go back behind its incarnation is not.
func (s *Reader) leave() {
	s.Left++
	if s.rejoin {
		return
	}
	clear(s.alive)
	clear(s.failed)
	s.Memory = Memory{Incarnation: s.Incarnation}
}

// readClock takes a time. One that the machine would not believe is not taken
// for a time either: it would look as if there had been a former life.
func readClock(to *wire.LTime, value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || wire.LTime(n) >= serf.LastTime {
		return false
	}
	*to = max(*to, wire.LTime(n))
	return true
}

func readQuoted(value string) (list []string, ok bool) {
	for value != "" {
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil || len(list) == MaxSeeds {
			return nil, false
		}
		s, _ := strconv.Unquote(quoted)
		list = append(list, s)
		value = strings.TrimPrefix(value[len(quoted):], " ")
	}
	return list, true
}

// appendPeer appends the line of a peer that is alive. Names come from the
// network: one with an end of line in it must not write lines of its own.
func appendPeer(b []byte, name string, addr netip.AddrPort) []byte {
	if strings.ContainsRune(name, '\n') {
		b = append(b, ownLine+"alive: "...)
		b = strconv.AppendQuote(b, name)
	} else {
		b = append(b, "alive: "...)
		b = append(b, name...)
	}
	return appendAddr(b, addr)
}

func appendNotAlive(b []byte, name string) []byte {
	if strings.ContainsRune(name, '\n') {
		b = append(b, ownLine+"not-alive: "...)
		b = strconv.AppendQuote(b, name)
	} else {
		b = append(b, "not-alive: "...)
		b = append(b, name...)
	}
	return append(b, '\n')
}

func appendFailed(b []byte, name string, addr netip.AddrPort) []byte {
	b = append(b, ownLine+"failed: "...)
	return appendAddr(strconv.AppendQuote(b, name), addr)
}

func appendGone(b []byte, name string) []byte {
	b = append(b, ownLine+"gone: "...)
	return append(strconv.AppendQuote(b, name), '\n')
}

func appendAddr(b []byte, addr netip.AddrPort) []byte {
	b = append(b, ' ')
	return append(addr.AppendTo(b), '\n')
}

func appendNumber(b []byte, key string, n uint64) []byte {
	b = append(append(b, key...), ": "...)
	return append(strconv.AppendUint(b, n, 10), '\n')
}

func appendSeeds(b []byte, seeds []string) []byte {
	b = append(b, ownLine+"seeds: "...)
	for i, s := range seeds[:min(len(seeds), MaxSeeds)] {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendQuote(b, s)
	}
	return append(b, '\n')
}

// appendTo appends the whole memory as a file; self's own line is in it as
// Serf has it.
func (m *Memory) appendTo(b []byte, self Peer) []byte {
	if self.Addr.IsValid() {
		b = appendPeer(b, self.Name, self.Addr)
	}
	for i := range m.Peers {
		p := &m.Peers[i]
		if p.Lost {
			b = appendFailed(b, p.Name, p.Addr)
		} else {
			b = appendPeer(b, p.Name, p.Addr)
		}
	}
	b = appendNumber(b, "clock", uint64(m.Clock))
	b = appendNumber(b, "event-clock", uint64(m.Event))
	b = appendNumber(b, "query-clock", uint64(m.Query))
	b = appendNumber(b, ownLine+"incarnation", uint64(m.Incarnation))
	if len(m.Seeds) > 0 {
		b = appendSeeds(b, m.Seeds)
	}
	return b
}

// become changes m to next, which belongs to m from then on, and appends the
// lines that say the difference. Nothing that the file knows is given up in a
// line before it is known in a better way.
func (m *Memory) become(next *Memory, b []byte) []byte {
	b = appendPeerChanges(b, m.Peers, next.Peers)
	m.Peers = next.Peers
	for _, c := range []struct {
		key string
		old *wire.LTime
		new wire.LTime
	}{{"clock", &m.Clock, next.Clock}, {"event-clock", &m.Event, next.Event}, {"query-clock", &m.Query, next.Query}} {
		if c.new > *c.old {
			*c.old = c.new
			b = appendNumber(b, c.key, uint64(c.new))
		}
	}
	if next.Incarnation > m.Incarnation {
		m.Incarnation = next.Incarnation
		b = appendNumber(b, ownLine+"incarnation", uint64(m.Incarnation))
	}
	if !slices.Equal(next.Seeds, m.Seeds) {
		m.Seeds = next.Seeds
		b = appendSeeds(b, m.Seeds)
	}
	return b
}

// appendPeerChanges appends what makes the one sorted list the other.
func appendPeerChanges(b []byte, old, next []Peer) []byte {
	for len(old) > 0 || len(next) > 0 {
		switch {
		case len(next) == 0 || len(old) > 0 && old[0].Name < next[0].Name:
			if old[0].Lost {
				b = appendGone(b, old[0].Name)
			} else {
				b = appendNotAlive(b, old[0].Name)
			}
			old = old[1:]
		case len(old) == 0 || next[0].Name < old[0].Name:
			b = appendNews(b, nil, &next[0])
			next = next[1:]
		default:
			b = appendNews(b, &old[0], &next[0])
			old, next = old[1:], next[1:]
		}
	}
	return b
}

// appendNews appends what became of a peer; old is nil for a new one.
func appendNews(b []byte, old, p *Peer) []byte {
	switch {
	case old != nil && *old == *p:
	case !p.Lost:
		b = appendPeer(b, p.Name, p.Addr)
	default:
		b = appendFailed(b, p.Name, p.Addr)
		if old != nil && !old.Lost {
			b = appendNotAlive(b, p.Name)
		}
	}
	return b
}
