package compare

import "slices"

// pool holds what some servers have answered and others have not yet, or otherwise. What
// all have answered alike leaves it. It is bounded: overflow tells that there is more.
type pool struct {
	servers  int
	max      int // bytes
	bytes    int
	pending  map[string]*pending
	overflow bool
}

// pending is a record that not all servers have answered alike.
type pending struct {
	hashes []uint64
	seen   []bool
	bytes  int // of the longest row
}

func newPool(servers, max int) *pool {
	return &pool{servers: servers, max: max, pending: make(map[string]*pending)}
}

// overhead is about what an entry takes beside its key and its hashes.
const overhead = 96

// add takes a row of a server.
func (p *pool) add(server int, r *row) {
	e := p.pending[r.key]
	if e == nil {
		if p.bytes > p.max {
			p.overflow = true
			return
		}
		e = &pending{hashes: make([]uint64, p.servers), seen: make([]bool, p.servers)}
		p.pending[r.key] = e
		p.bytes += p.size(r.key)
	}
	e.hashes[server], e.seen[server] = hashOf(r.text), true
	e.bytes = max(e.bytes, len(r.text))
	if slices.Contains(e.seen, false) {
		return
	}
	for _, h := range e.hashes {
		if h != e.hashes[0] {
			return
		}
	}
	delete(p.pending, r.key)
	p.bytes -= p.size(r.key)
}

func (p *pool) size(key string) int { return len(key) + 9*p.servers + overhead }

// keys are those that are left, in order, cut into lists of at most so many keys and, about,
// bytes of records and of keys.
func (p *pool) keys(most, recordBytes, keyBytes int) (lists [][]string) {
	all := make([]string, 0, len(p.pending))
	for key := range p.pending { // order-free: sorted below
		all = append(all, key)
	}
	slices.Sort(all)
	var list []string
	records, keys := 0, 0
	for _, key := range all {
		n := p.pending[key].bytes
		if len(list) == most || len(list) > 0 && (records+n > recordBytes || keys+len(key) > keyBytes) {
			lists = append(lists, list)
			list, records, keys = nil, 0, 0
		}
		list, records, keys = append(list, key), records+n, keys+len(key)
	}
	if len(list) > 0 {
		lists = append(lists, list)
	}
	return lists
}
