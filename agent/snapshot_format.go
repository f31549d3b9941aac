package agent

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// The snapshot file is Serf's: one fact a line, later lines count more.
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
	maxSnapshotLine = 64 << 10 // bytes; longer lines are passed over
	maxSeeds        = 64       // addresses that are kept
	maxSeed         = 255      // bytes; a longer one is used but not kept
	// maxLTime is the highest Lamport time that is believed, the machine's bound.
	maxLTime wire.LTime = 1 << 62
)

// peer is another node as it is remembered: listed alive, or lost.
type peer struct {
	name string
	addr netip.AddrPort
	lost bool
}

// memory is what a snapshot file keeps.
type memory struct {
	peers               []peer // sorted by name
	clock, event, query wire.LTime
	incarnation         uint32 // no life has had one above it
	seeds               []string
}

// findPeer returns the place of a name in the sorted list.
func findPeer(peers []peer, name string) (int, bool) {
	return slices.BinarySearchFunc(peers, name, func(p peer, name string) int { return strings.Compare(p.name, name) })
}

// snapshotReader folds the lines of a file.
type snapshotReader struct {
	rejoin bool // a leave changes nothing
	alive  map[string]netip.AddrPort
	failed map[string]netip.AddrPort
	memory
	bad     int   // lines that could not be read
	left    int   // lines "leave"
	whole   int64 // bytes up to the end of the last whole line
	partial bool  // something follows it
}

// readSnapshot reads a file. It takes whatever bytes there are; only reading
// itself can fail. A last line without an end was being written when its
// writer died, and does not count.
func readSnapshot(r io.Reader, rejoin bool) (*snapshotReader, error) {
	s := &snapshotReader{rejoin: rejoin, alive: map[string]netip.AddrPort{}, failed: map[string]netip.AddrPort{}}
	br := bufio.NewReaderSize(r, maxSnapshotLine)
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
			s.bad++
		}
	}
}

// finish makes the sorted list. Who is noted as alive and as failed was
// about to be noted as no longer alive.
func (s *snapshotReader) finish() {
	s.peers = make([]peer, 0, len(s.alive)+len(s.failed))
	for name, addr := range s.alive { // order-free: sorted below
		s.peers = append(s.peers, peer{name: name, addr: addr})
	}
	for name, addr := range s.failed { // order-free: sorted below
		if _, ok := s.alive[name]; !ok {
			s.peers = append(s.peers, peer{name: name, addr: addr, lost: true})
		}
	}
	slices.SortFunc(s.peers, func(a, b peer) int { return strings.Compare(a.name, b.name) })
}

// line takes one line and reports whether it could be read.
func (s *snapshotReader) line(l string) bool {
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

func (s *snapshotReader) fact(key, value string) bool {
	switch key {
	case "alive":
		i := strings.LastIndexByte(value, ' ')
		return i >= 0 && s.setAlive(value[:i], value[i+1:])
	case "not-alive":
		delete(s.alive, value)
		return true
	case "clock":
		return readClock(&s.clock, value)
	case "event-clock":
		return readClock(&s.event, value)
	case "query-clock":
		return readClock(&s.query, value)
	case "coordinate":
		return true
	}
	return false
}

// ownFact reads one of our lines. Those of a later version are no fault.
func (s *snapshotReader) ownFact(key, value string) bool {
	switch key {
	case "incarnation":
		n, err := strconv.ParseUint(value, 10, 32)
		if err == nil {
			s.incarnation = max(s.incarnation, uint32(n))
		}
		return err == nil
	case "seeds":
		seeds, ok := readQuoted(value)
		if ok {
			s.seeds = seeds
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

func (s *snapshotReader) ownPeer(key, name, addr string) bool {
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

func (s *snapshotReader) setAlive(name, addr string) bool {
	a, ok := s.peerAddr(name, addr)
	if ok {
		s.alive[name] = a
		delete(s.failed, name)
	}
	return ok
}

func (s *snapshotReader) peerAddr(name, addr string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || name == "" || len(name) > swim.MaxName || a.Port() == 0 || len(s.alive)+len(s.failed) >= 2*swim.MaxMembers {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
}

// leave ends a life. What belongs to the cluster is over with it; that this
// node may not go back behind its incarnation is not.
func (s *snapshotReader) leave() {
	s.left++
	if s.rejoin {
		return
	}
	clear(s.alive)
	clear(s.failed)
	s.memory = memory{incarnation: s.incarnation}
}

// readClock takes a time. One that the machine would not believe is not taken
// for a time either: it would look as if there had been a former life.
func readClock(to *wire.LTime, value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || wire.LTime(n) > maxLTime {
		return false
	}
	*to = max(*to, wire.LTime(n))
	return true
}

func readQuoted(value string) (list []string, ok bool) {
	for value != "" {
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil || len(list) == maxSeeds {
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
	for i, s := range seeds[:min(len(seeds), maxSeeds)] {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendQuote(b, s)
	}
	return append(b, '\n')
}

// appendTo appends the whole memory as a file; self's own line is in it as
// Serf has it.
func (m *memory) appendTo(b []byte, self peer) []byte {
	if self.addr.IsValid() {
		b = appendPeer(b, self.name, self.addr)
	}
	for i := range m.peers {
		p := &m.peers[i]
		if p.lost {
			b = appendFailed(b, p.name, p.addr)
		} else {
			b = appendPeer(b, p.name, p.addr)
		}
	}
	b = appendNumber(b, "clock", uint64(m.clock))
	b = appendNumber(b, "event-clock", uint64(m.event))
	b = appendNumber(b, "query-clock", uint64(m.query))
	b = appendNumber(b, ownLine+"incarnation", uint64(m.incarnation))
	if len(m.seeds) > 0 {
		b = appendSeeds(b, m.seeds)
	}
	return b
}

// become changes m to next, which belongs to m from then on, and appends the
// lines that say the difference. Nothing that the file knows is given up in a
// line before it is known in a better way.
func (m *memory) become(next *memory, b []byte) []byte {
	b = appendPeerChanges(b, m.peers, next.peers)
	m.peers = next.peers
	for _, c := range []struct {
		key string
		old *wire.LTime
		new wire.LTime
	}{{"clock", &m.clock, next.clock}, {"event-clock", &m.event, next.event}, {"query-clock", &m.query, next.query}} {
		if c.new > *c.old {
			*c.old = c.new
			b = appendNumber(b, c.key, uint64(c.new))
		}
	}
	if next.incarnation > m.incarnation {
		m.incarnation = next.incarnation
		b = appendNumber(b, ownLine+"incarnation", uint64(m.incarnation))
	}
	if !slices.Equal(next.seeds, m.seeds) {
		m.seeds = next.seeds
		b = appendSeeds(b, m.seeds)
	}
	return b
}

// appendPeerChanges appends what makes the one sorted list the other.
func appendPeerChanges(b []byte, old, next []peer) []byte {
	for len(old) > 0 || len(next) > 0 {
		switch {
		case len(next) == 0 || len(old) > 0 && old[0].name < next[0].name:
			if old[0].lost {
				b = appendGone(b, old[0].name)
			} else {
				b = appendNotAlive(b, old[0].name)
			}
			old = old[1:]
		case len(old) == 0 || next[0].name < old[0].name:
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
func appendNews(b []byte, old, p *peer) []byte {
	switch {
	case old != nil && *old == *p:
	case !p.lost:
		b = appendPeer(b, p.name, p.addr)
	default:
		b = appendFailed(b, p.name, p.addr)
		if old != nil && !old.lost {
			b = appendNotAlive(b, p.name)
		}
	}
	return b
}
