package writelog

import (
	"fmt"
	"maps"
	"slices"
)

// maxRequests bounds the request ids of clients that are remembered.
const maxRequests = 1 << 14

// Member is a gateway in the log.
type Member struct {
	Name string // host:port of its HTTP front
}

// session is what is known of the writes of one process of a gateway.
type session struct {
	Boot  uint64
	Floor uint64            // all below it are over
	Done  map[uint64]uint64 // by number, from Floor on: the index at which it was executed
}

// State is what the entries of the log amount to. All members that have applied the same
// entries have equal states, to the byte.
type State struct {
	Cluster  uint64             // names the log; each has another
	Epoch    uint64             // greater after a recovery without a majority
	Index    uint64             // of the last entry applied
	Members  map[uint64]Member  // by id
	Sessions map[uint64]session // by member
	// Out are the servers outside of the read set, with the index of the entry that said so.
	Out map[string]uint64
	// Requests are the ids that clients gave their writes, with their indexes; Order has
	// them oldest first.
	Requests map[string]uint64
	Order    []string
	// Catalog holds since entry CatalogAt; 0: the log has none. Earlier are the names of those before.
	Catalog   Catalog
	CatalogAt uint64
	// Settled: nobody answers searches by an earlier one any more.
	Settled bool
	Earlier []string
	// Since are the servers that a catalog has added, with its index.
	Since map[string]uint64
	// Drained are the servers that somebody wants out of the read set, with the index of the entry that said so.
	Drained map[string]uint64
}

// NewState is the state before the first entry.
func NewState(cluster uint64, members map[uint64]Member) *State {
	return &State{
		Cluster: cluster, Epoch: 1, Members: maps.Clone(members),
		Sessions: make(map[uint64]session), Out: make(map[string]uint64), Requests: make(map[string]uint64),
		Since: make(map[string]uint64), Drained: make(map[string]uint64),
	}
}

// stateRecord is the encoded form of a state: lists in order, since the library decodes
// maps within the values of a map into one map.
type stateRecord struct {
	Cluster, Epoch, Index uint64
	Members               []memberRecord
	Sessions              []sessionRecord
	Out                   []markRecord
	Requests              []markRecord // oldest first
	Catalog               *Catalog
	CatalogAt             uint64
	Settled               bool
	Earlier               []string
	Since                 []markRecord
	Drained               []markRecord
}

type memberRecord struct {
	ID   uint64
	Name string
}

type sessionRecord struct {
	Member, Boot, Floor uint64
	Done                [][2]uint64
}

type markRecord struct {
	Name  string
	Index uint64
}

// Encode renders a state. Equal states have equal bytes.
func (s *State) Encode() []byte {
	r := stateRecord{Cluster: s.Cluster, Epoch: s.Epoch, Index: s.Index}
	for _, id := range sortedKeys(s.Members) {
		r.Members = append(r.Members, memberRecord{id, s.Members[id].Name})
	}
	for _, id := range sortedKeys(s.Sessions) {
		of := s.Sessions[id]
		record := sessionRecord{Member: id, Boot: of.Boot, Floor: of.Floor}
		for _, n := range sortedKeys(of.Done) {
			record.Done = append(record.Done, [2]uint64{n, of.Done[n]})
		}
		r.Sessions = append(r.Sessions, record)
	}
	for _, server := range sortedKeys(s.Out) {
		r.Out = append(r.Out, markRecord{server, s.Out[server]})
	}
	for _, request := range s.Order {
		r.Requests = append(r.Requests, markRecord{request, s.Requests[request]})
	}
	for _, server := range sortedKeys(s.Since) {
		r.Since = append(r.Since, markRecord{server, s.Since[server]})
	}
	for _, server := range sortedKeys(s.Drained) {
		r.Drained = append(r.Drained, markRecord{server, s.Drained[server]})
	}
	if s.CatalogAt != 0 {
		r.Catalog, r.CatalogAt, r.Settled, r.Earlier = &s.Catalog, s.CatalogAt, s.Settled, s.Earlier
	}
	return encode(&r)
}

// DecodeState reads what Encode wrote.
func DecodeState(b []byte) (*State, error) {
	var r stateRecord
	if err := decode(b, &r); err != nil {
		return nil, fmt.Errorf("state of the log: %w", err)
	}
	s := NewState(r.Cluster, make(map[uint64]Member))
	s.Epoch, s.Index = r.Epoch, r.Index
	for _, m := range r.Members {
		s.Members[m.ID] = Member{Name: m.Name}
	}
	for _, of := range r.Sessions {
		done := make(map[uint64]uint64, len(of.Done))
		for _, d := range of.Done {
			done[d[0]] = d[1]
		}
		s.Sessions[of.Member] = session{Boot: of.Boot, Floor: of.Floor, Done: done}
	}
	for _, o := range r.Out {
		s.Out[o.Name] = o.Index
	}
	for _, added := range r.Since {
		s.Since[added.Name] = added.Index
	}
	for _, drained := range r.Drained {
		s.Drained[drained.Name] = drained.Index
	}
	if r.Catalog != nil {
		s.Catalog, s.CatalogAt, s.Settled, s.Earlier = *r.Catalog, r.CatalogAt, r.Settled, r.Earlier
	}
	for _, q := range r.Requests {
		s.Requests[q.Name] = q.Index
		s.Order = append(s.Order, q.Name)
	}
	return s, nil
}

// Verdict is what applying a write came to.
type Verdict uint8

// The verdicts.
const (
	Execute   Verdict = iota + 1 // it is to be carried out now
	Duplicate                    // it was executed at another index
	Dropped                      // it is over without having been executed: given up, or of an ended process
	Outdated                     // it was made for another catalog, and is not executed
)

// apply takes over the entry at an index. of is where a duplicate was executed.
func (s *State) apply(index uint64, e *Entry) (v Verdict, of uint64) {
	s.Index = index
	switch e.Op {
	case OpOpen:
		s.open(e.ID)
	case OpFloor:
		s.raise(e.ID, e.Floor)
	case OpReadSet:
		switch {
		case e.Catalog != s.CatalogAt: // it may be about what the server had when it was in an earlier one
			v = Outdated
		case e.Out && s.last(e.Server), !e.Out && s.Drained[e.Server] != 0: // it was proposed before that
			v = Outdated
		case e.Out:
			s.Out[e.Server] = index
		default:
			delete(s.Out, e.Server)
		}
	case OpCatalog:
		v = s.change(index, e)
	case OpDrain:
		v = s.drain(index, e)
	case OpWrite:
		v, of = s.write(index, e)
		s.raise(e.ID, e.Floor)
	}
	return v, of
}

// open begins a session. One that was begun later stays: an order to open that comes
// late, out of a socket that nobody read, must not end it.
func (s *State) open(id WriteID) {
	if of, ok := s.Sessions[id.Member]; ok && of.Boot >= id.Boot {
		return
	}
	if _, ok := s.Members[id.Member]; !ok {
		return
	}
	s.Sessions[id.Member] = session{Boot: id.Boot, Floor: 1, Done: make(map[uint64]uint64)}
}

// raise notes that writes below a number are over.
func (s *State) raise(id WriteID, floor uint64) {
	of, ok := s.Sessions[id.Member]
	if !ok || of.Boot != id.Boot || floor <= of.Floor {
		return
	}
	of.Floor = floor
	maps.DeleteFunc(of.Done, func(n, _ uint64) bool { return n < floor })
	s.Sessions[id.Member] = of
}

// look finds out what has become of a write. No verdict: nothing is known of it yet.
func (s *State) look(id WriteID, request string) (v Verdict, of uint64) {
	session, ok := s.Sessions[id.Member]
	if !ok || session.Boot != id.Boot {
		return Dropped, 0
	}
	if at, ok := session.Done[id.Number]; ok {
		return Duplicate, at
	}
	if id.Number < session.Floor {
		return Dropped, 0
	}
	if at, ok := s.Requests[request]; ok && request != "" {
		return Duplicate, at
	}
	return 0, 0
}

func (s *State) write(index uint64, e *Entry) (v Verdict, of uint64) {
	if v, of = s.look(e.ID, e.Request); v != 0 {
		return v, of
	}
	if e.Catalog != s.CatalogAt {
		return Outdated, 0
	}
	s.Sessions[e.ID.Member].Done[e.ID.Number] = index
	if e.Request != "" {
		s.remember(e.Request, index)
	}
	return Execute, index
}

func (s *State) remember(request string, index uint64) {
	if len(s.Order) >= maxRequests {
		delete(s.Requests, s.Order[0])
		s.Order = s.Order[1:]
	}
	s.Requests[request] = index
	s.Order = append(s.Order, request)
}

// member returns the id of the member with a name; 0 is none.
func (s *State) member(name string) uint64 {
	for _, id := range slices.Sorted(maps.Keys(s.Members)) {
		if s.Members[id].Name == name {
			return id
		}
	}
	return 0
}
